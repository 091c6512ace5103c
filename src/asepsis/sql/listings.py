"""Binding of IN over public look-up tables, such as all descendants of a concept: a list, whatever the patients are.

A list is one column of a look-up table, filtered by conditions on its own columns and by equality with a column of
other look-up tables; an inner join says the same as IN, because a list has no duplicates. Nothing about a person can
enter a list, so it can be used wherever a list of literals can.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from sqlglot import exp

from asepsis.domain.catalogue import Table, Use
from asepsis.sql.canonical import conjunction, disjunction
from asepsis.sql.plan import LISTED, ColumnRef, Listed, Predicate
from asepsis.sql.predicates import bind_predicate, conjuncts
from asepsis.sql.refusals import RefusedError
from asepsis.sql.relations import bind_names, output_name
from asepsis.sql.rows import only_clauses
from asepsis.sql.scalars import bind_scalar
from asepsis.sql.scope import Context, Entry, Scope, Typed, name_of

_CLAUSES: Final = frozenset({"expressions", "from_", "joins", "where", "with_", "kind", "distinct"})


@dataclass(slots=True, kw_only=True)
class _Rows:
    """Rows of one look-up table: its columns by the author's names, and the conditions on them."""

    alias: str
    table: str
    columns: Mapping[str, Typed]
    conditions: list[Predicate] = field(default_factory=list)

    def entry(self) -> Entry:
        return Entry(alias=self.alias, source=LISTED, columns=self.columns, unit=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tie:
    """Equality of columns of two tables, by the aliases of the tables."""

    aliases: tuple[str, str]
    columns: tuple[Typed, Typed]

    def seen_from(self, alias: str) -> tuple[Typed, str, Typed]:
        """The column on this side, and the alias and the column on the other side."""
        here, there = (0, 1) if self.aliases[0] == alias else (1, 0)
        return self.columns[here], self.aliases[there], self.columns[there]


def bind_listed(argument: Typed, query: exp.Expr, scope: Scope, context: Context) -> Predicate:
    """Bind membership in the values of a subquery over look-up tables. Raises RefusedError."""
    names = Scope(names=bind_names(query, scope, context))
    return disjunction([_member(argument, part, names, context) for part in _parts(query)])


def _parts(query: exp.Expr) -> list[exp.Expr]:
    """The parts of a union; a list has no duplicates, so UNION and UNION ALL are one."""
    if isinstance(query, exp.Subquery):
        only_clauses(query, {"this"})
        return _parts(query.this)
    if isinstance(query, exp.Union) and not query.args.get("by_name"):
        only_clauses(query, {"this", "expression", "with_", "distinct"})
        return _parts(query.this) + _parts(query.expression)
    return [query]


def _member(argument: Typed, query: exp.Expr, scope: Scope, context: Context) -> Predicate:
    rows, columns = _list(query, scope, context)
    if len(columns) != 1:
        raise RefusedError("sql.union_columns", query)
    (column,) = columns.values()
    return _listed(argument, rows, column, query)


def _listed(argument: Typed, rows: _Rows, column: Typed, node: exp.Expr) -> Predicate:
    for side in (argument, column):
        if Use.COMPARE not in side.uses or side.labels is not None or side.is_literal or side.is_unit:
            raise RefusedError("sql.column_not_usable", node)
    if column.type is not argument.type or not isinstance(column.scalar, ColumnRef):
        raise RefusedError("sql.type_mismatch", node)
    where = conjunction(rows.conditions)
    return Listed(argument=argument.scalar, table=rows.table, column=column.scalar.name, where=where)


def _list(query: exp.Expr, scope: Scope, context: Context) -> tuple[_Rows, Mapping[str, Typed]]:
    """The rows of the table that a SELECT takes its columns of, and those columns."""
    origin = query.args.get("from_") if isinstance(query, exp.Select) else None
    distinct = query.args.get("distinct")
    if origin is None or (distinct is not None and distinct.args.get("on")):
        raise RefusedError("sql.list_subquery", query)
    only_clauses(query, _CLAUSES)
    inner = Scope(names=bind_names(query, scope, context))
    joins: list[exp.Join] = query.args.get("joins") or []
    found = [_source(node, inner, context) for node in (origin.this, *map(_kind, joins))]
    tables = {rows.alias: rows for rows in found}
    if len(tables) != 1 + len(joins):
        raise RefusedError("sql.duplicate_alias", query)
    inner.entries = [rows.entry() for rows in tables.values()]
    ties = list(_conditions(query, joins, inner, context, tables))
    columns = _columns(query, inner, context)
    owners = {inner.resolve(node)[1].alias for part in query.expressions for node in part.find_all(exp.Column)}
    if len(owners) != 1 or len(ties) != len(joins):
        raise RefusedError("sql.list_subquery", query)
    rows = _tied(tables, owners.pop(), ties, query)
    if tables:
        raise RefusedError("sql.list_subquery", query)
    return rows, columns


def _kind(join: exp.Join) -> exp.Expr:
    joined: exp.Expr = join.this
    only_clauses(join, {"this", "kind", "on"})
    if join.kind not in {"", "INNER", "CROSS"}:
        raise RefusedError("sql.join_kind", join)
    return joined


def _conditions(
    query: exp.Expr, joins: list[exp.Join], inner: Scope, context: Context, tables: Mapping[str, _Rows]
) -> Iterator[_Tie]:
    """Give every condition to the table that it is about; those that equate columns of two tables come out."""
    where = query.args.get("where")
    clauses = [None if where is None else where.this, *(join.args.get("on") for join in joins)]
    for part in (part for clause in clauses for part in conjuncts(clause)):
        named = {inner.resolve(node)[1].alias for node in _own_columns(part)}
        if len(named) <= 1:
            tables[named.pop() if named else next(iter(tables))].conditions.append(bind_predicate(part, inner, context))
        else:
            yield _tie(part, inner, context)


def _own_columns(node: exp.Expr) -> Iterator[exp.Column]:
    """The columns that a condition names, outside of its subqueries."""
    if isinstance(node, exp.Column):
        yield node
    elif not isinstance(node, exp.Query):
        for child in node.iter_expressions():
            yield from _own_columns(child)


def _tie(node: exp.Expr, inner: Scope, context: Context) -> _Tie:
    sides = (node.this, node.expression) if isinstance(node, exp.EQ) else ()
    if len(sides) != 2 or not all(isinstance(side, exp.Column) for side in sides):  # noqa: PLR2004 - left and right
        raise RefusedError("sql.list_subquery", node)
    left, right = sides
    return _Tie(
        aliases=(inner.resolve(left)[1].alias, inner.resolve(right)[1].alias),
        columns=(bind_scalar(left, inner, context), bind_scalar(right, inner, context)),
    )


def _tied(tables: dict[str, _Rows], root: str, ties: list[_Tie], node: exp.Expr) -> _Rows:
    """The rows of ``root``, with the tables that are tied to it as conditions; those are taken out of ``tables``."""
    rest = [tie for tie in ties if root not in tie.aliases]
    rows = tables.pop(root)
    for tie in (tie for tie in ties if root in tie.aliases):
        column, alias, other = tie.seen_from(root)
        if alias not in tables:
            raise RefusedError("sql.list_subquery", node)
        rows.conditions.append(_listed(column, _tied(tables, alias, rest, node), other, node))
    return rows


def _columns(query: exp.Expr, inner: Scope, context: Context) -> Mapping[str, Typed]:
    columns: dict[str, Typed] = {}
    for place, node in enumerate(query.expressions):
        name = output_name(node, place)
        if name in columns:
            raise RefusedError("sql.duplicate_output", node)
        columns[name] = bind_scalar(node.unalias(), inner, context)
    return columns


def _source(node: exp.Expr, scope: Scope, context: Context) -> _Rows:
    """The rows that FROM or JOIN names."""
    alias = node.args.get("alias")
    if alias is not None and alias.args.get("columns"):
        raise RefusedError("sql.construct_not_allowed", alias)
    if isinstance(node, exp.Subquery):
        only_clauses(node, {"this", "alias"})
        return _renamed(_list(node.this, scope, context), "" if alias is None else name_of(alias.this))
    if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
        raise RefusedError("sql.list_subquery", node)
    only_clauses(node, {"this", "alias", "db"})
    name = name_of(node.this)
    called = name if alias is None else name_of(alias.this)
    named = scope.names.get(name) if node.args.get("db") is None else None
    if named is not None:
        return _renamed(_list(named.query, Scope(names=named.sees), context), called)
    table = context.catalogue.table(name)
    if table is None or (node.args.get("db") is not None and name_of(node.args["db"]) != "main"):
        raise RefusedError("sql.unknown_table", node)
    if table.unit is not None:
        raise RefusedError("sql.uncorrelated_subquery", node)
    return _Rows(alias=called, table=table.name, columns=_columns_of(table))


def _renamed(found: tuple[_Rows, Mapping[str, Typed]], alias: str) -> _Rows:
    rows, columns = found
    return replace(rows, alias=alias, columns=columns)


def _columns_of(table: Table) -> Mapping[str, Typed]:
    return {
        column.name: Typed(scalar=ColumnRef(source=LISTED, name=column.name), type=column.type, uses=column.named_uses)
        for column in table.columns
        if column.named_uses
    }
