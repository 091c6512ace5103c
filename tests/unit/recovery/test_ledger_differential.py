"""The ledger against plain Python: every inserted, deleted and updated row, with its columns, and no other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.engines.forensics.ledger import changed_buckets, make_ledger
from asepsis.integrity.records.ledger_sql import Column, Comparison

Row = tuple[Any, ...]
COLUMNS = ("site", "id", "value", "word")
NULLABLE_ID = st.one_of(st.none(), st.integers(-300, 300))
SITE = st.sampled_from(["a", "b"])
VALUE = st.one_of(st.none(), st.sampled_from([0.0, -0.0, 1.0, 1.5, math.nan, math.inf]))
WORD = st.one_of(st.none(), st.sampled_from(["", "x", "X", "1", "'", 'ü"']))
ROWS = st.lists(st.tuples(SITE, NULLABLE_ID, VALUE, WORD), max_size=14)


@pytest.fixture(scope="module")
def engine() -> Iterable[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    yield connection
    connection.close()


def same(value: Any) -> Any:
    """A value such that equal means what SQL calls not distinct."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value + 0.0
    return value


def oracle(  # noqa: C901 - plain on purpose
    before: list[Row], after: list[Row], key: tuple[int, ...]
) -> Counter[tuple[Any, ...]]:
    """(change, row before, row after) of every row that differs."""

    def key_of(row: Row) -> Row:
        return tuple(row[i] for i in key)

    olds = Counter(tuple(map(same, row)) for row in before)
    news = Counter(tuple(map(same, row)) for row in after)
    found: Counter[tuple[Any, ...]] = Counter()
    counts = [Counter(key_of(row) for row in side.elements()) for side in (olds, news)]

    def is_one(row: Row) -> bool:
        own = key_of(row)
        return bool(key) and None not in own and all(count[own] <= 1 for count in counts)

    by_key = {key_of(row): row for row in news.elements() if is_one(row)}
    paired = set()
    for row in olds.elements():
        if is_one(row):
            new = by_key.get(key_of(row))
            paired.add(key_of(row))
            if new is None:
                found["delete", row, None] += 1
            elif new != row:
                found["update", row, new] += 1
    for own, row in by_key.items():
        if own not in paired:
            found["insert", None, row] += 1
    for row in {*olds, *news}:
        net = olds[row] - news[row]
        if not is_one(row) and net:
            found["delete" if net > 0 else "insert", row if net > 0 else None, None if net > 0 else row] += abs(net)
    return found


def load(engine: duckdb.DuckDBPyConnection, name: str, rows: list[Row], types: tuple[str, ...]) -> dict[str, str]:
    listed = dict(zip(COLUMNS, types, strict=True))
    engine.execute(f"CREATE OR REPLACE TABLE {name} ({', '.join(f'{c} {t}' for c, t in listed.items())})")
    if rows:
        engine.executemany(f"INSERT INTO {name} VALUES (?, ?, ?, ?)", rows)
    return listed


def ledger(
    engine: duckdb.DuckDBPyConnection, key: tuple[int, ...], before: dict[str, str], after: dict[str, str]
) -> tuple[Comparison, Counter[tuple[Any, ...]]]:
    comparison = Comparison(
        name="t",
        before="old",
        after="new",
        columns=tuple(Column(name=name, before=before.get(name), after=after.get(name)) for name in COLUMNS),
        key=tuple(COLUMNS[i] for i in key),
        salt=99,
    )
    counted = make_ledger(engine, comparison, table="t")
    text = "SELECT change, b0, b1, b2, b3, a0, a1, a2, a3, c0, c1, c2, c3 FROM ledger_t"
    found: Counter[tuple[Any, ...]] = Counter()
    cells: Counter[str] = Counter()
    for change, *values in engine.execute(text).fetchall():
        old, new, flags = (tuple(map(same, part)) for part in (values[:4], values[4:8], values[8:]))
        found[change, None if change == "insert" else old, None if change == "delete" else new] += 1
        if change == "update":
            assert flags == tuple(o != n for o, n in zip(old, new, strict=True))
        cells.update(name for name, flag in zip(COLUMNS, flags, strict=True) if flag)
    assert counted.cells == cells
    assert [counted.inserted, counted.deleted, counted.updated] == [
        sum(n for row, n in found.items() if row[0] == change) for change in ("insert", "delete", "update")
    ]
    return comparison, found


@settings(max_examples=60)
@given(before=ROWS, after=ROWS, key=st.sampled_from([(), (1,), (0, 1)]), kept=st.integers(0, 14))
def test_the_ledger_is_what_plain_python_finds(
    engine: duckdb.DuckDBPyConnection, before: list[Row], after: list[Row], key: tuple[int, ...], kept: int
) -> None:
    after = before[:kept] + after
    types = ("VARCHAR", "BIGINT", "DOUBLE", "VARCHAR")
    columns = load(engine, "old", before, types), load(engine, "new", after, types)
    comparison, found = ledger(engine, key, *columns)
    assert found == oracle(before, after, key)
    olds, news = (Counter(tuple(map(same, row)) for row in rows) for rows in (before, after))
    assert (changed_buckets(engine, comparison) == 0) == (olds == news)


@settings(max_examples=20)
@given(rows=ROWS, changed=st.integers(0, 13))
def test_a_type_that_changed_is_no_change_of_values(
    engine: duckdb.DuckDBPyConnection, rows: list[Row], changed: int
) -> None:
    rows = [(site, index, value, word) for index, (site, _, value, word) in enumerate(rows)]
    after = [(site, key, 7.25 if key == changed else value, word) for site, key, value, word in rows]
    before_types = load(engine, "old", rows, ("VARCHAR", "INTEGER", "DOUBLE", "VARCHAR"))
    after_types = load(engine, "new", after, ("VARCHAR", "VARCHAR", "VARCHAR", "VARCHAR"))
    engine.execute("UPDATE new SET value = CAST(CAST(value AS DOUBLE) AS VARCHAR)")
    engine.execute("UPDATE new SET value = replace(value, '.0', '') WHERE value IN ('0.0', '-0.0', '1.0')")
    engine.execute("UPDATE new SET value = '0' WHERE value = '-0'")
    comparison = Comparison(
        name="t",
        before="old",
        after="new",
        columns=tuple(Column(name=name, before=before_types[name], after=after_types[name]) for name in COLUMNS),
        key=("id",),
        salt=5,
    )
    counted = make_ledger(engine, comparison, table="t")
    assert (counted.inserted, counted.deleted) == (0, 0)
    assert dict(counted.cells) == ({"value": 1} if changed < len(rows) else {})


def test_columns_of_one_side_are_no_change_of_values(engine: duckdb.DuckDBPyConnection) -> None:
    engine.execute("CREATE OR REPLACE TABLE old AS SELECT 1 AS id, 'x' AS gone")
    engine.execute("CREATE OR REPLACE TABLE new AS SELECT 1 AS id, 2 AS come")
    columns = (
        Column(name="id", before="INTEGER", after="INTEGER"),
        Column(name="gone", before="VARCHAR", after=None),
        Column(name="come", before=None, after="INTEGER"),
    )
    comparison = Comparison(name="t", before="old", after="new", columns=columns, key=("id",), salt=5)
    assert make_ledger(engine, comparison, table="t").is_equal


def test_a_salt_changes_every_hash(engine: duckdb.DuckDBPyConnection) -> None:
    first, second = (engine.execute(f"SELECT hash(CAST({salt} AS UBIGINT), 1, 'x')").fetchone() for salt in (1, 2))
    assert first != second
