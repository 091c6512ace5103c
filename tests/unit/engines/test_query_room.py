# ruff: noqa: E501 - statements read better on one line
from __future__ import annotations

import traceback
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asepsis.disclosure.gate import assess
from asepsis.disclosure.profiles import profile_named
from asepsis.engines.query.room import QueryRoom
from asepsis.errors import AsepsisError
from asepsis.errors.engine import (
    EngineDataError,
    EngineFailureError,
    EngineLockedError,
    EngineMemoryError,
    EngineTableError,
    EngineTimeError,
)
from asepsis.sql import plan_cohort, plan_query

CANARY = "canary4711"


def persons(count: int, **values: Any) -> list[dict[str, Any]]:
    return [
        {"person_id": place, "gender": 1 + place % 2, "birth": 1950, "town": CANARY, **values} for place in range(count)
    ]


def counted(room: QueryRoom, catalogue: Any, text: str) -> list[Any]:
    plan = plan_query(text, catalogue).plan
    assert plan is not None
    (cells,) = room.cells(plan).unseal().branches
    return [(*cell.keys, cell.persons, cell.outside) for cell in cells]


def test_a_person_known_to_two_hospitals_counts_once(open_room: Any, catalogue: Any) -> None:
    links = [("north", 0, 100), ("north", 1, 101), ("south", 0, 101), ("south", 1, 102)]
    tables = {"person": {"north": persons(2), "south": persons(2, gender=7)}}
    room = open_room(tables, links)
    assert counted(room, catalogue, "SELECT count(*) FROM person") == [(3, 1)]
    # The shared person is described by the first owner; both owners know her.
    assert counted(room, catalogue, "SELECT gender, count(*) FROM person GROUP BY 1") == [
        (1, 1, 0),
        (2, 1, 0),
        (7, 1, 0),
    ]
    assert counted(open_room(tables), catalogue, "SELECT count(*) FROM person") == [(4, 2)]


def test_with_one_owner_nobody_stands_outside(open_room: Any, catalogue: Any) -> None:
    room = open_room({"person": {"north": persons(3)}})
    assert counted(room, catalogue, "SELECT count(*) FROM person") == [(3, None)]


def test_the_people_of_a_cohort_are_named_as_their_owners_know_them(open_room: Any, catalogue: Any) -> None:
    links = [("north", 5, 1), ("south", 9, 1), ("south", 7, 2)]
    visits = {"north": [{"person_id": 5, "kind": 10}], "south": [{"person_id": 7, "kind": 20}]}
    room = open_room({"visit": visits}, links)
    cohort = plan_cohort("SELECT DISTINCT person_id FROM visit WHERE kind = 10", catalogue).cohort
    assert cohort is not None
    assert room.people(cohort).unseal().to_pylist() == [
        {"owner": "north", "person_id": 5, "link_id": 1},
        {"owner": "south", "person_id": 9, "link_id": 1},
    ]


def test_a_look_up_table_of_two_owners_is_one(open_room: Any, catalogue: Any) -> None:
    concepts = [{"concept_id": 10, "concept_name": "clinic"}]
    room = open_room({
        "concept": {"north": concepts, "south": concepts},
        "visit": {"north": [{"person_id": 1, "kind": 10}]},
    })  # fmt: skip
    text = "SELECT c.concept_name, count(DISTINCT v.person_id) FROM visit v JOIN concept c ON c.concept_id = v.kind GROUP BY 1"
    assert counted(room, catalogue, text) == [("clinic", 1, 0)]
    assert room.statement("SELECT count(*) AS n FROM concept").unseal().to_pylist() == [{"n": 1}]


@pytest.mark.parametrize("text", [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/proc/self/environ')",
    "COPY (SELECT 1) TO '/tmp/out.csv'",
    "ATTACH '/tmp/other.duckdb' AS o",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET memory_limit = '100GB'",
    "SET threads = 64",
])  # fmt: skip
def test_a_locked_room_reads_no_file_and_keeps_its_settings(open_room: Any, text: str) -> None:
    with pytest.raises(AsepsisError):
        open_room({}).statement(text)


def test_a_room_answers_only_when_locked_and_loads_only_before(tmp_path: Path, catalogue: Any) -> None:
    with QueryRoom(tmp_path) as room:
        with pytest.raises(EngineLockedError):
            room.statement("SELECT 1")
        room.lock()
        with pytest.raises(EngineLockedError):
            room.load(catalogue.tables[0], {})


@pytest.mark.parametrize(("text", "error"), [
    ("SELECT error(town) FROM person", EngineFailureError),
    ("SELECT CAST(town AS INTEGER) FROM person", EngineDataError),
    ("SELECT CAST(town AS DATE) FROM person", EngineDataError),
    ("SELECT strptime(town, '%Y-%m-%d') FROM person", EngineDataError),
    ("SELECT json_extract(town, '$') FROM person", EngineFailureError),
    ("SELECT regexp_matches('a', '(' || town) FROM person", EngineFailureError),
    ("SELECT CAST(9223372036854775807 AS BIGINT) + person_id FROM person", EngineDataError),
    ("SELECT date_trunc(town, DATE '2000-01-01') FROM person", EngineFailureError),
    ("SELECT (SELECT town FROM person) || 'x'", EngineFailureError),
    (f"SELECT {CANARY} FROM person", EngineFailureError),
])  # fmt: skip
def test_no_stored_value_leaves_in_an_error(open_room: Any, text: str, error: type[AsepsisError]) -> None:
    room = open_room({"person": {"north": persons(3)}})
    with pytest.raises(AsepsisError) as caught:
        room.statement(text)
    assert type(caught.value) in {error, EngineDataError, EngineFailureError}
    chain: BaseException | None = caught.value
    while chain is not None:
        assert CANARY not in str(chain)
        assert chain.__context__ is None or isinstance(chain.__context__, AsepsisError)
        chain = chain.__context__
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_an_analysis_that_takes_too_long_is_stopped(open_room: Any) -> None:
    room = open_room({}, seconds=0.3)
    with pytest.raises(EngineTimeError):
        room.statement("SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range % 7 = b.range % 5")
    assert room.statement("SELECT 1 AS one").unseal().to_pylist() == [{"one": 1}]


def test_an_analysis_that_needs_too_much_memory_is_stopped(tmp_path: Path) -> None:
    with QueryRoom(memory_limit="20MB") as room:
        room.lock()
        with pytest.raises(EngineMemoryError):
            room.statement("SELECT list(a.range::VARCHAR || repeat('x', 100)) FROM range(3000000) a")


def test_a_file_that_is_not_the_table_is_named_by_owner_and_table(tmp_path: Path, catalogue: Any) -> None:
    table = catalogue.tables[0]
    cases = {
        "no_unit": pa.table({"gender": [1]}),
        "bad_value": pa.table({"person_id": [1], "gender": [CANARY]}),
        "bad_unit": pa.table({"person_id": [CANARY], "gender": [1]}),
    }
    for name, content in cases.items():
        path = tmp_path / f"{name}.parquet"
        pq.write_table(content, path)
        with QueryRoom(tmp_path) as room, pytest.raises(EngineTableError) as caught:
            room.load(table, {"north": path})
        assert caught.value.code == "engine.table"
        assert CANARY not in str(caught.value)


def test_values_that_are_no_numbers_count_as_missing(open_room: Any, catalogue: Any) -> None:
    visits = [
        {"person_id": place, "kind": 1, "cost": value} for place, value in enumerate([1.0, float("nan"), float("inf")])
    ]
    room = open_room({"visit": {"north": visits}})
    plan = plan_query("SELECT avg(cost) FROM visit", catalogue).plan
    assert plan is not None
    ((cell,),) = room.cells(plan).unseal().branches
    assert (cell.persons, cell.measures[0].rows, cell.measures[0].total) == (3, 1, 1.0)


def test_a_column_without_a_use_is_not_even_loaded(open_room: Any) -> None:
    room = open_room({"visit": {"north": [{"person_id": 1, "note": CANARY}]}})
    (row,) = room.statement("SELECT * FROM visit").unseal().to_pylist()
    assert "note" not in row


def test_a_median_is_the_median(open_room: Any, catalogue: Any) -> None:
    visits = [{"person_id": place % 40, "kind": 1 + place % 2, "cost": float(place)} for place in range(101)]
    room = open_room({"visit": {"north": visits}})
    plan = plan_query("SELECT median(cost) AS m, quantile_cont(cost, 0.9) AS q FROM visit", catalogue).plan
    assert plan is not None
    released = assess(room.cells(plan), plan.shape, profile_named("strict-10")).use()
    assert released.rows == ((50.0, 90.0),)


def test_the_whole_way_from_text_to_release(open_room: Any, catalogue: Any) -> None:
    visits = [
        {"person_id": place, "kind": 10 if place < 47 else 20, "began": date(2020, 1, 1), "cost": 10.0}
        for place in range(52)
    ]
    room = open_room({"person": {"north": persons(52)}, "visit": {"north": visits}})
    plan = plan_query(
        "SELECT kind, count(*) AS n, avg(cost) AS mean FROM visit GROUP BY kind ORDER BY n DESC", catalogue
    ).plan
    assert plan is not None
    released = assess(room.cells(plan), plan.shape, profile_named("strict-10")).use()
    assert (released.columns, released.rows) == (("kind", "n", "mean"), ((10, 45, 10.0),))


@pytest.mark.parametrize("text", [
    "SELECT count(*) FROM person",
    "SELECT kind, count(*), sum(cost), stddev(cost) FROM visit GROUP BY kind",
    "SELECT p.gender, avg(v.cost) FROM visit v JOIN person p USING (person_id) GROUP BY 1",
    "SELECT count(*) FROM person p WHERE NOT EXISTS (SELECT 1 FROM visit v WHERE v.person_id = p.person_id AND v.kind = 1)",
    "SELECT t.kind, avg(n) FROM (SELECT person_id, kind, count(*) AS n FROM visit GROUP BY 1, 2) t GROUP BY 1",
    "SELECT count(*) FROM person p LEFT JOIN visit v ON v.person_id = p.person_id AND v.kind = 2",
])  # fmt: skip
def test_ranges_of_persons_add_up_to_the_whole(open_room: Any, catalogue: Any, text: str) -> None:
    visits = [{"person_id": place % 23, "kind": place % 3, "cost": float(place % 7)} for place in range(200)]
    tables = {"person": {"north": persons(30), "south": persons(9)}, "visit": {"north": visits, "south": visits[:50]}}
    plan = plan_query(text, catalogue).plan
    assert plan is not None
    # Room-wide ids need not be dense.
    links = [("north", place, place * 10**15) for place in range(30)] + [
        ("south", place, place * 10**15) for place in range(5)
    ]
    whole, parts = (open_room(tables, links, batch=batch).cells(plan).unseal() for batch in (1000, 4))
    assert whole == parts


def test_names_of_columns_may_be_in_capitals(tmp_path: Path, catalogue: Any) -> None:
    path = tmp_path / "person.parquet"
    pq.write_table(pa.table({"PERSON_ID": [1, 2], "GENDER": [1, 1]}), path)
    with QueryRoom(tmp_path) as room:
        room.load(catalogue.tables[0], {"north": path})
        room.lock()
        assert room.statement("SELECT count(gender) AS n FROM person").unseal().to_pylist() == [{"n": 2}]
