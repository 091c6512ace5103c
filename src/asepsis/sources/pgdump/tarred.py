"""pg_dump's tar format: the files of a directory dump inside of one tar archive, read where they lie."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from asepsis.domain.source import EntryType
from asepsis.errors.source import ArchiveTruncatedError, HostilePathError
from asepsis.sources.limits import Limits
from asepsis.sources.tar.headers import Members

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Places = dict[str, tuple[int, int]]
BEGINNING: Final = b"toc.dat\0"


def places(path: Path, *, limits: Limits) -> Places:
    """Offset and size of every file of the archive.

    Raises:
        SourceError: the archive is cut, damaged or beyond the limits.
        HostilePathError: a name exists twice.
    """
    found: Places = {}
    with path.open("rb") as stream:
        for member in Members(stream, name=path.name, limits=limits):
            if member.type is EntryType.FILE and not member.hard and not member.sparse:
                if member.path in found:
                    raise HostilePathError(reason="a name that exists twice")
                found[member.path] = member.offset, member.size
    return found


def opened(path: Path, place: tuple[int, int]) -> BinaryIO:
    """One file of the archive as a stream."""
    return cast("BinaryIO", io.BufferedReader(_Window(path, *place), 1 << 20))


class _Window(io.RawIOBase):
    def __init__(self, path: Path, offset: int, size: int) -> None:
        super().__init__()
        self._name = path.name
        self._file = path.open("rb")
        self._file.seek(offset)
        self._left = size

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        target = memoryview(buffer).cast("B")[: self._left]
        count = self._file.readinto(target) if target else 0
        if target and not count:
            raise ArchiveTruncatedError(name=self._name)
        self._left -= count
        return count
