"""Binding of scalar expressions: an allow-list from syntax nodes to plan scalars with types and uses."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date
from typing import Final

from sqlglot import exp

from asepsis.domain.catalogue import ColumnType, Use
from asepsis.sql.plan import (
    Bin,
    Choice,
    DateField,
    DatePart,
    DateShift,
    DaysBetween,
    Difference,
    Literal,
    Period,
    PeriodStart,
    Predicate,
    Scalar,
    Value,
)
from asepsis.sql.refusals import RefusedError
from asepsis.sql.scope import Context, Scope, Typed

MISSING_LABEL: Final = -1
"""The code of a labelled choice that has no label."""

LARGEST_INTEGER: Final = 2**53
MOST_DAYS: Final = 40_000

_CODED: Final = frozenset({Use.COMPARE, Use.GROUP})
_EXTREMES: Final = (
    exp.Min, exp.Max, exp.First, exp.Last, exp.FirstValue, exp.LastValue, exp.NthValue, exp.ArgMax, exp.ArgMin,
    exp.AnyValue, exp.Mode, exp.ArrayAgg, exp.GroupConcat, exp.ApproxQuantile,
)  # fmt: skip


def bind_scalar(node: exp.Expr, scope: Scope, context: Context) -> Typed:
    """Bind one scalar expression. Raises RefusedError."""
    bind = _BINDERS.get(type(node))
    if bind is None:
        raise not_allowed(node)
    return bind(node, scope, context)


def not_allowed(node: exp.Expr) -> RefusedError:
    """The refusal for a node that is not on the allow-list."""
    kinds: tuple[tuple[tuple[type[exp.Expr], ...], str], ...] = (
        ((exp.Window,), "sql.window"),
        (_EXTREMES, "sql.extreme_value"),
        ((exp.Subquery, exp.Query), "sql.scalar_subquery"),
        ((exp.Star,), "sql.row_level"),
        ((exp.Count, exp.Sum, exp.Avg), "sql.aggregate_place"),
        ((exp.Func, exp.Dot), "sql.function_not_allowed"),
    )
    for classes, code in kinds:
        if isinstance(node, classes):
            return RefusedError(code, node)
    return RefusedError("sql.construct_not_allowed", node)


def literal_value(value: object, node: exp.Expr) -> Typed:
    """A literal or parameter with its type. Raises RefusedError for a value out of range."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | date):
        raise RefusedError("sql.type_mismatch", node)
    if isinstance(value, int | float) and (not math.isfinite(value) or abs(value) > LARGEST_INTEGER):
        raise RefusedError("sql.literal_out_of_range", node)
    kind = ColumnType.INTEGER if isinstance(value, int) else ColumnType.NUMBER
    kind = ColumnType.TEXT if isinstance(value, str) else ColumnType.DATE if isinstance(value, date) else kind
    return Typed(scalar=Literal(value=value), type=kind)


def read_date(value: Value, node: exp.Expr) -> date:
    """A date from a literal. Raises RefusedError."""
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise RefusedError("sql.type_mismatch", node) from None


def _column(node: exp.Expr, scope: Scope, _context: Context) -> Typed:
    if not isinstance(node, exp.Column):
        raise not_allowed(node)
    typed, _, _ = scope.resolve(node)
    return typed


def _paren(node: exp.Expr, scope: Scope, context: Context) -> Typed:
    return bind_scalar(node.this, scope, context)


def _literal(node: exp.Expr, _scope: Scope, _context: Context) -> Typed:
    text = str(node.this)
    if node.args.get("is_string"):
        return literal_value(text, node)
    try:
        return literal_value(int(text) if text.isdigit() and len(text) < 20 else float(text), node)  # noqa: PLR2004 - 64 bits
    except ValueError:
        raise RefusedError("sql.literal_out_of_range", node) from None


def _negative(node: exp.Expr, scope: Scope, context: Context) -> Typed:
    inner = bind_scalar(node.this, scope, context)
    if isinstance(inner.scalar, Literal) and isinstance(inner.scalar.value, int | float):
        return literal_value(-inner.scalar.value, node)
    raise RefusedError("sql.construct_not_allowed", node)


def _parameter(node: exp.Expr, _scope: Scope, context: Context) -> Typed:
    name = node.this.name if isinstance(node.this, exp.Expr) else str(node.this or "")
    if name not in context.parameters:
        raise RefusedError("sql.unknown_parameter", node)
    context.used.add(name)
    return literal_value(context.parameters[name], node)


def _cast(node: exp.Expr, scope: Scope, context: Context) -> Typed:
    inner = bind_scalar(node.this, scope, context)
    target = node.args["to"]
    if not isinstance(target, exp.DataType) or not target.is_type(exp.DType.DATE):
        raise RefusedError("sql.construct_not_allowed", node)
    if isinstance(inner.scalar, Literal):
        return literal_value(read_date(inner.scalar.value, node), node)
    if inner.type is not ColumnType.DATE:
        raise RefusedError("sql.construct_not_allowed", node)
    return inner


def _date(node: exp.Expr, scope: Scope, context: Context) -> Typed:
    inner = bind_scalar(node, scope, context)
    if inner.type is not ColumnType.DATE or not inner.uses & {Use.DATE, Use.COMPARE}:
        raise RefusedError("sql.column_not_usable", node)
    return inner


def _part(argument: exp.Expr, name: str, node: exp.Expr, scope: Scope, context: Context) -> Typed:
    names = {field.value: field for field in DateField} | {"dayofweek": DateField.WEEKDAY, "dow": DateField.WEEKDAY}
    if name.lower() not in names:
        raise RefusedError("sql.function_not_allowed", node)
    scalar = DatePart(part=names[name.lower()], argument=_date(argument, scope, context).scalar)
    return Typed(scalar=scalar, type=ColumnType.INTEGER, uses=_CODED)


def _extract(node: exp.Expr, scope: Scope, context: Context) -> Typed:
    return _part(node.args["expression"], node.this.name, node, scope, context)


def _calendar(node: exp.Expr, scope: Scope, context: Context) -> Typed:
    return _part(node.this, type(node).__name__, node, scope, context)


def _anonymous(node: exp.Expr, scope: Scope, context: Context) -> Typed:
    arguments = node.expressions
    if str(node.this).lower() == "date_part" and len(arguments) == 2 and isinstance(arguments[0], exp.Literal):  # noqa: PLR2004
        return _part(arguments[1], str(arguments[0].this), node, scope, context)
    raise not_allowed(node)


def _truncate(node: exp.Expr, scope: Scope, context: Context) -> Typed:
    unit = node.args.get("unit")
    name = unit.name.lower() if isinstance(unit, exp.Expr) else ""
    if name not in set(Period):
        raise RefusedError("sql.function_not_allowed", node)
    scalar = PeriodStart(period=Period(name), argument=_date(node.this, scope, context).scalar)
    return Typed(scalar=scalar, type=ColumnType.DATE, uses=_CODED)


def _days(start: Typed, end: Typed) -> Typed:
    scalar = DaysBetween(start=start.scalar, end=end.scalar)
    return Typed(scalar=scalar, type=ColumnType.INTEGER, uses=frozenset({Use.COMPARE, Use.AGGREGATE}))


def _date_difference(node: exp.Expr, scope: Scope, context: Context) -> Typed:
    unit = node.args.get("unit")
    if not isinstance(unit, exp.Expr) or unit.name.lower() not in {"day", "days"}:
        raise RefusedError("sql.function_not_allowed", node)
    return _days(_date(node.args["expression"], scope, context), _date(node.this, scope, context))


def _interval(node: exp.Expr, scope: Scope, context: Context) -> int:
    """Whole days of an INTERVAL, or of a whole number that is added to a date."""
    factor = 1
    inner = node
    if isinstance(node, exp.Interval):
        unit = node.args.get("unit")
        name = unit.name.lower().rstrip("s") if isinstance(unit, exp.Expr) else ""
        factor, inner = {"day": 1, "week": 7}.get(name, 0), node.this
    bound = bind_scalar(inner, scope, context).scalar
    try:
        days = int(bound.value) if isinstance(bound, Literal) and not isinstance(bound.value, date | float) else None
    except ValueError:
        days = None
    if days is None or factor == 0 or abs(days * factor) > MOST_DAYS:
        raise RefusedError("sql.construct_not_allowed", node)
    return days * factor


def _add(node: exp.Expr, scope: Scope, context: Context) -> Typed:
    return _shift(node, 1, scope, context)


def _shift(node: exp.Expr, sign: int, scope: Scope, context: Context) -> Typed:
    moment = _date(node.this, scope, context)
    days = sign * _interval(node.args["expression"], scope, context)
    return Typed(scalar=DateShift(argument=moment.scalar, days=days), type=ColumnType.DATE, uses=frozenset({Use.DATE}))


def _subtract(node: exp.Expr, scope: Scope, context: Context) -> Typed:
    other = node.args["expression"]
    if isinstance(other, exp.Interval):
        return _shift(node, -1, scope, context)
    left, right = bind_scalar(node.this, scope, context), bind_scalar(other, scope, context)
    refuse_unit(left, node)
    refuse_unit(right, node)
    if left.type is right.type is ColumnType.DATE and not (left.is_literal or right.is_literal):
        return _days(_date(other, scope, context), _date(node.this, scope, context))
    if left.type is ColumnType.DATE and right.is_literal:
        return _shift(node, -1, scope, context)
    # A calendar year less a year of birth, or less a literal: still a coded column.
    coded = all(side.type is ColumnType.INTEGER and (side.is_literal or side.uses >= _CODED) for side in (left, right))
    if not coded or (left.is_literal and right.is_literal):
        raise RefusedError("sql.construct_not_allowed", node)
    return Typed(scalar=Difference(left=left.scalar, right=right.scalar), type=ColumnType.INTEGER, uses=_CODED)


def refuse_unit(typed: Typed, node: exp.Expr) -> None:
    """Raise RefusedError for the key of the person, which takes part in no expression."""
    if typed.is_unit:
        raise RefusedError("sql.person_key_predicate", node)


def _bin(argument: exp.Expr, width: exp.Expr, scope: Scope, context: Context) -> Bin:
    typed, edge = bind_scalar(argument, scope, context), bind_scalar(width, scope, context).scalar
    refuse_unit(typed, argument)
    if not isinstance(edge, Literal) or not isinstance(edge.value, int) or edge.value < 1:
        raise RefusedError("sql.construct_not_allowed", width)
    registered = typed.bin_width is not None and edge.value % typed.bin_width == 0
    if not (typed.type in {ColumnType.INTEGER, ColumnType.NUMBER} and (registered or typed.uses & _CODED)):
        raise RefusedError("sql.column_not_usable", argument)
    return Bin(argument=typed.scalar, width=edge.value, scaled=False)


def _floor(node: exp.Expr, scope: Scope, context: Context) -> Typed:
    inner = node.this
    while isinstance(inner, exp.Paren):
        inner = inner.this
    if not isinstance(inner, exp.Div) or node.args.get("decimals"):
        raise RefusedError("sql.function_not_allowed", node)
    return _binned(_bin(inner.this, inner.expression, scope, context))


def _integer_division(node: exp.Expr, scope: Scope, context: Context) -> Typed:
    return _binned(_bin(node.this, node.args["expression"], scope, context))


def _binned(scalar: Bin) -> Typed:
    return Typed(scalar=scalar, type=ColumnType.INTEGER, uses=_CODED)


def _multiply(node: exp.Expr, scope: Scope, context: Context) -> Typed:
    left, right = bind_scalar(node.this, scope, context), bind_scalar(node.args["expression"], scope, context)
    if isinstance(left.scalar, Literal):
        left, right = right, left
    refuse_unit(left, node)
    bin_, width = left.scalar, right.scalar
    if isinstance(bin_, Bin) and not bin_.scaled and isinstance(width, Literal) and width.value == bin_.width:
        return _binned(Bin(argument=bin_.argument, width=bin_.width, scaled=True))
    raise RefusedError("sql.construct_not_allowed", node)


def _case(node: exp.Expr, scope: Scope, context: Context) -> Typed:
    whens: list[tuple[Predicate, Typed | None]] = []
    for branch in node.args["ifs"]:
        condition = branch.this
        if node.this is not None:
            condition = exp.EQ(this=node.this.copy(), expression=condition.copy())
        whens.append((context.predicate(condition, scope, context), _branch(branch.args["true"], scope, context)))
    default = node.args.get("default")
    otherwise = None if default is None else _branch(default, scope, context)
    values = [value for _, value in whens] + [otherwise]
    if all(value is None or value.is_literal for value in values):
        return _labelled(whens, otherwise)
    return _chosen(whens, otherwise, node)


def _branch(node: exp.Expr, scope: Scope, context: Context) -> Typed | None:
    if isinstance(node, exp.Null):
        return None
    typed = bind_scalar(node, scope, context)
    refuse_unit(typed, node)
    return typed


def _labelled(whens: list[tuple[Predicate, Typed | None]], otherwise: Typed | None) -> Typed:
    """Codes instead of labels: the author's texts stay outside the engine."""
    labels: list[Value] = []

    def code(value: Typed | None) -> Scalar | None:
        if value is None or not isinstance(value.scalar, Literal):
            return None
        if value.scalar.value not in labels:
            labels.append(value.scalar.value)
        return Literal(value=labels.index(value.scalar.value))

    coded = [(predicate, code(value)) for predicate, value in whens]
    default = code(otherwise)
    missing = Literal(value=MISSING_LABEL)
    scalar = Choice(
        whens=tuple((predicate, missing if value is None else value) for predicate, value in coded),
        otherwise=missing if default is None else default,
    )
    texts = tuple(label.isoformat() if isinstance(label, date) else label for label in labels)
    return Typed(scalar=scalar, type=ColumnType.TEXT, uses=frozenset({Use.GROUP}), labels=texts)


def _chosen(whens: list[tuple[Predicate, Typed | None]], otherwise: Typed | None, node: exp.Expr) -> Typed:
    values = [value for _, value in whens] + [otherwise]
    columns = [value for value in values if value is not None and not value.is_literal]
    kinds = {value.type for value in values if value is not None}
    if len(kinds) != 1 or any(value is None for _, value in whens) or any(value.labels for value in columns):
        raise RefusedError("sql.type_mismatch", node)
    uses = frozenset.intersection(*(value.uses for value in columns))
    scalar = Choice(
        whens=tuple((predicate, value.scalar) for predicate, value in whens if value is not None),
        otherwise=None if otherwise is None else otherwise.scalar,
    )
    return Typed(scalar=scalar, type=columns[0].type, uses=uses)


_BINDERS: Final[dict[type[exp.Expr], Callable[[exp.Expr, Scope, Context], Typed]]] = {
    exp.Column: _column,
    exp.Paren: _paren,
    exp.Literal: _literal,
    exp.Neg: _negative,
    exp.Placeholder: _parameter,
    exp.Parameter: _parameter,
    exp.Cast: _cast,
    exp.Extract: _extract,
    exp.Year: _calendar,
    exp.Month: _calendar,
    exp.Quarter: _calendar,
    exp.Anonymous: _anonymous,
    exp.TimestampTrunc: _truncate,
    exp.DateTrunc: _truncate,
    exp.DateDiff: _date_difference,
    exp.Add: _add,
    exp.Sub: _subtract,
    exp.Floor: _floor,
    exp.IntDiv: _integer_division,
    exp.Mul: _multiply,
    exp.Case: _case,
}
