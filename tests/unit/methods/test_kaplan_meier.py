from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.disclosure.curves import BAND, Curve, Step, assess_curves, midpoint, protected
from asepsis.disclosure.gate import Assessed
from asepsis.disclosure.profiles import profile_named
from asepsis.domain.catalogue import Catalogue, Column, ColumnType, Use
from asepsis.domain.sealed import Sealed
from asepsis.engines.query.room import QueryRoom
from asepsis.errors.sql import MethodArgumentError, UnknownMethodError
from asepsis.methods.kaplan_meier import NAME
from asepsis.methods.registry import METHODS, plan_method, run_method
from asepsis.methods.survival import Estimator
from asepsis.sql.omop import omop_catalogue
from asepsis.sql.planner import plan_query

STRICT = profile_named("strict-10")
WHOLE, DAY = ColumnType.INTEGER, ColumnType.DATE
CATALOGUE = omop_catalogue({
    "person": [("person_id", WHOLE), ("gender_concept_id", WHOLE)],
    "condition_occurrence": [("person_id", WHOLE), ("condition_concept_id", WHOLE), ("condition_start_date", DAY)],
    "death": [("person_id", WHOLE), ("death_date", DAY)],
    "observation_period": [("person_id", WHOLE), ("observation_period_end_date", DAY)],
})  # fmt: skip
ENTRY = date(2000, 1, 1)

# Freireich et al. 1963, remission in weeks under 6-MP, as printed by Kalbfleisch and Prentice.
# Week: at risk, events, S(t), standard error of S(t).
FREIREICH = {
    6: (21, 3, 0.8571, 0.0764),
    7: (17, 1, 0.8067, 0.0869),
    10: (15, 1, 0.7529, 0.0963),
    13: (12, 1, 0.6902, 0.1068),
    16: (11, 1, 0.6275, 0.1141),
    22: (7, 1, 0.5378, 0.1282),
    23: (6, 1, 0.4482, 0.1346),
}


def test_the_estimate_is_the_one_of_the_textbook() -> None:
    estimator = Estimator()
    for at_risk, events, survival, error in FREIREICH.values():
        estimator.step(at_risk=at_risk, events=events)
        assert estimator.estimate.survival == pytest.approx(survival, abs=5e-5)
        assert estimator.survival * math.sqrt(estimator.variance) == pytest.approx(error, abs=5e-5)
    assert estimator.estimate.lower == pytest.approx(0.188, abs=1e-3)
    assert estimator.estimate.upper == pytest.approx(0.680, abs=1e-3)


Follow = tuple[int, bool]


def plain_survival(people: list[Follow], day: int) -> float:
    """An independent estimate: product over event days of the share that survives."""
    result = 1.0
    for moment in sorted({days for days, died in people if died and days <= day}):
        at_risk = sum(days >= moment for days, _ in people)
        result *= 1 - sum(died and days == moment for days, died in people) / at_risk
    return result


@pytest.fixture
def open_cohort(tmp_path: Path) -> Iterator[Any]:
    rooms: list[QueryRoom] = []

    def build(people: list[Follow], concept: int = 1) -> QueryRoom:
        count = range(len(people))
        dead = [place for place in count if people[place][1]]
        ends = [ENTRY + timedelta(days=days) for days, _ in people]
        columns: dict[str, dict[str, list[Any]]] = {
            "person": {"person_id": list(count), "gender_concept_id": [8507 + 25 * (place % 2) for place in count]},
            "condition_occurrence": {
                "person_id": [*count, *count],
                "condition_concept_id": [concept] * (2 * len(people)),
                "condition_start_date": [ENTRY] * len(people) + [ENTRY + timedelta(days=900)] * len(people),
            },
            "death": {"person_id": dead, "death_date": [ends[place] for place in dead]},
            "observation_period": {"person_id": list(count), "observation_period_end_date": ends},
        }
        room = QueryRoom(tmp_path, threads=1)
        rooms.append(room)
        for table in CATALOGUE.tables:
            path = tmp_path / f"{table.name}-{len(rooms)}.parquet"
            types = {ColumnType.INTEGER: pa.int64(), ColumnType.DATE: pa.date32()}
            arrays = {item.name: pa.array(columns[table.name][item.name], types[item.type]) for item in table.columns}
            pq.write_table(pa.table(arrays), path)
            room.load(table, {"north": path})
        room.lock()
        return room

    yield build
    for room in rooms:
        room.close()


def curve_of(room: QueryRoom, **arguments: Any) -> Assessed:
    return run_method(NAME, {"condition_concept_ids": (1,), **arguments}, room=room, profile=STRICT)


def test_the_protected_curve_stays_close_to_the_true_one(open_cohort: Any) -> None:
    people = [(30 + (place * 37) % 3900, place % 3 == 0) for place in range(900)]
    released = curve_of(open_cohort(people)).use()
    assert len(released.rows) > 15
    for _, day, at_risk, _, _, survival, lower, upper in released.rows:
        # The bands of six weigh more where fewer are left.
        near = 0.015 if int(str(at_risk)) >= 100 else 0.06
        assert survival == pytest.approx(plain_survival(people, int(str(day))), abs=near)
        assert float(str(lower)) <= float(str(survival)) <= float(str(upper))


def test_strata_are_curves_of_their_own(open_cohort: Any) -> None:
    released = curve_of(
        open_cohort([(2000, place % 4 == 0) for place in range(200)]), stratify_by="gender_concept_id"
    ).use()
    assert {row[0] for row in released.rows} == {8507, 8532}


def test_a_cohort_below_the_threshold_looks_like_none(open_cohort: Any) -> None:
    few = curve_of(open_cohort([(2000, True)] * 9))
    none = curve_of(open_cohort([(2000, True)] * 9, concept=2))
    assert few.released is None
    assert few == none


def test_a_death_before_entry_is_no_follow_up(open_cohort: Any) -> None:
    assert curve_of(open_cohort([(-5, True)] * 50)).released is None


@pytest.mark.parametrize("stratify", ["none", "gender_concept_id"])
def test_the_persons_behind_a_curve_are_those_of_the_count_that_an_author_would_ask_for(
    stratify: str, open_cohort: Any
) -> None:
    """Those who are not followed up are among them: nobody chose to leave them out. Guard: ``kaplan_meier.persons``."""
    room = open_cohort([(2000, place % 4 == 0) for place in range(200)] + [(-5, True)] * 6)
    planned = plan_method(NAME, {"condition_concept_ids": (1,), "stratify_by": stratify}, CATALOGUE)
    assert planned.persons is not None
    found = room.contributors(planned.persons, least=10).unseal()
    texts = {(): "SELECT count(DISTINCT person_id) AS n FROM condition_occurrence WHERE condition_concept_id = 1"}
    if stratify != "none":
        joined = "FROM person p JOIN condition_occurrence c USING (person_id) WHERE c.condition_concept_id = 1"
        texts = {
            (sex,): f"SELECT count(DISTINCT person_id) AS n {joined} AND p.gender_concept_id = {sex}"
            for sex in (8507, 8532)
        }
    assert {one.keys: len(one.places) for one in found.populations} == dict.fromkeys(texts, 206 // len(texts))
    for one in found.populations:
        plan = plan_query(texts[one.keys], CATALOGUE).plan
        assert plan is not None
        assert room.contributors(plan, least=10).unseal().populations[0].identity == one.identity


def test_a_contract_that_offers_a_diagnosis_to_the_method_alone_still_lets_the_persons_be_compared() -> None:
    """Guard: ``_opened``: what a query may not compare, the memory of releases may."""

    def closed(column: Column) -> Column:
        return column if Use.UNIT in column.uses else replace(column, uses=frozenset({Use.DATE}))

    tables = tuple(replace(table, columns=tuple(map(closed, table.columns))) for table in CATALOGUE.tables)
    arguments = {"condition_concept_ids": (1, 2), "stratify_by": "gender_concept_id"}
    assert plan_method(NAME, arguments, Catalogue(tables=tables)).persons is not None


def test_a_contract_that_does_not_say_who_the_persons_are_offers_no_method() -> None:
    """Guard: ``_persons``: nothing is shown that the memory could not compare."""

    def nobody(column: Column) -> Column:
        return replace(column, uses=frozenset({Use.AGGREGATE})) if Use.UNIT in column.uses else column

    tables = tuple(replace(table, columns=tuple(map(nobody, table.columns))) for table in CATALOGUE.tables)
    planned = plan_method(NAME, {"condition_concept_ids": (1,)}, Catalogue(tables=tables))
    assert (planned.method, planned.persons) == (None, None)
    assert planned.findings[0].code == "method.table"


COURSES = st.lists(
    st.builds(Step, day=st.integers(0, 4000), events=st.integers(0, 9), censored=st.integers(0, 9)), max_size=60
)


@given(COURSES)
def test_no_step_of_a_protected_curve_reveals_less_than_a_band(steps: list[Step]) -> None:
    curve = Curve(stratum="all", steps=tuple(steps))
    safe = protected(curve, least=10)
    events = censored = 0
    for step in safe.steps:
        for now, before in ((step.events, events), (step.censored, censored)):
            assert now >= before
            assert now == 0 or (now + BAND // 2) % BAND == 0
        assert step.at_risk - (step.events - events) - (step.censored - censored) >= 10
        events, censored = step.events, step.censored
    assert safe.persons == midpoint(curve.persons)


@given(COURSES, st.integers(0, 59))
@settings(max_examples=60)
def test_the_rows_of_a_curve_are_monotone_and_never_below_the_threshold(steps: list[Step], place: int) -> None:
    method = METHODS[NAME]
    rows = []

    class Room:
        """Gives the method a course instead of computing one."""

        def statement(self, text: str, parameters: Any) -> Sealed[pa.Table]:
            course = {
                "stratum": [None] * len(steps),
                "knows": [1] * len(steps),
                "day": [step.day for step in steps],
                "events": [step.events for step in steps],
                "censored": [step.censored for step in steps],
            }
            return Sealed(pa.table(course))

    arguments = plan_method(NAME, {"condition_concept_ids": (1,)}).arguments
    assessed = method.release(Room(), arguments, STRICT)
    rows = [] if assessed.released is None else [row[1:] for row in assessed.released.rows]
    for before, now in itertools.pairwise(rows):
        assert now[0] > before[0]
        assert now[1] <= before[1]
        assert now[2] >= before[2]
        assert now[4] <= before[4]
    assert all(row[1] >= 10 for row in rows)


def test_a_curve_that_one_owner_nearly_knows_is_left_out_where_that_is_asked() -> None:
    steps = (Step(day=1, events=20, censored=30),)
    owners = profile_named("strict-10-owners")
    for outside, shown in ((0, False), (4, False), (5, True), (None, True)):
        curve = Curve(stratum="all", steps=steps, outside=outside)
        assessed = assess_curves(
            Sealed((curve,)), owners, columns=("stratum", "day"), derive=lambda safe: [(safe.persons,)]
        )
        assert (assessed.released is not None) == shown


@pytest.mark.parametrize("arguments", [
    {}, {"condition_concept_ids": ()}, {"condition_concept_ids": ("1",)}, {"condition_concept_ids": (True,)},
    {"condition_concept_ids": (1,), "step_days": 1},
    {"condition_concept_ids": (1,), "step_days": "182"}, {"condition_concept_ids": (1,), "stratify_by": "person_id"},
    {"condition_concept_ids": (1,), "horizon_days": True}, {"condition_concept_ids": (1,), "colour": 1},
])  # fmt: skip
def test_arguments_are_strict(arguments: dict[str, Any]) -> None:
    planned = plan_method(NAME, arguments)
    assert planned.method is None
    assert planned.findings[0].code == "method.argument"
    with pytest.raises(MethodArgumentError):
        run_method(NAME, arguments, room=None, profile=STRICT)  # type: ignore[arg-type]


def test_equal_questions_have_one_digest() -> None:
    one = plan_method(NAME, {"condition_concept_ids": (2, 1)})
    two = plan_method(NAME, {"condition_concept_ids": (1, 2), "step_days": 182})
    assert one.digest == two.digest is not None
    assert plan_method(NAME, {"condition_concept_ids": (1,)}).digest != one.digest


def test_an_unknown_method_and_a_missing_table_are_refused() -> None:
    assert plan_method("magic", {}).findings[0].code == "method.unknown"
    lean = Catalogue(tables=tuple(table for table in CATALOGUE.tables if table.name != "death"))
    assert plan_method(NAME, {"condition_concept_ids": (1,)}, lean).findings[0].code == "method.table"
    assert not plan_method(NAME, {"condition_concept_ids": (1,)}, CATALOGUE).findings
    with pytest.raises(UnknownMethodError):
        run_method("magic", {}, room=None, profile=STRICT)  # type: ignore[arg-type]
