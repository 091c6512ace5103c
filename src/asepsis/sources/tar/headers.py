"""Tar headers: ustar, GNU long names, pax records and maps of sparse members, read from a stream inside limits.

Sources: POSIX.1-2017 `pax`, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic Tar
Format". The content of a member is skipped or read in pieces, never held whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from asepsis.domain.source import EntryType
from asepsis.errors.source import (
    ArchiveDamagedError,
    ArchiveTruncatedError,
    LimitExceededError,
    NotARepositoryError,
    UnsupportedFormatError,
)
from asepsis.sources.limits import Limits
from asepsis.sources.paths import from_bytes
from asepsis.sources.tar.sparse import (
    PAIR,
    REPEATED,
    MapRefusedError,
    Piece,
    checked,
    listed_pieces,
    number,
    paired,
    pairs_of,
)

BLOCK: Final = 512
_PIECE: Final = 1 << 20
_FILES: Final = frozenset(b"\x0007")
_LINK, _HARD_LINK, _DIRECTORY, _SPARSE = b"215S"
_LONG_NAME, _LONG_LINK, _PAX, _GLOBAL_PAX = b"LKxg"
_OTHERS: Final = frozenset(b"346")
_EXTENSIONS: Final = frozenset((_LONG_NAME, _LONG_LINK, _PAX, _GLOBAL_PAX))
_BASE_256: Final = 0x80
_NEGATIVE: Final = 0xFF
_OLD_MAP: Final = slice(386, 386 + 4 * PAIR)
_OLD_MAP_GOES_ON: Final = 482
_OLD_REAL_SIZE: Final = slice(483, 495)
_OLD_MAP_IN_BLOCK: Final = 21 * PAIR


class Readable(Protocol):
    """A stream that may return fewer bytes than asked for only at its end (a buffered reader)."""

    def read(self, size: int, /) -> bytes:
        """The next bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member as its headers say; ``path`` is unchecked, ``offset`` counts unpacked bytes.

    ``hard`` marks a hard link (its ``target`` is another member). ``size`` is that of the file; where its content is
    stored with holes left out, ``pieces`` say what is stored (``None``: all of it).
    """

    path: str
    type: EntryType
    size: int
    modified_at: datetime | None
    offset: int
    target: str | None = None
    hard: bool = False
    pieces: tuple[Piece, ...] | None = None

    @property
    def sparse(self) -> bool:
        """Whether holes are left out."""
        return self.pieces is not None

    @property
    def holes(self) -> int:
        """How many bytes of the file are not stored."""
        return 0 if self.pieces is None else self.size - sum(piece.size for piece in self.pieces)


class Members:
    """The members of one archive in stored order; ``content`` reads the one that came last."""

    def __init__(self, stream: Readable, *, name: str, limits: Limits) -> None:
        self._stream = stream
        self._name = name
        self._limits = limits
        self._offset = 0
        self._left = 0
        self._padding = 0
        self._global: dict[str, bytes] = {}

    def __iter__(self) -> Iterator[Member]:
        """All members up to the mark of zeros that ends an archive; then the stream is read to its end.

        Raises:
            NotARepositoryError: it does not begin with a tar header.
            ArchiveTruncatedError: it ends without the mark or inside a member.
            ArchiveDamagedError: a header's checksum or a number in it is wrong.
            LimitExceededError: too many members, or too long a header.
        """
        for _ in range(self._limits.archive_entries):
            member = self._next()
            if member is None:
                self._drain()
                return
            yield member
        raise LimitExceededError(name=self._name, limit=self._limits.archive_entries, unit="entries")

    def content(self) -> Iterator[bytes]:
        """The stored content of the member that came last, in parts."""
        while self._left:
            piece = self._read(min(self._left, _PIECE))
            self._left -= len(piece)
            yield piece

    def _next(self) -> Member | None:
        records = dict(self._global)
        for _ in range(self._limits.archive_entries):
            self._skip()
            header = self._read(BLOCK)
            if not header.strip(b"\0"):
                return None
            self._check(header)
            flag, size = header[156], self._size(header, records)
            if flag not in _EXTENSIONS:
                return self._member(header, records=records, size=size)
            self._extend(records, flag=flag, size=size)
        raise LimitExceededError(name=self._name, limit=self._limits.archive_entries, unit="headers")

    def _member(self, header: bytes, *, records: dict[str, bytes], size: int) -> Member:
        flag = header[156]
        path = from_bytes(records.get("GNU.sparse.name") or records.get("path") or _ustar_path(header))
        kind = _kind(flag, is_folder=path.endswith("/"))
        has_content = flag not in {_LINK, _HARD_LINK, _DIRECTORY} and flag not in _OTHERS
        old_map = self._old_map(header) if flag == _SPARSE else None
        self._begin(size if has_content else 0)
        real, pieces = (
            self._sparse(header, records, old_map) if kind is EntryType.FILE and flag != _HARD_LINK else (None, None)
        )
        return Member(
            path=path,
            type=kind,
            size=self._left if real is None else real,
            modified_at=_moment(records, self._seconds(header[136:148])),
            offset=self._offset,
            target=from_bytes(records.get("linkpath") or _text(header[157:257]))
            if flag in {_LINK, _HARD_LINK}
            else None,
            hard=flag == _HARD_LINK,
            pieces=pieces,
        )

    def _extend(self, records: dict[str, bytes], *, flag: int, size: int) -> None:
        if size > self._limits.archive_header_bytes:
            raise LimitExceededError(name=self._name, limit=self._limits.archive_header_bytes, unit="bytes of header")
        self._begin(size)
        content = b"".join(self.content())
        if flag == _LONG_NAME:
            records["path"] = _text(content)
        elif flag == _LONG_LINK:
            records["linkpath"] = _text(content)
        else:
            found = self._pax(content)
            records.update(found)
            if flag == _GLOBAL_PAX:
                self._global.update(found)

    def _pax(self, content: bytes) -> dict[str, bytes]:
        r"""Records of the form ``length key=value\n``, where the length counts itself."""
        records: dict[str, bytes] = {}
        position = 0
        while position < len(content):
            digits = content[position : position + 20].split(b" ", 1)[0]
            length = int(digits) if digits.isdigit() else 0
            record = content[position + len(digits) + 1 : position + length]
            key, equals, value = record.removesuffix(b"\n").partition(b"=")
            if not equals or not record.endswith(b"\n"):
                raise ArchiveDamagedError(name=self._name)
            name = from_bytes(key)
            repeats = name in REPEATED and name in records
            records[name] = b",".join((records[name], value)) if repeats else value
            position += length
        return records

    def _begin(self, size: int) -> None:
        self._left = size
        self._padding = -size % BLOCK

    def _skip(self) -> None:
        for _ in self.content():
            pass
        if self._padding:
            self._read(self._padding)
            self._padding = 0

    def _sparse(
        self, header: bytes, records: dict[str, bytes], old_map: bytes | None
    ) -> tuple[int | None, tuple[Piece, ...] | None]:
        """The size of the file and its stored pieces, if holes are left out."""
        try:
            if old_map is not None:
                size = self._number(header[_OLD_REAL_SIZE])
                pieces = [Piece(self._number(start), self._number(length)) for start, length in pairs_of(old_map)]
            elif "GNU.sparse.major" in records:
                size = number(records.get("GNU.sparse.realsize", b""))
                pieces = self._map_before_content(records)
            elif "GNU.sparse.size" in records:
                size = number(records["GNU.sparse.size"])
                pieces = listed_pieces(records)
            else:
                return None, None
            return size, checked(pieces, size=size, stored=self._left)
        except MapRefusedError:
            raise ArchiveDamagedError(name=self._name) from None

    def _old_map(self, header: bytes) -> bytes:
        """The pairs of an old GNU map: four stand in the header, the others in blocks after it."""
        found, goes_on = bytearray(header[_OLD_MAP]), header[_OLD_MAP_GOES_ON]
        while goes_on:
            self._check_map(len(found))
            block = self._read(BLOCK)
            found += block[:_OLD_MAP_IN_BLOCK]
            goes_on = block[_OLD_MAP_IN_BLOCK]
        return bytes(found)

    def _map_before_content(self, records: dict[str, bytes]) -> list[Piece]:
        """The map of pax format 1.0: lines of numbers before the content, filled up to whole blocks."""
        if (records["GNU.sparse.major"], records.get("GNU.sparse.minor")) != (b"1", b"0"):
            raise UnsupportedFormatError(name=f"A sparse member of {self._name}")
        text, lines, needed = bytearray(), 0, 1
        while lines < needed:
            self._check_map(len(text))
            if self._left < BLOCK:
                raise MapRefusedError
            block = self._read(BLOCK)
            self._left -= BLOCK
            text += block
            lines += block.count(b"\n")
            if needed == 1 and lines:
                needed += 2 * number(bytes(text).split(b"\n", 1)[0])
        numbers = [number(line) for line in bytes(text).split(b"\n")[1:needed]]
        return paired(numbers[::2], numbers[1::2])

    def _check_map(self, length: int) -> None:
        if length > self._limits.archive_map_bytes:
            raise LimitExceededError(name=self._name, limit=self._limits.archive_map_bytes, unit="bytes of map")

    def _size(self, header: bytes, records: dict[str, bytes]) -> int:
        value = records.get("size")
        if value is None or header[156] in _EXTENSIONS:
            return self._number(header[124:136])
        try:
            return number(value)
        except MapRefusedError:
            raise ArchiveDamagedError(name=self._name) from None

    def _number(self, field: bytes) -> int:
        """An octal number, or a binary one where the first bit is set (GNU); negative ones make no sense here."""
        if field[0] == _BASE_256:
            return int.from_bytes(field[1:], "big")
        digits = field.strip(b"\0 ")
        try:
            number = int(digits, 8) if digits else 0
        except ValueError:
            number = -1
        if number < 0:
            raise ArchiveDamagedError(name=self._name)
        return number

    def _seconds(self, field: bytes) -> int:
        """A time: as a number, but before 1970 it is negative (GNU: binary, all bits of the sign set)."""
        return int.from_bytes(field, "big", signed=True) if field[0] == _NEGATIVE else self._number(field)

    def _check(self, header: bytes) -> None:
        """Compare the sum of the header's bytes, its own field counted as spaces."""
        try:
            stated = int(header[148:156].strip(b"\0 "), 8)
        except ValueError:
            stated = -1
        if stated == sum(header[:148]) + sum(header[156:]) + 8 * ord(" "):
            return
        if self._offset == BLOCK:
            raise NotARepositoryError(uri=self._name, tool="tar")
        raise ArchiveDamagedError(name=self._name)

    def _read(self, size: int) -> bytes:
        content = self._stream.read(size)
        if len(content) < size:
            raise ArchiveTruncatedError(name=self._name)
        self._offset += size
        return content

    def _drain(self) -> None:
        """Read on to the end of the stream, where compressed formats keep their checksum."""
        while self._stream.read(_PIECE):
            pass


def _kind(flag: int, *, is_folder: bool) -> EntryType:
    if flag in _FILES or flag in {_HARD_LINK, _SPARSE}:
        return EntryType.DIRECTORY if is_folder else EntryType.FILE
    return {_LINK: EntryType.LINK, _DIRECTORY: EntryType.DIRECTORY}.get(flag, EntryType.OTHER)


def _text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _ustar_path(header: bytes) -> bytes:
    name, prefix = _text(header[:100]), _text(header[345:500])
    is_ustar = header[257:263] == b"ustar\0"
    return prefix + b"/" + name if is_ustar and prefix else name


def _moment(records: dict[str, bytes], seconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(records.get("mtime", seconds)), tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None
