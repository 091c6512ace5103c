"""Registered domains: where a range may begin and end, so that two windows differ by whole bins or not at all.

A lower bound moves down to the edge of its bin and an upper bound up to the next one: the bins that a range touches
belong to it as a whole, no range becomes empty, and a condition and its negation stay complements. Bounds outside of
a column's domain move to the end of the domain, so that all ranges that exclude nobody are one and the same range.
"""

from __future__ import annotations

import math
from datetime import date
from typing import Final

from asepsis.domain.catalogue import Column, ColumnType
from asepsis.domain.cells import Relation

FIRST_YEAR: Final = 1850
LAST_YEAR: Final = 2100
"""No living or dead person of a contributed record was born, or treated, outside of these years."""

FIRST_DATE: Final = date(FIRST_YEAR, 1, 1)
LAST_DATE: Final = date(LAST_YEAR, 1, 1)
_YEARS: Final = frozenset({"year_of_birth"})
RANGES: Final = frozenset({Relation.LESS, Relation.AT_MOST, Relation.MORE, Relation.AT_LEAST})
_LOWER: Final = frozenset({Relation.MORE, Relation.AT_LEAST})


def domain_of(column: Column) -> tuple[int, int] | None:
    """First value, and first value behind the last one, of a column of calendar years; None for other columns."""
    return (FIRST_YEAR, LAST_YEAR) if column.type is ColumnType.INTEGER and column.name in _YEARS else None


def snapped_number(
    relation: Relation, value: int, *, width: int | None, domain: tuple[int, int] | None
) -> tuple[Relation, int]:
    """A range of whole numbers, as ``>=`` or ``<`` at the edge of a bin."""
    lower = relation in _LOWER
    edge = value + 1 if relation in {Relation.MORE, Relation.AT_MOST} else value
    if width is not None:
        edge = (math.floor(edge / width) if lower else math.ceil(edge / width)) * width
    if domain is not None:
        edge = min(max(edge, domain[0]), domain[1])
    return (Relation.AT_LEAST if lower else Relation.LESS), edge


def snapped_date(relation: Relation, value: date) -> tuple[Relation, date]:
    """A range of dates, as ``>=`` or ``<`` with the first day of a month."""
    if relation in _LOWER:
        # The last day of a month, excluded, is the first day of the next one.
        start = _next_month(value) if relation is Relation.MORE and _is_last(value) else value.replace(day=1)
        return Relation.AT_LEAST, _inside(start)
    on_edge = relation is Relation.LESS and value.day == 1
    return Relation.LESS, _inside(value if on_edge else _next_month(value))


def is_everything(relation: Relation, value: object) -> bool:
    """Whether a comparison holds for every value of the domain, whatever the data are."""
    ends = {Relation.AT_LEAST: (FIRST_DATE, FIRST_YEAR), Relation.LESS: (LAST_DATE, LAST_YEAR)}
    return value in ends.get(relation, ())


def _inside(value: date) -> date:
    return min(max(value, FIRST_DATE), LAST_DATE)


def _next_month(value: date) -> date:
    if (value.year, value.month) >= (LAST_YEAR, 1):
        return LAST_DATE
    return date(value.year + value.month // 12, value.month % 12 + 1, 1)


def _is_last(value: date) -> bool:
    following = _next_month(value)
    return following > value and (following - value).days == 1
