"""A connection to a foreign database file: immutable, without functions of the schema, without triggers or views.

A hostile file is met with SQLite's own defences (https://www.sqlite.org/security.html): the schema is not trusted,
cells are checked, an authorizer lets nothing but reading of tables through.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from asepsis.errors.source import (
    ArchiveDamagedError,
    NotARepositoryError,
    SourceUnavailableError,
    UnfinishedWriteError,
)
from asepsis.sources.limits import Limits

MAGIC: Final = b"SQLite format 3\0"
_JOURNALS: Final = ("-wal", "-journal")
_ALLOWED: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ})
_PRAGMAS: Final = frozenset({"integrity_check"})
_LONGEST_STATEMENT: Final = 1 << 20


@contextmanager
def opened(path: Path, *, limits: Limits) -> Iterator[sqlite3.Connection]:
    """A connection that can only read; ends with the context.

    Raises:
        NotARepositoryError: this is no SQLite database.
        UnfinishedWriteError: a journal beside it holds changes.
        ArchiveDamagedError: SQLite finds it malformed.
    """
    _check(path)
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)) as connection:
            connection.text_factory = bytearray  # told from blobs, which come as bytes
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limits.blob_bytes)
            connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, _LONGEST_STATEMENT)
            connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
            for pragma in ("trusted_schema=OFF", "query_only=ON", "cell_size_check=ON", "mmap_size=0"):
                connection.execute(f"PRAGMA {pragma}")
            connection.set_authorizer(_authorize)
            yield connection
    except (sqlite3.Error, UnicodeDecodeError):
        raise ArchiveDamagedError(name=path.name) from None


def quoted(name: bytes) -> str:
    """A name as it stands in a statement."""
    return '"' + name.decode("utf-8").replace('"', '""') + '"'


def _authorize(action: int, first: str | None, _second: str | None, _database: str | None, inner: str | None) -> int:
    """Reading of tables, when no trigger or view asks for it."""
    if inner is None and (action in _ALLOWED or (action == sqlite3.SQLITE_PRAGMA and first in _PRAGMAS)):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _check(path: Path) -> None:
    try:
        with path.open("rb") as file:
            is_database = file.read(len(MAGIC)) == MAGIC
        journals = [path.with_name(path.name + suffix) for suffix in _JOURNALS]
        is_unfinished = any(journal.is_file() and journal.stat().st_size for journal in journals)
    except OSError:
        raise SourceUnavailableError(name=path.name) from None
    if not is_database:
        raise NotARepositoryError(uri=path.name, tool="SQLite")
    if is_unfinished:
        raise UnfinishedWriteError(name=path.name)
