"""Mainframe files described by a copybook: records of fixed or variable length, of one or of several kinds.

Values come out as text: digits as they stand (leading zeros kept), every other number as a decimal number. A field that
does not hold what its picture says becomes ``None`` with a defect; the record stays. A field behind the end of a
shorter record is ``None``; one that the end cuts has the defect ``cut_short``. Bytes that belong to no record are
residue. Where the records are is the subject of ``ebcdic_framing``, what the fields hold that of ``ebcdic_values`` and
``ebcdic_columns``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from asepsis.harmonise.readers.batch import Batch, counted
from asepsis.harmonise.readers.copybook import Layout, Span
from asepsis.harmonise.readers.ebcdic_columns import Block
from asepsis.harmonise.readers.ebcdic_framing import MORE, Cuts, Cutter, Framing, Length, RecordFormat, windows
from asepsis.harmonise.readers.ebcdic_occurs import NO_SHAPE, OUT_OF_RANGE, Shape, Spreading, in_range_of, spread
from asepsis.harmonise.readers.ebcdic_presence import Presence
from asepsis.harmonise.readers.ebcdic_segments import NO_ID, ORPHAN, UNKNOWN, Hierarchy, Ids, Segments
from asepsis.harmonise.readers.ebcdic_values import Coding, FloatFormat, decode
from asepsis.harmonise.readers.record import Limits
from asepsis.harmonise.readers.text_columns import Bytes, Flags

_BLANKS: Final = b"\x40\x20\x00"
_NEWLINES: Final = ("\n", "\x85")
_MOST_CELLS: Final = 32 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What source.yaml says of a mainframe file beside its copybook and its code page."""

    framing: Framing = field(default_factory=Framing)
    floating_point_format: FloatFormat = FloatFormat.IBM
    variable_size_occurs: bool = False
    segments: Segments | None = None


_DEFAULT: Final = Options()


def read(
    stream: BinaryIO,
    *,
    layout: Layout,
    encoding: str,
    options: Options = _DEFAULT,
    limits: Limits | None = None,
) -> Iterator[Batch]:
    """Yield every record of the stream, then its residue.

    Raises:
        LimitExceeded: the file has more records than allowed.
    """
    limits = limits or Limits()
    reading = _Reading(layout, Coding(encoding=encoding, floats=options.floating_point_format), options)
    return counted(reading.batches(stream, limits), limits=limits)


class _Reading:
    """One file on its way from bytes to batches."""

    def __init__(self, layout: Layout, coding: Coding, options: Options) -> None:
        self._layout = layout
        self._coding = coding
        self._framing = options.framing
        slides = options.variable_size_occurs and layout.tables
        segments = options.segments
        self._spreading = Spreading(layout, coding, segments) if slides else None
        self._hierarchy = Hierarchy(segments, layout) if segments is not None else None

    def batches(self, stream: BinaryIO, limits: Limits) -> Iterator[Batch]:
        number = offset = 0
        cutter = Cutter(
            framing=self._framing,
            size=self._framing.record_length or self._layout.length,
            length=self._length(),
            newlines=_newlines(self._coding),
            limits=limits,
        )
        for cuts in cutter.cut(stream):
            for piece in cuts.pieces(max(1, _MOST_CELLS // max(self._layout.length, 1))):
                yield self._batch(piece, number, offset)
                number, offset = number + len(piece), offset + len(piece.data)

    def _length(self) -> Length | None:
        """How a record that is not fixed tells its length, where no descriptor word does."""
        name = self._framing.record_length_field
        if name is not None:
            span = next(span for span in self._layout.spans if span.name == name)
            return _length_field(span, self._coding, self._framing.rdw_adjustment)
        is_told = self._framing.record_format is RecordFormat.FIXED and self._framing.record_length is None
        return self._spreading.length if self._spreading is not None and is_told else None

    def _batch(self, cuts: Cuts, number: int, offset: int) -> Batch:
        defects = dict(cuts.defects)
        columns: dict[str, Any] = {}
        if len(cuts.kinds) < len(cuts):
            block = self._block(cuts, defects)
            columns = self._columns(block, cuts, defects)
        return Batch(
            number=number,
            offset=offset,
            data=cuts.data,
            ends=cuts.ends.astype(np.int32),
            kinds=cuts.kinds,
            defects=defects,
            columns=columns,
        )

    def _block(self, cuts: Cuts, defects: dict[int, tuple[str, ...]]) -> Block:
        """The records as rows of the longest record."""
        if self._spreading is not None:
            return self._spread_out(cuts, self._spreading, defects)
        length = self._layout.length
        lengths = cuts.stops - cuts.starts
        if self._framing.record_length is None:  # what a declared length adds to the layout is meant
            _surplus(cuts, np.full(len(cuts), length), defects)
        rows = _regular(cuts, length)
        if rows is not None:
            return Block(rows, self._coding)
        for row in np.flatnonzero(lengths == 0).tolist():
            if row not in cuts.kinds:
                _add(defects, row, "record_empty")
        rows = windows(cuts.data + bytes(length), length, cuts.starts)
        return Block(rows, self._coding, Presence(np.minimum(lengths, length)))

    def _spread_out(self, cuts: Cuts, spreading: Spreading, defects: dict[int, tuple[str, ...]]) -> Block:
        """Records of variable size, each with its bytes where the longest record has them."""
        shapes: dict[Shape, int] = {}
        kinds: list[int] = []
        for row, (start, stop) in enumerate(zip(cuts.starts.tolist(), cuts.stops.tolist(), strict=True)):
            shape = spreading.shape(cuts.data, start, stop)
            if isinstance(shape, Shape):
                kinds.append(shapes.setdefault(shape, len(shapes)))
                continue
            kinds.append(NO_SHAPE)
            if row not in cuts.kinds:
                reason = "record_empty" if start == stop else "record_too_short"
                _add(defects, row, OUT_OF_RANGE if shape is None else reason)
        found = np.array(kinds)
        lengths = np.array([*(len(shape.kept) for shape in shapes), len(cuts.data)])[found]
        _surplus(cuts, lengths, defects)
        rows, present = spread(cuts, list(shapes), found, self._layout.length)
        return Block(rows, self._coding, present)

    def _columns(self, block: Block, cuts: Cuts, defects: dict[int, tuple[str, ...]]) -> dict[str, Any]:
        is_data = np.ones(len(block), np.bool_)
        is_data[list(cuts.kinds)] = False
        ids = self._ids(block, is_data, defects)
        groups = self._hierarchy.wanted(ids) if self._hierarchy is not None else {}
        counts = self._counts(block, is_data, groups, defects)
        columns: dict[str, Any] = {}
        for span in self._layout.spans:
            wanted = None if not cuts.kinds else is_data
            group = self._hierarchy.segments.group(span) if self._hierarchy is not None else None
            if group is not None:
                wanted = groups[group] if wanted is None else groups[group] & wanted
            for table, element in span.elements:
                there = counts[table] >= element
                wanted = there if wanted is None else there & wanted
            columns[span.name], reasons = block.column(span, wanted)
            for row, reason in reasons.items():
                _add(defects, row, f"{reason}@{span.name}")
        if self._hierarchy is not None:
            for row in self._hierarchy.fill(ids, columns):
                _add(defects, row, f"{ORPHAN}@{self._hierarchy.segments.field}")
        return columns

    def _counts(
        self, block: Block, is_data: Flags, groups: dict[str, Flags], defects: dict[int, tuple[str, ...]]
    ) -> list[npt.NDArray[np.int64]]:
        """How many elements each table has in each record; none where the count is out of range."""
        found: list[npt.NDArray[np.int64]] = []
        for table in self._layout.tables:
            span = self._layout.spans[table.counter]
            group = self._hierarchy.segments.group_of(table.path) if self._hierarchy is not None else None
            is_there = is_data.copy() if group is None else is_data & groups[group]
            for outer, element in table.elements:
                is_there &= found[outer] >= element
            values = in_range_of(block.column(span, is_there)[0], table)
            for row in np.flatnonzero(is_there & (values < 0) & block.has(span)).tolist():
                _add(defects, row, f"{OUT_OF_RANGE}@{span.name}")
            found.append(np.where(is_there, np.maximum(values, 0), 0))
        return found

    def _ids(self, block: Block, is_data: Flags, defects: dict[int, tuple[str, ...]]) -> Ids:
        """The id of every record, as ``Hierarchy`` counts them."""
        if self._hierarchy is None:
            return np.zeros(0, np.int64)
        name = self._hierarchy.segments.field
        span = next(span for span in self._layout.spans if span.name == name)
        ids = self._hierarchy.ids(block.column(span, is_data)[0])
        for row in np.flatnonzero(is_data & (ids == NO_ID)).tolist():
            _add(defects, row, f"{UNKNOWN}@{name}")
        return ids


def _add(defects: dict[int, tuple[str, ...]], row: int, defect: str) -> None:
    found = defects.get(row, ())
    if defect not in found:
        defects[row] = (*found, defect)


def _surplus(cuts: Cuts, lengths: npt.NDArray[np.int64], defects: dict[int, tuple[str, ...]]) -> None:
    """Bytes behind the fields of a record that are not blank."""
    for row in np.flatnonzero(cuts.stops - cuts.starts > lengths).tolist():
        if cuts.data[cuts.starts[row] + lengths[row] : cuts.stops[row]].strip(_BLANKS):
            _add(defects, row, "record_longer_than_layout")


def _regular(cuts: Cuts, length: int) -> Bytes | None:
    """The records as they lie, where all are alike: one after the other, each with all bytes of the layout."""
    stride, first = len(cuts.data) // len(cuts), int(cuts.starts[0])
    is_short = bool((cuts.stops - cuts.starts < length).any())
    if is_short or len(cuts.data) != stride * len(cuts) or first + length > stride:
        return None
    if (np.diff(cuts.starts) != stride).any():
        return None
    return np.frombuffer(cuts.data, np.uint8).reshape(len(cuts), stride)[:, first : first + length]


def _length_field(span: Span, coding: Coding, adjustment: int) -> Length:
    @lru_cache(maxsize=1 << 16)
    def told(raw: bytes) -> int | None:
        if len(raw) < span.length:
            return MORE
        text = decode(span, raw, coding)[0] or ""
        found = int(text) + adjustment if text.isascii() and text.isdecimal() else 0
        return found if found > 0 else None

    first, last = span.offset, span.offset + span.length
    return lambda buffer, start: told(buffer[start + first : start + last])


def _newlines(coding: Coding) -> tuple[bytes, ...]:
    """What ends a line: line feed, and next line where the code page has one byte for it."""
    found = [text.encode(coding.encoding, "ignore") for text in _NEWLINES]
    return tuple(mark for mark in found if len(mark) == 1) if coding.is_ebcdic else (b"\n",)
