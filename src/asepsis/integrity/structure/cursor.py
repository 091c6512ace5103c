"""Reading on through an object that comes in pieces: nothing is held but the piece at hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

SOME: Final = 1 << 16
LARGEST_HELD: Final = 256 << 20
"""Formats that refer back and forth are held in memory up to this size; larger ones are not followed."""


class Cursor:
    """A place in a stream of pieces. ``position`` counts the bytes before it."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = b""
        self._at = 0
        self.position = 0

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes. Raises EOFError if there are fewer."""
        parts = []
        wanted = count
        while wanted:
            part = self.some(wanted)
            if not part:
                raise EOFError
            parts.append(part)
            wanted -= len(part)
        return b"".join(parts)

    def skip(self, count: int) -> None:
        """Pass over ``count`` bytes. Raises EOFError if there are fewer."""
        while count:
            passed = len(self.some(count))
            if not passed:
                raise EOFError
            count -= passed

    def some(self, at_most: int = SOME) -> bytes:
        """At least one byte and no more than ``at_most``; nothing at the end."""
        while self._at >= len(self._piece):
            try:
                self._piece, self._at = next(self._pieces), 0
            except StopIteration:
                return b""
        part = self._piece[self._at : self._at + at_most]
        self._at += len(part)
        self.position += len(part)
        return part

    def put_back(self, part: bytes) -> None:
        """Return bytes that were taken last and not needed."""
        self._piece, self._at = part + self._piece[self._at :], 0
        self.position -= len(part)

    def peek(self, count: int) -> bytes:
        """Up to ``count`` of the next bytes, without passing them."""
        parts, found = [], 0
        while found < count and (part := self.some(count - found)):
            parts.append(part)
            found += len(part)
        taken = b"".join(parts)
        self.put_back(taken)
        return taken

    def rest(self) -> bytes:
        """All that follows."""
        parts = []
        while part := self.some(1 << 20):
            parts.append(part)
        return b"".join(parts)
