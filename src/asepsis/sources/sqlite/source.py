r"""SQLite databases as a source: tables as tab-separated files, and the schema as ``/schema.sql``.

Text keeps its bytes, numbers are written so that they read back the same, blobs as ``\x`` and hexadecimal digits.
Virtual tables are listed and not read: reading them runs code that the file names.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator
from typing import ClassVar, Final

from asepsis.domain.integrity import ObjectFault
from asepsis.domain.source import Capability, Entry, EntryType
from asepsis.errors.source import ArchiveDamagedError, SourceError
from asepsis.sources.digests import Meter
from asepsis.sources.listing import Listing
from asepsis.sources.sqlite.database import opened, quoted
from asepsis.sources.tables.databases import DatabaseSource
from asepsis.sources.tables.table import Table, TableContainer, listed, measured, path_of
from asepsis.sources.tables.tsv import line

_SCHEMA: Final = "/schema.sql"
_ROWS: Final = 2000
_VIRTUAL: Final = b"CREATE VIRTUAL"


class SqliteFile(TableContainer):
    """One database file."""

    def faults(self, meter: Meter) -> Iterator[ObjectFault]:
        """SQLite's own integrity check, then every row of every table."""
        try:
            with opened(self.path, limits=self.limits) as connection:
                found = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
            if found != [bytearray(b"ok")]:
                raise ArchiveDamagedError(name=self.path.name)
        except SourceError as error:
            yield ObjectFault(object=self.path.name, code=error.code)
            return
        yield from super().faults(meter)

    def _read(self) -> Listing[Table]:
        with opened(self.path, limits=self.limits) as connection:
            master = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY rowid").fetchall()
            schema = b"".join(sql + b";\n" for _, _, sql in master if sql)
            names = [(bytes(name), bytes(sql or b"")) for kind, name, sql in master if kind == b"table"]
            own = [name for name, sql in names if not name.startswith(b"sqlite_") and not _is_virtual(sql)]
            tables = [measured(self._table(name), _rows(connection, name)) for name in own]
        listing = listed(tables, limits=self.limits)
        text = measured(Table(name=(_SCHEMA.encode(),), producer=lambda: _once(schema)), [schema])
        entry = Entry(path=_SCHEMA, type=EntryType.FILE, size=text.size, content_id=text.sha256)
        listing.put(entry, place=text)
        for name in (name for name, sql in names if _is_virtual(sql)):
            listing.put(Entry(path=listing.path(path_of((name,))), type=EntryType.OTHER, size=0))
        return listing

    def _table(self, name: bytes) -> Table:
        return Table(name=(name,), producer=lambda: self._produce(name))

    def _produce(self, name: bytes) -> Generator[bytes]:
        with opened(self.path, limits=self.limits) as connection:
            yield from _rows(connection, name)


class SqliteSource(DatabaseSource):
    """``/table.tsv`` and ``/schema.sql``."""

    kind = "sqlite"
    abilities: ClassVar = frozenset({Capability.HISTORY, Capability.CONTENT_IDS, Capability.TABLES})
    tool: ClassVar = "SQLite"
    suffixes: ClassVar = (".db", ".sqlite", ".sqlite3", ".db3")
    container: ClassVar = SqliteFile


def _rows(connection: sqlite3.Connection, name: bytes) -> Generator[bytes]:
    cursor = connection.execute(f"SELECT * FROM {quoted(name)} NOT INDEXED")  # noqa: S608  a quoted name
    yield line(column[0].encode() for column in cursor.description)
    while found := cursor.fetchmany(_ROWS):
        yield b"".join(line(map(_value, row)) for row in found)


def _value(value: bytearray | bytes | float | None) -> bytes | None:
    """Text comes as ``bytearray`` (see ``opened``), a blob as ``bytes``."""
    if value is None or isinstance(value, bytearray):
        return None if value is None else bytes(value)
    return b"\\x" + value.hex().encode() if isinstance(value, bytes) else repr(value).encode()


def _once(content: bytes) -> Generator[bytes]:
    yield content


def _is_virtual(sql: bytes) -> bool:
    return sql[: len(_VIRTUAL)].upper() == _VIRTUAL
