"""pg_dump's output as a source: tables as tab-separated files, read out of COPY blocks and INSERT statements.

Plain text, custom archives, directories and tar archives are parsed by Asepsis itself; no PostgreSQL program sees them
and nothing in them is executed. Values keep the bytes, and so the character set, of the dump. Large objects are listed,
not read.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO, ClassVar, Final

from asepsis.domain.source import Capability, Entry, EntryType
from asepsis.errors.source import SourceUnavailableError
from asepsis.sources.limits import Limits
from asepsis.sources.listing import Listing
from asepsis.sources.pgdump.data import Data
from asepsis.sources.pgdump.tarred import BEGINNING, Places, opened, places
from asepsis.sources.pgdump.toc import MAGIC, Contents, Item, contents_of
from asepsis.sources.tables import rows
from asepsis.sources.tables.databases import DatabaseSource
from asepsis.sources.tables.dump import Measure, TextDumpContainer
from asepsis.sources.tables.encodings import codec_of
from asepsis.sources.tables.scanner import Dialect
from asepsis.sources.tables.table import Stretches, Table, TableContainer, listed
from asepsis.sources.tables.text import Dump, Found
from asepsis.sources.tables.tsv import from_copy, line

_TOC: Final = "toc.dat"
_ROWS: Final = b"TABLE DATA"
_ENCODING: Final = b"ENCODING"
_LARGE_OBJECTS: Final = frozenset({b"BLOBS", b"BLOB"})


class PlainDump(TextDumpContainer):
    """A dump in SQL text."""

    dialect: ClassVar = Dialect.POSTGRES
    tool: ClassVar = "pg_dump"
    header: ClassVar = (b"-- PostgreSQL database dump\n", b"-- PostgreSQL database cluster dump\n")
    foreign: ClassVar = (b"-- MySQL dump ", b"-- MariaDB dump ")
    footer: ClassVar = b" dump complete\n"


class ArchiveDump(TableContainer):
    """A custom archive, or a directory with its table of contents, or that in a tar archive."""

    _encoding = "utf-8"

    def stretches(self) -> Stretches:
        """Each table in the order of the table of contents."""
        contents, data = self._opened()
        for item, columns in _with_rows(contents):
            yield (item.namespace, item.tag), self._produce(data, item, columns)

    def encoding(self) -> str:
        """The character set that the archive names."""
        return self._encoding

    def _read(self) -> Listing[Table]:
        contents, data = self._opened()
        tables = [self._table(data, item, columns) for item, columns in _with_rows(contents)]
        listing = listed(tables, limits=self.limits)
        if any(item.kind in _LARGE_OBJECTS for item in contents.items):
            listing.put(Entry(path="/large_objects", type=EntryType.OTHER, size=0))
        return listing

    def _opened(self) -> tuple[Contents, Data]:
        files: Places | None = None
        try:
            if self._is_tar():
                files = places(self.path, limits=self.limits)
                toc = opened(self.path, files[_TOC])
            else:
                toc = (self.path / _TOC if self.path.is_dir() else self.path).open("rb")
            with toc as file:
                in_folder = files is not None or self.path.is_dir()
                contents = contents_of(file, name=self.path.name, limits=self.limits, in_folder=in_folder)
        except OSError:
            raise SourceUnavailableError(name=self.path.name) from None
        declared = [rows.ENCODING.match(item.definition) for item in contents.items if item.kind == _ENCODING]
        self._encoding = next((codec_of(match["name"]) for match in declared if match), "utf-8")
        return contents, Data(self.path, contents, limits=self.limits, files=files)

    def _is_tar(self) -> bool:
        if self.path.is_dir():
            return False
        with self.path.open("rb") as file:
            return file.read(len(BEGINNING)) == BEGINNING

    def _table(self, data: Data, item: Item, columns: tuple[bytes, ...]) -> Table:
        found = Found(name=(item.namespace, item.tag), columns=columns)
        measure = Measure(found)
        for piece in self._produce(data, item, columns):
            measure.take(piece)
        return Table(
            name=found.name,
            producer=lambda: self._produce(data, item, columns),
            size=measure.size,
            sha256=measure.digest.hexdigest(),
        )

    def _produce(self, data: Data, item: Item, columns: tuple[bytes, ...]) -> Generator[bytes]:
        dump = Dump(dialect=Dialect.POSTGRES, name=self.path.name, limits=self.limits)
        match = rows.COPY.match(item.copy.strip().removesuffix(b";"))
        with data.open(item) as stream:
            if match is not None:
                yield line(rows.columns_of(match["columns"]))
                scanner = dump.scanner(_Begun(stream))
                yield from map(from_copy, scanner.copied())
                return
            dump.expect((item.namespace, item.tag), columns)
            for _, pieces in dump.read(stream):
                yield from pieces

    def _state(self) -> tuple[int, int]:
        toc = self.path / _TOC
        if not self.path.is_dir():
            return super()._state()
        try:
            return toc.stat().st_size, toc.stat().st_mtime_ns
        except OSError:
            raise SourceUnavailableError(name=self.path.name) from None


class PgDumpSource(DatabaseSource):
    """``/schema/table.tsv``."""

    kind = "pgdump"
    abilities: ClassVar = frozenset({Capability.HISTORY, Capability.CONTENT_IDS, Capability.TABLES})
    tool: ClassVar = "pg_dump"
    suffixes: ClassVar = (".sql", ".sql.gz", ".sql.xz", ".sql.zst", ".dump", ".backup", ".pgdump", ".custom", ".tar")

    @staticmethod
    def container(path: Path, *, limits: Limits) -> TableContainer:
        """The reader for what lies at a path."""
        if path.is_dir():
            return ArchiveDump(path, limits=limits)
        try:
            with path.open("rb") as file:
                is_archive = file.read(len(BEGINNING)).startswith((MAGIC, BEGINNING))
        except OSError:
            raise SourceUnavailableError(name=path.name) from None
        return ArchiveDump(path, limits=limits) if is_archive else PlainDump(path, limits=limits)

    @classmethod
    def places(cls, place: Path) -> dict[str, Path]:
        """A dump, or all dumps directly in a folder; a folder with a table of contents is a dump itself."""
        if (place / _TOC).is_file():
            return {place.name: place}
        found = super().places(place)
        if place.is_dir():
            found |= {path.name: path for path in place.iterdir() if (path / _TOC).is_file() and not path.is_symlink()}
        return found


class _Begun:
    """A stream after a line end: what a COPY block in SQL text begins with."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._is_begun = False

    def read(self, size: int, /) -> bytes:
        if self._is_begun:
            return self._stream.read(size)
        self._is_begun = True
        return b"\n"


def _with_rows(contents: Contents) -> list[tuple[Item, tuple[bytes, ...]]]:
    """Entries with rows, and the columns of their tables as far as they are told."""
    created = {(item.namespace, item.tag): _created(item) for item in contents.items if item.kind == b"TABLE"}
    return [(item, created.get((item.namespace, item.tag), ())) for item in contents.items if item.kind == _ROWS]


def _created(item: Item) -> tuple[bytes, ...]:
    match = rows.CREATE.search(item.definition)
    return rows.created_columns(item.definition[match.end() :]) if match else ()
