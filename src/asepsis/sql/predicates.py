"""Binding of conditions: comparisons, membership, missing values, and subqueries about the same person."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlglot import exp

from asepsis.domain.cells import Relation
from asepsis.sql.canonical import conjunction, disjunction, negation
from asepsis.sql.comparisons import compare, member
from asepsis.sql.plan import EVERYTHING, Exists, Literal, Missing, Predicate, Rows, Source, Truth, UnitRef, Value
from asepsis.sql.refusals import RefusedError
from asepsis.sql.scalars import bind_scalar, not_allowed
from asepsis.sql.scope import RELATIONS, Context, Scope, Typed


def bind_predicate(node: exp.Expr, scope: Scope, context: Context) -> Predicate:
    """Bind one condition. Raises RefusedError."""
    if type(node) in RELATIONS:
        return _comparison(node, scope, context)
    bind = _BINDERS.get(type(node))
    if bind is None:
        raise not_allowed(node)
    return bind(node, scope, context)


def _comparison(node: exp.Expr, scope: Scope, context: Context) -> Predicate:
    sides = (node.this, node.args["expression"])
    if any(isinstance(side, exp.Null) for side in sides):
        raise RefusedError("sql.null_comparison", node)
    left, right = (bind_scalar(side, scope, context) for side in sides)
    return compare(RELATIONS[type(node)], left, right, node, moved=context.moved)


def _and(node: exp.Expr, scope: Scope, context: Context) -> Predicate:
    return conjunction([bind_predicate(part, scope, context) for part in _flat(node, exp.And)])


def _or(node: exp.Expr, scope: Scope, context: Context) -> Predicate:
    return disjunction([bind_predicate(part, scope, context) for part in _flat(node, exp.Or)])


def _flat(node: exp.Expr, kind: type[exp.Connector]) -> list[exp.Expr]:
    """The parts of a chain, without recursion: chains may be long."""
    parts: list[exp.Expr] = []
    pending = [node]
    while pending:
        current = pending.pop()
        if isinstance(current, kind):
            pending += [current.args["expression"], current.this]
        else:
            parts.append(current)
    return parts


def conjuncts(node: exp.Expr | None) -> list[exp.Expr]:
    """The conjuncts of a condition, brackets around conjunctions opened."""
    if node is None:
        return []
    parts: list[exp.Expr] = []
    pending = [node]
    while pending:
        current = pending.pop()
        if isinstance(current, exp.And):
            pending += [current.args["expression"], current.this]
        elif isinstance(current, exp.Paren) and isinstance(current.this, exp.And | exp.Paren):
            pending.append(current.this)
        else:
            parts.append(current)
    return parts


def _not(node: exp.Expr, scope: Scope, context: Context) -> Predicate:
    return negation(bind_predicate(node.this, scope, context))


def _paren(node: exp.Expr, scope: Scope, context: Context) -> Predicate:
    return bind_predicate(node.this, scope, context)


def _boolean(node: exp.Expr, _scope: Scope, _context: Context) -> Predicate:
    return Truth(value=bool(node.this))


def _between(node: exp.Expr, scope: Scope, context: Context) -> Predicate:
    argument, low, high = (bind_scalar(node.args[key], scope, context) for key in ("this", "low", "high"))
    if node.args.get("symmetric"):
        raise RefusedError("sql.construct_not_allowed", node)
    least = compare(Relation.AT_LEAST, argument, low, node, moved=context.moved)
    return conjunction([least, compare(Relation.AT_MOST, argument, high, node, moved=context.moved)])


def _is(node: exp.Expr, scope: Scope, context: Context) -> Predicate:
    if not isinstance(node.args["expression"], exp.Null):
        raise RefusedError("sql.construct_not_allowed", node)
    return missing(bind_scalar(node.this, scope, context), scope, node)


def missing(typed: Typed, scope: Scope, node: exp.Expr) -> Predicate:
    """Whether a value is missing; the person's key is missing only where an outer join found no partner."""
    if isinstance(typed.scalar, UnitRef):
        return Missing(argument=typed.scalar) if scope.is_outer(typed.scalar.source) else Truth(value=False)
    if typed.is_literal or not typed.uses:
        raise RefusedError("sql.column_not_usable", node)
    return Missing(argument=typed.scalar)


def _in(node: exp.Expr, scope: Scope, context: Context) -> Predicate:
    argument = bind_scalar(node.this, scope, context)
    if node.args.get("unnest") or node.args.get("field"):
        raise RefusedError("sql.construct_not_allowed", node)
    query = node.args.get("query")
    if query is not None:
        return _in_subquery(argument, query, scope, context)
    values: list[Value] = []
    for item in node.expressions:
        scalar = bind_scalar(item, scope, context).scalar
        if not isinstance(scalar, Literal):
            raise RefusedError("sql.construct_not_allowed", item)
        values.append(scalar.value)
    return member(argument, values, node)


def _in_subquery(argument: Typed, query: exp.Expr, scope: Scope, context: Context) -> Predicate:
    if not isinstance(argument.scalar, UnitRef):
        return context.listed(argument, query, scope, context)
    if scope.is_outer(argument.scalar.source):
        raise RefusedError("sql.uncorrelated_subquery", query)
    related = context.relation(query, Scope(names=scope.names), context)
    if len(related.columns) != 1:
        raise RefusedError("sql.union_columns", query)
    rows = Rows(sources=(Source(number=related.number, relation=related.relation),), where=EVERYTHING)
    return Exists(rows=rows, inner=related.number, outer=argument.scalar.source)


def _exists(node: exp.Expr, scope: Scope, context: Context) -> Predicate:
    return context.exists(node.this, scope, context)


_BINDERS: Final[dict[type[exp.Expr], Callable[[exp.Expr, Scope, Context], Predicate]]] = {
    exp.And: _and,
    exp.Or: _or,
    exp.Not: _not,
    exp.Paren: _paren,
    exp.Boolean: _boolean,
    exp.Between: _between,
    exp.In: _in,
    exp.Is: _is,
    exp.Exists: _exists,
}
