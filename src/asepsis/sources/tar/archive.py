"""One archive, read once from end to end: what it holds, where, and the SHA-256 of each file.

Opening a member afterwards reads the archive again up to that member; what comes out is compared with the
hash of the first reading.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from asepsis.domain.integrity import ObjectFault
from asepsis.domain.source import Entry, EntryType
from asepsis.errors.source import (
    ArchiveTruncatedError,
    ObjectDamagedError,
    SourceError,
    SourceUnavailableError,
    UnsupportedFormatError,
)
from asepsis.sources.digests import Meter
from asepsis.sources.history import Container
from asepsis.sources.listing import Listing
from asepsis.sources.paths import checked_parts
from asepsis.sources.tar.headers import Member, Members
from asepsis.sources.unpacking import UnpackedStream, decoder_for

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER: Final = 1 << 20
_MAGIC: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An entry and where its content begins in the unpacked stream (``None``: nowhere to read it from)."""

    entry: Entry
    offset: int | None = None
    sparse: bool = False


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
        """The content of a file as a seekable stream; seeking backwards in a compressed archive reads it again.

        Raises:
            UnsupportedFormatError: the member is stored with holes left out.
        """
        if place.sparse or place.offset is None:
            raise UnsupportedFormatError(name="a sparse member")
        return cast("BinaryIO", io.BufferedReader(_Content(self._stream, place, name=self.path.name), _BUFFER))

    def _read(self) -> Listing[Stored]:
        found: dict[str, Stored] = {}
        with self._stream() as stream:
            members = Members(stream, name=self.path.name, limits=self.limits)
            for member in members:
                parts = checked_parts(member.path, limits=self.limits)
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
        if member.type is not EntryType.FILE or member.sparse:
            return Stored(entry=entry, sparse=member.sparse)
        digest = hashlib.sha256()
        for piece in members.content():
            digest.update(piece)
        return Stored(entry=replace(entry, content_id=digest.hexdigest()), offset=member.offset)

    def _alias(self, path: str, member: Member, found: dict[str, Stored]) -> Stored:
        """A hard link is another name of a file that came before it in the same archive."""
        target = "/" + "/".join(checked_parts(member.target or "", limits=self.limits))
        known = found.get(target)
        if known is None or known.entry.type is not EntryType.FILE:
            return Stored(entry=Entry(path=path, type=EntryType.OTHER, size=0, modified_at=member.modified_at))
        return replace(known, entry=replace(known.entry, path=path))

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
        self._begin = stored.offset or 0
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
        count = self._at_position().readinto(target)
        if not count:
            raise ArchiveTruncatedError(name=self._name)
        self._hash(target[:count])
        self._position += count
        self._stream_at += count
        return count

    def _at_position(self) -> io.BufferedReader:
        """The archive's stream, moved to where the next byte of the member lies."""
        wanted = self._begin + self._position
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
