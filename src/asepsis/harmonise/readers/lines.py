"""Lines: bytes cut at line ends, and the text of each. The basis of every line-oriented format.

A line keeps its end. A line longer than the limit becomes residue in pieces; nothing is held in memory beyond it.
Cutting and looking for what is remarkable is done on whole blocks with numpy; only remarkable lines are touched alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from asepsis.harmonise.readers.record import Limits, RecordKind, read_exactly

_BLOCK: Final = 4 << 20
_MARK: Final = "\ufeff"
_LOST: Final = "\ufffd"
_END_OF_FILE: Final = b"\x1a"
_LF: Final = 10
_CR: Final = 13
_FIRST_BEYOND_ASCII: Final = 128
_MAY_BE_BLANK: Final = np.isin(np.arange(256), list(b" \t\n\r\x0b\x0c" + _END_OF_FILE))
TOO_LONG: Final = "record_too_long"


@dataclass(frozen=True, slots=True)
class Lines:
    """Some lines: where they begin in the file (number and byte), their bytes, and where in ``data`` each of them ends.

    ``too_long`` names those that are pieces of a line beyond the limit.
    """

    number: int
    offset: int
    data: bytes
    ends: NDArray[np.int64]
    too_long: frozenset[int] = frozenset()

    def __len__(self) -> int:
        """How many lines there are."""
        return len(self.ends)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where in ``data`` each line begins."""
        return np.concatenate((np.zeros(1, np.int64), self.ends))[:-1]

    @property
    def numbers(self) -> NDArray[np.uint8]:
        """The bytes as numbers."""
        return np.frombuffer(self.data, np.uint8)

    def line(self, index: int) -> bytes:
        """One line with its end."""
        return self.data[int(self.ends[index - 1]) if index else 0 : int(self.ends[index])]

    def count(self, places: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many bytes of each line ``places`` is true for."""
        return np.diff(np.searchsorted(np.flatnonzero(places), self.ends), prepend=0)

    def holding(self, places: NDArray[np.bool_]) -> list[int]:
        """The lines that hold a byte for which ``places`` is true."""
        return [int(index) for index in np.flatnonzero(self.count(places))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How lines become text. ``mixed``: lines that are valid UTF-8 are that, whatever the encoding says of the rest.

    ``drops_nul``: NUL characters are taken out as a repair; otherwise they make a record unusable.
    """

    encoding: str = "utf-8"
    mixed: bool = False
    drops_nul: bool = True


@dataclass(slots=True)
class Found:
    """What is remarkable about some lines, by their index."""

    kinds: dict[int, RecordKind] = field(default_factory=dict)
    defects: dict[int, tuple[str, ...]] = field(default_factory=dict)
    texts: dict[int, str | None] = field(default_factory=dict)

    def add(self, index: int, defect: str) -> None:
        """Note a defect of one line."""
        self.defects[index] = (*self.defects.get(index, ()), defect)


def read_lines(stream: BinaryIO, *, limits: Limits, any_end: bool = False) -> Iterator[Lines]:
    """Yield lines in blocks; lines end at LF, or with ``any_end`` at CR, LF or both."""
    number = offset = 0
    rest, inside = b"", False
    while block := read_exactly(stream, _BLOCK):
        data, rest = _at_last_end(rest, block, any_end=any_end)
        cut = len(data)
        if not cut and len(rest) > limits.record_bytes:
            cut = len(rest) - len(rest) % limits.record_bytes
            data, rest = rest[:cut], rest[cut:]
            lines = Lines(number, offset, data, *_pieces(np.array([cut]), limits.record_bytes, first=True))
            inside = True
        else:
            ends = _ends(data, any_end=any_end, is_last=True) if cut else np.zeros(0, np.int64)
            lines = Lines(number, offset, data, *_pieces(ends, limits.record_bytes, first=inside))
            inside = inside and not cut
        if len(lines):
            yield lines
        number, offset = number + len(lines), offset + cut
    if rest:
        ends = _ends(rest, any_end=any_end, is_last=True)
        yield Lines(number, offset, rest, *_pieces(ends, limits.record_bytes, first=inside))


def decode_lines(lines: Lines, decoding: Decoding) -> Found:
    """Find out which lines are blank, pieces, or not simply their bytes read as UTF-8."""
    found = Found()
    for index in lines.too_long:
        found.kinds[index] = RecordKind.RESIDUE
        found.defects[index] = (TOO_LONG,)
        found.texts[index] = None
    for index in np.flatnonzero(_MAY_BE_BLANK[lines.numbers[lines.starts]]).tolist():
        line = lines.line(index)
        if line.isspace() or line == _END_OF_FILE:
            found.kinds.setdefault(index, RecordKind.HEADER)
    for index in _to_decode(lines, decoding):
        line = lines.line(index)
        if not line.isspace() and line != _END_OF_FILE:
            _decode(found, index, line, decoding)
    if lines.number == 0 and len(lines):
        _drop_mark(found, lines.line(0))
    return found


def _to_decode(lines: Lines, decoding: Decoding) -> list[int]:
    """The lines whose text may be other than their bytes. What is valid as a whole is valid line by line."""
    numbers, has_nul = lines.numbers, b"\0" in lines.data
    if lines.data.isascii():
        return lines.holding(numbers == 0) if has_nul else []
    if decoding.encoding == "utf-8" and _as_utf8(lines.data) is not None:
        return lines.holding(numbers == 0) if has_nul else []
    return lines.holding((numbers >= _FIRST_BEYOND_ASCII) | (numbers == 0))


def _decode(found: Found, index: int, line: bytes, decoding: Decoding) -> None:
    if index in found.texts:
        return
    text = _as_utf8(line)
    is_utf8 = decoding.encoding == "utf-8"
    if is_utf8 and text is None:
        found.add(index, "not_utf8")
    elif not is_utf8 and text is not None and decoding.mixed and not line.isascii():
        found.add(index, "+mojibake")
    elif not is_utf8:
        text = line.decode(decoding.encoding, "replace")
        if _LOST in text:
            found.add(index, "undecodable")
    if b"\0" in line:
        found.add(index, "+nul_byte" if decoding.drops_nul else "nul_byte")
        text = text.replace("\0", "") if text is not None and decoding.drops_nul else None
    if not is_utf8 or text is None or b"\0" in line:
        found.texts[index] = text


def _as_utf8(line: bytes) -> str | None:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _drop_mark(found: Found, line: bytes) -> None:
    """A byte order mark at the beginning of a file belongs to the encoding, not to the first value."""
    if line.startswith(_MARK.encode()) and 0 not in found.kinds:
        text = _as_utf8(line) if found.texts.get(0, "") is not None else None
        found.texts[0] = text.removeprefix(_MARK).replace("\0", "") if text is not None else None


def _at_last_end(rest: bytes, block: bytes, *, any_end: bool) -> tuple[bytes, bytes]:
    """What was left and a block, cut behind the last line end; a CR at the end of the block may belong to a CR LF."""
    cut = block.rfind(b"\n") + 1
    if any_end:
        cut = max(cut, block.rfind(b"\r", 0, -1) + 1)
        if rest.endswith(b"\r") and not cut:
            return rest, block
    if not cut:
        return b"", rest + block
    return b"".join((rest, memoryview(block)[:cut])), block[cut:]


def _ends(data: bytes, *, any_end: bool, is_last: bool) -> NDArray[np.int64]:
    """Where lines end. What follows the last line end is a line only at the end of the file.

    A CR at the very end of a block may belong to a CR LF, so it ends no line yet.
    """
    numbers = np.frombuffer(data, np.uint8)
    is_end = numbers == _LF
    if any_end:
        is_return = numbers == _CR
        is_return[:-1] &= ~is_end[1:]
        is_return[-1:] &= is_last
        is_end |= is_return
    ends = np.flatnonzero(is_end) + 1
    if is_last and (not len(ends) or ends[-1] != len(data)):
        return np.append(ends, len(data))
    return ends


def _pieces(ends: NDArray[np.int64], limit: int, *, first: bool) -> tuple[NDArray[np.int64], frozenset[int]]:
    """Cut lines beyond the limit; ``first`` says that the first line continues one that was cut before."""
    lengths = np.diff(ends, prepend=0)
    if not first and (not len(ends) or int(lengths.max()) <= limit):
        return ends, frozenset()
    cut: list[int] = []
    too_long: set[int] = set()
    for index, (end, length) in enumerate(zip(ends.tolist(), lengths.tolist(), strict=True)):
        if length > limit or (first and index == 0):
            places = [*range(end - length + limit, end, limit), end]
            too_long |= set(range(len(cut), len(cut) + len(places)))
            cut += places
        else:
            cut.append(end)
    return np.array(cut, np.int64), frozenset(too_long)
