"""Local tables of a rehearsal: a folder of ``<table>.parquet`` or ``<table>.csv`` files, one per table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from asepsis.domain.catalogue import ColumnType
from asepsis.engines.query.guard import guarded
from asepsis.errors.engine import EngineFolderError

_TYPES: Final[Mapping[str, ColumnType]] = {
    "DATE": ColumnType.DATE,
    "TIMESTAMP": ColumnType.DATE,
    "DOUBLE": ColumnType.NUMBER,
    "FLOAT": ColumnType.NUMBER,
    "DECIMAL": ColumnType.NUMBER,
    "VARCHAR": ColumnType.TEXT,
}
_INTEGERS: Final = ("INT", "BIGINT", "SMALLINT", "TINYINT", "UINTEGER", "HUGEINT", "BOOLEAN")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTable:
    """One table as Parquet, with the names and types of its columns."""

    path: Path
    columns: tuple[tuple[str, ColumnType], ...]


def local_tables(folder: Path, *, scratch: Path) -> dict[str, LocalTable]:
    """All tables of a folder; CSV files are converted into ``scratch``. Raises EngineFolderError, EngineError."""
    tables = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix.lower() in {".parquet", ".csv"}:
            tables[path.stem.lower()] = _table(path, scratch)
    if not tables:
        raise EngineFolderError(path=str(folder))
    return tables


def _table(path: Path, scratch: Path) -> LocalTable:
    connection = guarded(duckdb.connect)
    try:
        parquet = path if path.suffix.lower() == ".parquet" else scratch / f"{path.stem}.parquet"
        if parquet != path:
            text = "COPY (SELECT * FROM read_csv($source, header = true)) TO $target (FORMAT parquet)"
            names = {"source": str(path), "target": str(parquet)}
            guarded(lambda: connection.execute(text, names))
        described = guarded(
            lambda: connection.execute("DESCRIBE SELECT * FROM read_parquet($path)", {"path": str(parquet)}).fetchall()
        )
        return LocalTable(path=parquet, columns=tuple((str(row[0]), _type(str(row[1]))) for row in described))
    finally:
        connection.close()


def _type(name: str) -> ColumnType:
    for beginning, column_type in _TYPES.items():
        if name.startswith(beginning):
            return column_type
    return ColumnType.INTEGER if name.startswith(_INTEGERS) else ColumnType.TEXT
