# ruff: noqa: S608 - quoted names
"""Folders of tables as relations: ``<table>.parquet``, ``<table>.csv`` and ``<table>.csv.gz``, also one folder down.

CSV values stay text, exactly as they stand; an empty field is missing. Nothing is written beside the files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import duckdb

from asepsis.engines.query.guard import guarded
from asepsis.errors.engine import EngineDataError, EngineFailureError
from asepsis.errors.recovery import SnapshotEmpty, SnapshotTableUnreadable
from asepsis.integrity.records.ledger_sql import literal, quoted

SMALL: Final = 16 << 20
"""Files up to this size are held in memory, since most of them are asked many questions."""

_READERS: Final = {
    ".parquet": "read_parquet({path})",
    ".csv": "read_csv({path}, header = true, all_varchar = true, sample_size = -1)",
    ".csv.gz": "read_csv({path}, header = true, all_varchar = true, sample_size = -1)",
}


def table_files(folder: Path) -> dict[str, Path]:
    """The tables of a folder by name, in lower case. Raises SnapshotEmpty."""
    found: dict[str, Path] = {}
    for path in sorted([*folder.glob("*"), *folder.glob("*/*")]):
        name, suffix = _split(path)
        if suffix and path.is_file():
            name = name if name not in found else f"{path.parent.name.lower()}.{name}"
            found[name] = path
    if not found:
        raise SnapshotEmpty(path=str(folder))
    return found


def is_table_file(name: str) -> bool:
    """Whether a file's name says that it holds a table."""
    return bool(_split(Path(name))[1])


def open_views(connection: duckdb.DuckDBPyConnection, schema: str, folder: Path) -> dict[str, dict[str, str]]:
    """Make a relation per table in a schema; returns the columns of each table with their types.

    Raises SnapshotEmpty, SnapshotTableUnreadable.
    """
    guarded(lambda: connection.execute(f"CREATE SCHEMA {quoted(schema)}"))
    return {name: _open(connection, schema, name, path) for name, path in table_files(folder).items()}


def open_one(connection: duckdb.DuckDBPyConnection, schema: str, table: str, folder: Path) -> dict[str, str]:
    """Make a view of one table in a schema of its own; no columns if the folder has no such table."""
    files = table_files(folder)
    if table not in files:
        return {}
    guarded(lambda: connection.execute(f"CREATE SCHEMA {quoted(schema)}"))
    return _open(connection, schema, table, files[table])


def relation(schema: str, table: str) -> str:
    """A view by its full name."""
    return f"{quoted(schema)}.{quoted(table)}"


def _open(connection: duckdb.DuckDBPyConnection, schema: str, name: str, path: Path) -> dict[str, str]:
    reader = _READERS[_split(path)[1]].format(path=literal(str(path)))
    view = relation(schema, name)
    kind = "TABLE" if path.stat().st_size <= SMALL else "VIEW"
    try:
        guarded(lambda: connection.execute(f"CREATE {kind} {view} AS SELECT * FROM {reader}"))
        rows = guarded(lambda: connection.execute(f"DESCRIBE {view}").fetchall())
    except (EngineFailureError, EngineDataError):
        raise SnapshotTableUnreadable(path=str(path)) from None
    return dict(_columns(rows))


def _columns(rows: list[tuple[object, ...]]) -> Iterator[tuple[str, str]]:
    return ((str(row[0]), str(row[1])) for row in rows)


def _split(path: Path) -> tuple[str, str]:
    name = path.name.lower()
    for suffix in (".csv.gz", ".parquet", ".csv"):
        if name.endswith(suffix) and len(name) > len(suffix):
            return name.removesuffix(suffix), suffix
    return "", ""
