"""One 7z archive: its header as a listing, its members as streams whose checksums are checked.

A solid folder is unpacked once when its members are read in order: the stream is kept where the last one ended.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Collection, Generator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, Final

from asepsis.domain.source import Entry, EntryType
from asepsis.errors.source import (
    ArchiveDamagedError,
    ArchiveTruncatedError,
    LimitExceededError,
    NotARepositoryError,
    SourceUnavailableError,
    UnsupportedFormatError,
)
from asepsis.sources.history import Container
from asepsis.sources.listing import Listing
from asepsis.sources.paths import from_bytes
from asepsis.sources.replay import replayed
from asepsis.sources.sevenzip.header import ENCODED_HEADER, HEADER, Folder, Member, Streams, members_of, streams_of
from asepsis.sources.sevenzip.octets import Octets
from asepsis.sources.sevenzip.unpacking import unpacked

_START: Final = struct.Struct("<6s2BLQQL")
_MAGIC: Final = b"7z\xbc\xaf\x27\x1c"
_EPOCH: Final = datetime(1601, 1, 1, tzinfo=UTC)
_HAS_MODE: Final = 0x8000
_DIRECTORY: Final = 0x10
_LONGEST_TARGET: Final = 4096
_NESTED_HEADERS: Final = 4
# How 7-Zip keeps bytes of a name that are no UTF-8: as characters of a private area (UTFConvert.cpp, "escapes").
_ESCAPED_BYTES: Final = {0xEF00 + byte: 0xDC00 + byte for byte in range(0x80, 0x100)}


class SevenZipArchive(Container[Member]):
    """A 7z file on disk."""

    _folders: tuple[Folder, ...] = ()
    _kept: tuple[int, _Running] | None = None

    def _read(self) -> Listing[Member]:
        self._kept = None
        try:
            with self.path.open("rb") as file:
                streams, members = self._header(file)
        except OSError:
            raise SourceUnavailableError(name=self.path.name) from None
        self._folders = streams.folders
        self._check_sizes(members)
        listing: Listing[Member] = Listing(limits=self.limits)
        for member in members:
            self._put(member, listing)
        return listing

    def in_stored_order(self, paths: Collection[str]) -> list[str]:
        """By folder and offset: read so, a solid folder is unpacked once."""
        return sorted(paths, key=lambda path: self._rank(self.listing.file(path)[1]))

    @staticmethod
    def _rank(member: Member) -> tuple[int, int]:
        return -1 if member.folder is None else member.folder, member.offset

    def _put(self, member: Member, listing: Listing[Member]) -> None:
        path = listing.path(member.name.translate(_ESCAPED_BYTES))
        if path == "/":
            return
        kind = _kind(member)
        target = from_bytes(self._target(member)) if kind is EntryType.LINK else None
        size = member.size if kind is EntryType.FILE else 0
        entry = Entry(path=path, type=kind, size=size, modified_at=_moment(member.modified), link_target=target)
        listing.put(entry, place=member)

    def _open(self, _: Entry, place: Member) -> BinaryIO:
        """A member as a seekable stream; going backwards unpacks its folder from the beginning.

        Raises:
            EncryptedMemberError: it is encrypted.
            UnsupportedFormatError: it uses a method that is not known here.
        """
        return replayed(lambda: self._content(place), size=place.size, name=self.path.name)

    def _target(self, member: Member) -> bytes:
        if member.size > _LONGEST_TARGET:
            raise LimitExceededError(name="the target of a link", limit=_LONGEST_TARGET, unit="bytes")
        return b"".join(self._content(member))

    def _content(self, member: Member) -> Generator[bytes]:
        """The bytes of a member, and at their end its checksum.

        Raises:
            ArchiveDamagedError: they are not the ones that were packed.
        """
        if member.folder is None:
            return
        running = self._running(member.folder, member.offset)
        crc, left = 0, member.size
        while left:
            piece = running.take(left)
            crc, left = zlib.crc32(piece, crc), left - len(piece)
            yield piece
        if member.crc is not None and crc != member.crc:
            raise ArchiveDamagedError(name=self.path.name)
        self._kept = member.folder, running

    def _running(self, folder: int, offset: int) -> _Running:
        """The folder's stream at an offset: the kept one when it has not come too far."""
        kept, self._kept = self._kept, None
        if kept is None or kept[0] != folder or kept[1].position > offset:
            kept = folder, _Running(self._unpacked(self._folders[folder]), name=self.path.name)
        kept[1].skip(offset)
        return kept[1]

    def _unpacked(self, folder: Folder) -> Generator[bytes]:
        try:
            with self.path.open("rb") as file:
                yield from unpacked(file, folder, name=self.path.name, limits=self.limits)
        except OSError:
            raise SourceUnavailableError(name=self.path.name) from None

    def _header(self, file: BinaryIO) -> tuple[Streams, tuple[Member, ...]]:
        content = self._next_header(file)
        for _ in range(_NESTED_HEADERS):
            octets = Octets(content, name=self.path.name, limits=self.limits)
            kind = octets.byte() if content else HEADER
            if kind == HEADER:
                streams, members = members_of(octets) if content else (Streams(folders=(), parts=()), ())
                return _moved(streams), members
            if kind != ENCODED_HEADER:
                break
            content = self._decoded(file, octets)
        raise ArchiveDamagedError(name=self.path.name)

    def _decoded(self, file: BinaryIO, octets: Octets) -> bytes:
        folders = _moved(streams_of(octets)).folders
        if len(folders) != 1:
            raise UnsupportedFormatError(name="the header of the archive")
        self._check_metadata(folders[0].size)
        content = b"".join(unpacked(file, folders[0], name=self.path.name, limits=self.limits))
        if folders[0].crc is not None and zlib.crc32(content) != folders[0].crc:
            raise ArchiveDamagedError(name=self.path.name)
        return content

    def _next_header(self, file: BinaryIO) -> bytes:
        start = file.read(_START.size)
        if not start.startswith(_MAGIC):
            raise NotARepositoryError(uri=self.path.name, tool="7z")
        if len(start) < _START.size:
            raise ArchiveTruncatedError(name=self.path.name)
        *_, start_crc, offset, size, crc = _START.unpack(start)
        if zlib.crc32(start[12:]) != start_crc:
            raise ArchiveDamagedError(name=self.path.name)
        self._check_metadata(size)
        file.seek(min(_START.size + offset, 1 << 62))
        content = file.read(size)
        if len(content) < size:
            raise ArchiveTruncatedError(name=self.path.name)
        if zlib.crc32(content) != crc:
            raise ArchiveDamagedError(name=self.path.name)
        return content

    def _check_metadata(self, size: int) -> None:
        if size > self.limits.metadata_bytes:
            raise LimitExceededError(name=self.path.name, limit=self.limits.metadata_bytes, unit="bytes of header")

    def _check_sizes(self, members: tuple[Member, ...]) -> None:
        limits, unpacked_size = self.limits, sum(member.size for member in members)
        stored = max(self.path.stat().st_size, 1)
        if unpacked_size > limits.archive_bytes:
            raise LimitExceededError(name=self.path.name, limit=limits.archive_bytes, unit="bytes")
        if unpacked_size > limits.archive_ratio_from_bytes and unpacked_size > stored * limits.archive_ratio:
            raise LimitExceededError(name=self.path.name, limit=limits.archive_ratio, unit="bytes per stored byte")


class _Running:
    """A folder being unpacked: how far it has come, and what is left of the last piece."""

    def __init__(self, pieces: Generator[bytes], *, name: str) -> None:
        self._pieces = pieces
        self._name = name
        self._piece = b""
        self.position = 0

    def take(self, most: int) -> bytes:
        """Some of the next bytes, at least one."""
        while not self._piece:
            following = next(self._pieces, None)
            if following is None:
                raise ArchiveTruncatedError(name=self._name)
            self._piece = following
        taken, self._piece = self._piece[:most], self._piece[most:]
        self.position += len(taken)
        return taken

    def skip(self, position: int) -> None:
        """Go on to a position."""
        while self.position < position:
            self.take(position - self.position)


def _moved(streams: Streams) -> Streams:
    """Packed streams are counted from the end of the first header."""
    folders = tuple(replace(folder, offset=folder.offset + _START.size) for folder in streams.folders)
    return Streams(folders=folders, parts=streams.parts)


def _kind(member: Member) -> EntryType:
    mode = member.attributes >> 16 if member.attributes & _HAS_MODE else 0
    if stat.S_ISLNK(mode):
        return EntryType.LINK
    if member.is_directory or stat.S_ISDIR(mode) or member.attributes & _DIRECTORY:
        return EntryType.DIRECTORY
    return EntryType.FILE if stat.S_ISREG(mode) or not stat.S_IFMT(mode) else EntryType.OTHER


def _moment(filetime: int | None) -> datetime | None:
    try:
        return None if filetime is None else _EPOCH + timedelta(microseconds=filetime // 10)
    except OverflowError:
        return None
