"""The primitive values of a 7z header. Source: 7-Zip's ``DOC/7zFormat.txt``."""

from __future__ import annotations

from typing import Final

from asepsis.errors.source import ArchiveDamagedError, LimitExceededError
from asepsis.sources.limits import Limits

_ALL_BITS: Final = 8


class Octets:
    """Reads a header from its start; never beyond its end."""

    def __init__(self, content: bytes, *, name: str, limits: Limits) -> None:
        self._content = content
        self._position = 0
        self.name = name
        self.limits = limits

    def take(self, count: int) -> bytes:
        """That many bytes. Raises ArchiveDamagedError where there are fewer."""
        end = self._position + count
        if end > len(self._content):
            raise self.damaged()
        taken = self._content[self._position : end]
        self._position = end
        return taken

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._content) - self._position)

    def byte(self) -> int:
        """One byte."""
        return self.take(1)[0]

    def number(self) -> int:
        """A number of up to 64 bits: the ones that lead the first byte count the bytes that follow it."""
        first = self.byte()
        following = next((count for count in range(_ALL_BITS) if not first & (0x80 >> count)), _ALL_BITS)
        low = int.from_bytes(self.take(following), "little")
        high = first & (0x7F >> following) if following < _ALL_BITS else 0
        return low | high << (8 * following)

    def count(self) -> int:
        """A number of things that follow. Raises LimitExceededError beyond the limit of entries."""
        number = self.number()
        if number > self.limits.archive_entries:
            raise LimitExceededError(name=self.name, limit=self.limits.archive_entries, unit="entries")
        return number

    def bits(self, count: int) -> list[bool]:
        """A vector of bits, the highest of a byte first."""
        packed = self.take((count + 7) // 8)
        return [bool(packed[i // 8] & (0x80 >> i % 8)) for i in range(count)]

    def defined(self, count: int) -> list[bool]:
        """Which of the things have a value: all of them, or those of a vector."""
        return [True] * count if self.byte() else self.bits(count)

    def values(self, count: int, width: int) -> list[int | None]:
        """Numbers of a fixed width for those things that have one."""
        return [int.from_bytes(self.take(width), "little") if has else None for has in self.defined(count)]

    def damaged(self) -> ArchiveDamagedError:
        """The error of a header that contradicts itself."""
        return ArchiveDamagedError(name=self.name)
