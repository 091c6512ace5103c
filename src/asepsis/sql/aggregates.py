"""Recognising aggregate calls: which function, over what, of which rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from sqlglot import exp

from asepsis.sql.refusals import RefusedError


class Function(StrEnum):
    """The aggregate functions that the room knows."""

    COUNT = "count"
    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    DEVIATION = "stddev"
    VARIANCE = "variance"
    QUANTILE = "quantile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One aggregate call; ``argument`` None stands for ``*``."""

    function: Function
    argument: exp.Expr | None
    node: exp.Expr
    distinct: bool = False
    where: exp.Expr | None = None
    level: exp.Expr | None = None


_FUNCTIONS: Final[dict[type[exp.Expr], Function]] = {
    exp.Count: Function.COUNT,
    exp.CountIf: Function.COUNT,
    exp.Sum: Function.SUM,
    exp.Avg: Function.AVG,
    exp.Min: Function.MIN,
    exp.Max: Function.MAX,
    exp.Stddev: Function.DEVIATION,
    exp.StddevSamp: Function.DEVIATION,
    exp.Variance: Function.VARIANCE,
    exp.Median: Function.QUANTILE,
    exp.PercentileCont: Function.QUANTILE,
    exp.PercentileDisc: Function.QUANTILE,
    exp.Quantile: Function.QUANTILE,
}
_ARGUMENTS: Final = frozenset({"this", "expression", "quantile", "big_int"})


def aggregate_of(node: exp.Expr) -> Call | None:
    """The aggregate call that a node is, or None. Raises RefusedError for forms of it that are not available."""
    if isinstance(node, exp.Filter):
        inner = aggregate_of(node.this)
        return None if inner is None else replace(inner, where=node.expression.this, node=node)
    function = _FUNCTIONS.get(type(node))
    if function is None:
        return None
    if any(value for key, value in node.args.items() if key not in _ARGUMENTS):
        raise RefusedError("sql.construct_not_allowed", node)
    if isinstance(node, exp.CountIf):
        return Call(function=function, argument=None, node=node, where=node.this)
    return _call(function, node)


def _call(function: Function, node: exp.Expr) -> Call:
    call = Call(function=function, argument=node.this, node=node, level=_level(node))
    if isinstance(node.this, exp.Distinct):
        parts = node.this.expressions
        if len(parts) != 1 or node.this.args.get("on"):
            raise RefusedError("sql.distinct_values", node)
        return replace(call, argument=parts[0], distinct=True)
    if isinstance(node.this, exp.Star) or _constant(node.this):
        if function is not Function.COUNT:
            raise RefusedError("sql.construct_not_allowed", node)
        return replace(call, argument=None)
    return call


def has_aggregate(node: exp.Expr) -> bool:
    """Whether an aggregate call stands anywhere in the node, outside of its subqueries."""
    if isinstance(node, exp.Query):
        return False
    if type(node) in _FUNCTIONS:
        return True
    return any(has_aggregate(child) for child in node.iter_expressions())


def _constant(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and not node.args.get("is_string")


def _level(node: exp.Expr) -> exp.Expr | None:
    if isinstance(node, exp.Median):
        return exp.Literal.number("0.5")
    if isinstance(node, exp.PercentileCont | exp.PercentileDisc):
        return node.args.get("expression")
    return node.args.get("quantile")
