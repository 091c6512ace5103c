"""SHA-256 of what a source opens, with a count of the bytes that were read on the way."""

from __future__ import annotations

import hashlib
from typing import BinaryIO, Final, Protocol

from asepsis.domain.names import RestorePointId
from asepsis.errors.source import SourceUnavailableError
from asepsis.ports import Reading

_PIECE: Final = 1 << 20


class Opens(Protocol):
    """What opens the files of a restore point."""

    def open(self, point: RestorePointId, path: str) -> BinaryIO:
        """A file as a seekable stream."""


class Meter:
    """Counts the bytes that were read and tells whoever wants to know."""

    def __init__(self, reading: Reading | None = None) -> None:
        self._reading = reading
        self.bytes = 0

    def add(self, count: int) -> None:
        """So many more."""
        self.bytes += count
        if self._reading is not None:
            self._reading(self.bytes)

    def after(self) -> Reading:
        """For a part that counts from nothing: what it reads is added to what was read before it."""
        before = self.bytes

        def reading(count: int) -> None:
            self.add(before + count - self.bytes)

        return reading


def digest_of(source: Opens, point: RestorePointId, path: str, *, meter: Meter | None = None) -> str:
    """SHA-256 of a file's bytes in hex; reads it.

    Raises:
        SourceUnavailableError: the storage failed on the way.
    """
    digest = hashlib.sha256()
    with source.open(point, path) as file:
        while piece := _read(file, path=path):
            digest.update(piece)
            if meter is not None:
                meter.add(len(piece))
    return digest.hexdigest()


def _read(file: BinaryIO, *, path: str) -> bytes:
    try:
        return file.read(_PIECE)
    except OSError:
        raise SourceUnavailableError(name=path) from None
