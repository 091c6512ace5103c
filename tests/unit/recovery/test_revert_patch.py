"""Applying the revert patch gives the older snapshot back exactly: as Parquet, and as SQL in DuckDB and SQLite."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.engines.forensics.engine import DuckForensics
from asepsis.engines.forensics.roots import digest_of
from asepsis.errors.recovery import OutputExists, PatchInexact
from asepsis.integrity.records.roots import merkle_root

SCHEMA = pa.schema([("id", pa.int64()), ("value", pa.float64()), ("word", pa.string())])
ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(0, 9)),
        st.one_of(st.none(), st.sampled_from([0.0, 1.5, -2.25, 1e300])),
        st.one_of(st.none(), st.sampled_from(["", "a", "it's", 'say "x"', "ü\n"])),
    ),
    max_size=10,
)


def write(folder: Path, tables: dict[str, list[tuple[Any, ...]]]) -> Path:
    folder.mkdir(parents=True)
    for name, rows in tables.items():
        columns = list(zip(*rows, strict=True)) or [()] * len(SCHEMA)
        arrays = [pa.array(column, type=field.type) for column, field in zip(columns, SCHEMA, strict=True)]
        pq.write_table(pa.table(arrays, schema=SCHEMA), folder / f"{name}.parquet")
    return folder


def statements(patch: Path) -> list[str]:
    return [text for text in (patch / "revert.sql").read_text("utf-8").split(";\n") if text.strip()]


def in_sqlite(rows: list[tuple[Any, ...]], patch: Path) -> Counter[tuple[Any, ...]]:
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE t (id INTEGER, value REAL, word TEXT)")
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        for text in statements(patch)[1:-1]:
            database.execute(text)
        return Counter(database.execute("SELECT * FROM t").fetchall())


def in_duckdb(rows: list[tuple[Any, ...]], patch: Path) -> Counter[tuple[Any, ...]]:
    with duckdb.connect() as database:
        database.execute("CREATE TABLE t (id BIGINT, value DOUBLE, word VARCHAR)")
        if rows:
            database.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        for text in statements(patch)[1:-1]:
            database.execute(text)
        return Counter(database.execute("SELECT * FROM t").fetchall())


@settings(max_examples=12)
@given(before=ROWS, after=ROWS, kept=st.integers(0, 10), key=st.sampled_from([("id",), None]))
def test_the_patch_restores_every_row(
    tmp_path_factory: pytest.TempPathFactory,
    before: list[tuple[Any, ...]],
    after: list[tuple[Any, ...]],
    kept: int,
    key: tuple[str, ...] | None,
) -> None:
    after = before[:kept] + after
    folder = tmp_path_factory.mktemp("patch")
    engine = DuckForensics(scratch=folder / "scratch", threads=1, keys={"t": key} if key else {})
    older, newer = write(folder / "older", {"t": before}), write(folder / "newer", {"t": after})
    with engine.pair(older, newer) as pair:
        pair.evidence()
        pair.revert_into(folder / "patch")
    wanted = Counter(before)
    assert in_sqlite(after, folder / "patch") == wanted
    assert in_duckdb(after, folder / "patch") == wanted


def test_tables_and_columns_that_went_come_back(tmp_path: Path) -> None:
    older = write(tmp_path / "older", {"t": [(1, 1.5, "a"), (2, None, "b")], "lost": [(1, 0.0, "x")]})
    newer = write(tmp_path / "newer", {"t": [(1, 1.5, "a")], "extra": [(9, 9.0, "y")]})
    pq.write_table(pq.read_table(older / "t.parquet").drop_columns(["word"]), newer / "t.parquet")
    engine = DuckForensics(scratch=tmp_path / "scratch", threads=1)
    with engine.pair(older, newer) as pair:
        evidence = pair.evidence()
        root = pair.revert_into(tmp_path / "patch")
    assert {change.kind for change in evidence.schema} == {
        "schema.table_gone",
        "schema.table_added",
        "schema.column_gone",
    }
    with duckdb.connect() as database:
        for path in newer.iterdir():
            database.execute(f"CREATE TABLE {path.stem} AS FROM read_parquet('{path}')")
        for text in statements(tmp_path / "patch")[1:-1]:
            database.execute(text)
        tables = {
            str(row[0]): dict(columns_of(database, str(row[0]))) for row in database.execute("SHOW TABLES").fetchall()
        }
        digests = {name: digest_of(database, name, table=name, columns=columns) for name, columns in tables.items()}
    assert tables.keys() == {"t", "lost"}
    assert merkle_root(digests) == root


def test_a_patch_that_does_not_restore_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older, newer = write(tmp_path / "older", {"t": [(1, 1.5, "a")]}), write(tmp_path / "newer", {"t": [(1, 2.5, "a")]})
    engine = DuckForensics(scratch=tmp_path / "scratch", threads=1)
    with engine.pair(older, newer) as pair:
        pair.evidence()
        monkeypatch.setattr(type(pair), "patched", lambda _: [])
        with pytest.raises(PatchInexact):
            pair.revert_into(tmp_path / "patch")


def test_a_patch_overwrites_nothing(tmp_path: Path) -> None:
    older, newer = write(tmp_path / "older", {"t": [(1, 1.5, "a")]}), write(tmp_path / "newer", {"t": []})
    (tmp_path / "patch").mkdir()
    with DuckForensics(scratch=tmp_path / "scratch", threads=1).pair(older, newer) as pair:
        pair.evidence()
        with pytest.raises(OutputExists):
            pair.revert_into(tmp_path / "patch")


def test_the_root_knows_rows_and_not_their_order(tmp_path: Path) -> None:
    with duckdb.connect() as database:
        database.execute("CREATE TABLE a AS SELECT i AS id, i::VARCHAR AS word FROM range(3000) t(i)")
        database.execute("CREATE TABLE b AS FROM a ORDER BY id DESC")
        columns = dict(columns_of(database, "a"))
        first, second = (digest_of(database, name, table="t", columns=columns) for name in "ab")
        database.execute("UPDATE b SET word = '7 ' WHERE id = 7")
        third = digest_of(database, "b", table="t", columns=columns)
        database.execute("UPDATE b SET word = NULL WHERE id = 7")
    assert first == second != third


def columns_of(database: duckdb.DuckDBPyConnection, table: str) -> list[tuple[str, str]]:
    return [(str(row[0]), str(row[1])) for row in database.execute(f"DESCRIBE {table}").fetchall()]
