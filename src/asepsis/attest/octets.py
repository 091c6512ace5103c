"""Binary structures read from front to back: every read is bounded, and what is left over is refused.

All of it raises one typed error, EvidenceMalformed, naming the part that was being read and nothing else.
"""

from __future__ import annotations

from typing import Literal

from asepsis.errors.attest import EvidenceMalformed

ByteOrder = Literal["little", "big"]


class Octets:
    """A cursor over bytes that come from outside."""

    __slots__ = ("_at", "_data", "_order", "_part")

    def __init__(self, data: bytes, *, part: str, order: ByteOrder) -> None:
        self._data = data
        self._part = part
        self._order = order
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes are still to be read."""
        return len(self._data) - self._at

    def take(self, length: int) -> bytes:
        """The next bytes. Raises EvidenceMalformed if there are fewer."""
        if not 0 <= length <= self.left:
            raise self.malformed()
        self._at += length
        return self._data[self._at - length : self._at]

    def number(self, length: int) -> int:
        """The next unsigned number of so many bytes."""
        return int.from_bytes(self.take(length), self._order)

    def sized(self, length: int, *, limit: int) -> bytes:
        """Bytes that stand behind their own size, a number of ``length`` bytes that is at most ``limit``."""
        size = self.number(length)
        if size > limit:
            raise self.malformed()
        return self.take(size)

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.left)

    def close(self) -> None:
        """Raise EvidenceMalformed if anything is left."""
        if self.left:
            raise self.malformed()

    def require(self, condition: bool) -> None:  # noqa: FBT001 - reads as a sentence
        """Raise EvidenceMalformed unless the condition holds."""
        if not condition:
            raise self.malformed()

    def malformed(self) -> EvidenceMalformed:
        """The error for this structure."""
        return EvidenceMalformed(part=self._part)
