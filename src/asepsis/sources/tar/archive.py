"""One archive, read once from end to end: what it holds, where, and the SHA-256 of each file.

Opening a member afterwards reads the archive again up to that member; what comes out is compared with the
hash of the first reading.
"""

from __future__ import annotations

import hashlib
import io
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from asepsis.domain.integrity import ObjectFault
from asepsis.domain.source import Entry, EntryType
from asepsis.errors.source import (
    ArchiveTruncatedError,
    LimitExceededError,
    ObjectDamagedError,
    SourceError,
    SourceUnavailableError,
)
from asepsis.sources.digests import Meter
from asepsis.sources.history import Container
from asepsis.sources.listing import Listing
from asepsis.sources.paths import checked_parts
from asepsis.sources.tar.headers import Member, Members
from asepsis.sources.tar.sparse import Piece, Run, filled, runs_of
from asepsis.sources.unpacking import UnpackedStream, decoder_for

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER: Final = 1 << 20
_MAGIC: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An entry and where its content begins in the unpacked stream (``None``: it has none).

    ``pieces`` are what is stored of a file with holes; ``None`` where all of it is.
    """

    entry: Entry
    offset: int = 0
    pieces: tuple[Piece, ...] | None = None

    def runs(self) -> Iterator[Run]:
        """The parts of the file in order, stored ones and holes."""
        whole = (Piece(0, self.entry.size),) if self.entry.size else ()
        return runs_of(whole if self.pieces is None else self.pieces, size=self.entry.size, place=self.offset)


class Archive(Container[Stored]):
    """A tar file on disk.

    Verifying finds a cut, and what the checksums of headers and compression cover: a plain ``.tar`` protects its
    headers only, not the content of its files.
    """

    def faults(self, meter: Meter) -> Iterator[ObjectFault]:
        """Read the archive from end to end, once: its listing is made from all of its content."""
        try:
            listing = self._read()
        except SourceError as error:
            yield ObjectFault(object=self.path.name, code=error.code)
            return
        meter.add(sum(entry.size for entry in listing.entries()))

    def _open(self, _: Entry, place: Stored) -> BinaryIO:
        """The content of a file as a seekable stream; seeking backwards in a compressed archive reads it again."""
        return cast("BinaryIO", io.BufferedReader(_Content(self._stream, place, name=self.path.name), _BUFFER))

    def _read(self) -> Listing[Stored]:
        found: dict[str, Stored] = {}
        most = max(self.limits.archive_ratio_from_bytes, self.limits.archive_ratio * self._size())
        holes = 0
        with self._stream() as stream:
            members = Members(stream, name=self.path.name, limits=self.limits)
            for member in members:
                parts = checked_parts(member.path, limits=self.limits)
                holes += member.holes
                if holes > most:
                    raise LimitExceededError(name=self.path.name, limit=most, unit="bytes of holes")
                if parts:
                    path = "/" + "/".join(parts)
                    found[path] = self._stored(path, member, members, found)
        listing: Listing[Stored] = Listing(limits=self.limits)
        for stored in found.values():
            listing.put(stored.entry, place=stored)
        return listing

    def _stored(self, path: str, member: Member, members: Members, found: dict[str, Stored]) -> Stored:
        if member.hard:
            return self._alias(path, member, found)
        entry = Entry(
            path=path,
            type=member.type,
            size=member.size if member.type is EntryType.FILE else 0,
            modified_at=member.modified_at,
            link_target=member.target,
        )
        stored = Stored(entry=entry, offset=member.offset, pieces=member.pieces)
        if member.type is not EntryType.FILE:
            return stored
        digest = hashlib.sha256()
        for part in filled(members.content(), stored.runs()) if member.sparse else members.content():
            digest.update(part)
        return replace(stored, entry=replace(entry, content_id=digest.hexdigest()))

    def _alias(self, path: str, member: Member, found: dict[str, Stored]) -> Stored:
        """A hard link is another name of a file that came before it in the same archive."""
        target = "/" + "/".join(checked_parts(member.target or "", limits=self.limits))
        known = found.get(target)
        if known is None or known.entry.type is not EntryType.FILE:
            return Stored(entry=Entry(path=path, type=EntryType.OTHER, size=0, modified_at=member.modified_at))
        return replace(known, entry=replace(known.entry, path=path))

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            raise SourceUnavailableError(name=self.path.name) from None

    def _stream(self) -> io.BufferedReader:
        try:
            file = self.path.open("rb")
            beginning = file.read(_MAGIC)
            file.seek(0)
        except OSError:
            raise SourceUnavailableError(name=self.path.name) from None
        decoder = decoder_for(beginning)
        if decoder is None:
            return file
        raw = UnpackedStream(file, decoder, name=self.path.name, limits=self.limits)
        return io.BufferedReader(raw, _BUFFER)


class _Content(io.RawIOBase):
    """The bytes of one member; a reading from start to end is checked against the hash of the first reading."""

    def __init__(self, opener: Callable[[], io.BufferedReader], stored: Stored, *, name: str) -> None:
        super().__init__()
        self._opener = opener
        self._runs = tuple(stored.runs())
        self._size = stored.entry.size
        self._expected = stored.entry.content_id
        self._name = name
        self._position = 0
        self._stream: io.BufferedReader | None = None
        self._stream_at = 0
        self._digest = hashlib.sha256()
        self._hashed = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError(22, os.strerror(22))
        self._position = base + offset
        return self._position

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        super().close()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        target = memoryview(buffer).cast("B")[: max(self._size - self._position, 0)]
        if not target:
            return 0
        run = self._runs[bisect_right(self._runs, self._position, key=lambda run: run.start) - 1]
        within = self._position - run.start
        target = target[: run.size - within]
        count = len(target)
        if run.place is None:
            target[:] = bytes(count)
        else:
            count = self._stored(target, run.place + within)
        self._hash(target[:count])
        self._position += count
        return count

    def _stored(self, target: memoryview, place: int) -> int:
        count = self._at(place).readinto(target)
        if not count:
            raise ArchiveTruncatedError(name=self._name)
        self._stream_at += count
        return count

    def _at(self, wanted: int) -> io.BufferedReader:
        """The archive's stream, moved to a place in it."""
        if self._stream is None or wanted < self._stream_at:
            if self._stream is not None:
                self._stream.close()
            self._stream, self._stream_at = self._opener(), 0
        while self._stream_at < wanted:
            skipped = len(self._stream.read(min(wanted - self._stream_at, _BUFFER)))
            if not skipped:
                raise ArchiveTruncatedError(name=self._name)
            self._stream_at += skipped
        return self._stream

    def _hash(self, piece: memoryview) -> None:
        if self._hashed != self._position:
            return
        self._digest.update(piece)
        self._hashed += len(piece)
        if self._hashed == self._size and self._digest.hexdigest() != self._expected:
            raise ObjectDamagedError(name=self._name)
