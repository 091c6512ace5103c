"""The table of contents of a pg_dump archive (custom and directory formats).

Source: PostgreSQL 17, ``src/bin/pg_dump/pg_backup_archiver.c`` (ReadHead, ReadToc) and ``pg_backup_custom.c``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO, Final

from asepsis.errors.source import (
    ArchiveDamagedError,
    ArchiveTruncatedError,
    LimitExceededError,
    NotARepositoryError,
    UnsupportedFormatError,
)
from asepsis.sources.limits import Limits

MAGIC: Final = b"PGDMP"
_OLDEST: Final = (1, 10)  # PostgreSQL 8.0
_NEWEST: Final = (1, 16)  # PostgreSQL 17
_OFFSET_SET: Final = 2
_TAR: Final = 3
_NUMBER_SIZES: Final = frozenset({4, 8})


class Layout(IntEnum):
    """How the archive keeps its data."""

    CUSTOM = 1
    DIRECTORY = 5


class Packing(IntEnum):
    """How the data is compressed."""

    NONE = 0
    GZIP = 1
    LZ4 = 2
    ZSTD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One entry; ``offset`` or ``file`` say where its data lies, where it has some."""

    number: int
    tag: bytes
    kind: bytes
    namespace: bytes
    copy: bytes
    definition: bytes
    offset: int | None
    file: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The whole table, and where it ends."""

    layout: Layout
    packing: Packing
    number_size: int
    items: tuple[Item, ...]
    end: int


class Numbers:
    """Numbers and strings as pg_dump writes them, read from a file."""

    def __init__(self, file: BinaryIO, *, name: str, limits: Limits, size: int = 4) -> None:
        self.file = file
        self.name = name
        self._limits = limits
        self.size = size

    def take(self, count: int) -> bytes:
        """That many bytes. Raises ArchiveTruncatedError."""
        taken = self.file.read(count)
        if len(taken) < count:
            raise ArchiveTruncatedError(name=self.name)
        return taken

    def byte(self) -> int:
        """One byte."""
        return self.take(1)[0]

    def number(self) -> int:
        """A sign and the absolute value, lowest byte first."""
        return number_of(self.take(1 + self.size))

    def text(self) -> bytes | None:
        """A string, ``None`` for a null one."""
        length = self.number()
        if length < 0:
            return None
        if length > self._limits.metadata_bytes:
            raise LimitExceededError(name=self.name, limit=self._limits.metadata_bytes, unit="bytes of text")
        return self.take(length)


def number_of(packed: bytes) -> int:
    """A sign and the absolute value, lowest byte first."""
    value = int.from_bytes(packed[1:], "little")
    return -value if packed[0] else value


def contents_of(file: BinaryIO, *, name: str, limits: Limits, in_folder: bool = False) -> Contents:
    """Read head and table of an archive; ``in_folder`` says that it is the ``toc.dat`` of a directory.

    pg_dump writes the number of the tar layout into that (``pg_backup_directory.c``, _CloseArchive).

    Raises:
        NotARepositoryError: it is none.
        UnsupportedFormatError: its version or layout is not known.
        ArchiveTruncatedError, ArchiveDamagedError: it is cut or makes no sense.
        LimitExceededError: it has more entries than the limit.
    """
    numbers = Numbers(file, name=name, limits=limits)
    if file.read(len(MAGIC)) != MAGIC:
        raise NotARepositoryError(uri=name, tool="pg_dump")
    version = (numbers.byte(), numbers.byte())
    numbers.byte()
    if not _OLDEST <= version <= _NEWEST:
        raise UnsupportedFormatError(name="a dump of this version of pg_dump")
    numbers.size, offset_size, layout = numbers.byte(), numbers.byte(), numbers.byte()
    if numbers.size not in _NUMBER_SIZES or offset_size not in _NUMBER_SIZES:
        raise ArchiveDamagedError(name=name)
    layout = Layout.DIRECTORY if in_folder and layout == _TAR else layout
    if layout != (Layout.DIRECTORY if in_folder else Layout.CUSTOM):
        raise UnsupportedFormatError(name="a dump of this layout (plain, custom and directory are read)")
    packing = _packing(numbers, version)
    for _ in range(7):  # seconds, minutes ... of a clock whose zone is not kept
        numbers.number()
    for _ in range(3):  # database, version of the server, version of pg_dump
        numbers.text()
    count = numbers.number()
    if not 0 <= count <= limits.archive_entries:
        raise LimitExceededError(name=name, limit=limits.archive_entries, unit="entries")
    shape = _Shape(numbers, version=version, offset_size=offset_size, layout=Layout(layout))
    items = tuple(shape.item() for _ in range(count))
    end = 0 if in_folder else file.tell()
    return Contents(layout=Layout(layout), packing=packing, number_size=numbers.size, items=items, end=end)


def _packing(numbers: Numbers, version: tuple[int, int]) -> Packing:
    if version < (1, 15):
        return Packing.GZIP if numbers.number() else Packing.NONE
    try:
        return Packing(numbers.byte())
    except ValueError:
        raise UnsupportedFormatError(name="a dump with this compression") from None


class _Shape:
    """What an entry consists of depends on the version."""

    def __init__(self, numbers: Numbers, *, version: tuple[int, int], offset_size: int, layout: Layout) -> None:
        self._numbers = numbers
        self._version = version
        self._offset_size = offset_size
        self._layout = layout

    def item(self) -> Item:
        numbers = self._numbers
        number = numbers.number()
        if number <= 0:
            raise ArchiveDamagedError(name=numbers.name)
        numbers.number()  # whether it has data
        numbers.text(), numbers.text()  # object ids
        tag, kind = numbers.text(), numbers.text()
        if self._version >= (1, 11):
            numbers.number()  # section
        definition, _, copy, namespace, _ = (numbers.text() for _ in range(5))
        if self._version >= (1, 14):
            numbers.text()  # access method
        if self._version >= (1, 16):
            numbers.number()  # kind of relation
        numbers.text(), numbers.text()  # owner, whether it has OIDs
        while numbers.text() is not None:
            pass  # what it depends on
        offset, file = self._place()
        return Item(
            number=number,
            tag=tag or b"",
            kind=kind or b"",
            namespace=namespace or b"",
            copy=copy or b"",
            definition=definition or b"",
            offset=offset,
            file=file,
        )

    def _place(self) -> tuple[int | None, bytes | None]:
        if self._layout is Layout.DIRECTORY:
            return None, self._numbers.text()
        state = self._numbers.byte()
        offset = int.from_bytes(self._numbers.take(self._offset_size), "little")
        return (offset if state == _OFFSET_SET else None), None
