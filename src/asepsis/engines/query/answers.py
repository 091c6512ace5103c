"""From the engine's rows to cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from asepsis.domain.cells import CellRow, Contribution
from asepsis.domain.release import Cell
from asepsis.engines.query.codes import coded
from asepsis.sql.plan import Grouping

Rows = tuple[CellRow, ...]
Raw = tuple[object, ...]
Places = NDArray[np.int64]

FIELDS: Final = 6
"""Columns per measure: persons, rows, total, absolute, the largest, squares."""


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


def merged(parts: Sequence[pa.Table], keys: int, *, largest: int = 2) -> list[Raw]:
    """One row per cell from the rows of disjoint ranges of persons: counts and sums add up, largest ones compete.

    The first ``keys`` columns are the keys. Columns of lists are the ``largest`` values; all others are numbers.
    """
    if len(parts) == 1:
        return _raw(parts[0].columns, parts[0].num_rows)
    table = pa.concat_tables(parts)
    first, groups = _groups([table.column(place) for place in range(keys)], table.num_rows)
    named = [table.column(place).take(pa.array(first)) for place in range(keys)]
    added = [_added(table.column(place), groups, len(first), largest) for place in range(keys, table.num_columns)]
    return _raw([*named, *added], len(first))


def _raw(columns: Sequence[pa.ChunkedArray], rows: int) -> list[Raw]:
    return list(zip(*(column.to_pylist() for column in columns), strict=True)) if columns else [()] * rows


def _groups(keys: list[pa.ChunkedArray], rows: int) -> tuple[Places, Places]:
    """For equal keys the first of their rows; for every row the number of its group."""
    _, first, groups = np.unique(coded(keys, rows), return_index=True, return_inverse=True)
    return first, groups


def _added(column: pa.ChunkedArray, groups: Places, count: int, largest: int) -> pa.Array:
    array = column.combine_chunks()
    if isinstance(array, pa.ListArray):
        return _largest(array, groups, count, largest)
    if pa.types.is_null(array.type):
        return pa.nulls(count)
    values = array.fill_null(0).to_numpy()
    total = np.zeros(count, values.dtype if values.dtype.kind == "f" else np.int64)
    np.add.at(total, groups, values)
    return pa.array(total)


def _largest(lists: pa.ListArray, groups: Places, count: int, largest: int) -> pa.Array:
    """The largest of the values in the lists of every group."""
    values = lists.flatten().to_numpy()
    owners = groups[pc.list_parent_indices(lists).to_numpy()]
    order = np.lexsort((-values, owners))
    values, owners = values[order], owners[order]
    starts = np.searchsorted(owners, np.arange(count))
    kept = np.arange(len(owners)) - starts[owners] < largest
    offsets = np.concatenate(([0], np.cumsum(np.bincount(owners[kept], minlength=count)))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values[kept]))


def _contribution(fields: Raw, quantile: Raw | None) -> Contribution:
    persons, rows, total, absolute, largest, squares = fields
    top = [_number(value) for value in largest] if isinstance(largest, list) else []
    value, below, above = quantile if quantile is not None else (total, 0, 0)
    return Contribution(
        persons=_integer(persons),
        rows=_integer(rows),
        total=_number(value),
        absolute=_number(absolute),
        largest=tuple(top),
        squares=_number(squares),
        below=_integer(below),
        above=_integer(above),
    )


def _integer(value: object) -> int:
    if type(value) is int:  # nearly always; kept short, for it is asked thousands of times
        return value
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else 0


def _number(value: object) -> float:
    if type(value) is float:
        return value
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
