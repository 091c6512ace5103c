"""SQLite as the room and the key desks use it: durable, one writer at a time, no value in any error.

WAL with ``synchronous=FULL``: a committed transaction survives a crash and a power cut (https://www.sqlite.org/pragma.html).
Every writing transaction takes the write lock at its beginning (``BEGIN IMMEDIATE``), so that what it reads is
still true when it writes. The file belongs to one user (0600); SQLite gives its side files the same mode.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, MetaData, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from asepsis.errors.store import StoreUnavailable, StoreUnsafe

BUSY_SECONDS: Final = 30

_READ_ONLY: Final = "asepsis_read_only"
_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA recursive_triggers = ON",  # else REPLACE deletes rows past the triggers that forbid it
    "PRAGMA trusted_schema = OFF",
    f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}",
)


def open_database(path: Path, *, tables: MetaData) -> Engine:
    """Open the database, and make the file and the tables that are missing.

    Raises:
        StoreUnsafe: another user of the machine could open the file.
        StoreUnavailable: it cannot be opened or is no database.
    """
    _secure_file(path)
    engine = create_engine(URL.create("sqlite", database=str(path)), hide_parameters=True)
    event.listen(engine, "connect", _connect)
    event.listen(engine, "begin", _begin)
    with writing(engine) as connection:
        tables.create_all(connection)
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One writing transaction: committed at the end of the block, rolled back if it raises.

    Raises:
        StoreUnavailable: the database is busy for too long, full or damaged, or refused what was asked.
    """
    with _guarded(engine), engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One consistent view of the database, which does not wait for writers and cannot write.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    with _guarded(engine), engine.connect().execution_options(**{_READ_ONLY: True}) as connection:
        yield connection


@contextmanager
def _guarded(engine: Engine) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError:
        raise StoreUnavailable(path=engine.url.database or "") from None


def _connect(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver would begin by itself, and only at the first change
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _secure_file(path: Path) -> None:
    """Make a missing file for its owner alone, and refuse one that others can open.

    A file that exists is not opened here: closing it again would drop the POSIX locks that another connection
    of this process holds on it (https://www.sqlite.org/howtocorrupt.html, section 2.2).
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        pass
    except OSError:
        raise StoreUnavailable(path=str(path)) from None
    status = path.lstat()
    if stat.S_IMODE(status.st_mode) & 0o077 or not stat.S_ISREG(status.st_mode):
        raise StoreUnsafe(path=str(path))
