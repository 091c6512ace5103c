# ruff: noqa: E501 - statements read better on one line
"""All cases of the disclosure suite, against the room, in neighbouring worlds. `tests/attack_runner.py` has the runner.

In every case: no error, what is refused and withheld and in which words is the same in all worlds, and the case's own
check holds. Quick are the cases that refuse, and the first of every other kind; the rest is long.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from asepsis.domain.privacy import Loss
from asepsis.services.rehearsal import Step
from asepsis.sql import plan_query
from attack_runner import (
    DP,
    SDC,
    Case,
    Deployment,
    Mode,
    Rooms,
    accuracy,
    judge,
    judge_noise,
    obstacle,
    read_cases,
    run_case,
)
from attack_worlds import CATALOGUE, WORLDS

pytestmark = pytest.mark.xdist_group("disclosure_suite")

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / os.environ.get("ASEPSIS_SHARED", "../shared")
ATTACKS = SHARED / "attacks" / "disclosure.yaml"
ORDINARY = SHARED / "attacks" / "ordinary_queries.yaml"
NOT_RUN = Path(__file__).with_name("disclosure_cases_not_run.yaml")
HERE = pytest.mark.skipif(not ATTACKS.is_file(), reason="the attack cases are not here; set ASEPSIS_SHARED")
LARGE = {"ATK-009", "ATK-033", "ATK-212", "ATK-222"}
"""Thousands of cells of a few persons each, or rooms of their own."""


@cache
def suite() -> tuple[Case, ...]:
    return read_cases(yaml.safe_load(ATTACKS.read_text())) if ATTACKS.is_file() else ()


@cache
def waiting() -> dict[str, dict[str, Any]]:
    return {entry["id"]: entry for entry in yaml.safe_load(NOT_RUN.read_text())["cases"]}


TRIES, MOST_ACCURACY = 300, 0.6


def cases(mode: Mode) -> list[Any]:
    """Every case that runs; long but for refusals and the first of a kind."""
    if not ATTACKS.is_file():
        return [pytest.param(None, mode, marks=pytest.mark.skip(reason="the cases are not here; set ASEPSIS_SHARED"))]
    listed, kinds = [], set[tuple[str, str]]()
    for case in suite():
        if obstacle(case, [mode]) is not None:
            continue
        quick = case.check in {"refused", "same_refusal"} or (case.family, case.check) not in kinds
        kinds.add((case.family, case.check))
        marks = [] if quick and case.id not in LARGE else [pytest.mark.long]
        listed.append(pytest.param(case, mode, id=f"{mode.name} {case.label}", marks=marks))
    return listed


@pytest.fixture(scope="session")
def suite_rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    """The three worlds of one seed, opened when they are asked for."""
    rooms = Rooms(folder=tmp_path_factory.mktemp("suite"))
    yield rooms
    rooms.close()


@pytest.mark.parametrize(("case", "mode"), cases(SDC))
def test_a_listed_attack_fails(case: Case, mode: Mode, suite_rooms: Rooms) -> None:
    outcomes = run_case(case, suite_rooms, mode=mode, most_repeats=3)
    judge(case, outcomes, suite_rooms, Deployment(rooms=suite_rooms, world="A", mode=mode).profile())


@pytest.mark.long
@pytest.mark.parametrize(("case", "mode"), cases(DP))
def test_a_listed_attack_fails_against_noise(case: Case, mode: Mode, suite_rooms: Rooms) -> None:
    """The best of many classifiers is right in at most 60 of 100 deployments, at rho 0.005 for each question."""
    tries = TRIES if case.check == "world_indistinct" else 2
    found = judge_noise(case, suite_rooms, mode, tries=tries)
    assert tries < TRIES or found <= MOST_ACCURACY


@HERE
def test_a_classifier_sees_a_target_without_noise(suite_rooms: Rooms) -> None:
    """Guard: with almost no noise the classifier that judges noisy answers is right."""
    assert DP.privacy is not None
    loud = dataclasses.replace(
        DP.privacy,
        budget=Loss(micro_rho=900_000_000_000, pico_delta=100_000_000),
        question=Loss(micro_rho=50_000_000, pico_delta=1_000),
    )
    case = next(case for case in suite() if case.check == "world_indistinct" and obstacle(case, [DP]) is None)
    assert judge_noise(case, suite_rooms, dataclasses.replace(DP, privacy=loud), tries=12) > MOST_ACCURACY


@pytest.mark.long
@HERE
def test_a_question_that_is_asked_a_thousand_times_has_one_answer(suite_rooms: Rooms) -> None:
    for case in suite():
        is_repeated = any(directive.startswith("repeat") for directive in case.directives)
        if is_repeated and case.check != "timing" and obstacle(case) is None:
            outcomes = run_case(case, suite_rooms)
            judge(case, outcomes, suite_rooms, Deployment(rooms=suite_rooms, world="A").profile())
            assert all(len(records) >= 1000 for records in outcomes.values())


# -- what is not run


@HERE
def test_the_list_of_cases_that_are_not_run_has_none_that_could_run() -> None:
    blocked = {case.id for case in suite() if obstacle(case) is not None}
    assert set(waiting()) == blocked


def test_every_case_that_is_not_run_has_a_reason_and_what_judges_it_elsewhere_exists() -> None:
    for entry in waiting().values():
        assert entry["reason"]
        assert entry["waits"] != "nothing" or entry["tests"]
        assert all((ROOT / path).is_file() for path in entry.get("tests", ()))


# -- the runner itself: a room without its guards must fail


def broken(check: str, *steps: str, case_id: str = "X-1") -> Case:
    return Case(id=case_id, title="made here", family="made", mode="both", check=check, steps=steps)


@pytest.mark.parametrize(
    "case",
    [
        broken("refused", "SELECT count(*) AS n FROM person"),
        broken("same_refusal", "SELECT person_id FROM person", "SELECT count(*) AS n FROM nowhere"),
        broken("sticky", "SELECT count(*) AS n FROM person WHERE location_id = 76", "SELECT count(*) AS n FROM person"),
        broken("timing", "-- @time", "SELECT count(*) AS n FROM person"),
    ],
    ids=lambda case: case.check,
)
def test_a_check_fails_where_the_room_answers(case: Case, suite_rooms: Rooms) -> None:
    """Guard: the checks of the runner."""
    with pytest.raises(AssertionError):
        judge(case, run_case(case, suite_rooms), suite_rooms, Deployment(rooms=suite_rooms, world="A").profile())


def test_a_difference_between_worlds_is_seen(suite_rooms: Rooms) -> None:
    """Guard: what is released and what is withheld is compared between worlds, step by step."""
    case = broken("world_indistinct", "SELECT count(*) AS n FROM person WHERE location_id = 76")
    outcomes = run_case(case, suite_rooms)
    outcomes["B"] = Deployment(rooms=suite_rooms, world="B").run(
        broken("world_indistinct", "SELECT count(*) AS n FROM person WHERE location_id = 75")
    )
    with pytest.raises(AssertionError):
        judge(case, outcomes, suite_rooms, Deployment(rooms=suite_rooms, world="A").profile())


def test_an_attacker_who_sees_no_difference_guesses() -> None:
    assert accuracy(["a", "b", "c"], ["a", "b", "c"]) == 0.5
    assert accuracy(["a", "b"], ["a", "c"]) == 0.75


def test_the_target_is_really_in_the_worlds(suite_rooms: Rooms) -> None:
    """Guard: the worlds differ in what is secret and in nothing else, or no comparison means anything."""
    counts = {
        world: [
            suite_rooms.room(world).statement(f"SELECT count(*) AS n FROM {table}").unseal().to_pydict()["n"][0]
            for table in ("person", "condition_occurrence", "measurement", "drug_exposure", "visit_occurrence")
        ]
        for world in WORLDS
    }
    a, b, c = (counts[world] for world in WORLDS)
    assert [one - other for one, other in zip(a, b, strict=True)] == [0, 1, 1, 1, 0]
    assert a[0] - c[0] == 1
    assert all(one > other for one, other in zip(a, c, strict=True))


# -- ordinary questions are answered, all in one session


OWN = {
    "descendants of a concept": (
        "SELECT count(DISTINCT co.person_id) AS n FROM condition_occurrence co WHERE co.condition_concept_id IN "
        "(SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id = 134057)"
    ),
    "names of the commonest conditions": (
        "SELECT c.concept_name, count(DISTINCT co.person_id) AS persons FROM condition_occurrence co JOIN concept c "
        "ON c.concept_id = co.condition_concept_id GROUP BY c.concept_name HAVING count(DISTINCT co.person_id) >= 1000 ORDER BY persons DESC LIMIT 5"
    ),
    "age at first diagnosis, by a concept set": (
        "WITH codes AS (SELECT ca.descendant_concept_id AS concept_id FROM concept_ancestor ca JOIN concept c ON c.concept_id = ca.descendant_concept_id "
        "WHERE ca.ancestor_concept_id = 201820 AND c.vocabulary_id = 'SNOMED'), first AS (SELECT person_id, min(condition_start_date) AS start "
        "FROM condition_occurrence WHERE condition_concept_id IN (SELECT concept_id FROM codes) GROUP BY person_id) "
        "SELECT floor((year(f.start) - p.year_of_birth) / 10) * 10 AS age, count(*) AS n FROM first f JOIN person p ON p.person_id = f.person_id GROUP BY 1 ORDER BY 1"
    ),
    "a drug after a diagnosis, by year": (
        "SELECT year(d.drug_exposure_start_date) AS y, count(DISTINCT d.person_id) AS n FROM drug_exposure d JOIN condition_occurrence co ON d.person_id = co.person_id "
        "WHERE d.drug_concept_id IN (SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id = 1503297) "
        "AND co.condition_concept_id = 201826 AND d.drug_exposure_start_date >= co.condition_start_date GROUP BY 1 ORDER BY 1"
    ),
    "days of supply of a drug": (
        "SELECT c.concept_name, avg(d.days_supply) AS days, stddev(d.days_supply) AS deviation, median(d.days_supply) AS middle FROM drug_exposure d "
        "JOIN concept c ON d.drug_concept_id = c.concept_id WHERE c.vocabulary_id = 'RxNorm' GROUP BY c.concept_name"
    ),
    "persons with two visits or more and no diabetes": (
        "SELECT c.concept_name AS sex, count(*) AS n FROM person p JOIN concept c ON c.concept_id = p.gender_concept_id WHERE p.person_id IN "
        "(SELECT person_id FROM visit_occurrence GROUP BY person_id HAVING count(*) >= 2) AND NOT EXISTS (SELECT 1 FROM condition_occurrence co "
        "WHERE co.person_id = p.person_id AND co.condition_concept_id IN (SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id = 201820)) GROUP BY 1"
    ),
}
"""Questions of our own in the style of the OHDSI query library."""


@pytest.mark.parametrize("which", ["listed", "own"])
@HERE
def test_all_ordinary_questions_are_answered_in_one_session(which: str, suite_rooms: Rooms) -> None:
    texts = yaml.safe_load(ORDINARY.read_text()) if which == "listed" else list(OWN.values())
    rehearsal = Deployment(rooms=suite_rooms, world="A").rehearsal()
    answers = list(rehearsal.run(tuple(Step(sql=text, arguments={}, author="alice") for text in texts)))
    assert [answer["status"] for answer in answers] == ["released"] * len(texts)
    assert all(answer["rows"] for answer in answers)


@pytest.mark.parametrize("name", OWN)
def test_a_question_of_the_query_library_says_what_the_tables_say(name: str, suite_rooms: Rooms) -> None:
    """Rounded and without small groups, but the truth: compared with the author's own text on the engine."""
    (answer,) = (
        Deployment(rooms=suite_rooms, world="A").rehearsal().run((Step(sql=OWN[name], arguments={}, author="alice"),))
    )
    truth = [tuple(row.values()) for row in suite_rooms.room("A").statement(OWN[name]).unseal().to_pylist()]
    planned = plan_query(OWN[name], CATALOGUE).plan
    assert planned is not None
    keys = planned.shape.branches[0].keys
    by_key = {row[:keys]: row[keys:] for row in truth}
    assert answer["rows"]
    for row in answer["rows"]:
        for shown, true in zip(row[keys:], by_key[tuple(row[:keys])], strict=True):
            assert abs(float(shown) - float(true)) <= max(2.5, 0.01 * abs(float(true)))
