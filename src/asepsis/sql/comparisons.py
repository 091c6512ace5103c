"""Which comparisons the catalogue allows, and their canonical form.

Integers are compared with ``>=`` and ``<`` only, dates at the beginning of months and other numbers at the edges
of registered bins, so that two questions cannot differ by a sliver that belongs to one person.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from sqlglot import exp

from asepsis.domain.catalogue import ColumnType, Use
from asepsis.domain.cells import Relation
from asepsis.sql.canonical import MIRRORED
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


def compare(relation: Relation, left: Typed, right: Typed, node: exp.Expr) -> Predicate:
    """The comparison in canonical form. Raises RefusedError."""
    if left.is_unit or right.is_unit:
        raise RefusedError("sql.person_key_predicate", node)
    if left.labels is not None or right.labels is not None:
        raise RefusedError("sql.type_mismatch", node)
    if isinstance(left.scalar, Literal):
        if isinstance(right.scalar, Literal):
            return _fold(relation, left.scalar.value, right.scalar.value, node)
        left, right, relation = right, left, MIRRORED[relation]
    if isinstance(right.scalar, Literal):
        return _with_literal(relation, left, right.scalar.value, node)
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


def _with_literal(relation: Relation, column: Typed, raw: Value, node: exp.Expr) -> Predicate:
    value = _convert(column.type, raw, node)
    if Use.COMPARE in column.uses:
        relation, value = _half_open(relation, value) if column.type is ColumnType.INTEGER else (relation, value)
    elif Use.DATE in column.uses and isinstance(value, date):
        relation, value = _at_month(relation, value, node)
    elif column.bin_width is not None and isinstance(value, int | float):
        if relation not in {Relation.AT_LEAST, Relation.LESS} or value % column.bin_width:
            raise RefusedError("sql.literal_off_bin", node)
    else:
        raise RefusedError("sql.column_not_usable", node)
    return Compare(relation=relation, left=column.scalar, right=Literal(value=value))


def _half_open(relation: Relation, value: Value) -> tuple[Relation, Value]:
    if isinstance(value, int) and relation is Relation.MORE:
        return Relation.AT_LEAST, value + 1
    if isinstance(value, int) and relation is Relation.AT_MOST:
        return Relation.LESS, value + 1
    return relation, value


def _at_month(relation: Relation, value: date, node: exp.Expr) -> tuple[Relation, Value]:
    following = value + timedelta(days=1) if value < date.max else value
    shifted = {Relation.MORE: Relation.AT_LEAST, Relation.AT_MOST: Relation.LESS}
    if relation in shifted:
        relation, value = shifted[relation], following
    if relation not in {Relation.AT_LEAST, Relation.LESS} or value.day != 1:
        raise RefusedError("sql.date_off_month", node)
    return relation, value


def _columns(relation: Relation, left: Typed, right: Typed, node: exp.Expr) -> Predicate:
    if left.type is not right.type and not {left.type, right.type} <= _NUMERIC:
        raise RefusedError("sql.type_mismatch", node)
    dates = left.type is ColumnType.DATE and all(side.uses & {Use.DATE, Use.COMPARE} for side in (left, right))
    if not dates and not all(Use.COMPARE in side.uses for side in (left, right)):
        raise RefusedError("sql.column_not_usable", node)
    if repr(right.scalar) < repr(left.scalar):
        left, right, relation = right, left, MIRRORED[relation]
    return Compare(relation=relation, left=left.scalar, right=right.scalar)
