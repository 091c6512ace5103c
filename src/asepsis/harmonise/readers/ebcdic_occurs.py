"""Tables of variable size (OCCURS … DEPENDING ON): how many elements a record has, and where what follows them lies.

In a record of variable size (``variable_size_occurs``) only the elements that there are take bytes, so that every place
behind a table depends on its counter. Such a record is spread out to the places of the longest record before its fields
are decoded. What the bytes of a counter mean is found out once: records of one shape share it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa

from asepsis.harmonise.readers.copybook import Layout, Span, Table
from asepsis.harmonise.readers.ebcdic_framing import MORE, Cuts, Places, windows
from asepsis.harmonise.readers.ebcdic_presence import Presence
from asepsis.harmonise.readers.ebcdic_segments import Segments
from asepsis.harmonise.readers.ebcdic_values import Coding, decode
from asepsis.harmonise.readers.text_columns import Bytes

OUT_OF_RANGE: Final = "occurs_count_out_of_range"
NO_SHAPE: Final = -1
_CACHED_BYTES: Final = 32 << 20
_PLACE_BYTES: Final = 8


@dataclass(slots=True, kw_only=True, eq=False)
class Shape:
    """What is known of a record: ``kept`` are the places of its bytes in the longest record.

    While ``asked`` is a field, the bytes from ``first`` to ``last`` tell which shape comes ``next``; where it is
    ``None`` all is known, and ``runs`` are the bytes that lie together (first, last, place in the longest record).
    ``counts`` are the elements of the tables so far, ``None`` as long as the kind of the record is asked.
    """

    kept: Places
    group: str | None = None
    counts: tuple[int, ...] | None = None
    asked: Span | None = None
    first: int = 0
    last: int = 0
    next: dict[bytes, Shape] = field(default_factory=dict)
    runs: tuple[tuple[int, int, int], ...] = ()


class Spreading:
    """Where the bytes of a record of variable size belong in the longest record of its layout."""

    def __init__(self, layout: Layout, coding: Coding, segments: Segments | None = None) -> None:
        self._layout = layout
        self._coding = coding
        self._segments = segments
        self._groups = [segments.group_of(table.path) if segments is not None else None for table in layout.tables]
        self._id = next((span for span in layout.spans if segments is not None and span.name == segments.field), None)
        self._most = max(_CACHED_BYTES // (_PLACE_BYTES * max(layout.length, 1)), 16)
        asked = [layout.spans[table.counter] for table in layout.tables] + [span for span in (self._id,) if span]
        self._reach = max(span.offset + span.length for span in asked)
        self._known = 0
        self._root = self._begin()

    def length(self, buffer: bytes, start: int) -> int | None:
        """The length of the record that begins here; ``None``: a count is wrong, ``MORE``: the buffer ends too soon."""
        found = self.shape(buffer, start, len(buffer))
        return len(found.kept) if isinstance(found, Shape) else found

    def shape(self, buffer: bytes, start: int, stop: int) -> Shape | int | None:
        """The shape of one record; ``None``: a count is out of range, ``MORE``: a counter is missing."""
        shape, head = self._root, buffer[start : min(stop, start + self._reach)]
        while shape.asked is not None:
            raw = head[shape.first : shape.last]
            found: Shape | int | None = shape.next.get(raw) or self._answer(shape, shape.asked, raw)
            if not isinstance(found, Shape):
                return found
            shape = found
        return shape

    def _begin(self) -> Shape:
        """Nothing is known yet. Tables of other kinds do not move anything, so that the kind is asked first."""
        kept = np.arange(self._layout.length)
        if self._id is None:
            return self._ask(kept, None, ())
        return Shape(kept=kept, asked=self._id, first=self._id.offset, last=self._id.offset + self._id.length)

    def _answer(self, shape: Shape, asked: Span, raw: bytes) -> Shape | int | None:
        """What the bytes of the field that was asked tell."""
        if self._known >= self._most:
            self._root, self._known = self._begin(), 0
        found = self._after(shape, asked, raw)
        if isinstance(found, Shape):
            self._known += 1
            shape.next[raw] = found
        return found

    def _after(self, shape: Shape, asked: Span, raw: bytes) -> Shape | int | None:
        text = decode(asked, raw, self._coding)[0] if len(raw) == asked.length else None
        if shape.counts is None:
            known = self._segments
            group = known.groups.get(known.id_of(text) or "") if known is not None else None
            return self._ask(shape.kept, group, ())
        if len(raw) < asked.length:
            return MORE
        table = self._layout.tables[len(shape.counts)]
        count = in_range(text, table)
        if count is None:
            return None
        return self._ask(_without(table, count, shape.kept), shape.group, (*shape.counts, count))

    def _ask(self, kept: Places, group: str | None, counts: tuple[int, ...]) -> Shape:
        """The next field that has to be asked."""
        rest = slice(len(counts), None)
        for table, owner in zip(self._layout.tables[rest], self._groups[rest], strict=True):
            is_inside = all(counts[outer] >= element for outer, element in table.elements)
            if is_inside and owner in {None, group}:
                span = self._layout.spans[table.counter]
                first = int(np.searchsorted(kept, span.offset))
                return Shape(kept=kept, group=group, counts=counts, asked=span, first=first, last=first + span.length)
            count = table.maximum if owner not in {None, group} else 0
            kept, counts = _without(table, count, kept), (*counts, count)
        return Shape(kept=kept, group=group, counts=counts, runs=tuple(_runs(kept)))


def spread(cuts: Cuts, shapes: Sequence[Shape], kinds: Places, length: int) -> tuple[Bytes, Presence]:
    """The records as rows of the longest record, each by the shape at its place; those of no shape are empty."""
    rows, sizes = np.zeros((len(kinds), length), np.uint8), np.zeros(len(kinds), np.int64)
    kept = np.zeros((max(len(shapes), 1), length), np.bool_)
    padded = cuts.data + bytes(length)
    order = np.argsort(kinds, kind="stable")
    bounds = np.searchsorted(kinds[order], np.arange(len(shapes) + 1))
    for number, shape in enumerate(shapes):
        own = order[bounds[number] : bounds[number + 1]]
        starts, size = cuts.starts[own], len(shape.kept)
        if not size:
            continue
        kept[number, shape.kept] = True
        lengths = np.minimum(cuts.stops[own] - starts, size)
        sizes[own] = np.where(lengths > 0, shape.kept[lengths - 1] + 1, 0)
        records = windows(padded, size, starts)
        for first, last, place in shape.runs:
            rows[own, place : place + last - first] = records[:, first:last]
    return rows, Presence(sizes, kept, np.maximum(kinds, 0))


def _without(table: Table, count: int, kept: Places) -> Places:
    first, last = table.offset + count * table.stride, table.offset + table.maximum * table.stride
    return kept[(kept < first) | (kept >= last)] if first < last else kept


def _runs(kept: Places) -> Iterator[tuple[int, int, int]]:
    breaks = (np.flatnonzero(np.diff(kept) > 1) + 1).tolist()
    for first, last in pairwise([0, *breaks, len(kept)]):
        if first < last:
            yield first, last, int(kept[first])


def in_range(text: str | None, table: Table) -> int | None:
    """The count that a counter tells, ``None`` where it is no number or out of the range of its table."""
    digits = (text or "").removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()):
        return None
    count = int(text or "")
    return count if table.minimum <= count <= table.maximum else None


def in_range_of(texts: pa.Array, table: Table) -> Places:
    """The counts that a column of counters tells, below zero where there is none in range."""
    coded = texts.dictionary_encode()
    counts = [in_range(text, table) for text in coded.dictionary.to_pylist()]
    known = np.array([*(-1 if count is None else count for count in counts), -1])
    found: Places = known[coded.indices.fill_null(len(counts)).to_numpy(zero_copy_only=False)]
    return found
