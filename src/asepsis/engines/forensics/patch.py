# ruff: noqa: FURB122, S608 - quoted names
"""The revert patch: SQL, and Parquet files of the keys to take out and the rows to put back.

``patch.json`` lists the tables: ``rows`` are reverted row by row, ``whole`` are put back whole (their columns or types
changed, or they are gone), ``extra`` were not there before. Applying the patch to the newer snapshot gives the older
one; that is checked on the root of both before the patch is handed out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import duckdb

from asepsis.engines.query.guard import guarded
from asepsis.errors.recovery import OutputExists, OutputUnwritable
from asepsis.integrity.records.ledger_sql import Comparison, literal, quoted
from asepsis.integrity.records.patch_sql import (
    delete_statement,
    insert_statement,
    recreate_statements,
    update_statement,
)

FORMAT = "asepsis/revert-patch/1"
_BATCH = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchedTable:
    """A table that differs: how it is put back, its key, its columns before (none: it was not there)."""

    name: str
    mode: str
    key: tuple[str, ...]
    columns: Mapping[str, str]
    comparison: Comparison | None = None
    before: str = ""
    after: str = ""


def write_patch(connection: duckdb.DuckDBPyConnection, tables: list[PatchedTable], folder: Path) -> None:
    """Write the patch into a new folder. Raises OutputExists, OutputUnwritable, EngineError."""
    try:
        folder.mkdir(parents=True, mode=0o700)
        (folder / "delete").mkdir()
        (folder / "restore").mkdir()
    except FileExistsError:
        raise OutputExists(path=str(folder)) from None
    except OSError:
        raise OutputUnwritable(path=str(folder)) from None
    with (folder / "revert.sql").open("w", encoding="utf-8") as out:
        out.write("BEGIN;\n")
        for table in tables:
            _write_files(connection, table, folder)
            _write_sql(connection, table, out)
        out.write("COMMIT;\n")
    document = {
        "format": FORMAT,
        "tables": [
            {"name": table.name, "mode": table.mode, "key": list(table.key), "columns": dict(table.columns)}
            for table in tables
        ],
    }
    (folder / "patch.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def reverted(table: PatchedTable, folder: Path) -> str:
    """A relation: the newer table with the patch of a folder applied to it."""
    restore = f"read_parquet({literal(str(folder / 'restore' / f'{table.name}.parquet'))})"
    if table.mode == "whole":
        return restore
    delete = f"read_parquet({literal(str(folder / 'delete' / f'{table.name}.parquet'))})"
    names = ", ".join(map(quoted, table.columns))
    return (
        f"(SELECT {names} FROM {table.after} AS rows ANTI JOIN {delete} AS gone ON {_same(table.key)} "
        f"UNION ALL SELECT {names} FROM {restore})"
    )


def _write_files(connection: duckdb.DuckDBPyConnection, table: PatchedTable, folder: Path) -> None:
    target = literal(str(folder / "restore" / f"{table.name}.parquet"))
    if table.mode == "whole":
        guarded(lambda: connection.execute(f"COPY (SELECT * FROM {table.before}) TO {target} (FORMAT parquet)"))
        return
    if table.mode == "extra":
        return
    gone = literal(str(folder / "delete" / f"{table.name}.parquet"))
    guarded(lambda: connection.execute(f"COPY ({_touched(table)}) TO {gone} (FORMAT parquet)"))
    rows = f"SELECT rows.* FROM {table.before} AS rows SEMI JOIN read_parquet({gone}) AS gone ON {_same(table.key)}"
    guarded(lambda: connection.execute(f"COPY ({rows}) TO {target} (FORMAT parquet)"))


def _write_sql(connection: duckdb.DuckDBPyConnection, table: PatchedTable, out: TextIO) -> None:
    if table.mode == "extra":
        out.write(f"DROP TABLE {quoted(table.name)};\n")
        return
    if table.mode == "whole":
        out.writelines(f"{text}\n" for text in recreate_statements(table.name, table.columns, exists=bool(table.after)))
        _insert_all(connection, table, f"SELECT * FROM {table.before}", out)
        return
    single, repeated = "NOT repeated", "repeated"
    names = list(table.key)
    for row in _rows(
        connection, f"SELECT {_side(table, table.key)} FROM {_ledger(table)} WHERE {single} AND change = 'insert'"
    ):
        out.write(delete_statement(table.name, dict(zip(names, row, strict=True))) + "\n")
    _write_updates(connection, table, out)
    _insert_all(
        connection, table, f"SELECT {_before(table)} FROM {_ledger(table)} WHERE {single} AND change = 'delete'", out
    )
    keys = f"SELECT DISTINCT {_side(table, table.key)} FROM {_ledger(table)} WHERE {repeated}"
    for row in _rows(connection, keys):
        out.write(delete_statement(table.name, dict(zip(names, row, strict=True))) + "\n")
    again = f"SELECT rows.* FROM {table.before} AS rows SEMI JOIN ({keys}) AS gone ON {_same(table.key)}"
    _insert_all(connection, table, again, out)


def _write_updates(connection: duckdb.DuckDBPyConnection, table: PatchedTable, out: TextIO) -> None:
    comparison = table.comparison
    if comparison is None:
        return
    columns = [column.name for column in comparison.columns]
    flags = ", ".join(f"c{index}" for index in range(len(columns)))
    olds = ", ".join(f"b{index}" for index in range(len(columns)))
    for row in _rows(connection, f"SELECT {flags}, {olds} FROM {_ledger(table)} WHERE change = 'update'"):
        old = dict(zip(columns, row[len(columns) :], strict=True))
        changed = {name: old[name] for name, flag in zip(columns, row, strict=False) if flag}
        out.write(update_statement(table.name, {name: old[name] for name in table.key}, changed) + "\n")


def _insert_all(connection: duckdb.DuckDBPyConnection, table: PatchedTable, text: str, out: TextIO) -> None:
    names = list(table.columns)
    for row in _rows(connection, text):
        out.write(insert_statement(table.name, names, row) + "\n")


def _rows(connection: duckdb.DuckDBPyConnection, text: str) -> Iterator[tuple[object, ...]]:
    cursor = connection.cursor()
    guarded(lambda: cursor.execute(text))
    while rows := guarded(lambda: cursor.fetchmany(_BATCH)):
        yield from rows


def _touched(table: PatchedTable) -> str:
    return f"SELECT DISTINCT {_side(table, table.key)} FROM {_ledger(table)}"


def _ledger(table: PatchedTable) -> str:
    return f"ledger_{table.comparison.name}" if table.comparison else ""


def _side(table: PatchedTable, names: tuple[str, ...]) -> str:
    """Columns from whichever side a row of the ledger is on."""
    numbers = _numbers(table)
    return ", ".join(
        f"CASE WHEN change = 'insert' THEN a{numbers[name]} ELSE b{numbers[name]} END AS {quoted(name)}"
        for name in names
    )


def _before(table: PatchedTable) -> str:
    numbers = _numbers(table)
    return ", ".join(f"b{numbers[name]} AS {quoted(name)}" for name in table.columns)


def _numbers(table: PatchedTable) -> dict[str, int]:
    columns = table.comparison.columns if table.comparison else ()
    return {column.name: index for index, column in enumerate(columns)}


def _same(key: tuple[str, ...]) -> str:
    return " AND ".join(f"gone.{quoted(name)} IS NOT DISTINCT FROM rows.{quoted(name)}" for name in key)
