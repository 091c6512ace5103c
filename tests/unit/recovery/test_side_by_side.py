"""Tables in the order of their key are compared while they are read: over many readings, if they are in order."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable
from typing import Any

import duckdb
import pytest

from asepsis.engines.forensics import side_by_side
from asepsis.engines.forensics.ledger import make_ledger
from asepsis.engines.forensics.side_by_side import keep_differing_rows
from asepsis.integrity.records.ledger_sql import Column, Comparison

ROWS = 9_000
TYPES = {"id": "BIGINT", "value": "DOUBLE", "word": "VARCHAR", "seen": "DATE", "flag": "BOOLEAN"}
DIFFERENCES = {
    "a few of each": (0.001, 0.001, 0.001),
    "most rows": (0.4, 0.3, 0.5),
    "deletions at the end": (0.0, 0.0, 0.0),
    "nothing left": (1.0, 0.0, 0.0),
}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterable[duckdb.DuckDBPyConnection]:
    """A connection, and limits so small that a table takes several readings and writings."""
    monkeypatch.setattr(side_by_side, "_BATCH", 2048)
    monkeypatch.setattr(side_by_side, "_KEPT", 500)
    connection = duckdb.connect(config={"threads": 2, "preserve_insertion_order": False})
    yield connection
    connection.close()


def load(engine: duckdb.DuckDBPyConnection, name: str, rows: list[tuple[Any, ...]]) -> None:
    columns = ", ".join(f"{column} {kind}" for column, kind in TYPES.items())
    engine.execute(f"CREATE OR REPLACE TABLE {name} ({columns})")
    if rows:
        named = [dict(zip(TYPES, row, strict=True)) for row in rows]
        structure = ", ".join(f'"{column}": "{kind}"' for column, kind in TYPES.items())
        text = json.dumps(named)
        engine.execute(
            f"INSERT INTO {name} SELECT unnest(from_json(?, '[{{{structure}}}]'), recursive := true)", [text]
        )


def comparison(**types: str) -> Comparison:
    after = {**TYPES, **types}
    columns = tuple(Column(name=name, before=kind, after=after[name]) for name, kind in TYPES.items())
    return Comparison(name="t", before="old", after="new", columns=columns, key=("id",), salt=3)


def value(dice: random.Random) -> tuple[Any, ...]:
    day = f"2020-01-{1 + dice.randrange(28):02}"
    return dice.choice([None, 0.5, 1.5]), dice.choice([None, "", "x", "ü"]), day, dice.choice([None, True, False])


def changed(
    dice: random.Random, rows: dict[int, tuple[Any, ...]], differences: tuple[float, float, float]
) -> dict[int, tuple[Any, ...]]:
    gone, edited, new = differences
    kept = {key: row for key, row in rows.items() if dice.random() >= gone}
    kept |= {key: value(dice) for key in kept if dice.random() < edited}
    kept |= {key + 1: value(dice) for key in rows if dice.random() < new}
    return kept


@pytest.mark.parametrize("case", DIFFERENCES)
def test_the_ledger_is_exact_over_many_readings(case: str, engine: duckdb.DuckDBPyConnection) -> None:
    dice = random.Random(case)
    old = {key: value(dice) for key in range(-ROWS, ROWS, 2)}
    new = changed(dice, old, DIFFERENCES[case])
    if case == "deletions at the end":
        new = dict(list(old.items())[:5000])
    for name, rows in (("old", old), ("new", new)):
        load(engine, name, [(key, *rows[key]) for key in sorted(rows)])
    assert keep_differing_rows(engine, comparison())
    make_ledger(engine, comparison(), table="t")
    found = engine.execute("SELECT change, coalesce(b0, a0), c1, c2, c3, c4 FROM ledger_t").fetchall()
    flags = (False,) * 4
    wanted = dict.fromkeys(old.keys() - new.keys(), ("delete", *flags))
    wanted |= dict.fromkeys(new.keys() - old.keys(), ("insert", *flags))
    for key in old.keys() & new.keys():
        if old[key] != new[key]:
            wanted[key] = ("update", *(x != y for x, y in zip(old[key], new[key], strict=True)))
    assert {key: (change, *columns) for change, key, *columns in found} == wanted
    assert len(found) == len(wanted)


def test_what_sql_calls_equal_is_no_change(engine: duckdb.DuckDBPyConnection) -> None:
    rows = [(key, None, None, None, None) for key in range(5)]
    for name, number in (("old", 0.0), ("new", -0.0)):
        load(engine, name, rows)
        engine.execute(f"UPDATE {name} SET value = CASE WHEN id = 1 THEN ? ELSE ? END", [number, math.nan])
    assert make_ledger(engine, comparison(), table="t").is_equal


@pytest.mark.parametrize("where", [0, 2047, 2048, 4095])
@pytest.mark.parametrize("key", ["NULL", "id - 1", "-1"], ids=["missing", "twice", "descending"])
def test_rows_out_of_order_are_compared_in_another_way(where: int, key: str, engine: duckdb.DuckDBPyConnection) -> None:
    engine.execute("CREATE TABLE old AS SELECT i AS id, 1.0 AS value, 'x' AS word, DATE '2020-01-01' AS seen, TRUE AS flag FROM range(5000) t(i)")  # fmt: skip # noqa: E501
    engine.execute(
        f"CREATE TABLE new AS SELECT * REPLACE (CASE WHEN id = {where} THEN {key} ELSE id END AS id) FROM old"
    )
    if (key, where) in {("id - 1", 0), ("-1", 0)}:
        assert keep_differing_rows(engine, comparison())
    else:
        assert not keep_differing_rows(engine, comparison())
    ledger = make_ledger(engine, comparison(), table="t")
    assert (ledger.inserted, ledger.deleted, ledger.updated) == (1, 1, 0)


def test_columns_of_other_types_are_compared_in_another_way(engine: duckdb.DuckDBPyConnection) -> None:
    load(engine, "old", [])
    load(engine, "new", [])
    assert keep_differing_rows(engine, comparison())
    assert not keep_differing_rows(engine, comparison(value="FLOAT"))
    assert not keep_differing_rows(engine, comparison(id="INTEGER"))
