"""Columns of normalised values: every distinct value once, and per record which one it has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True, slots=True)
class Coded:
    """Per record the index of a value, null where it has none, and the distinct values."""

    codes: pa.Array
    values: list[str]

    def derived(self, function: Callable[[str], str | None]) -> Coded:
        """The column of what ``function`` makes of each value."""
        return coded(self.codes, [function(value) for value in self.values])

    def without(self, values: Collection[str]) -> tuple[Coded, int]:
        """The column with null in place of ``values``, and how many records lost their value."""
        if not values:
            return self, 0
        kept = self.derived(lambda value: None if value in values else value)
        return kept, int(kept.codes.null_count - self.codes.null_count)

    def marked(self, function: Callable[[str], bool]) -> pa.Array:
        """Per record whether ``function`` holds of its value; false where it has none."""
        marks = pa.array([function(value) for value in self.values], pa.bool_())
        return pc.fill_null(marks.take(self.codes), fill_value=False)


def coded(codes: pa.Array, values: Sequence[str | None]) -> Coded:
    """The column of ``values[code]`` per record, each distinct value once."""
    numbers: dict[str, int] = {}
    mapped = [None if value is None else numbers.setdefault(value, len(numbers)) for value in values]
    return Coded(pa.array(mapped, pa.int32()).take(codes), list(numbers))


def text_column(table: pa.Table, name: str) -> Coded:
    """A column of text as it is; all null where the table has no such column."""
    if name not in table.schema.names:
        return Coded(pa.nulls(len(table), pa.int32()), [])
    return of_array(table[name].cast(pa.string()))


def of_array(texts: pa.Array | pa.ChunkedArray) -> Coded:
    """An array of text as a column."""
    whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    encoded = whole.dictionary_encode()
    return Coded(encoded.indices, encoded.dictionary.to_pylist())


def joined(*columns: pa.Array | pa.ChunkedArray, separator: str) -> Coded:
    """Several columns of text as one, with empty text for null."""
    filled = [pc.fill_null(column.cast(pa.string()), "") for column in columns]
    return of_array(pc.binary_join_element_wise(*filled, separator))
