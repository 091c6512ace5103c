"""From the engine's rows to cells."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final

from asepsis.domain.cells import CellRow, Contribution
from asepsis.domain.release import Cell
from asepsis.sql.plan import Grouping

Rows = tuple[CellRow, ...]
Raw = tuple[object, ...]

FIELDS: Final = 6
"""Columns per measure: persons, rows, total, absolute, the two largest, squares."""


def cell_rows(rows: list[Raw], grouping: Grouping, *, owners: int, quantiles: Mapping[int, list[Raw]]) -> Rows:
    """The cells of one grouping, ordered by their keys."""
    keys = len(grouping.keys)
    outside = owners if owners > 1 else 0
    levels = {place: {row[:keys]: row[keys:] for row in found} for place, found in quantiles.items()}
    cells = []
    for row in rows:
        start = keys + 1 + outside
        measures = []
        for place in range(len(grouping.measures)):
            fields = row[start + FIELDS * place : start + FIELDS * (place + 1)]
            measures.append(_contribution(fields, levels[place].get(row[:keys]) if place in levels else None))
        strangers = [_integer(value) for value in row[keys + 1 : start]]
        cells.append(
            CellRow(
                keys=cell_keys(row[:keys]),
                persons=_integer(row[keys]),
                outside=min(strangers) if strangers else None,
                measures=tuple(measures),
            )
        )
    return tuple(sorted(cells, key=_rank))


def cell_keys(values: Raw) -> tuple[Cell, ...]:
    """The keys of a cell from the engine's values."""
    return tuple(_cell(value) for value in values)


def whole(values: Raw) -> tuple[int, ...]:
    """Sums of whole numbers; those of no rows are zero."""
    return tuple(value if isinstance(value, int) else 0 for value in values)


def merged(parts: Iterable[list[Raw]], keys: int) -> list[Raw]:
    """One row per cell from the rows of disjoint ranges of persons: counts and sums add up, largest ones compete."""
    cells: dict[Raw, list[object]] = {}
    for part in parts:
        for row in part:
            known = cells.get(row[:keys])
            if known is None:
                cells[row[:keys]] = list(row)
            else:
                known[keys:] = [_both(left, right) for left, right in zip(known[keys:], row[keys:], strict=True)]
    return [tuple(row) for row in cells.values()]


def _both(left: object, right: object) -> object:
    if isinstance(left, list) and isinstance(right, list):
        return heapq.nlargest(2, (value for value in left + right if value is not None))
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left + right
    return right if left is None else left


def _contribution(fields: Raw, quantile: Raw | None) -> Contribution:
    persons, rows, total, absolute, largest, squares = fields
    top = [_number(value) for value in largest] if isinstance(largest, list) else []
    value, below, above = quantile if quantile is not None else (total, 0, 0)
    return Contribution(
        persons=_integer(persons),
        rows=_integer(rows),
        total=_number(value),
        absolute=_number(absolute),
        largest=top[0] if top else 0.0,
        second=top[1] if len(top) > 1 else 0.0,
        squares=_number(squares),
        below=_integer(below),
        above=_integer(above),
    )


def _integer(value: object) -> int:
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else 0


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _cell(value: object) -> Cell:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.isoformat() if isinstance(value, date) else str(value)


def _rank(row: CellRow) -> tuple[tuple[bool, str, float, str], ...]:
    return tuple(
        (key is None, type(key).__name__, float(key) if isinstance(key, int | float) else 0.0, str(key))
        for key in row.keys
    )
