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
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from asepsis.harmonise.readers.batch import Batch, counted
from asepsis.harmonise.readers.copybook import Layout, Span
from asepsis.harmonise.readers.ebcdic_columns import Block
from asepsis.harmonise.readers.ebcdic_framing import MORE, Cuts, Cutter, Framing, Length, RecordFormat
from asepsis.harmonise.readers.ebcdic_occurs import OUT_OF_RANGE, Spreading, in_range
from asepsis.harmonise.readers.ebcdic_segments import ORPHAN, UNKNOWN, Hierarchy, Segments
from asepsis.harmonise.readers.ebcdic_values import Coding, FloatFormat, decode
from asepsis.harmonise.readers.record import Limits
from asepsis.harmonise.readers.text_columns import Flags

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
            for piece in _pieces(cuts, self._layout.length):
                yield self._batch(piece, number, offset)
                number, offset = number + len(piece.ends), offset + len(piece.data)

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
        if len(cuts.kinds) < len(cuts.ends):
            block = self._block(cuts, defects)
            columns = self._columns(block, cuts, defects)
        return Batch(
            number=number,
            offset=offset,
            data=cuts.data,
            ends=np.array(cuts.ends, np.int32),
            kinds=cuts.kinds,
            defects=defects,
            columns=columns,
        )

    def _block(self, cuts: Cuts, defects: dict[int, tuple[str, ...]]) -> Block:
        """The records as rows of the longest record."""
        length, count = self._layout.length, len(cuts.ends)
        starts, stops = np.array(cuts.starts), np.array(cuts.stops)
        data = np.frombuffer(cuts.data, np.uint8)
        stride = len(data) // count
        is_even = self._spreading is None and len(data) == stride * count
        if is_even and _is_regular(starts, stops, stride, length):
            rows = data.reshape(count, stride)[:, starts[0] : starts[0] + length]
            self._surplus(cuts, np.flatnonzero(stops - starts > length), defects)
            return Block(rows, self._coding)
        if self._spreading is not None:
            return self._spread_out(cuts, self._spreading, defects)
        sizes = np.minimum(stops - starts, length)
        for row in np.flatnonzero(sizes == 0).tolist():
            if row not in cuts.kinds:
                _add(defects, row, "record_empty")
        self._surplus(cuts, np.flatnonzero(stops - starts > length), defects)
        places = zip(cuts.starts, cuts.stops, strict=True)
        padded = b"".join(cuts.data[start : min(stop, start + length)].ljust(length, b"\0") for start, stop in places)
        rows = np.frombuffer(padded, np.uint8).reshape(count, length)
        return Block(rows, self._coding, np.arange(length) < sizes[:, None])

    def _spread_out(self, cuts: Cuts, spreading: Spreading, defects: dict[int, tuple[str, ...]]) -> Block:
        """Records of variable size, each with its bytes where the longest record has them."""
        shape = len(cuts.ends), self._layout.length
        rows, present = np.zeros(shape, np.uint8), np.zeros(shape, np.bool_)
        for row, (start, stop) in enumerate(zip(cuts.starts, cuts.stops, strict=True)):
            if row in cuts.kinds:
                continue
            places = spreading.places(cuts.data, start, stop)
            if places is None or isinstance(places, int):
                reason = "record_empty" if start == stop else "record_too_short"
                _add(defects, row, OUT_OF_RANGE if places is None else reason)
                continue
            size = min(stop - start, len(places))
            rows[row, places[:size]] = np.frombuffer(cuts.data, np.uint8, size, start)
            present[row, places[:size]] = True
            if cuts.data[start + size : stop].strip(_BLANKS):
                _add(defects, row, "record_longer_than_layout")
        return Block(rows, self._coding, present)

    def _surplus(self, cuts: Cuts, rows: npt.NDArray[np.int64], defects: dict[int, tuple[str, ...]]) -> None:
        """What a declared record length adds to the layout is meant; anything else is not."""
        if self._framing.record_length is not None:
            return
        for row in rows.tolist():
            if cuts.data[cuts.starts[row] + self._layout.length : cuts.stops[row]].strip(_BLANKS):
                _add(defects, row, "record_longer_than_layout")

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
            texts = block.column(span, is_there)[0].to_pylist()
            values = np.zeros(len(block), np.int64)
            for row in np.flatnonzero(is_there).tolist():
                count = in_range(texts[row], table)
                if count is not None:
                    values[row] = count
                elif block.has(row, span):
                    _add(defects, row, f"{OUT_OF_RANGE}@{span.name}")
            found.append(values)
        return found

    def _ids(self, block: Block, is_data: Flags, defects: dict[int, tuple[str, ...]]) -> list[str | None]:
        """The id of every record, ``None`` where it is of no known kind."""
        if self._hierarchy is None:
            return []
        segments = self._hierarchy.segments
        span = next(span for span in self._layout.spans if span.name == segments.field)
        texts = block.column(span, is_data)[0].to_pylist()
        ids = [segments.id_of(text) for text in texts]
        for row, name in enumerate(ids):
            if name is None and is_data[row]:
                _add(defects, row, f"{UNKNOWN}@{segments.field}")
        return ids


def _add(defects: dict[int, tuple[str, ...]], row: int, defect: str) -> None:
    found = defects.get(row, ())
    if defect not in found:
        defects[row] = (*found, defect)


def _is_regular(starts: npt.NDArray[np.int64], stops: npt.NDArray[np.int64], stride: int, length: int) -> bool:
    """Whether all records are alike: one after the other, each with all bytes of the layout."""
    if int(starts[0]) + length > stride or (stops - starts < length).any():
        return False
    return bool((np.diff(starts) == stride).all())


def _pieces(cuts: Cuts, length: int) -> Iterator[Cuts]:
    """Cuts of so few records that their rows stay small."""
    most = max(1, _MOST_CELLS // max(length, 1))
    if len(cuts.ends) <= most:
        yield cuts
        return
    for first in range(0, len(cuts.ends), most):
        start = cuts.ends[first - 1] if first else 0
        rows = range(first, min(first + most, len(cuts.ends)))
        yield Cuts(
            cuts.data[start : cuts.ends[rows[-1]]],
            [cuts.ends[row] - start for row in rows],
            [cuts.starts[row] - start for row in rows],
            [cuts.stops[row] - start for row in rows],
            {row - first: cuts.kinds[row] for row in rows if row in cuts.kinds},
            {row - first: cuts.defects[row] for row in rows if row in cuts.defects},
        )


def _length_field(span: Span, coding: Coding, adjustment: int) -> Length:
    def length(buffer: bytes, start: int) -> int | None:
        raw = buffer[start + span.offset : start + span.offset + span.length]
        if len(raw) < span.length:
            return MORE
        text = decode(span, raw, coding)[0] or ""
        found = int(text) + adjustment if text.isascii() and text.isdecimal() else 0
        return found if found > 0 else None

    return length


def _newlines(coding: Coding) -> tuple[bytes, ...]:
    """What ends a line: line feed, and next line where the code page has one byte for it."""
    found = [text.encode(coding.encoding, "ignore") for text in _NEWLINES]
    return tuple(mark for mark in found if len(mark) == 1) if coding.is_ebcdic else (b"\n",)
