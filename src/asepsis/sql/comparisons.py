"""Which comparisons the catalogue allows, and their canonical form.

Integers are compared with ``>=`` and ``<`` only. Ranges of dates move to the beginning of months and ranges of binned
integers to the edges of their bins, and the author is told; other numbers are compared at registered edges or not at
all. So two questions cannot differ by a sliver that belongs to one person.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from sqlglot import exp

from asepsis.domain.catalogue import ColumnType, Use
from asepsis.domain.cells import Relation
from asepsis.sql.canonical import MIRRORED
from asepsis.sql.domains import RANGES, snapped_date, snapped_number
from asepsis.sql.plan import Compare, Literal, Member, Predicate, Truth, Value
from asepsis.sql.refusals import RefusedError
from asepsis.sql.scalars import read_date
from asepsis.sql.scope import Typed

MOST_VALUES: Final = 1_000
_NUMERIC: Final = frozenset({ColumnType.INTEGER, ColumnType.NUMBER})
_ORDERED: Final = {
    Relation.EQUAL: (True, False, False),
    Relation.UNEQUAL: (False, True, True),
    Relation.LESS: (False, True, False),
    Relation.AT_MOST: (True, True, False),
    Relation.MORE: (False, False, True),
    Relation.AT_LEAST: (True, False, True),
}


def compare(relation: Relation, left: Typed, right: Typed, node: exp.Expr, *, moved: list[exp.Expr]) -> Predicate:
    """The comparison in canonical form; its node joins ``moved`` where a bound was moved. Raises RefusedError."""
    if left.is_unit or right.is_unit:
        raise RefusedError("sql.person_key_predicate", node)
    if left.labels is not None or right.labels is not None:
        raise RefusedError("sql.type_mismatch", node)
    if isinstance(left.scalar, Literal):
        if isinstance(right.scalar, Literal):
            return _fold(relation, left.scalar.value, right.scalar.value, node)
        left, right, relation = right, left, MIRRORED[relation]
    if isinstance(right.scalar, Literal):
        return _with_literal(relation, left, right.scalar.value, node, moved)
    return _columns(relation, left, right, node)


def member(argument: Typed, values: list[Value], node: exp.Expr) -> Predicate:
    """Membership in a list of literals, sorted. Raises RefusedError."""
    if argument.is_unit:
        raise RefusedError("sql.person_key_predicate", node)
    if len(values) > MOST_VALUES:
        raise RefusedError("sql.too_long", node)
    if Use.COMPARE not in argument.uses or argument.labels is not None or argument.is_literal:
        raise RefusedError("sql.column_not_usable", node)
    converted = sorted({_convert(argument.type, value, node) for value in values})
    if len(converted) == 1:
        return Compare(relation=Relation.EQUAL, left=argument.scalar, right=Literal(value=converted[0]))
    return Member(argument=argument.scalar, values=tuple(converted))


def _fold(relation: Relation, left: Value, right: Value, node: exp.Expr) -> Predicate:
    if isinstance(left, str) != isinstance(right, str) or isinstance(left, date) != isinstance(right, date):
        raise RefusedError("sql.type_mismatch", node)
    equal, less, more = _ORDERED[relation]
    return Truth(value=equal if left == right else less if left < right else more)  # type: ignore[operator]


def _convert(kind: ColumnType, value: Value, node: exp.Expr) -> Value:
    if kind is ColumnType.DATE:
        return read_date(value, node)
    if kind is ColumnType.TEXT and isinstance(value, str):
        return value
    if kind in _NUMERIC and isinstance(value, int | float):
        if kind is ColumnType.NUMBER:
            return float(value)
        if float(value).is_integer():
            return int(value)
    raise RefusedError("sql.type_mismatch", node)


def _with_literal(relation: Relation, column: Typed, raw: Value, node: exp.Expr, moved: list[exp.Expr]) -> Predicate:
    value = _convert(column.type, raw, node)
    exact = _exact(relation, value) if relation in RANGES and isinstance(value, int | date) else None
    if Use.COMPARE in column.uses:
        if isinstance(value, int) and relation in RANGES:
            relation, value = snapped_number(relation, value, width=column.bin_width, domain=column.domain)
    elif Use.DATE in column.uses and isinstance(value, date):
        if relation not in RANGES:
            raise RefusedError("sql.date_off_month", node)
        relation, value = snapped_date(relation, value)
    elif column.bin_width is not None and isinstance(value, int | float):
        if relation not in {Relation.AT_LEAST, Relation.LESS} or value % column.bin_width:
            raise RefusedError("sql.literal_off_bin", node)
    else:
        raise RefusedError("sql.column_not_usable", node)
    if exact is not None and (relation, value) != exact:
        moved.append(node)
    return Compare(relation=relation, left=column.scalar, right=Literal(value=value))


def _exact(relation: Relation, value: int | date) -> tuple[Relation, int | date]:
    """The range as it was written, as ``>=`` or ``<``."""
    if relation in {Relation.MORE, Relation.AT_MOST} and value != date.max:
        value = value + timedelta(days=1) if isinstance(value, date) else value + 1
    return (Relation.AT_LEAST if relation in {Relation.MORE, Relation.AT_LEAST} else Relation.LESS), value


def _columns(relation: Relation, left: Typed, right: Typed, node: exp.Expr) -> Predicate:
    if left.type is not right.type and not {left.type, right.type} <= _NUMERIC:
        raise RefusedError("sql.type_mismatch", node)
    dates = left.type is ColumnType.DATE and all(side.uses & {Use.DATE, Use.COMPARE} for side in (left, right))
    if not dates and not all(Use.COMPARE in side.uses for side in (left, right)):
        raise RefusedError("sql.column_not_usable", node)
    if repr(right.scalar) < repr(left.scalar):
        left, right, relation = right, left, MIRRORED[relation]
    return Compare(relation=relation, left=left.scalar, right=right.scalar)
