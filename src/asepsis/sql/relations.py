"""Binding of subqueries: rows of persons, stages with one row per person, and their union."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from sqlglot import exp

from asepsis.domain.catalogue import ColumnType, Use
from asepsis.domain.cells import Relation
from asepsis.sql.aggregates import Call, Function, aggregate_of, has_aggregate
from asepsis.sql.canonical import conjunction, disjunction, negation
from asepsis.sql.comparisons import compare
from asepsis.sql.plan import (
    EVERYTHING,
    Appended,
    ColumnRef,
    Exists,
    Feature,
    FeatureKind,
    Literal,
    PerPerson,
    Predicate,
    Projection,
    UnitRef,
)
from asepsis.sql.predicates import bind_predicate, conjuncts, missing
from asepsis.sql.references import renumbered
from asepsis.sql.refusals import RefusedError
from asepsis.sql.rows import ROW_CLAUSES, Bound, bind_rows, only_clauses
from asepsis.sql.scalars import bind_scalar
from asepsis.sql.scope import RELATIONS, Context, Entry, Named, Related, Scope, Typed, name_of

STAGE_CLAUSES: Final = ROW_CLAUSES | {"distinct", "group", "having"}
_COUNTED: Final = frozenset({Use.COMPARE, Use.GROUP, Use.AGGREGATE})
_EXISTS_CLAUSES: Final = ROW_CLAUSES | {"distinct"}


def bind_names(query: exp.Expr, scope: Scope, context: Context) -> Mapping[str, Named]:
    """The subqueries of WITH that a statement can name. Raises RefusedError."""
    with_ = query.args.get("with_")
    names = dict(scope.names)
    if with_ is None:
        return names
    if with_.args.get("recursive"):
        raise RefusedError("sql.construct_not_allowed", with_)
    for cte in with_.expressions:
        name = name_of(cte.args["alias"].this)
        if context.catalogue.table(name) is not None:
            raise RefusedError("sql.shadowed_table", cte)
        if cte.args["alias"].args.get("columns") or name in names:
            raise RefusedError("sql.construct_not_allowed", cte)
        names[name] = Named(query=cte.this, sees=dict(names))
    return names


def bind_relation(query: exp.Expr, scope: Scope, context: Context) -> Related:
    """Bind a subquery that keeps the person's key. Raises RefusedError."""
    query = _unwrapped(query)
    scope = Scope(names=bind_names(query, scope, context))
    if isinstance(query, exp.SetOperation):
        return _appended(query, scope, context)
    if not isinstance(query, exp.Select):
        raise RefusedError("sql.construct_not_allowed", query)
    only_clauses(query, STAGE_CLAUSES)
    bound = bind_rows(query, scope, context)
    if query.args.get("group") or any(has_aggregate(part) for part in query.expressions):
        return _stage(query, bound, context)
    if query.args.get("having"):
        raise RefusedError("sql.construct_not_allowed", query)
    return _projection(query, bound, context)


def bind_exists(query: exp.Expr, scope: Scope, context: Context) -> Predicate:
    """Bind EXISTS about the same person. Raises RefusedError."""
    query = _unwrapped(query)
    if not isinstance(query, exp.Select):
        raise RefusedError("sql.construct_not_allowed", query)
    only_clauses(query, _EXISTS_CLAUSES)
    inner = Scope(names=bind_names(query, scope, context), parent=scope)
    bound = bind_rows(query, inner, context)
    outers = {outer for _, outer in bound.links}
    if len(outers) != 1 or scope.is_outer(min(outers)):
        raise RefusedError("sql.uncorrelated_subquery", query)
    return Exists(rows=bound.rows, inner=min(inner for inner, _ in bound.links), outer=min(outers))


def _unwrapped(query: exp.Expr) -> exp.Expr:
    while isinstance(query, exp.Subquery):
        only_clauses(query, {"this"})
        query = query.this
    return query


def _projection(query: exp.Select, bound: Bound, context: Context) -> Related:
    named = _outputs(query, bound.scope, context)
    unit = _unit_name(named, bound.scope, query)
    columns = {name: typed for name, typed in named.items() if name != unit}
    distinct = bool(query.args.get("distinct"))
    if distinct and query.args["distinct"].args.get("on"):
        raise RefusedError("sql.construct_not_allowed", query)
    relation = Projection(rows=bound.rows, columns=tuple(typed.scalar for typed in columns.values()), distinct=distinct)
    single = (distinct and not columns) or is_single(bound)
    return _related(relation, unit, list(columns.items()), context, single=single)


def is_single(bound: Bound) -> bool:
    """Whether the rows hold each person at most once."""
    sources = {source.number: source for source in bound.rows.sources}
    return all(
        entry.single or sources[entry.source].key is not None
        for entry in bound.scope.entries
        if entry.source in sources
    )


def is_multiplied(bound: Bound) -> bool:
    """Whether several records of a person meet several others, so that one record may stand in many rows."""
    sources = {source.number: source for source in bound.rows.sources}
    several = [
        entry
        for entry in bound.scope.entries
        if entry.source in sources and not entry.single and sources[entry.source].key is None
    ]
    return len(several) > 1


def _outputs(query: exp.Select, scope: Scope, context: Context) -> dict[str, Typed]:
    named: dict[str, Typed] = {}
    for position, node in enumerate(query.expressions):
        for name, typed in _expanded(node, position, scope, context):
            if name in named and not (named[name].is_unit and typed.is_unit):
                raise RefusedError("sql.duplicate_output", node)
            named.setdefault(name, typed)
    return named


def _expanded(node: exp.Expr, position: int, scope: Scope, context: Context) -> list[tuple[str, Typed]]:
    star = isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star))
    if not star:
        return [(output_name(node, position), bind_scalar(node.unalias(), scope, context))]
    if any(node.args.get(key) for key in ("except_", "replace", "rename")):
        raise RefusedError("sql.construct_not_allowed", node)
    alias = name_of(node.args["table"]) if isinstance(node, exp.Column) and node.args.get("table") else ""
    entries = [entry for entry in scope.entries if alias in {"", entry.alias}]
    return [(name, typed) for entry in entries for name, typed in entry.columns.items()]


def output_name(node: exp.Expr, position: int) -> str:
    """The name of an output: its alias, or the name of its column, or its place."""
    if isinstance(node, exp.Alias):
        return name_of(node.args["alias"])
    return name_of(node.this) if isinstance(node, exp.Column) else f"column_{position + 1}"


def _unit_name(named: Mapping[str, Typed], scope: Scope, node: exp.Expr) -> str:
    for name, typed in named.items():
        if isinstance(typed.scalar, UnitRef) and not scope.is_outer(typed.scalar.source):
            return name
    raise RefusedError("sql.no_person_in_subquery", node)


def _related(
    relation: Projection | PerPerson | Appended,
    unit: str,
    named: list[tuple[str, Typed]],
    context: Context,
    *,
    single: bool,
) -> Related:
    number = context.number()
    columns = {unit: Typed(scalar=UnitRef(source=number), type=ColumnType.INTEGER, uses=frozenset({Use.UNIT}))}
    for position, (name, typed) in enumerate(named):
        if typed.is_unit:
            columns[name] = columns[unit]
            continue
        scalar = ColumnRef(source=number, name=f"c{position}")
        columns[name] = Typed(
            scalar=scalar,
            type=typed.type,
            uses=typed.uses,
            bin_width=typed.bin_width,
            labels=typed.labels,
            domain=typed.domain,
        )
    return Related(relation=relation, number=number, unit=unit, columns=columns, single=single)


_STAGE: Final = -1
"""Source number of the columns of a stage while it is being bound."""

_FEATURES_ALIAS: Final = "features"
_FEATURES: Final = {
    Function.COUNT: FeatureKind.COUNT,
    Function.SUM: FeatureKind.SUM,
    Function.AVG: FeatureKind.MEAN,
    Function.MIN: FeatureKind.FIRST,
    Function.MAX: FeatureKind.LAST,
}


def _in_source(typed: Typed, number: int) -> Typed:
    scalar = renumbered(typed.scalar, {_STAGE: number})
    return replace(typed, scalar=scalar)


@dataclass(slots=True, kw_only=True)
class _Stage:
    """A stage while it is being bound: its keys and the features found so far."""

    keys: list[Typed]
    scope: Scope
    context: Context
    multiplied: bool
    features: list[Feature] = field(default_factory=list)

    def column(self, position: int, typed: Typed) -> Typed:
        return replace(typed, scalar=ColumnRef(source=_STAGE, name=f"c{position}"))

    def output(self, node: exp.Expr) -> Typed:
        """A column of the stage: the person, a key or a feature. Raises RefusedError."""
        call = aggregate_of(node)
        if call is not None:
            return self.feature(call)
        if has_aggregate(node):
            return self._derived(node)
        typed = bind_scalar(node, self.scope, self.context)
        if typed.is_unit:
            return replace(typed, scalar=UnitRef(source=_STAGE))
        for position, key in enumerate(self.keys):
            if key.scalar == typed.scalar:
                return self.column(position, key)
        raise RefusedError("sql.not_grouped", node)

    def _derived(self, node: exp.Expr) -> Typed:
        """An expression over features, such as the days between the first and the last one. Raises RefusedError."""
        columns: dict[str, Typed] = {}

        def named(part: exp.Expr) -> exp.Expr:
            if aggregate_of(part) is None and not isinstance(part, exp.Column):
                return part
            name = f"feature_{len(columns)}"
            columns[name] = self.output(part)
            return exp.column(name)

        over = node.transform(named)
        stage = Entry(alias=_FEATURES_ALIAS, source=_STAGE, columns=columns, unit=None)
        return bind_scalar(over, Scope(names={}, entries=[stage]), self.context)

    def feature(self, call: Call) -> Typed:
        kind = _FEATURES.get(call.function)
        if kind is None or (call.distinct and kind is not FeatureKind.COUNT):
            raise RefusedError("sql.function_not_allowed", call.node)
        where = EVERYTHING if call.where is None else bind_predicate(call.where, self.scope, self.context)
        argument = None if call.argument is None else bind_scalar(call.argument, self.scope, self.context)
        if argument is not None:
            kind, argument, where = self._argument(kind, argument, where, call)
        if self.multiplied and kind in {FeatureKind.COUNT, FeatureKind.SUM}:
            raise RefusedError("sql.multiplied_records", call.node)
        typed = _feature_type(kind, argument, call.node)
        scalar = None if argument is None else argument.scalar
        feature = Feature(kind=kind, argument=scalar, where=where)
        if feature not in self.features:
            self.features.append(feature)
        return self.column(len(self.keys) + self.features.index(feature), typed)

    def _argument(
        self, kind: FeatureKind, argument: Typed, where: Predicate, call: Call
    ) -> tuple[FeatureKind, Typed | None, Predicate]:
        if kind is not FeatureKind.COUNT:
            return kind, argument, where
        if call.distinct:
            if argument.is_unit or not argument.uses & {Use.COMPARE, Use.GROUP, Use.DATE} or argument.labels:
                raise RefusedError("sql.distinct_values", call.node)
            return FeatureKind.KINDS, argument, where
        present = negation(missing(argument, self.scope, call.node))
        return kind, None, conjunction([where, present])

    def predicate(self, node: exp.Expr) -> Predicate:
        """A condition of HAVING, over the columns of the stage. Raises RefusedError."""
        if isinstance(node, exp.And):
            return conjunction([self.predicate(part) for part in conjuncts(node)])
        if isinstance(node, exp.Or):
            return disjunction([self.predicate(node.this), self.predicate(node.expression)])
        if isinstance(node, exp.Paren):
            return self.predicate(node.this)
        if isinstance(node, exp.Not):
            return negation(self.predicate(node.this))
        if isinstance(node, exp.Between):
            argument = self._side(node.this)
            low, high = self._side(node.args["low"]), self._side(node.args["high"])
            moved = self.context.moved
            lower = compare(Relation.AT_LEAST, argument, low, node, moved=moved)
            return conjunction([lower, compare(Relation.AT_MOST, argument, high, node, moved=moved)])
        if type(node) not in RELATIONS:
            raise RefusedError("sql.construct_not_allowed", node)
        left, right = self._side(node.this), self._side(node.args["expression"])
        return compare(RELATIONS[type(node)], left, right, node, moved=self.context.moved)

    def _side(self, node: exp.Expr) -> Typed:
        if isinstance(node, exp.Literal | exp.Neg | exp.Placeholder | exp.Parameter | exp.Cast):
            return bind_scalar(node, self.scope, self.context)
        return self.output(node)


def _feature_type(kind: FeatureKind, argument: Typed | None, node: exp.Expr) -> Typed:
    """What may be done with a feature: counts are coded numbers, the rest keeps the uses of its column."""
    if argument is None or kind is FeatureKind.KINDS:
        return Typed(scalar=Literal(value=0), type=ColumnType.INTEGER, uses=_COUNTED)
    if argument.is_unit or argument.labels is not None or argument.is_literal:
        raise RefusedError("sql.function_not_allowed", node)
    if kind in {FeatureKind.FIRST, FeatureKind.LAST}:
        if argument.type is ColumnType.TEXT or not argument.uses:
            raise RefusedError("sql.column_not_usable", node)
        return argument
    if Use.AGGREGATE not in argument.uses:
        raise RefusedError("sql.column_not_usable", node)
    uses = frozenset({Use.AGGREGATE})
    return Typed(scalar=argument.scalar, type=ColumnType.NUMBER, uses=uses, bin_width=argument.bin_width)


def _stage(query: exp.Select, bound: Bound, context: Context) -> Related:
    keys = _stage_keys(query, bound.scope, context)
    if not any(typed.is_unit for typed in keys):
        raise RefusedError("sql.no_person_in_subquery", query)
    plain = [typed for typed in keys if not typed.is_unit]
    stage = _Stage(keys=plain, scope=bound.scope, context=context, multiplied=is_multiplied(bound))
    named: dict[str, Typed] = {}
    for position, node in enumerate(query.expressions):
        name = output_name(node, position)
        if name in named:
            raise RefusedError("sql.duplicate_output", node)
        named[name] = stage.output(node.unalias())
    unit = next((name for name, typed in named.items() if typed.is_unit), None)
    if unit is None:
        raise RefusedError("sql.no_person_in_subquery", query)
    having = query.args.get("having")
    condition = EVERYTHING if having is None else stage.predicate(having.this)
    number = context.number()
    relation = PerPerson(
        rows=bound.rows,
        keys=tuple(typed.scalar for typed in stage.keys),
        features=tuple(stage.features),
        having=renumbered(condition, {_STAGE: number}),
    )
    columns = {name: _in_source(typed, number) for name, typed in named.items()}
    return Related(relation=relation, number=number, unit=unit, columns=columns, single=not stage.keys)


def _stage_keys(query: exp.Select, scope: Scope, context: Context) -> list[Typed]:
    group = query.args.get("group")
    if group is None:
        raise RefusedError("sql.no_person_in_subquery", query)
    only_clauses(group, {"expressions", "all"})
    nodes = group_nodes(group, query.expressions)
    keys = [bind_scalar(node, scope, context) for node in nodes]
    for key, node in zip(keys, nodes, strict=True):
        if not key.is_unit and (not key.uses or key.is_literal):
            raise RefusedError("sql.column_not_usable", node)
        if isinstance(key.scalar, UnitRef) and scope.is_outer(key.scalar.source):
            raise RefusedError("sql.no_person_in_subquery", node)
    return keys


def group_nodes(group: exp.Group, outputs: list[exp.Expr]) -> list[exp.Expr]:
    """The nodes that GROUP BY names: places and ALL are replaced by the outputs they stand for."""
    if group.args.get("all"):
        return [node.unalias() for node in outputs if not has_aggregate(node)]
    return named_nodes(group.expressions, outputs)


def named_nodes(named: Iterable[exp.Expr], outputs: list[exp.Expr]) -> list[exp.Expr]:
    """The nodes with places and aliases replaced by the outputs they stand for. Raises RefusedError."""
    nodes: list[exp.Expr] = []
    aliases = {node.alias: node.unalias() for node in outputs if isinstance(node, exp.Alias)}
    for node in named:
        if isinstance(node, exp.Literal) and not node.args.get("is_string"):
            place = int(node.this) if str(node.this).isdigit() else 0
            if not 1 <= place <= len(outputs):
                raise RefusedError("sql.construct_not_allowed", node)
            nodes.append(outputs[place - 1].unalias())
        elif isinstance(node, exp.Column) and not node.table and node.name in aliases:
            nodes.append(aliases[node.name])
        else:
            nodes.append(node)
    return nodes


def _appended(query: exp.SetOperation, scope: Scope, context: Context) -> Related:
    parts = [bind_relation(part, scope, context) for part in union_parts(query)]
    first = parts[0]
    shape = [(typed.is_unit, typed.type, typed.labels) for typed in first.columns.values()]
    for part in parts:
        if [(typed.is_unit, typed.type, typed.labels) for typed in part.columns.values()] != shape:
            raise RefusedError("sql.union_columns", query)
    columns: dict[str, Typed] = {}
    number = context.number()
    for position, (name, typed) in enumerate(first.columns.items()):
        uses = frozenset.intersection(*(list(part.columns.values())[position].uses for part in parts))
        if not isinstance(typed.scalar, ColumnRef | UnitRef):
            raise RefusedError("sql.union_columns", query)
        columns[name] = replace(typed, scalar=replace(typed.scalar, source=number), uses=uses)
    relations = tuple(part.relation for part in parts if isinstance(part.relation, Projection | PerPerson))
    if len(relations) != len(parts):
        raise RefusedError("sql.set_operation", query)
    return Related(relation=Appended(parts=relations), number=number, unit=first.unit, columns=columns, single=False)


def union_parts(query: exp.Expr) -> list[exp.Expr]:
    """The parts of a chain of UNION ALL. Raises RefusedError for other set operations."""
    if not isinstance(query, exp.SetOperation):
        return [query]
    if not isinstance(query, exp.Union) or query.args.get("distinct") or query.args.get("by_name"):
        raise RefusedError("sql.set_operation", query)
    only_clauses(query, {"this", "expression", "with_", "distinct", "order", "limit"})
    return union_parts(query.this) + union_parts(query.expression)
