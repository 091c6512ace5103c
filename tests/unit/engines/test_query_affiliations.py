# ruff: noqa: E501 - statements read better on one line
"""Providers and sites behind cells, against sets in plain Python."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.disclosure.profiles import profile_named
from asepsis.domain.catalogue import Catalogue, Column, ColumnType, Table, Use
from asepsis.domain.cells import CellRow, Needs
from asepsis.domain.names import PartyId
from asepsis.engines.query.room import QueryRoom
from asepsis.sql import plan_query

CODED = frozenset({Use.COMPARE, Use.GROUP})
NEEDS = Needs(providers=3, sites=3)
Rows = list[tuple[int, ...]]


def column(name: str, *uses: Use) -> Column:
    return Column(name=name, type=ColumnType.INTEGER, uses=frozenset(uses))


CATALOGUE = Catalogue(
    tables=(
        Table(
            name="person",
            one_per_person=True,
            columns=(column("person_id", Use.UNIT), column("sex", *CODED), column("practice", Use.SITE)),
        ),
        Table(
            name="visit",
            columns=(
                column("person_id", Use.UNIT),
                column("kind", *CODED),
                column("ward", *CODED, Use.SITE),
                column("doctor", Use.PROVIDER),
                Column(name="cost", type=ColumnType.NUMBER, uses=frozenset({Use.AGGREGATE})),
            ),
        ),
        Table(name="death", columns=(column("person_id", Use.UNIT), column("cause", *CODED))),
    )
)
NAMES = {"person": ("person_id", "sex", "practice"), "visit": ("person_id", "kind", "ward", "doctor", "cost"),
         "death": ("person_id", "cause")}  # fmt: skip


def opened(folder: Path, tables: dict[str, dict[str, Rows]], **kwargs: Any) -> QueryRoom:
    room = QueryRoom(folder, **kwargs)
    for table in CATALOGUE.tables:
        files = {}
        for owner, rows in tables.get(table.name, {}).items():
            columns = list(zip(*rows, strict=True)) or [()] * len(NAMES[table.name])
            arrays = {
                name: pa.array(values, pa.int64()) for name, values in zip(NAMES[table.name], columns, strict=True)
            }
            files[PartyId(owner)] = folder / f"{table.name}-{owner}.parquet"
            pq.write_table(pa.table(arrays), files[PartyId(owner)])
        room.load(table, files)
    room.lock()
    return room


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., dict[tuple[Any, ...], CellRow]]:
    """Asks a question of small tables, in ranges of a few rows; the cells by their keys."""

    def ask(text: str, tables: dict[str, dict[str, Rows]], needs: Needs = NEEDS) -> dict[tuple[Any, ...], CellRow]:
        planned = plan_query(text, CATALOGUE)
        assert planned.plan is not None, (text, planned.findings)
        with opened(tmp_path, tables, threads=1, batch=5) as room:
            (cells,) = room.cells(planned.plan, needs=needs).unseal().branches
        return {cell.keys: cell for cell in cells}

    return ask


PEOPLE = [(person, person % 2, 100 + person % 4) for person in range(12)]


def visits(*, ward: Callable[[int], int], doctor: Callable[[int], int] = lambda _: 7, kind: int = 1) -> Rows:
    return [(person, kind, ward(person), doctor(person), 5) for person in range(12)]


def counts(cells: dict[tuple[Any, ...], CellRow]) -> dict[tuple[Any, ...], tuple[int | None, int | None]]:
    return {keys: (cell.providers, cell.sites) for keys, cell in cells.items()}


def test_a_cell_has_the_providers_and_sites_of_its_records(asked: Any) -> None:
    rows = visits(ward=lambda person: person % 2, doctor=lambda person: person % 5)
    found = counts(asked("SELECT count(DISTINCT person_id) n FROM visit", {"visit": {"n": rows}}))
    assert found[()][1] == 2
    assert found[()][0] >= 3
    by_ward = counts(asked("SELECT ward, count(*) n FROM visit GROUP BY ward", {"visit": {"n": rows}}))
    assert {keys: sites for keys, (_, sites) in by_ward.items()} == {(0,): 1, (1,): 1}


def test_nothing_is_counted_that_no_rule_asks_for(asked: Any) -> None:
    rows = {"visit": {"n": visits(ward=lambda person: person)}}
    assert counts(asked("SELECT count(*) n FROM visit", rows, Needs())) == {(): (None, None)}
    ((providers, sites),) = counts(asked("SELECT count(*) n FROM visit", rows, Needs(sites=2))).values()
    assert providers is None
    assert sites is not None
    assert sites >= 2


def test_records_of_an_unknown_site_count_for_none(asked: Any) -> None:
    rows: Any = [(person, 1, 3 if person else None, None, 5) for person in range(12)]
    assert counts(asked("SELECT count(*) n FROM visit", {"visit": {"n": rows}})) == {(): (0, 1)}


def test_a_measure_has_the_sites_of_the_records_that_it_is_about(asked: Any) -> None:
    """Guard: the condition of a measure in ``_slot_columns``; else a part of one ward would pass with the whole."""
    text = "SELECT count(*) n, count(*) FILTER (WHERE ward = 1) w, sum(CASE WHEN ward = 2 THEN cost END) s FROM visit"
    (cell,) = asked(text, {"visit": {"n": visits(ward=lambda person: person % 3)}}).values()
    assert [measure.sites for measure in cell.measures] == [3, 1, 1]


def test_the_table_with_the_fewest_counts_where_several_are_joined(asked: Any) -> None:
    tables = {"visit": {"n": visits(ward=lambda _: 1)}, "person": {"n": PEOPLE}}
    text = "SELECT count(DISTINCT p.person_id) n FROM person p JOIN visit v USING (person_id)"
    assert counts(asked(text, tables)) == {(): (1, 1)}
    assert counts(asked("SELECT count(*) n FROM person", tables))[()][1] >= 3


def test_the_persons_own_sites_count_where_the_records_say_nothing(asked: Any) -> None:
    tables = {"death": {"n": [(person, 1) for person in range(12)]}, "person": {"n": PEOPLE}}
    assert counts(asked("SELECT count(*) n FROM death", tables))[()][1] >= 3
    few = {**tables, "person": {"n": [(person, 0, 5) for person in range(12)]}}
    assert counts(asked("SELECT count(*) n FROM death", few)) == {(): (0, 1)}  # no table tells their providers
    assert counts(asked("SELECT count(*) n FROM death", {"death": tables["death"]})) == {(): (0, 0)}


@pytest.mark.parametrize(
    "text",
    [
        "SELECT count(*) n FROM person p WHERE EXISTS (SELECT 1 FROM visit v WHERE v.person_id = p.person_id AND v.ward = 1)",
        "SELECT count(*) n FROM person WHERE person_id IN (SELECT person_id FROM visit WHERE ward = 1)",
        "SELECT count(*) n FROM (SELECT person_id, count(*) FILTER (WHERE ward = 1) AS k FROM visit GROUP BY 1) t WHERE k > 0",
        ("WITH w AS (SELECT person_id, ward AS place FROM visit) SELECT count(*) n FROM person p "
         "WHERE EXISTS (SELECT 1 FROM w WHERE w.person_id = p.person_id AND w.place = 1)"),
        ("WITH w AS (SELECT person_id, ward AS place FROM visit), s AS (SELECT person_id, count(*) FILTER (WHERE place = 1) AS k "
         "FROM w GROUP BY person_id) SELECT count(*) n FROM s WHERE k > 0"),
    ],
)  # fmt: skip
def test_a_site_that_is_picked_out_of_sight_of_the_count_leaves_none(asked: Any, text: str) -> None:
    """Guard: ``is_picked``; the persons' own practices are many."""
    tables = {"visit": {"n": visits(ward=lambda person: person % 3)}, "person": {"n": PEOPLE}}
    ((_, sites),) = counts(asked(text, tables)).values()
    assert sites == 0


@pytest.mark.parametrize(
    "text",
    [
        "SELECT count(*) n FROM (SELECT person_id, kind FROM visit WHERE ward = 1) t",
        "SELECT count(*) n FROM (SELECT DISTINCT person_id, kind FROM visit WHERE ward = 1) t",
        "SELECT count(*) n FROM (SELECT person_id, count(*) AS k FROM visit WHERE ward = 1 GROUP BY person_id) t",
        "WITH w AS (SELECT person_id, kind FROM visit WHERE ward = 1) SELECT count(*) n FROM (SELECT person_id, count(*) AS k FROM w GROUP BY 1) t",
        "SELECT count(*) n FROM (SELECT person_id FROM visit WHERE ward = 1 UNION ALL SELECT person_id FROM death) t",
        "SELECT count(DISTINCT v.person_id) n FROM visit v JOIN visit w ON v.person_id = w.person_id WHERE w.ward = 1",
        "SELECT count(*) n FROM person p LEFT JOIN visit v ON v.person_id = p.person_id AND v.ward = 1",
    ],
)
def test_stages_unions_and_joins_carry_the_sites_of_their_records(asked: Any, text: str) -> None:
    """Guard: ``carried``; the persons' own practices are many."""
    tables = {
        "visit": {"n": visits(ward=lambda person: person % 3)}, "person": {"n": PEOPLE},
        "death": {"n": [(person, 1) for person in range(3)]},
    }  # fmt: skip
    ((_, sites),) = counts(asked(text, tables)).values()
    assert sites == 1


def test_no_partner_in_an_outer_join_is_no_site(asked: Any) -> None:
    tables = {"visit": {"n": visits(ward=lambda _: 1, kind=2)}, "person": {"n": PEOPLE}}
    text = "SELECT count(*) n FROM person p LEFT JOIN visit v ON v.person_id = p.person_id AND v.kind = 1"
    assert counts(asked(text, tables))[()][1] >= 3


def test_the_same_number_of_two_owners_is_two_sites(asked: Any) -> None:
    text = "SELECT count(*) n FROM visit"
    rows = visits(ward=lambda _: 1)
    assert counts(asked(text, {"visit": {"n": rows, "s": rows}})) == {(): (2, 2)}


def test_a_column_that_only_names_a_provider_can_be_used_for_nothing() -> None:
    for text in (
        "SELECT doctor, count(*) n FROM visit GROUP BY doctor",
        "SELECT count(*) n FROM visit WHERE doctor = 7",
        "SELECT count(*) n FROM visit WHERE doctor IS NULL",
        "SELECT count(DISTINCT doctor) n FROM visit",
        "SELECT count(*) n FROM (SELECT person_id, doctor FROM visit) t",
    ):
        planned = plan_query(text, CATALOGUE)
        assert planned.plan is None
        assert planned.findings[0].code == "sql.unknown_column", text


ROW = st.tuples(st.integers(0, 9), st.integers(0, 2), st.integers(0, 4), st.integers(0, 4), st.just(5))


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.sampled_from("ns"), st.lists(ROW, max_size=30), min_size=1))
def test_no_more_are_counted_than_there_are_and_all_where_a_person_has_at_most_two(
    asked: Any, worlds: dict[str, Rows]
) -> None:
    found = counts(
        asked("SELECT kind, count(*) n FROM visit GROUP BY kind", {"visit": worlds}, Needs(providers=9, sites=9))
    )
    for kind in {row[1] for rows in worlds.values() for row in rows}:
        truth = [_distinct(worlds, kind, place) for place in (3, 2)]
        few = [_distinct(worlds, kind, place, most=2) for place in (3, 2)]
        for counted, all_of_them, simple in zip(found[(kind,)], truth, few, strict=True):
            assert counted is not None
            assert simple <= counted <= all_of_them


def _distinct(worlds: dict[str, Rows], kind: int, place: int, *, most: int = 99) -> int:
    """The distinct values of a column by owner; ``most``: those of persons who have at most so many."""
    by_person: dict[tuple[str, int], set[tuple[str, int]]] = defaultdict(set)
    for owner, rows in worlds.items():
        for row in rows:
            if row[1] == kind:
                by_person[owner, row[0]].add((owner, row[place]))
    return len(_union(values for values in by_person.values() if len(values) <= most))


def _union(sets: Iterable[set[tuple[str, int]]]) -> set[tuple[str, int]]:
    return set().union(*sets)


def test_the_profile_asks_the_engine_for_what_it_judges() -> None:
    assert profile_named("strict-10-sites").needs == Needs(effect=14, sites=2)
    assert profile_named("strict-10-providers+strict-10-sites").needs == Needs(effect=14, providers=2, sites=2)
    assert profile_named("strict-10").needs == Needs(effect=14)
