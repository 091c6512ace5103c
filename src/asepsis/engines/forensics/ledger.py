# ruff: noqa: S608 - names that we made
"""The exact ledger of one table, made in the engine: rows inserted, deleted and updated, and in which columns."""

from __future__ import annotations

import duckdb

from asepsis.engines.forensics.side_by_side import keep_differing_rows
from asepsis.engines.query.guard import guarded
from asepsis.integrity.records.ledger_sql import (
    BUCKET_ROWS,
    RANGE_ROWS,
    Comparison,
    buckets_sql,
    ledger_sql,
    repeated_sql,
    rows_sql,
)
from asepsis.integrity.records.values import TableLedger


def make_ledger(connection: duckdb.DuckDBPyConnection, comparison: Comparison, *, table: str) -> TableLedger:
    """Make ``ledger_{name}`` as a temporary table, and count it. Raises EngineError."""
    in_order = guarded(lambda: keep_differing_rows(connection, comparison))
    if not in_order:
        _keep_changed_buckets(connection, comparison)
    repeated = not in_order and _has_repeated(connection, comparison)
    _run(connection, ledger_sql(comparison, repeated=repeated))
    for name in (f"before_{comparison.name}", f"after_{comparison.name}"):
        _run(connection, f"DROP TABLE {name}")
    return _count(connection, comparison, table=table)


def changed_buckets(connection: duckdb.DuckDBPyConnection, comparison: Comparison, *, rows: int = RANGE_ROWS) -> int:
    """Make ``buckets_{name}``, and count them: none means that the tables are equal. Raises EngineError."""
    _run(connection, buckets_sql(comparison, rows=rows))
    return _one(connection, f"SELECT count(*) FROM buckets_{comparison.name}")


def _keep_changed_buckets(connection: duckdb.DuckDBPyConnection, comparison: Comparison) -> None:
    span = _span(connection, comparison) if changed_buckets(connection, comparison, rows=BUCKET_ROWS) else None
    for after in (False, True):
        _run(connection, rows_sql(comparison, after=after, span=span))
    _run(connection, f"DROP TABLE buckets_{comparison.name}")


def _has_repeated(connection: duckdb.DuckDBPyConnection, comparison: Comparison) -> bool:
    if not comparison.keys:
        return False
    _run(connection, repeated_sql(comparison))
    return _one(connection, f"SELECT count(*) FROM repeated_{comparison.name}") > 0


def _span(connection: duckdb.DuckDBPyConnection, comparison: Comparison) -> tuple[int, int]:
    text = f"SELECT min(bucket), max(bucket) FROM buckets_{comparison.name}"
    row = guarded(lambda: connection.execute(text).fetchone()) or (0, 0)
    return int(row[0]), int(row[1])


def _count(connection: duckdb.DuckDBPyConnection, comparison: Comparison, *, table: str) -> TableLedger:
    flags = ", ".join(f"count(*) FILTER (c{index})" for index in range(len(comparison.columns)))
    text = (
        "SELECT count(*) FILTER (change = 'insert'), count(*) FILTER (change = 'delete'), "
        f"count(*) FILTER (change = 'update'), {flags} FROM ledger_{comparison.name}"
    )
    inserted, deleted, updated, *columns = guarded(lambda: connection.execute(text).fetchone()) or (0, 0, 0)
    return TableLedger(
        table=table,
        key=comparison.key,
        rows_before=_one(connection, f"SELECT count(*) FROM {comparison.before}"),
        rows_after=_one(connection, f"SELECT count(*) FROM {comparison.after}"),
        inserted=inserted,
        deleted=deleted,
        updated=updated,
        cells={column.name: count for column, count in zip(comparison.columns, columns, strict=True) if count},
    )


def _run(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    guarded(lambda: connection.execute(text))


def _one(connection: duckdb.DuckDBPyConnection, text: str) -> int:
    row = guarded(lambda: connection.execute(text).fetchone())
    return int(row[0]) if row else 0
