"""Binding of FROM, JOIN and WHERE: rows that carry the person, joined on the person or on a look-up key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from sqlglot import exp

from asepsis.domain.catalogue import ColumnType, Table, Use
from asepsis.sql.canonical import conjunction, flatten_and, negation
from asepsis.sql.domains import domain_of
from asepsis.sql.plan import (
    EVERYTHING,
    ColumnRef,
    Exists,
    LookupScan,
    Missing,
    Predicate,
    Relational,
    Rows,
    Scalar,
    Source,
    TableScan,
    UnitRef,
)
from asepsis.sql.predicates import conjuncts
from asepsis.sql.references import sources_of
from asepsis.sql.refusals import RefusedError
from asepsis.sql.scalars import bind_scalar
from asepsis.sql.scope import Context, Entry, Problem, Scope, Typed, name_of

T = TypeVar("T")

ROW_CLAUSES: Final = frozenset({"expressions", "from_", "joins", "where", "with_", "kind"})
_TABLE_CLAUSES: Final = frozenset({"this", "alias", "db"})
_JOIN_CLAUSES: Final = frozenset({"this", "side", "kind", "on", "using"})


@dataclass(slots=True, kw_only=True)
class Bound:
    """Rows with their scope; ``links`` pairs sources inside with sources of the statement around, by person."""

    rows: Rows
    scope: Scope
    links: list[tuple[int, int]]


@dataclass(slots=True, kw_only=True)
class _Joining:
    scope: Scope
    context: Context
    sources: list[Source] = field(default_factory=list)
    linked: set[int] = field(default_factory=set)
    links: list[tuple[int, int]] = field(default_factory=list)
    pairs: list[tuple[int, int]] = field(default_factory=list)
    extras: list[Predicate] = field(default_factory=list)


def bind_rows(select: exp.Select, scope: Scope, context: Context) -> Bound:
    """Bind the FROM, JOIN and WHERE of a SELECT into ``scope``. Raises RefusedError."""
    origin = select.args.get("from_")
    if origin is None:
        raise RefusedError("sql.no_patient_table", select)
    joining = _Joining(scope=scope, context=context)
    _first(origin.this, joining)
    for join in select.args.get("joins") or ():
        _join(join, joining)
    where = select.args.get("where")
    for part in conjuncts(where.this if where is not None else None):
        attempt(context, part, lambda part=part: _condition(part, joining))  # type: ignore[misc]
    _require_links(joining, select)
    rows = Rows(sources=tuple(joining.sources), where=conjunction(joining.extras))
    return Bound(rows=_without_anti_joins(rows), scope=scope, links=joining.links)


def attempt(context: Context, part: exp.Expr, bind: Callable[[], T]) -> T | None:
    """Bind a part that could be dropped; remember the refusal and go on, so that all reasons are told at once."""
    try:
        return bind()
    except RefusedError as error:
        context.problems.append(Problem(error=error, part=part))
        return None


def only_clauses(node: exp.Expr, allowed: Iterable[str]) -> None:
    """Raise RefusedError if the node uses a clause outside the allow-list."""
    for key, value in node.args.items():
        if value and key not in allowed:
            raise RefusedError(_clause_code(key), value if isinstance(value, exp.Expr) else node)


def _clause_code(key: str) -> str:
    codes = {"order": "sql.limit_in_subquery", "limit": "sql.limit_in_subquery", "offset": "sql.limit_in_subquery"}
    codes |= {"qualify": "sql.window", "windows": "sql.window", "method": "sql.join_kind"}
    return codes.get(key, "sql.construct_not_allowed")


def _first(node: exp.Expr, joining: _Joining) -> None:
    entry, relation = _source(node, joining)
    if entry.unit is None:
        raise RefusedError("sql.no_patient_table", node)
    joining.scope.entries.append(entry)
    joining.sources.append(Source(number=entry.source, relation=relation))
    joining.linked.add(entry.source)


def _source(node: exp.Expr, joining: _Joining) -> tuple[Entry, Relational]:
    context, scope = joining.context, joining.scope
    if isinstance(node, exp.Table):
        entry, relation = _table(node, scope, context)
    elif isinstance(node, exp.Subquery):
        only_clauses(node, {"this", "alias"})
        entry, relation = _derived(node.this, _alias(node, f"subquery_{context.sources}"), scope, context)
    else:
        raise RefusedError("sql.construct_not_allowed", node)
    if any(known.alias == entry.alias for known in scope.entries):
        raise RefusedError("sql.duplicate_alias", node)
    return entry, relation


def _alias(node: exp.Expr, default: str) -> str:
    alias = node.args.get("alias")
    if alias is None:
        return default
    if alias.args.get("columns"):
        raise RefusedError("sql.construct_not_allowed", alias)
    return name_of(alias.this)


def _table(node: exp.Table, scope: Scope, context: Context) -> tuple[Entry, Relational]:
    if not isinstance(node.this, exp.Identifier):
        raise RefusedError("sql.function_not_allowed", node)
    only_clauses(node, _TABLE_CLAUSES)
    if node.args.get("db") is not None and name_of(node.args["db"]) != "main":
        raise RefusedError("sql.unknown_table", node)
    name = name_of(node.this)
    alias = _alias(node, name)
    named = scope.names.get(name)
    if named is not None and node.args.get("db") is None:
        return _derived(named.query, alias, Scope(names=named.sees), context)
    table = context.catalogue.table(name)
    if table is None:
        raise RefusedError("sql.unknown_table", node)
    return _scan(table, alias, context)


def _scan(table: Table, alias: str, context: Context) -> tuple[Entry, Relational]:
    number = context.number()
    columns = {
        column.name: Typed(
            scalar=UnitRef(source=number) if Use.UNIT in column.uses else ColumnRef(source=number, name=column.name),
            type=column.type,
            uses=column.named_uses,
            bin_width=column.bin_width,
            domain=domain_of(column),
        )
        for column in table.columns
        if column.named_uses
    }
    unit = table.unit.name if table.unit else None
    single = unit is not None and table.one_per_person
    relation: Relational = LookupScan(table=table.name, key=table.key or "")
    if unit is not None:
        relation = TableScan(table=table.name, unit=unit)
    return Entry(alias=alias, source=number, columns=columns, unit=unit, single=single), relation


def _derived(query: exp.Expr, alias: str, scope: Scope, context: Context) -> tuple[Entry, Relational]:
    related = context.relation(query, Scope(names=scope.names), context)
    entry = Entry(alias=alias, source=related.number, columns=related.columns, unit=related.unit, single=related.single)
    return entry, related.relation


def _join(node: exp.Join, joining: _Joining) -> None:
    only_clauses(node, _JOIN_CLAUSES)
    outer = node.side == "LEFT"
    if node.side not in {"", "LEFT"} or node.kind not in {"", "INNER", "CROSS", "OUTER"}:
        raise RefusedError("sql.join_kind", node)
    entry, relation = _source(node.this, joining)
    entry = replace(entry, outer=outer)
    joining.scope.entries.append(entry)
    source = Source(number=entry.source, relation=relation, outer=outer)
    if entry.unit is None:
        joining.sources.append(_look_up(node, source, entry, joining))
        return
    if node.args.get("using"):
        _using(node, entry, joining)
    matches = _on(node, entry, joining)
    joining.sources.append(replace(source, matches=matches) if outer else source)
    joining.extras += [] if outer else [matches]


def _using(node: exp.Join, entry: Entry, joining: _Joining) -> None:
    names = [name_of(part) for part in node.args["using"]]
    others = [other for other in joining.scope.entries if other is not entry and other.unit == names[0]]
    if names != [entry.unit] or not others:
        raise RefusedError("sql.join_not_on_person", node)
    _link(entry.source, others[0].source, joining, node, entry)


def _on(node: exp.Join, entry: Entry, joining: _Joining) -> Predicate:
    extras: list[Predicate] = []
    for part in conjuncts(node.args.get("on")):
        pair = _unit_pair(part, joining)
        if pair is None:
            extras.append(joining.context.predicate(part, joining.scope, joining.context))
        else:
            _link(*pair, joining, part, entry)
    if entry.outer and entry.source not in joining.linked:
        raise RefusedError("sql.join_not_on_person", node)
    return conjunction(extras)


def _unit_pair(node: exp.Expr, joining: _Joining) -> tuple[int, int] | None:
    """The sources whose person keys a condition equates, or None."""
    sides: list[exp.Expr] = [node.this, node.expression] if isinstance(node, exp.EQ) else []
    if not sides or not all(isinstance(side, exp.Column) for side in sides):
        return None
    left, right = (bind_scalar(side, joining.scope, joining.context).scalar for side in sides)
    return (left.source, right.source) if isinstance(left, UnitRef) and isinstance(right, UnitRef) else None


def _link(left: int, right: int, joining: _Joining, node: exp.Expr, own: Entry | None = None) -> None:
    """Record that two sources are about the same person; ``own`` is the source whose ON clause says so."""
    outer = {entry.source: entry.outer for entry in joining.scope.entries}
    inside = [source for source in (left, right) if source in outer]
    if len(inside) == 1:
        other = right if inside[0] == left else left
        joining.links.append((inside[0], other))
        inside.append(inside[0])
    if own is not None and own.outer and left != right and own.source in inside:
        partner = right if own.source == left else left
        if outer.get(partner) is False:
            joining.linked.add(own.source)
            return
    if any(outer[source] for source in inside):
        raise RefusedError("sql.join_not_on_person", node)
    joining.pairs.append((left, right))


def _look_up(node: exp.Join, source: Source, entry: Entry, joining: _Joining) -> Source:
    relation = source.relation
    if not isinstance(relation, LookupScan) or not relation.key or node.args.get("using"):
        raise RefusedError("sql.lookup_key", node)
    key: Scalar | None = None
    extras: list[Predicate] = []
    for part in conjuncts(node.args.get("on")):
        found = _key_pair(part, entry, relation.key, joining)
        if found is not None and key is None:
            key = found
        else:
            extras.append(joining.context.predicate(part, joining.scope, joining.context))
    if key is None:
        raise RefusedError("sql.lookup_key", node)
    joining.linked.add(entry.source)
    joining.extras += [] if source.outer else extras
    return replace(source, key=key, matches=conjunction(extras) if source.outer else EVERYTHING)


def _key_pair(node: exp.Expr, entry: Entry, key: str, joining: _Joining) -> Scalar | None:
    if not isinstance(node, exp.EQ) or not all(isinstance(side, exp.Column) for side in (node.this, node.expression)):
        return None
    sides = [bind_scalar(side, joining.scope, joining.context) for side in (node.this, node.expression)]
    own = ColumnRef(source=entry.source, name=key)
    others = [side for side in sides if side.scalar != own]
    usable = len(others) == 1 and others[0].uses & {Use.COMPARE, Use.GROUP} and others[0].labels is None
    return others[0].scalar if usable and others[0].type is not ColumnType.DATE else None


def _condition(node: exp.Expr, joining: _Joining) -> None:
    pair = _unit_pair(node, joining)
    if pair is not None:
        _link(*pair, joining, node)
        return
    try:
        joining.extras.append(joining.context.predicate(node, joining.scope, joining.context))
    except RefusedError:
        if not _names_unit(node, joining.scope):
            raise
    else:
        return
    # Whatever else is wrong with it: a condition on the person's key is what the author must hear about.
    raise RefusedError("sql.person_key_predicate", node)


def _names_unit(node: exp.Expr, scope: Scope) -> bool:
    """Whether a condition names the person's key, outside of its subqueries."""
    if isinstance(node, exp.Query):
        return False
    if isinstance(node, exp.Column):
        return node.name.lower() in {entry.unit for entry in scope.entries}
    return any(_names_unit(child, scope) for child in node.iter_expressions())


def _require_links(joining: _Joining, node: exp.Expr) -> None:
    """Every source must be tied to the first by the person; equalities may come in any order."""
    pairs = list(joining.pairs)
    progress = True
    while progress:
        progress = False
        for left, right in pairs:
            if (left in joining.linked) != (right in joining.linked):
                joining.linked |= {left, right}
                progress = True
    outside = {outer for _, outer in joining.links}
    tied = {inner for inner, _ in joining.links} if len(outside) == 1 else set()
    if tied & joining.linked:
        joining.linked |= tied
    if {entry.source for entry in joining.scope.entries} - joining.linked:
        raise RefusedError("sql.join_not_on_person", node)


def _without_anti_joins(rows: Rows) -> Rows:
    """LEFT JOIN … WHERE key IS NULL as NOT EXISTS: one form for one question, and fewer rows."""
    sources, wheres = list(rows.sources), list(flatten_and(rows.where))
    for source in rows.sources[1:]:
        test = Missing(argument=UnitRef(source=source.number))
        others = [part for part in wheres if part != test]
        used = sources_of(others) | sources_of([(other.key, other.matches) for other in sources if other is not source])
        if not source.outer or source.key is not None or test not in wheres or source.number in used:
            continue
        inner = Rows(sources=(replace(source, outer=False, matches=EVERYTHING),), where=source.matches)
        exists = Exists(rows=inner, inner=source.number, outer=rows.sources[0].number)
        sources.remove(source)
        wheres = [*others, negation(exists)]
    return Rows(sources=tuple(sources), where=conjunction(wheres))
