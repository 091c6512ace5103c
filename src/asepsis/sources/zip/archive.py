"""One zip archive: its directory as a listing, its members as streams whose checksums are checked.

What the directory says is held against what a member unpacks to; a member that unpacks to more is damage.
"""

from __future__ import annotations

import io
import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from asepsis.domain.source import Entry, EntryType
from asepsis.errors.source import (
    ArchiveDamagedError,
    ArchiveTruncatedError,
    EncryptedMemberError,
    HostilePathError,
    LimitExceededError,
    SourceUnavailableError,
    UnsupportedFormatError,
)
from asepsis.sources.history import Container
from asepsis.sources.listing import Listing
from asepsis.sources.paths import from_bytes
from asepsis.sources.zip.directory import check_directory

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER: Final = 1 << 20
_UTF8: Final = 0x800
_ENCRYPTED: Final = 0x1
_UNIX: Final = frozenset({3, 19})  # hosts "UNIX" and "OS X"
_TIME_EXTRA: Final = 0x5455
_HAS_MODIFIED: Final = 1
_LONGEST_TARGET: Final = 4096
_PIECE: Final = {zipfile.ZIP_STORED: _BUFFER, zipfile.ZIP_DEFLATED: _BUFFER}
_SMALL_PIECE: Final = 1 << 12  # bzip2 and lzma unpack all of what they are given at once


class ZipArchive(Container[zipfile.ZipInfo]):
    """A zip file on disk. Times are those of the UNIX extra field; a DOS time has no zone and is read as UTC."""

    _zip: zipfile.ZipFile

    def _read(self) -> Listing[zipfile.ZipInfo]:
        with self._named():
            with self.path.open("rb") as file:
                check_directory(file, name=self.path.name, limits=self.limits)
            self._zip = zipfile.ZipFile(self.path)
        infos = self._zip.infolist()
        self._check_sizes(infos)
        listing: Listing[zipfile.ZipInfo] = Listing(limits=self.limits)
        for info in infos:
            self._put(info, listing)
        return listing

    def _put(self, info: zipfile.ZipInfo, listing: Listing[zipfile.ZipInfo]) -> None:
        if "\0" in info.orig_filename:
            raise HostilePathError(reason="a name with a slash or zero byte")
        path = listing.path(_name(info))
        if path == "/":
            return
        kind = _kind(info)
        entry = Entry(
            path=path,
            type=kind,
            size=info.file_size if kind is EntryType.FILE else 0,
            modified_at=_modified_at(info),
            link_target=self._target(info) if kind is EntryType.LINK else None,
        )
        listing.put(entry, place=info)

    def _open(self, _: Entry, place: zipfile.ZipInfo) -> BinaryIO:
        """A member as a seekable stream; going backwards unpacks it again.

        Raises:
            EncryptedMemberError: it is encrypted.
            UnsupportedFormatError: its compression is not known.
        """
        if place.flag_bits & _ENCRYPTED:
            raise EncryptedMemberError(name="A member of the archive")
        with self._named():
            member = self._zip.open(place)
        piece = _PIECE.get(place.compress_type, _SMALL_PIECE)
        raw = _Member(cast("zipfile.ZipExtFile", member), self._named, piece=piece)
        return cast("BinaryIO", io.BufferedReader(raw, _BUFFER))

    def _target(self, info: zipfile.ZipInfo) -> str:
        if info.file_size > _LONGEST_TARGET:
            raise LimitExceededError(name="the target of a link", limit=_LONGEST_TARGET, unit="bytes")
        with self._open(Entry(path="", type=EntryType.LINK, size=0), info) as file:
            return from_bytes(file.read())

    def _check_sizes(self, infos: list[zipfile.ZipInfo]) -> None:
        """Members may overlap, so that each looks modest: only their sum tells a bomb."""
        limits = self.limits
        unpacked = sum(info.file_size for info in infos)
        stored = max(self.path.stat().st_size, 1)
        if unpacked > limits.archive_bytes:
            raise LimitExceededError(name=self.path.name, limit=limits.archive_bytes, unit="bytes")
        if unpacked > limits.archive_ratio_from_bytes and unpacked > stored * limits.archive_ratio:
            raise LimitExceededError(name=self.path.name, limit=limits.archive_ratio, unit="bytes per stored byte")

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of the library under our names, without its texts: they quote names of members."""
        name = self.path.name
        try:
            yield
        except EOFError:
            raise ArchiveTruncatedError(name=name) from None
        except NotImplementedError:
            raise UnsupportedFormatError(name="a member of the archive") from None
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, ValueError):
            raise ArchiveDamagedError(name=name) from None
        except OSError as error:
            if error.errno is None:
                raise ArchiveDamagedError(name=name) from None  # bz2 says so
            raise SourceUnavailableError(name=name) from None


class _Member(io.RawIOBase):
    """A member's bytes; the checksum is compared by the library at the end."""

    def __init__(
        self, member: zipfile.ZipExtFile, named: Callable[[], AbstractContextManager[None]], *, piece: int
    ) -> None:
        super().__init__()
        self._member = member
        self._named = named
        self._piece = piece

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._member.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        with self._named():
            return self._member.seek(offset, whence)

    def close(self) -> None:
        self._member.close()
        super().close()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        target = memoryview(buffer).cast("B")
        with self._named():
            piece = self._member.read(min(len(target), self._piece))
        target[: len(piece)] = piece
        return len(piece)


def _name(info: zipfile.ZipInfo) -> str:
    """The name from its bytes, whatever the library made of them."""
    if info.flag_bits & _UTF8:
        return info.orig_filename
    return from_bytes(info.orig_filename.encode("cp437"))


def _kind(info: zipfile.ZipInfo) -> EntryType:
    mode = info.external_attr >> 16 if info.create_system in _UNIX else 0
    if stat.S_ISLNK(mode):
        return EntryType.LINK
    if info.orig_filename.endswith("/") or stat.S_ISDIR(mode):
        return EntryType.DIRECTORY
    return EntryType.FILE if stat.S_ISREG(mode) or not stat.S_IFMT(mode) else EntryType.OTHER


def _modified_at(info: zipfile.ZipInfo) -> datetime | None:
    extra = info.extra
    while len(extra) >= 4:  # noqa: PLR2004  a field's head: its kind and its length
        kind, length = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == _TIME_EXTRA and len(field) >= 5 and field[0] & _HAS_MODIFIED:  # noqa: PLR2004  flags and a time
            return datetime.fromtimestamp(struct.unpack_from("<l", field, 1)[0], tz=UTC)
    try:
        return datetime(*info.date_time, tzinfo=UTC)
    except ValueError:
        return None
