"""A person more or less changes a vector by no more than its norm: through the real SQL, on small random data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asepsis.domain.catalogue import Catalogue, Column, ColumnType, Table, Use
from asepsis.domain.names import PartyId
from asepsis.domain.privacy import Bound, Loss, Privacy, Purchase
from asepsis.domain.private import PRESENCE_BITS, VectorKind, offered
from asepsis.engines.query.parts import Parts
from asepsis.engines.query.room import QueryRoom
from asepsis.sql import plan_query
from asepsis.sql.private import MOST_BINS, PrivateGrouping, PrivatePlan, plan_private, question_of, with_norms
from asepsis.sql.private_duckdb import parts_sql

UNIT = Column(name="person_id", type=ColumnType.INTEGER, uses=frozenset({Use.UNIT}))
CODED = frozenset({Use.COMPARE, Use.GROUP})
CATALOGUE = Catalogue(
    tables=(
        Table(
            name="person",
            one_per_person=True,
            columns=(
                UNIT,
                Column(name="sex", type=ColumnType.INTEGER, uses=CODED),
                Column(name="year_of_birth", type=ColumnType.INTEGER, uses=CODED | {Use.AGGREGATE}, bin_width=5),
            ),
        ),
        Table(
            name="visit",
            columns=(
                UNIT,
                Column(name="site", type=ColumnType.INTEGER, uses=CODED),
                Column(name="ward", type=ColumnType.TEXT, uses=CODED),
                Column(name="cost", type=ColumnType.NUMBER, uses=frozenset({Use.AGGREGATE})),
                Column(name="day", type=ColumnType.DATE, uses=frozenset({Use.DATE})),
            ),
        ),
    )
)
SITES = 12
KNOWN_COST = (
    "SELECT site, ward, count(cost) AS n, sum(cost) AS s, "
    "count(DISTINCT CASE WHEN cost IS NOT NULL THEN person_id END) "
    "AS p FROM visit GROUP BY site, ward"
)
QUESTIONS = {
    "cells of visits": "SELECT site, ward, count(*) AS n, sum(cost) AS s, count(DISTINCT person_id) AS p "
    "FROM visit GROUP BY site, ward",
    "one condition": "SELECT site, avg(cost) AS m FROM visit WHERE ward = 'a' GROUP BY site",
    "a part of it": "SELECT site, count(*) AS n, count(*) FILTER (WHERE ward = 'b') AS b, "
    "count(DISTINCT CASE WHEN ward = 'a' THEN person_id END) AS a FROM visit GROUP BY site",
    "no groups": "SELECT count(*) AS n, sum(cost) AS s, count(DISTINCT person_id) AS p FROM visit",
    "by a person's sex": "SELECT p.sex, count(*) AS n, sum(v.cost) AS s, count(DISTINCT v.person_id) AS c "
    "FROM visit v JOIN person p ON p.person_id = v.person_id GROUP BY p.sex",
    "persons alone": "SELECT sex, count(*) AS n, avg(year_of_birth) AS y FROM person GROUP BY sex",
    "left join": "SELECT p.sex, count(*) AS n, sum(v.cost) AS s FROM person p LEFT JOIN visit v "
    "ON v.person_id = p.person_id AND v.site > 3 GROUP BY p.sex",
    "of a left join": "SELECT v.site, count(*) AS n FROM person p LEFT JOIN visit v "
    "ON v.person_id = p.person_id GROUP BY v.site",
    "a choice": "SELECT CASE WHEN site < 4 THEN 'low' WHEN site < 8 THEN 'middle' ELSE 'high' END AS band, "
    "count(*) AS n FROM visit GROUP BY 1",
    "months": "SELECT extract(month FROM day) AS m, count(*) AS n, sum(cost) AS s FROM visit GROUP BY 1",
    "per person": "WITH f AS (SELECT person_id, count(*) AS c FROM visit GROUP BY person_id) "
    "SELECT c, count(*) AS n FROM f GROUP BY c",
    "of a subquery": "WITH w AS (SELECT person_id, site AS place, cost AS price FROM visit WHERE ward <> 'c') "
    "SELECT place, sum(price) AS s FROM w GROUP BY place",
    "spreads": "SELECT site, stddev(cost) AS d, variance(cost) AS v FROM visit GROUP BY site",
    "sums of stages": "WITH f AS (SELECT person_id, count(*) AS c, sum(cost) AS s, max(cost) AS m FROM visit "
    "GROUP BY person_id) SELECT sum(c) AS records, avg(s) AS mean, sum(m) AS top FROM f",
    "stages by key": "WITH f AS (SELECT person_id, site, count(*) AS c FROM visit GROUP BY person_id, site) "
    "SELECT site, sum(c) AS n, avg(c) AS m FROM f GROUP BY site",
    "quantiles": "SELECT p.sex, median(p.year_of_birth) AS m, quantile_cont(p.year_of_birth, 0.9) AS o, count(*) AS n "
    "FROM person p JOIN visit v ON v.person_id = p.person_id GROUP BY p.sex",
    "exists": "SELECT v.site, count(DISTINCT v.person_id) AS n FROM visit v WHERE EXISTS "
    "(SELECT 1 FROM visit o WHERE o.person_id = v.person_id AND o.ward = 'b') GROUP BY v.site",
}


def clause(*, records: int = 5, cells: int = 2, norm: int | None = 700, listed: bool = True) -> Privacy:
    values = {("visit", "site"): tuple(range(SITES)), ("visit", "ward"): ("a", "b", "c"), ("person", "sex"): (1, 2)}
    return Privacy(
        budget=Loss(micro_rho=10**6, pico_delta=10**6),
        question=Loss(micro_rho=20_000, pico_delta=1_000),
        records=records,
        cells=cells,
        least_persons=3,
        bounds={
            ("visit", "cost"): Bound(low=-50, high=400, norm=norm),
            ("person", "year_of_birth"): Bound(low=1900, high=2030),
        },
        domains=values if listed else {},
    )


def private(text: str, privacy: Privacy) -> PrivatePlan:
    planned = plan_query(text, CATALOGUE)
    assert planned.plan is not None, planned.findings
    found = plan_private(planned.plan, privacy, CATALOGUE)
    assert found.plan is not None, found.findings
    return found.plan


@dataclass
class Hospital:
    """Random persons with very different numbers of visits, missing and outrageous values; one of them can leave."""

    connection: duckdb.DuckDBPyConnection
    persons: int

    def leave(self, person: int) -> None:
        self.connection.execute("SET VARIABLE left_ = ?", [person])

    def vectors(self, grouping: PrivateGrouping) -> dict[tuple[object, ...], tuple[int, ...]]:
        return sums_by_cell(self.parts(grouping))

    def parts(
        self, grouping: PrivateGrouping, *, persons: tuple[int, int] | None = None, reduced: bool = False
    ) -> Parts:
        made = parts_sql(grouping, persons=persons, reduced=reduced)
        table = self.connection.sql(made.text, params=dict(made.parameters)).to_arrow_table()
        return Parts(private=grouping, table=table, reduced=reduced)


def sums_by_cell(parts: Parts) -> dict[tuple[object, ...], tuple[int, ...]]:
    keys = len(parts.private.grouping.keys)
    rows = zip(*(column.to_pylist() for column in parts.sums().columns), strict=True)
    return {row[:keys]: row[keys:] for row in rows}


@cache
def hospital(seed: int, persons: int = 12) -> Hospital:
    chance = np.random.default_rng(seed)
    people = [
        (1, person, [1, 2, None][int(chance.integers(3))], int(chance.integers(1800, 2050)))
        for person in range(persons)
    ]
    visits = [
        (
            1,
            person,
            None if chance.random() < 0.05 else int(chance.integers(SITES + 3)),
            ["a", "b", "c", "d", None][int(chance.integers(5))],
            None if chance.random() < 0.1 else float(chance.normal(100, 10.0 ** chance.integers(0, 8))),
            date(2020, 1, 1) + timedelta(days=int(chance.integers(700))),
        )
        for person in range(persons)
        for _ in range(int(chance.integers(0, [3, 9, 60][person % 3])))
    ]
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET VARIABLE left_ = -1")
    for name, rows, columns in (
        ("person", people, ("owner_", "person_id", "sex", "year_of_birth")),
        ("visit", visits, ("owner_", "person_id", "site", "ward", "cost", "day")),
    ):
        made = pa.table(dict(zip(columns, zip(*rows, strict=True), strict=True)))
        connection.register("made", made)
        connection.execute(f"CREATE TABLE all_{name} AS SELECT * FROM made")
        connection.unregister("made")
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM all_{name} WHERE person_id <> getvariable('left_')")
    return Hospital(connection=connection, persons=persons)


def assert_bounded(found: Hospital, plan: PrivatePlan) -> None:
    for grouping in plan.groupings:
        everybody = found.vectors(grouping)
        for person in range(found.persons):
            found.leave(person)
            without = found.vectors(grouping)
            assert set(without) <= set(everybody)
            nothing = (0,) * len(grouping.vectors)
            for place, vector in enumerate(grouping.vectors):
                parts = [values[place] - without.get(keys, nothing)[place] for keys, values in everybody.items()]
                assert sum(part * part for part in parts) <= (vector.spec.norm << vector.spec.bits) ** 2
                if vector.spec.coarse:
                    least = 1 << (vector.spec.bits - PRESENCE_BITS)
                    assert all(not part or least <= part <= 1 << vector.spec.bits for part in parts)
        found.leave(-1)


@pytest.mark.parametrize("name", QUESTIONS)
def test_one_person_changes_a_vector_by_no_more_than_its_norm(name: str) -> None:
    """Guard: the weights of ``clipping``; without them every question over many cells fails."""
    assert_bounded(hospital(7), private(QUESTIONS[name], clause()))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("records", "cells", "norm"), [(1, 1, 1), (3, 2, 450), (30, 9, None)])
@pytest.mark.parametrize("listed", [True, False])
def test_one_person_changes_no_vector_of_any_question_too_much(
    seed: int, records: int, cells: int, norm: int | None, *, listed: bool
) -> None:
    found = hospital(1_000 + seed, 24)
    for name, text in QUESTIONS.items():
        if name == "quantiles" and not listed:  # refused: histograms are of public groups
            continue
        assert_bounded(found, private(text, clause(records=records, cells=cells, norm=norm, listed=listed)))


def test_ranges_of_persons_add_up_exactly() -> None:
    found = hospital(5)
    (grouping,) = private(QUESTIONS["cells of visits"], clause()).groupings
    whole = found.vectors(grouping)
    summed: dict[tuple[object, ...], list[int]] = {}
    for low, high in ((0, 7), (8, 8), (9, 23)):
        for keys, sums in sums_by_cell(found.parts(grouping, persons=(low, high))).items():
            known = summed.setdefault(keys, [0] * len(grouping.vectors))
            known[:] = [left + right for left, right in zip(known, sums, strict=True)]
    assert {keys: tuple(values) for keys, values in summed.items()} == whole


@pytest.mark.parametrize("name", QUESTIONS)
def test_rows_that_are_reduced_before_say_the_same(name: str) -> None:
    """Guard: joined rows and those of crowded persons are added up by the engine, all others here."""
    found = hospital(7)
    for privacy in (clause(), clause(records=3, cells=1, norm=60, listed=name == "quantiles")):
        for grouping in private(QUESTIONS[name], privacy).groupings:
            assert sums_by_cell(found.parts(grouping, reduced=True)) == found.vectors(grouping)


@pytest.mark.parametrize("reduced", [False, True])
def test_no_row_counts_for_more_than_the_length_of_its_vector(*, reduced: bool) -> None:
    """Guard: what a row counts for is clipped by the engine, so that sums stay within 64 bits."""
    (grouping,) = private(QUESTIONS["one condition"], clause(norm=60)).groupings
    table = hospital(7).parts(grouping, reduced=reduced).table
    (total,) = (place for place, vector in enumerate(grouping.vectors) if vector.spec.kind is VectorKind.TOTAL)
    sizes = [abs(value) for value in table[f"v{total}"].to_pylist() if value is not None]
    assert max(sizes) == 60 << grouping.vectors[total].spec.bits


def test_rows_of_several_visits_that_are_joined_are_reduced_before() -> None:
    """Guard: the joined rows of one person may be as many as the square of their number."""
    joined = "FROM visit a JOIN visit b ON a.person_id = b.person_id"
    text = f"SELECT a.site, count(DISTINCT a.person_id) AS n {joined} GROUP BY a.site"
    inner = (
        f"WITH w AS (SELECT a.person_id, a.site AS place {joined}) "
        "SELECT place, count(DISTINCT person_id) AS n FROM w GROUP BY place"
    )
    assert [private(asked, clause()).groupings[0].multiplied for asked in (text, inner)] == [True, True]
    alone = ("cells of visits", "by a person's sex", "left join", "exists", "of a subquery")
    assert not any(private(QUESTIONS[name], clause()).groupings[0].multiplied for name in alone)


def test_whoever_is_within_the_bounds_is_not_changed_at_all() -> None:
    found = hospital(9)
    (grouping,) = private(KNOWN_COST, clause(records=1 << 14, cells=1 << 10, norm=None)).groupings
    exact = found.connection.execute(
        "SELECT site, ward, count(*), count(DISTINCT person_id), sum(least(greatest(cost, -50), 400)) FROM visit "
        "WHERE cost IS NOT NULL AND site < 12 AND ward IN ('a', 'b', 'c') GROUP BY ALL"
    ).fetchall()
    vectors = found.vectors(grouping)
    by_kind = {vector.spec.kind: (place, vector.spec.bits) for place, vector in enumerate(grouping.vectors)}
    for site, ward, records, persons, total in exact:
        values = vectors[site, ward]
        for kind, true in (
            (VectorKind.RECORDS, records),
            (VectorKind.PERSONS, persons),
            (VectorKind.TOTAL, total or 0),
        ):
            place, bits = by_kind[kind]
            assert values[place] / (1 << bits) == pytest.approx(true, rel=1e-6, abs=2.0**-bits * (records + 1))


def test_a_person_who_can_be_in_one_cell_only_needs_no_weight() -> None:
    settled = private(QUESTIONS["by a person's sex"], clause()).groupings[0]
    free = private(QUESTIONS["cells of visits"], clause()).groupings[0]
    assert (settled.settled, free.settled) == (True, False)
    assert {vector.spec.norm for vector in settled.vectors if vector.spec.kind is VectorKind.PERSONS} == {1}


def test_a_partner_that_other_rows_decide_about_settles_nothing() -> None:
    """Guard: an outer join whose condition looks at the other side may hold for some rows of a person only."""
    text = (
        "SELECT p.sex, count(*) AS n FROM visit v LEFT JOIN person p ON p.person_id = v.person_id AND p.sex = 1 "
        "GROUP BY p.sex"
    )
    assert not private(text, clause()).groupings[0].settled


def bought(text: str, *, most: int = 32) -> PrivatePlan:
    planned = plan_query(text, CATALOGUE)
    assert planned.plan is not None, planned.findings
    selling = replace(clause(), purchase=Purchase(micro_rho=1_000, most=most), bounds={})
    found = plan_private(planned.plan, selling, CATALOGUE, buys=True)
    assert found.plan is not None, found.findings
    return found.plan


def places_of(found: Hospital, grouping: PrivateGrouping, **part: Any) -> tuple[tuple[int, ...], ...]:
    return found.parts(grouping, **part).lengths()


@pytest.mark.parametrize("name", ["cells of visits", "a part of it", "no groups", "of a left join", "exists"])
def test_every_person_is_in_the_place_of_its_length_and_in_no_other(name: str) -> None:
    """Guard: a person who counts in two places would change the histogram by more than is paid for."""
    found, plan = hospital(7), bought(QUESTIONS[name])
    (grouping,) = plan.groupings
    whole = places_of(found, grouping)
    sizes = [offered(vector.spec.norm) for vector in grouping.vectors]
    everybody = found.vectors(with_norms(plan, (tuple(each[-1] for each in sizes),)).groupings[0])
    for person in range(found.persons):
        found.leave(person)
        fewer = places_of(found, grouping)
        nothing = (0,) * len(grouping.vectors)
        without = found.vectors(with_norms(plan, (tuple(each[-1] for each in sizes),)).groupings[0])
        for place, vector in enumerate(grouping.vectors):
            if not vector.spec.unbought:
                assert whole[place] == ()
                continue
            changed = [left - right for left, right in zip(whole[place], fewer[place], strict=True)]
            parts = [values[place] - without.get(keys, nothing)[place] for keys, values in everybody.items()]
            length = math.sqrt(sum(part * part for part in parts)) / (1 << vector.spec.bits)
            shorter = sum(size + 1e-6 < length for size in sizes[place])
            expected = min(shorter, len(changed) - 1)
            assert changed == [int(length > 0 and at == expected) for at in range(len(changed))]
    found.leave(-1)


def test_histograms_of_ranges_of_persons_add_up() -> None:
    found, (grouping,) = hospital(5), bought(QUESTIONS["cells of visits"]).groupings
    parts = [places_of(found, grouping, persons=persons) for persons in ((0, 7), (8, 8), (9, 23))]
    whole = places_of(found, grouping)
    assert tuple(tuple(map(sum, zip(*places, strict=True))) for places in zip(*parts, strict=True)) == whole


def test_totals_without_public_bounds_have_a_price_and_then_a_norm() -> None:
    plan = bought(QUESTIONS["no groups"])
    assert all(vector.unbought for vector in plan.shape.branches[0].vectors if vector.kind is VectorKind.TOTAL)
    sized = with_norms(plan, ((8, 300, 1),))
    assert [vector.norm for vector in sized.shape.branches[0].vectors] == [8, 300, 1]
    assert [vector.spec for vector in sized.groupings[0].vectors] == list(sized.shape.branches[0].vectors)
    assert_bounded(hospital(7), sized)


def test_spreads_and_stages_are_the_true_ones_for_those_within_the_bounds() -> None:
    """From vectors without noise: the same as the engine's own functions over clipped values."""
    found, wide = hospital(9), clause(records=1 << 12, cells=1 << 9, norm=None)
    (grouping,) = private("SELECT variance(cost) AS v FROM visit", wide).groupings
    _, total, squares, count = (
        value / (1 << vector.spec.bits)
        for value, vector in zip(found.vectors(grouping)[()], grouping.vectors, strict=True)
    )
    ((true,),) = found.connection.execute(
        "SELECT var_samp(least(greatest(cost, -50), 400)) FROM visit WHERE cost IS NOT NULL"
    ).fetchall()
    assert (squares - total**2 / count) / (count - 1) == pytest.approx(true, rel=1e-4)
    (stage,) = private(QUESTIONS["sums of stages"], wide).groupings
    records = found.vectors(stage)[()][1] / (1 << stage.vectors[1].spec.bits)
    ((rows,),) = found.connection.execute("SELECT count(*) FROM visit").fetchall()
    assert records == pytest.approx(rows, rel=1e-6)


def test_stages_are_bounded_by_what_is_public() -> None:
    vectors = private(QUESTIONS["sums of stages"], clause()).groupings[0].vectors
    bounds = [(vector.low, vector.high) for vector in vectors if vector.argument is not None and not vector.squared]
    assert bounds[:3] == [(0, 5), (-250, 2_000), (-50, 400)]


def test_quantiles_of_the_same_values_share_one_histogram_over_public_bins() -> None:
    plan = private(QUESTIONS["quantiles"], clause())
    shown, hidden = plan.shape.branches
    assert (shown.hidden, hidden.hidden) == (False, True)
    assert hidden.domains == ((1, 2), tuple(range(380, 407)))
    histograms = [measure.histogram for measure in shown.measures if measure.histogram is not None]
    assert [(one.branch, one.first, one.width, one.level) for one in histograms] == [(1, 380, 5, 0.5), (1, 380, 5, 0.9)]
    assert plan.shape.vectors == 3  # presence, records, the histogram


def test_a_histogram_counts_the_records_of_every_bin() -> None:
    found, wide = hospital(9), clause(records=1 << 14, cells=1 << 10, norm=None)
    hidden = private(QUESTIONS["quantiles"], wide).groupings[1]
    exact = found.connection.execute(
        "SELECT p.sex, floor(p.year_of_birth / 5), count(*) FROM person p JOIN visit v USING (person_id) "
        "WHERE p.sex IN (1, 2) AND p.year_of_birth >= 1900 AND p.year_of_birth < 2035 GROUP BY ALL"
    ).fetchall()
    counts = {keys: value / (1 << hidden.vectors[0].spec.bits) for keys, (value,) in found.vectors(hidden).items()}
    assert counts == {(sex, place): pytest.approx(count, rel=1e-5) for sex, place, count in exact}
    assert len(counts) >= 3


def test_a_room_answers_a_quantile_alone(tmp_path: Path) -> None:
    """Guard: a branch of quantiles only has no vector of its own, and so no SQL."""
    path = tmp_path / "person.parquet"
    people = pa.table({"person_id": [1, 2, 3], "sex": [1, 1, 2], "year_of_birth": [1950, 1951, 1960]})
    pq.write_table(people, path)
    table = CATALOGUE.tables[0]
    text = "SELECT sex, median(year_of_birth) AS m FROM person GROUP BY sex"
    with QueryRoom(tmp_path) as room:
        room.load(table, {PartyId("north"): path})
        room.lock()
        plan = private(text, replace(clause(), least_persons=0))
        shown, hidden = room.vectors(plan).unseal().branches
        assert shown == {}
        unit = 1 << plan.groupings[1].vectors[0].spec.bits
        assert hidden == {(1, 390): (2 * unit,), (2, 392): (unit,)}


def test_a_question_that_buys_is_another_question() -> None:
    planned = plan_query(QUESTIONS["no groups"], CATALOGUE).plan
    assert planned is not None
    assert question_of(planned, buys=False) == planned.digest != question_of(planned, buys=True)


def refused(text: str, privacy: Privacy) -> str:
    planned = plan_query(text, CATALOGUE).plan
    assert planned is not None
    found = plan_private(planned, privacy, CATALOGUE)
    assert found.plan is None
    return found.findings[0].code


def test_what_has_no_private_form_is_refused_by_name() -> None:
    assert refused("SELECT median(cost) AS m FROM visit", clause()) == "sql.dp_quantile"
    median = "SELECT sex, median(year_of_birth) AS m FROM person GROUP BY sex"
    assert refused(median, clause(listed=False)) == "sql.dp_groups"
    broad = replace(clause(), bounds={("person", "year_of_birth"): Bound(low=0, high=5 * MOST_BINS)})
    assert refused(median, broad) == "sql.dp_quantile"
    bare = Privacy(budget=Loss(micro_rho=9, pico_delta=9), question=Loss(micro_rho=1, pico_delta=0), records=1, cells=1)
    assert refused("SELECT sum(cost) AS s FROM visit", bare) == "sql.dp_bound"
    assert refused("SELECT site, count(*) AS n FROM visit GROUP BY site", bare) == "sql.dp_groups"


def cells_of(plan: PrivatePlan) -> Iterator[int | None]:
    for branch in plan.shape.branches:
        yield None if branch.domains is None else math.prod(len(values) for values in branch.domains)


@pytest.mark.parametrize(
    ("name", "cells"),
    [("cells of visits", SITES * 3), ("no groups", 1), ("months", 12), ("a choice", 3), ("per person", None)],
)
def test_groups_are_listed_from_public_knowledge_alone(name: str, cells: int | None) -> None:
    assert list(cells_of(private(QUESTIONS[name], clause()))) == [cells]
