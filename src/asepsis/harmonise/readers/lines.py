"""Lines: bytes cut at line ends, and the text of each. The basis of every line-oriented format.

A line keeps its end. A line longer than the limit becomes residue in pieces; nothing is held in memory beyond it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final, NamedTuple

from asepsis.harmonise.readers.record import Limits, RecordKind, read_exactly

_BLOCK: Final = 4 << 20
_MARK: Final = "\ufeff"
_LOST: Final = "\ufffd"
_END_OF_FILE: Final = b"\x1a"
TOO_LONG: Final = "record_too_long"


class Lines(NamedTuple):
    """Some lines, where they begin in the file (number and byte), and which of them are pieces of one too long."""

    number: int
    offset: int
    lines: list[bytes]
    too_long: frozenset[int] = frozenset()


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
        data = rest + block
        cut = _last_end(data, any_end=any_end)
        if not cut and len(data) > limits.record_bytes:
            cut = len(data) - len(data) % limits.record_bytes
            rest = data[cut:]
            lines = Lines(number, offset, *_pieces([data[:cut]], limits.record_bytes, first=True))
            inside = True
        else:
            rest = data[cut:]
            lines = Lines(number, offset, *_pieces(_split(data[:cut], any_end), limits.record_bytes, first=inside))
            inside = inside and not cut
        if lines.lines:
            yield lines
        number, offset = number + len(lines.lines), offset + cut
    if rest:
        yield Lines(number, offset, *_pieces(_split(rest, any_end), limits.record_bytes, first=inside))


def decode_lines(lines: Lines, decoding: Decoding) -> Found:
    """Find out which lines are blank, pieces, or not simply their bytes read as UTF-8."""
    found = Found()
    for index in lines.too_long:
        found.kinds[index] = RecordKind.RESIDUE
        found.defects[index] = (TOO_LONG,)
        found.texts[index] = None
    for index, line in enumerate(lines.lines):
        if line.isspace() or line == _END_OF_FILE:
            found.kinds.setdefault(index, RecordKind.HEADER)
        elif not line.isascii() or b"\0" in line:
            _decode(found, index, line, decoding)
    if lines.number == 0 and lines.lines:
        _drop_mark(found, lines.lines[0])
    return found


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


def _last_end(data: bytes, *, any_end: bool) -> int:
    """The place after the last line end that is certainly whole: a CR at the very end may belong to a CR LF."""
    last = data.rfind(b"\n")
    if any_end:
        last = max(last, data.rfind(b"\r", 0, len(data) - 1))
    return last + 1


def _split(data: bytes, any_end: bool) -> list[bytes]:  # noqa: FBT001 - private
    return data.splitlines(keepends=True) if any_end else io.BytesIO(data).readlines()


def _pieces(lines: list[bytes], limit: int, *, first: bool) -> tuple[list[bytes], frozenset[int]]:
    """Cut lines beyond the limit; ``first`` says that the first line continues one that was cut before."""
    if not first and (not lines or max(map(len, lines)) <= limit):
        return lines, frozenset()
    cut: list[bytes] = []
    too_long: set[int] = set()
    for index, line in enumerate(lines):
        if len(line) > limit or (first and index == 0):
            too_long |= set(range(len(cut), len(cut) + -(-len(line) // limit)))
            cut += [line[place : place + limit] for place in range(0, len(line), limit)]
        else:
            cut.append(line)
    return cut, frozenset(too_long)
