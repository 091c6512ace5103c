"""Tables of variable size (OCCURS … DEPENDING ON): how many elements a record has, and where what follows them lies.

In a record of variable size (``variable_size_occurs``) only the elements that there are take bytes, so that every place
behind a table depends on its counter. Such a record is spread out to the places of the longest record before its fields
are decoded.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from asepsis.harmonise.readers.copybook import Layout, Table
from asepsis.harmonise.readers.ebcdic_framing import MORE
from asepsis.harmonise.readers.ebcdic_segments import Segments
from asepsis.harmonise.readers.ebcdic_values import Coding, decode

OUT_OF_RANGE: Final = "occurs_count_out_of_range"
_CACHED_BYTES: Final = 32 << 20
_PLACE_BYTES: Final = 8

Places = npt.NDArray[np.int64]


class Spreading:
    """Where the bytes of a record of variable size belong in the longest record of its layout."""

    def __init__(self, layout: Layout, coding: Coding, segments: Segments | None = None) -> None:
        self._layout = layout
        self._coding = coding
        self._segments = segments
        self._groups = [segments.group_of(table.path) if segments is not None else None for table in layout.tables]
        self._id = next((span for span in layout.spans if segments is not None and span.name == segments.field), None)
        self._most = max(_CACHED_BYTES // (_PLACE_BYTES * max(layout.length, 1)), 16)
        self._kept: dict[tuple[int, ...], Places] = {(): np.arange(layout.length)}

    def length(self, buffer: bytes, start: int) -> int | None:
        """The length of the record that begins here; ``None``: a count is wrong, ``MORE``: the buffer ends too soon."""
        found = self.places(buffer, start, len(buffer))
        return found if isinstance(found, int) else (None if found is None else len(found))

    def places(self, buffer: bytes, start: int, stop: int) -> Places | int | None:
        """The place of each successive byte; ``None``: a count is out of range, ``MORE``: a counter is missing."""
        counts: tuple[int, ...] = ()
        kept = self._kept[()]
        record = buffer[start : min(stop, start + self._layout.length)]
        chosen = self._chosen(record)
        for table, group in zip(self._layout.tables, self._groups, strict=True):
            is_other = group is not None and group != chosen
            count = table.maximum if is_other else self._count(table, counts, kept, record)
            if count is None or count == MORE:
                return count
            counts = (*counts, count)
            kept = self._without(table, counts, kept)
        return kept

    def _chosen(self, record: bytes) -> str | None:
        """The group of the record's kind: tables of other groups do not move anything in it."""
        if self._segments is None or self._id is None:
            return None
        raw = record[self._id.offset : self._id.offset + self._id.length]
        if len(raw) < self._id.length:
            return None
        return self._segments.groups.get(self._segments.id_of(decode(self._id, raw, self._coding)[0]) or "")

    def _count(self, table: Table, counts: tuple[int, ...], kept: Places, record: bytes) -> int | None:
        if any(counts[outer] < element for outer, element in table.elements):
            return 0
        span = self._layout.spans[table.counter]
        place = int(np.searchsorted(kept, span.offset))
        raw = record[place : place + span.length]
        if len(raw) < span.length:
            return MORE
        return in_range(decode(span, raw, self._coding)[0], table)

    def _without(self, table: Table, counts: tuple[int, ...], kept: Places) -> Places:
        known = self._kept.get(counts)
        if known is not None:
            return known
        if len(self._kept) >= self._most:
            self._kept = {(): self._kept[()]}
        first, last = table.offset + counts[-1] * table.stride, table.offset + table.maximum * table.stride
        self._kept[counts] = found = kept[(kept < first) | (kept >= last)]
        return found


def in_range(text: str | None, table: Table) -> int | None:
    """The count that a counter tells, ``None`` where it is no number or out of the range of its table."""
    digits = (text or "").removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()):
        return None
    count = int(text or "")
    return count if table.minimum <= count <= table.maximum else None
