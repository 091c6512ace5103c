"""Where the records of a mainframe file begin and end, whatever is in them.

Invariant: what is cut tiles the file. A length that cannot be right ends the cutting: in a blocked file (VB) of its
block, in any other of the file; what is left is residue with a word that says why. Formats: z/OS DFSMS Using Data Sets,
"Record descriptor word" and "Block descriptor word"; the names of the options are those of Cobrix.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from struct import Struct
from typing import BinaryIO, Final, cast

from asepsis.harmonise.readers.record import Limits, RecordKind, read_exactly, rest_of

_WORD: Final = 4
_HALF: Final = 16
_OTHER_HALF: Final = 0xFFFF
_BIG: Final = Struct(">I").unpack_from
_LITTLE: Final = Struct("<I").unpack_from
_BLOCK_BYTES: Final = 1 << 20
_MOST_ROWS: Final = 16_384
_LONG_BLOCK: Final = 0x80

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


@dataclass(slots=True)
class Cuts:
    """Consecutive records: their bytes, where each ends, and where what the layout describes begins and ends."""

    data: bytes = b""
    ends: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    stops: list[int] = field(default_factory=list)
    kinds: dict[int, RecordKind] = field(default_factory=dict)
    defects: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def record(self, *, end: int, start: int, stop: int) -> None:
        """Add a data record."""
        self.ends.append(end)
        self.starts.append(start)
        self.stops.append(stop)

    def other(self, kind: RecordKind, *, end: int, defect: str | None = None) -> None:
        """Add a record that holds no fields."""
        if defect is not None:
            self.defects[len(self.ends)] = (defect,)
        self.kinds[len(self.ends)] = kind
        self.record(end=end, start=end, stop=end)


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
        before, after = self.framing.record_start_offset, self.framing.record_end_offset
        size = before + self.size + after
        rows = max(1, min(_MOST_ROWS, _BLOCK_BYTES // size))
        while block := read_exactly(stream, size * rows):
            whole = len(block) - len(block) % size
            ends = range(size, whole + 1, size)
            if whole:
                starts = range(before, whole, size)
                stops = range(size - after, whole + 1, size)
                yield Cuts(block[:whole], list(ends), list(starts), list(stops))
            if len(block) > whole:
                yield _residue(block[whole:], "truncated_final_record")

    def _variable(self, stream: BinaryIO) -> Iterator[Cuts]:
        """Records that tell their length themselves."""
        left = b""
        while more := read_exactly(stream, _BLOCK_BYTES):
            buffer = left + more
            cuts, reason = self._run(buffer)
            place = cuts.ends[-1] if cuts.ends else 0
            cuts.data, left = buffer[:place], buffer[place:]
            if cuts.ends:
                yield cuts
            if reason is not None:
                yield from _rest(stream, left, reason)
                return
        if left:
            yield from _rest(stream, left, "truncated_final_record")

    def _blocked(self, stream: BinaryIO) -> Iterator[Cuts]:
        """Blocks that tell their length, of records that tell theirs: an error costs the rest of one block."""
        while word := read_exactly(stream, _WORD):
            length = self._block_length(word)
            if length is None:
                yield from _rest(stream, word, "truncated_final_record" if len(word) < _WORD else "bdw_corrupt")
                return
            block = word + read_exactly(stream, length)
            if len(block) < _WORD + length:
                yield from _rest(stream, block, "bdw_beyond_file")
                return
            cuts, reason = self._run(block, place=_WORD)
            place = cuts.ends[-1]
            cuts.data = block
            if place < len(block):
                cuts.other(RecordKind.RESIDUE, end=len(block), defect=reason or "rdw_beyond_block")
            yield cuts

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

    def _run(self, buffer: bytes, place: int = 0) -> tuple[Cuts, str | None]:
        """As many whole records as the buffer holds, and why the next is none (``None``: more bytes are needed)."""
        cuts = Cuts()
        if place:
            cuts.other(RecordKind.HEADER, end=place)
        if self.framing.record_format is RecordFormat.FIXED:
            return cuts, self._run_told(buffer, cuts)
        return cuts, self._run_words(buffer, place, cuts)

    def _run_words(self, buffer: bytes, place: int, cuts: Cuts) -> str | None:
        """Records with a descriptor word; its other half is zero unless a record is spread over blocks."""
        framing, size = self.framing, len(buffer)
        limit, adjustment, before, after = (
            self.limits.record_bytes,
            framing.rdw_adjustment,
            framing.record_start_offset,
            framing.record_end_offset,
        )
        unpack = _BIG if framing.rdw is ByteOrder.BIG else _LITTLE
        while place + _WORD <= size:
            (word,) = unpack(buffer, place)
            length = (word >> _HALF) + adjustment
            if word & _OTHER_HALF or not 0 < length <= limit:
                return "rdw_corrupt"
            end = place + _WORD + length
            if end > size:
                return None
            start = min(place + _WORD + before, end)
            cuts.record(end=end, start=start, stop=max(end - after, start))
            place = end
        return None

    def _run_told(self, buffer: bytes, cuts: Cuts) -> str | None:
        """Records that tell their length in their fields."""
        before, after = self.framing.record_start_offset, self.framing.record_end_offset
        place, size = 0, len(buffer)
        while place + before < size:
            start = place + before
            length = self.length(buffer, start) if self.length is not None else None
            if length == MORE:
                return None
            if length is None or not 0 < length <= self.limits.record_bytes:
                return "record_length_corrupt"
            place = start + length + after
            if place > size:
                return None
            cuts.record(end=place, start=start, stop=start + length)
        return None

    def _lines(self, stream: BinaryIO) -> Iterator[Cuts]:
        left = b""
        while more := read_exactly(stream, _BLOCK_BYTES):
            buffer = left + more
            cuts = self._cut_lines(buffer)
            place = cuts.ends[-1] if cuts.ends else 0
            cuts.data, left = buffer[:place], buffer[place:]
            if cuts.ends:
                yield cuts
            if len(left) > self.limits.record_bytes:
                yield from _rest(stream, left, "line_too_long")
                return
        if left:
            last = Cuts(left)
            self._line(last, left, 0, len(left), ending=0)
            yield last

    def _cut_lines(self, buffer: bytes) -> Cuts:
        cuts = Cuts()
        start = 0
        for match in re.finditer(b"|".join(map(re.escape, self.newlines)), buffer):
            self._line(cuts, buffer, start, match.end(), ending=len(match[0]))
            start = match.end()
        return cuts

    def _line(self, cuts: Cuts, buffer: bytes, start: int, end: int, *, ending: int) -> None:
        stop = end - ending
        if ending and buffer[start:stop].endswith(b"\r"):
            stop -= 1
        start = min(start + self.framing.record_start_offset, stop)
        cuts.record(end=end, start=start, stop=max(start, stop - self.framing.record_end_offset))


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
        cuts = Cuts(head)
        cuts.other(RecordKind.HEADER, end=len(head), defect=defect if len(head) < size else None)
        yield cuts


def _trailer(data: bytes, size: int) -> Iterator[Cuts]:
    if data:
        cuts = Cuts(data)
        cuts.other(RecordKind.HEADER, end=len(data), defect="file_trailer_cut_short" if len(data) < size else None)
        yield cuts


def _residue(data: bytes, defect: str) -> Cuts:
    cuts = Cuts(data)
    cuts.other(RecordKind.RESIDUE, end=len(data), defect=defect)
    return cuts


def _rest(stream: BinaryIO, head: bytes, defect: str) -> Iterator[Cuts]:
    """Everything that is left, in pieces."""
    for piece in rest_of(stream, head):
        yield _residue(piece, defect)
