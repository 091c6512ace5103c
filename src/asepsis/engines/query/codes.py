"""Numbers in place of values: equal ones for equal values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

_LEAST: Final = 1 << 16


def coded(columns: Iterable[pa.ChunkedArray], rows: int) -> Numbers:
    """One number for every row of some columns, the same for the same values; each below a few times the rows.

    Missing values are equal to each other.
    """
    codes = np.zeros(rows, np.int64)
    most = max(4 * rows, _LEAST)
    size = 1
    for column in columns:
        found = _codes(column.combine_chunks(), most)
        codes = codes * (int(found.max(initial=0)) + 1) + found if size > 1 else found
        size = int(codes.max(initial=0)) + 1
        if size > most:
            codes = _dictionary(pa.array(codes))
    return codes


def _codes(values: pa.Array, most: int) -> Numbers:
    """Small whole numbers are numbers already, less the least of them; of the two zeros one is left."""
    if pa.types.is_floating(values.type):
        values = pc.add(values, 0.0)
    if len(values) and not values.null_count and pa.types.is_integer(values.type):
        numbers: Numbers = values.to_numpy().astype(np.int64, copy=False)
        least = int(numbers.min())
        if int(numbers.max()) - least < most:
            return numbers - least
    return _dictionary(values)


def _dictionary(values: pa.Array) -> Numbers:
    codes: Numbers = pc.dictionary_encode(values, null_encoding="encode").indices.to_numpy().astype(np.int64)
    return codes
