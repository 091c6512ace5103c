# ruff: noqa: D103, E501, PLC0415 - statements read better on one line
"""Two snapshots of ten million rows and nine columns: changed buckets, and the exact difference by column.

Baselines of the same run: ``EXCEPT ALL`` both ways in DuckDB, a full join of all columns in DuckDB, and datacompy where it
is installed (on a million rows: it holds both tables in memory). CPU seconds, one thread. ``ROWS`` sets another size.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from asepsis.engines.forensics.ledger import changed_buckets, make_ledger
from asepsis.integrity.records.ledger_sql import Column, Comparison

ROWS = int(os.environ.get("ROWS", "10000000"))
SMALL = min(ROWS, 1_000_000)


def main() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, ROWS)
        before, after = (f"read_parquet('{folder / side}.parquet')" for side in ("before", "after"))
        connection = duckdb.connect(
            config={"threads": 1, "memory_limit": "2GB", "temp_directory": str(folder / "spill")}
        )
        comparison = compared(connection, before, after)
        print(f"{ROWS:,} rows x {len(comparison.columns)} columns, one thread, CPU seconds")
        buckets, count = timed(lambda: changed_buckets(connection, comparison))
        print(f"changed buckets     {buckets:6.2f}   {count:,} buckets")
        exact, ledger = timed(lambda: make_ledger(connection, comparison, table="measurement"))
        print(f"exact per column    {exact:6.2f}   +{ledger.inserted:,} -{ledger.deleted:,} {dict(ledger.cells)}")
        joined, _ = timed(lambda: connection.execute(full_join(comparison)).fetchone())
        print(f"full join           {joined:6.2f}   {joined / exact:.2f} x ours")
        text = f"SELECT count(*) FROM (FROM {before} EXCEPT ALL FROM {after}) UNION ALL SELECT count(*) FROM (FROM {after} EXCEPT ALL FROM {before})"
        keyless, _ = timed(lambda: connection.execute(text).fetchall())
        print(f"EXCEPT ALL          {keyless:6.2f}   {keyless / exact:.2f} x ours")
        datacompy(folder)


def datacompy(folder: Path) -> None:
    try:
        import datacompy as peer
    except ImportError:
        print("datacompy           not installed")
        return
    small = folder / "small"
    small.mkdir()
    make(small, SMALL)
    connection = duckdb.connect(config={"threads": 1})
    before, after = (f"read_parquet('{small / side}.parquet')" for side in ("before", "after"))
    ours, _ = timed(lambda: make_ledger(connection, compared(connection, before, after), table="measurement"))
    frames = [connection.execute(f"FROM {side}").df() for side in (before, after)]
    compare = getattr(peer, "PandasCompare", None) or peer.Compare
    theirs, _ = timed(lambda: compare(*frames, join_columns="measurement_id").count_matching_rows())
    print(
        f"datacompy           {theirs:6.2f}   {theirs / ours:.2f} x ours on {SMALL:,} rows ({ours:.2f}), tables already loaded"
    )


def timed(work: Callable[[], object]) -> tuple[float, object]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def compared(connection: duckdb.DuckDBPyConnection, before: str, after: str) -> Comparison:
    rows = connection.execute(f"DESCRIBE FROM {before}").fetchall()
    columns = tuple(Column(name=str(row[0]), before=str(row[1]), after=str(row[1])) for row in rows)
    return Comparison(name="t", before=before, after=after, columns=columns, key=("measurement_id",), salt=20_240_501)


def full_join(comparison: Comparison) -> str:
    names = [column.name for column in comparison.columns]
    counts = ", ".join(f"count(*) FILTER (b.{name} IS DISTINCT FROM a.{name})" for name in names)
    return f"SELECT {counts} FROM {comparison.before} AS b FULL JOIN {comparison.after} AS a USING (measurement_id)"


def make(folder: Path, rows: int) -> None:
    """A table of results, and a version of it with corrections, deletions and new rows."""
    connection = duckdb.connect()
    connection.execute(
        f"""CREATE TABLE b AS SELECT i AS measurement_id, (hash(i) % 1000000)::BIGINT AS person_id,
        (3000000 + hash(i, 1) % 300)::INT AS measurement_concept_id, DATE '2010-01-01' + (hash(i, 2) % 4000)::INT AS measurement_date,
        32817 AS type_concept_id, round((hash(i, 3) % 10000) / 37.0, 2) AS value_as_number, (8700 + hash(i, 4) % 9)::INT AS unit_concept_id,
        (hash(i, 5) % 500)::INT AS provider_id, 'src' || (hash(i, 6) % 1000) AS source_value FROM range({rows}) t(i)"""
    )
    connection.execute(f"COPY b TO '{folder}/before.parquet' (FORMAT parquet, COMPRESSION zstd)")
    connection.execute(
        f"""COPY (SELECT * REPLACE (CASE WHEN hash(measurement_id, 77) % 1887 = 0 THEN value_as_number * 1.01 + 1 ELSE value_as_number END AS value_as_number)
        FROM b WHERE hash(measurement_id, 99) % 100000 <> 0 UNION ALL SELECT * REPLACE (measurement_id + {rows} AS measurement_id) FROM b WHERE measurement_id < 150)
        TO '{folder}/after.parquet' (FORMAT parquet, COMPRESSION zstd)"""
    )
    connection.close()


if __name__ == "__main__":
    main()
