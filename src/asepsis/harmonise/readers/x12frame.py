"""Framing of X12: bytes cut at segment terminators, with the separators that each interchange header declares.

An interchange header (ISA) is recognised by its fixed layout wherever it stands: an interchange that was cut off
does not swallow the next one. Line ends after a terminator belong to the segment before them. Pieces tile the stream.
Source: ASC X12.5, interchange control structures; X12.6, application control structures.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from functools import lru_cache
from typing import BinaryIO, Final, NamedTuple

from asepsis.harmonise.readers.record import read_exactly
from asepsis.harmonise.readers.x12paths import Separators

_BLOCK: Final = 1 << 20
_WIDTHS: Final = (10, 2, 10, 2, 15, 2, 15, 6, 4)
_ISA: Final = re.compile(
    rb"ISA([^A-Za-z0-9\s\x80-\xff]).."
    + b"".join(rb"\1.{%d}" % width for width in _WIDTHS)
    + rb"\1(.)\1(\d{5})\1.{9}\1.\1.\1([^A-Za-z0-9 \x80-\xff])([^A-Za-z0-9 \x80-\xff])[\r\n]{0,4}",
    re.DOTALL,
)
_LINE_ENDS: Final = 4
_LONGEST_HEADER: Final = 106 + _LINE_ENDS
_WITH_REPETITION: Final = b"00402"
TOO_LONG: Final = "segment_too_long"


class Part(NamedTuple):
    """Some pieces of the file; ``begins``: the first is an interchange header; ``defect``: none is a segment."""

    pieces: list[bytes]
    separators: Separators | None
    begins: bool = False
    defect: str | None = None


def read_parts(stream: BinaryIO, *, longest: int) -> Iterator[Part]:
    """Yield the stream in order; a segment of more than ``longest`` bytes is no segment."""
    framing = _Framing(longest)
    while block := read_exactly(stream, _BLOCK):
        yield from framing.add(block)
    yield from framing.finish()


class _Framing:
    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._rest = b""
        self._separators: Separators | None = None
        self._sign = b""
        self._pieces = re.compile(b"")
        self._skipping = False

    def add(self, block: bytes) -> Iterator[Part]:
        """Everything that is certain without the next block: a header may begin in the last bytes of this one."""
        data = self._rest + block
        certain = max(len(data) - _LONGEST_HEADER, 0)
        start = yield from self._headers(data, certain)
        certain = max(certain, start)
        if self._separators is None:
            yield from self._outside(data[start:certain])
            self._rest = data[certain:]
            return
        pieces, end = self._cut(data, start, certain)
        held = pieces.pop() if pieces and end == certain else b""
        yield from self._segments(pieces)
        end -= len(held)
        if not held and len(data) - end > self._longest + _LONGEST_HEADER:
            yield Part([data[end:certain]], self._separators, defect=TOO_LONG)
            self._skipping, end = True, certain
        self._rest = data[end:]

    def finish(self) -> Iterator[Part]:
        """What is left at the end of the stream."""
        data, self._rest = self._rest, b""
        start = yield from self._headers(data, len(data))
        yield from self._until(data[start:])

    def _headers(self, data: bytes, certain: int) -> Generator[Part, None, int]:
        """Everything before and including the last header that begins in the certain bytes; where the rest begins."""
        start = 0
        for match in _ISA.finditer(data):
            separators = _separators(*match.groups())
            if separators is None or match.start() >= certain:
                continue
            if match.start() > start:
                yield from self._until(data[start : match.start()])
            if separators != self._separators:
                self._sign = separators.terminator.encode()
                sign = re.escape(self._sign)
                self._pieces = re.compile(rb"[^%b]*+%b[\r\n]{0,%d}" % (sign, sign, _LINE_ENDS))
            self._separators, self._skipping = separators, False
            yield Part([match[0]], separators, begins=True)
            start = match.end()
        return start

    def _until(self, data: bytes) -> Iterator[Part]:
        """Bytes that end here, because the file or the interchange does."""
        if self._separators is None:
            yield from self._outside(data)
            return
        pieces, start = self._cut(data, 0, len(data))
        yield from self._segments(pieces)
        if start < len(data):
            defect = TOO_LONG if self._skipping or len(data) - start > self._longest else "segment_not_terminated"
            yield Part([data[start:]], self._separators, defect=defect)

    def _cut(self, data: bytes, start: int, certain: int) -> tuple[list[bytes], int]:
        """The segments in the certain bytes; looking no further than the last terminator keeps this linear."""
        end = data.rfind(self._sign, start, certain) + 1
        if not end:
            return [], start
        most = min(end + _LINE_ENDS, certain)
        while end < most and data[end] in b"\r\n":
            end += 1
        pieces = self._pieces.findall(data, start, end)
        return pieces, start + sum(map(len, pieces))

    def _segments(self, pieces: list[bytes]) -> Iterator[Part]:
        first = 0
        for index, piece in enumerate(pieces) if max(map(len, pieces), default=0) > self._longest else ():
            if len(piece) > self._longest:
                yield from self._run(pieces[first:index])
                yield Part([piece], self._separators, defect=TOO_LONG)
                first = index + 1
                self._skipping = False
        yield from self._run(pieces[first:])

    def _run(self, pieces: list[bytes]) -> Iterator[Part]:
        if pieces and self._skipping:
            yield Part(pieces[:1], self._separators, defect=TOO_LONG)
            self._skipping, pieces = False, pieces[1:]
        if pieces:
            yield Part(pieces, self._separators)

    def _outside(self, data: bytes) -> Iterator[Part]:
        if data:
            defect = "header_unreadable" if data.startswith(b"ISA") else "outside_interchange"
            yield Part([data], None, defect=defect)


@lru_cache(maxsize=64)
def _separators(
    element: bytes, repetition: bytes, version: bytes, component: bytes, terminator: bytes
) -> Separators | None:
    """The separators that a header declares; ``None`` where they are not different from each other."""
    declared = version >= _WITH_REPETITION and repetition.isascii() and not repetition.isalnum() and repetition != b" "
    signs = [element, component, terminator, *([repetition] if declared else [])]
    if len(set(signs)) < len(signs):
        return None
    texts = [sign.decode() for sign in (element, component, terminator)]
    return Separators(texts[0], repetition.decode() if declared else None, texts[1], texts[2])
