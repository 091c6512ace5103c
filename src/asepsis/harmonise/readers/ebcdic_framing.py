"""Where the records of a mainframe file begin and end, whatever is in them.

Invariant: what is cut tiles the file. A length that cannot be right ends the cutting: in a blocked file (VB) of its
block, in any other of the file; what is left is residue with a word that says why. Formats: z/OS DFSMS Using Data Sets,
"Record descriptor word" and "Block descriptor word"; the names of the options are those of Cobrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from struct import Struct
from typing import BinaryIO, Final, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from asepsis.harmonise.readers.record import Limits, RecordKind, read_exactly, rest_of

_WORD: Final = 4
_HALF: Final = 16
_OTHER_HALF: Final = 0xFFFF
_BIG: Final = Struct(">I").unpack_from
_LITTLE: Final = Struct("<I").unpack_from
_BLOCK_BYTES: Final = 1 << 20
_MOST_ROWS: Final = 16_384
_LONG_BLOCK: Final = 0x80
_RETURN: Final = 0x0D

Places: TypeAlias = npt.NDArray[np.int64]

# The length of the fields that begin here in a buffer. ``None``: it cannot be right; ``MORE``: bytes are missing.
Length = Callable[[bytes, int], int | None]
MORE: Final = -1


class RecordFormat(StrEnum):
    """Fixed, variable with a descriptor word, variable and blocked, or lines."""

    FIXED = "F"
    VARIABLE = "V"
    VARIABLE_BLOCKED = "VB"
    DELIMITED = "D"


class ByteOrder(StrEnum):
    """Which byte of a descriptor word comes first."""

    BIG = "big"
    LITTLE = "little"


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How records are cut. Offsets are bytes: of the file around all records, of each record around its fields.

    Adjustments are added to the length that a descriptor word or a length field tells.
    """

    record_format: RecordFormat = RecordFormat.FIXED
    record_length: int | None = None
    record_length_field: str | None = None
    rdw: ByteOrder = ByteOrder.BIG
    rdw_adjustment: int = 0
    bdw: ByteOrder = ByteOrder.BIG
    bdw_adjustment: int = 0
    file_start_offset: int = 0
    file_end_offset: int = 0
    record_start_offset: int = 0
    record_end_offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuts:
    """Consecutive records: their bytes, where each ends, and where what the layout describes begins and ends."""

    data: bytes
    ends: Places
    starts: Places
    stops: Places
    kinds: dict[int, RecordKind] = field(default_factory=dict)
    defects: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many records there are."""
        return len(self.ends)

    def pieces(self, most: int) -> Iterator[Cuts]:
        """The same records, at most so many at once."""
        for first in range(0, len(self), most):
            start = int(self.ends[first - 1]) if first else 0
            rows = slice(first, first + most)
            ends = self.ends[rows] - start
            yield Cuts(
                data=self.data[start : start + int(ends[-1])],
                ends=ends,
                starts=self.starts[rows] - start,
                stops=self.stops[rows] - start,
                kinds={row - first: kind for row, kind in self.kinds.items() if 0 <= row - first < most},
                defects={row - first: found for row, found in self.defects.items() if 0 <= row - first < most},
            )


@dataclass(slots=True)
class _Run:
    """Records found one after the other: where each ends, and which of them hold no fields."""

    ends: list[int] = field(default_factory=list)
    kinds: dict[int, RecordKind] = field(default_factory=dict)
    defects: dict[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def place(self) -> int:
        """Where the last record ends."""
        return self.ends[-1] if self.ends else 0

    def other(self, kind: RecordKind, *, end: int, defect: str | None = None) -> None:
        """Add a record that holds no fields."""
        if defect is not None:
            self.defects[len(self.ends)] = (defect,)
        self.kinds[len(self.ends)] = kind
        self.ends.append(end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutter:
    """What a file is cut with: ``size`` is the length of a fixed record; ``length`` tells that of any other.

    ``newlines`` end the lines of a file of lines.
    """

    framing: Framing
    size: int
    length: Length | None = None
    newlines: tuple[bytes, ...] = (b"\n",)
    limits: Limits

    def cut(self, stream: BinaryIO) -> Iterator[Cuts]:
        """The whole file as consecutive cuts."""
        yield from _edge(stream, self.framing.file_start_offset, "file_header_cut_short")
        held = _Held(stream, self.framing.file_end_offset)
        yield from self._records(cast("BinaryIO", held) if self.framing.file_end_offset else stream)
        yield from _trailer(held.trailer, self.framing.file_end_offset)

    def _records(self, stream: BinaryIO) -> Iterator[Cuts]:
        form = self.framing.record_format
        if form is RecordFormat.FIXED and self.length is None:
            return self._fixed(stream)
        if form is RecordFormat.VARIABLE_BLOCKED:
            return self._blocked(stream)
        if form is RecordFormat.DELIMITED:
            return self._lines(stream)
        return self._variable(stream)

    def _fixed(self, stream: BinaryIO) -> Iterator[Cuts]:
        size = self.framing.record_start_offset + self.size + self.framing.record_end_offset
        rows = max(1, min(_MOST_ROWS, _BLOCK_BYTES // size))
        while block := read_exactly(stream, size * rows):
            whole = len(block) - len(block) % size
            if whole:
                yield self._cuts(block[:whole], np.arange(size, whole + 1, size))
            if len(block) > whole:
                yield _single(RecordKind.RESIDUE, block[whole:], "truncated_final_record")

    def _variable(self, stream: BinaryIO) -> Iterator[Cuts]:
        """Records that tell their length themselves."""
        left = b""
        is_told = self.framing.record_format is RecordFormat.FIXED
        while more := read_exactly(stream, _BLOCK_BYTES):
            buffer = left + more
            run = _Run()
            reason = self._run_told(buffer, run.ends) if is_told else self._run_words(buffer, 0, run.ends)
            place = run.place
            if run.ends:
                yield self._cuts(buffer[:place], run, word=0 if is_told else _WORD)
            left = buffer[place:]
            if reason is not None:
                yield from _rest(stream, left, reason)
                return
        if left:
            yield from _rest(stream, left, "truncated_final_record")

    def _blocked(self, stream: BinaryIO) -> Iterator[Cuts]:
        """Blocks that tell their length, of records that tell theirs: an error costs the rest of one block."""
        blocks: list[bytes] = []
        run = _Run()
        bad, reason = b"", ""
        while not reason and (word := read_exactly(stream, _WORD)):
            length = self._block_length(word)
            bad = word if length is None else word + read_exactly(stream, length)
            if length is None:
                reason = "truncated_final_record" if len(word) < _WORD else "bdw_corrupt"
            elif len(bad) < _WORD + length:
                reason = "bdw_beyond_file"
            else:
                self._block(bad, run)
                blocks.append(bad)
                if run.place >= _BLOCK_BYTES:
                    yield self._cuts(b"".join(blocks), run, word=_WORD)
                    blocks, run = [], _Run()
        if blocks:
            yield self._cuts(b"".join(blocks), run, word=_WORD)
        if reason:
            yield from _rest(stream, bad, reason)

    def _block(self, block: bytes, run: _Run) -> None:
        """The records of one block, behind those of the blocks before it."""
        base = run.place
        run.other(RecordKind.HEADER, end=base + _WORD)
        ends: list[int] = []
        reason = self._run_words(block, _WORD, ends)
        run.ends += [base + end for end in ends] if base else ends
        if run.place < base + len(block):
            run.other(RecordKind.RESIDUE, end=base + len(block), defect=reason or "rdw_beyond_block")

    def _block_length(self, word: bytes) -> int | None:
        """Two bytes of length, or four where the first bit is set (large block interface)."""
        if len(word) < _WORD:
            return None
        if self.framing.bdw is ByteOrder.LITTLE:
            length = int.from_bytes(word, "little")
        elif word[0] & _LONG_BLOCK:
            length = int.from_bytes(word) & 0x7FFFFFFF
        else:
            length = int.from_bytes(word[:2])
        length += self.framing.bdw_adjustment
        return length if 0 < length <= self.limits.record_bytes else None

    def _run_words(self, buffer: bytes, place: int, ends: list[int]) -> str | None:
        """Add as many whole records as the buffer holds; why the next is none (``None``: more bytes are needed).

        The other half of a descriptor word is zero unless a record is spread over blocks.
        """
        limit, adjustment = self.limits.record_bytes, self.framing.rdw_adjustment
        unpack = _BIG if self.framing.rdw is ByteOrder.BIG else _LITTLE
        add, size, last = ends.append, len(buffer), len(buffer) - _WORD
        while place <= last:
            (word,) = unpack(buffer, place)
            length = (word >> _HALF) + adjustment
            if word & _OTHER_HALF or not 0 < length <= limit:
                return "rdw_corrupt"
            place += _WORD + length
            if place > size:
                return None
            add(place)
        return None

    def _run_told(self, buffer: bytes, ends: list[int]) -> str | None:
        """Records that tell their length in their fields."""
        before, after = self.framing.record_start_offset, self.framing.record_end_offset
        place, size = 0, len(buffer)
        while place + before < size:
            length = self.length(buffer, place + before) if self.length is not None else None
            if length == MORE:
                return None
            if length is None or not 0 < length <= self.limits.record_bytes:
                return "record_length_corrupt"
            place += before + length + after
            if place > size:
                return None
            ends.append(place)
        return None

    def _lines(self, stream: BinaryIO) -> Iterator[Cuts]:
        left = b""
        while more := read_exactly(stream, _BLOCK_BYTES):
            buffer = left + more
            ends = self._line_ends(buffer)
            place = int(ends[-1]) if len(ends) else 0
            if len(ends):
                yield self._line_cuts(buffer[:place], ends)
            left = buffer[place:]
            if len(left) > self.limits.record_bytes:
                yield from _rest(stream, left, "line_too_long")
                return
        if left:
            yield self._cuts(left, np.array([len(left)]))

    def _line_ends(self, buffer: bytes) -> Places:
        codes = np.frombuffer(buffer, np.uint8)
        is_end = np.zeros(len(codes), np.bool_)
        for mark in self.newlines:
            is_end |= codes == mark[0]
        return np.flatnonzero(is_end) + 1

    def _line_cuts(self, data: bytes, ends: Places) -> Cuts:
        """A carriage return before the end of a line belongs to it."""
        before = np.frombuffer(data, np.uint8)[ends - 2]
        has_return = (before == _RETURN) & (np.diff(ends, prepend=0) > 1)
        return self._cuts(data, ends, tail=np.where(has_return, 2, 1))

    def _cuts(self, data: bytes, found: _Run | Places, *, word: int = 0, tail: Places | int = 0) -> Cuts:
        """Records with the bytes that ``record_start_offset`` and ``record_end_offset`` leave of them.

        ``word`` is the length of what stands before the fields of each, ``tail`` of what ends it.
        """
        run = found if isinstance(found, _Run) else _Run()
        ends = np.array(found.ends, np.int64) if isinstance(found, _Run) else found
        starts, stops = np.empty(len(ends), np.int64), ends - tail
        starts[:1], starts[1:] = word, ends[:-1] + word
        starts = np.minimum(starts + self.framing.record_start_offset, stops)
        stops = np.maximum(stops - self.framing.record_end_offset, starts)
        others = list(run.kinds)
        starts[others] = stops[others] = ends[others]
        return Cuts(data=data, ends=ends, starts=starts, stops=stops, kinds=run.kinds, defects=run.defects)


def windows(padded: bytes, size: int, starts: Places) -> npt.NDArray[np.uint8]:
    """So many bytes from each start, a row each, of bytes that have at least so many more behind the last start."""
    found = np.ndarray((len(padded) - size + 1,), f"V{size}", padded, strides=(1,))
    return found[starts].view(np.uint8).reshape(-1, size)


class _Held:
    """A stream without its last bytes, which are kept for the end."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._size = size
        self.trailer = read_exactly(stream, size) if size else b""

    def read(self, size: int = -1) -> bytes:
        """Bytes that are surely not the last ones."""
        data = self.trailer + read_exactly(self._stream, size)
        place = max(len(data) - self._size, 0)
        self.trailer = data[place:]
        return data[:place]


def _edge(stream: BinaryIO, size: int, defect: str) -> Iterator[Cuts]:
    head = read_exactly(stream, size) if size else b""
    if head:
        yield _single(RecordKind.HEADER, head, defect if len(head) < size else None)


def _trailer(data: bytes, size: int) -> Iterator[Cuts]:
    if data:
        yield _single(RecordKind.HEADER, data, "file_trailer_cut_short" if len(data) < size else None)


def _rest(stream: BinaryIO, head: bytes, defect: str) -> Iterator[Cuts]:
    """Everything that is left, in pieces."""
    for piece in rest_of(stream, head):
        yield _single(RecordKind.RESIDUE, piece, defect)


def _single(kind: RecordKind, data: bytes, defect: str | None) -> Cuts:
    """One record that holds no fields."""
    end = np.array([len(data)])
    found: tuple[str, ...] | None = (defect,) if defect is not None else None
    defects = {0: found} if found is not None else {}
    return Cuts(data=data, ends=end, starts=end, stops=end, kinds={0: kind}, defects=defects)
