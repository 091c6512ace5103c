# ruff: noqa: E501 - statements read better on one line
"""The listed attacks and ordinary queries, as far as planning decides them: refused before anything is computed.

Cases that need worlds, budgets, repetition or methods are judged elsewhere; nothing here recognises a case by its text.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from asepsis.domain.catalogue import Catalogue, ColumnType
from asepsis.sql import plan_query
from asepsis.sql.omop import omop_catalogue

SHARED = Path(__file__).resolve().parents[2] / os.environ.get("ASEPSIS_SHARED", "../shared")
ATTACKS = SHARED / "attacks" / "disclosure.yaml"
ORDINARY = SHARED / "attacks" / "ordinary_queries.yaml"


@cache
def _suite() -> dict[str, Any]:
    return dict(yaml.safe_load(ATTACKS.read_text())) if ATTACKS.is_file() else {"attacks": [], "schema": {}}


def _type(name: str) -> ColumnType:
    if name.endswith("_date"):
        return ColumnType.DATE
    if name.endswith("_source_value"):
        return ColumnType.TEXT
    return ColumnType.NUMBER if name in {"value_as_number", "quantity"} else ColumnType.INTEGER


@cache
def _catalogue() -> Catalogue:
    schema: dict[str, list[str]] = _suite()["schema"]
    return omop_catalogue({table: [(name, _type(name)) for name in names] for table, names in schema.items()})


def _statements(case: dict[str, Any]) -> list[str]:
    return [step for step in case["steps"] if not step.startswith("-- @")]


def _cases(*checks: str) -> list[Any]:
    return [
        pytest.param(case, id=f"{case['id']} {case['title']}")
        for case in _suite()["attacks"]
        if case["check"] in checks and _statements(case)
    ] or [pytest.param(None, marks=pytest.mark.skip(reason="the attack cases are not here; set ASEPSIS_SHARED"))]


def _ordinary() -> list[Any]:
    if not ORDINARY.is_file():
        return [
            pytest.param("", marks=pytest.mark.skip(reason="the ordinary queries are not here; set ASEPSIS_SHARED"))
        ]
    return [pytest.param(text, id=str(place)) for place, text in enumerate(yaml.safe_load(ORDINARY.read_text()), 1)]


@pytest.mark.parametrize("case", _cases("refused", "same_refusal"))
def test_an_attack_is_refused_before_anything_runs(case: dict[str, Any]) -> None:
    texts = set()
    for statement in _statements(case):
        planned = plan_query(statement, _catalogue())
        assert planned.plan is None
        assert planned.findings
        texts.add(tuple((finding.code, finding.reason, finding.advice) for finding in planned.findings))
        assert not any(str(number) in str(planned.findings) for number in (4242, 439727, 48211))
    assert case["check"] != "same_refusal" or len(texts) == 1


@pytest.mark.parametrize("case", _cases("sticky"))
def test_the_same_question_in_other_words_is_one_plan_or_a_refusal(case: dict[str, Any]) -> None:
    plans = [plan_query(statement, _catalogue()).plan for statement in _statements(case)]
    assert len({plan.digest for plan in plans if plan is not None}) <= 1


@pytest.mark.parametrize(
    "case",
    _cases("world_indistinct", "suppressed", "no_exact_value", "budget", "timing", "regenerated", "resource_bounded"),
)
def test_no_accepted_attack_compares_the_key_or_crashes_the_planner(case: dict[str, Any]) -> None:
    for statement in _statements(case):
        planned = plan_query(statement, _catalogue())
        assert planned.plan is None or "4242" not in str(planned.plan)


@pytest.mark.parametrize("text", _ordinary())
def test_an_ordinary_query_is_planned(text: str) -> None:
    planned = plan_query(text, _catalogue())
    assert planned.plan is not None, planned.findings


OWN = (
    "SELECT p.gender_concept_id, floor(p.year_of_birth / 10) * 10 AS decade, count(*) AS n FROM person p GROUP BY 1, 2",
    "SELECT year(c.condition_start_date) AS y, count(DISTINCT c.person_id) AS n FROM condition_occurrence c GROUP BY 1 ORDER BY 1",
    (
        "WITH first AS (SELECT person_id, min(condition_start_date) AS start FROM condition_occurrence "
        "WHERE condition_concept_id = 201826 GROUP BY person_id) "
        "SELECT floor((year(f.start) - p.year_of_birth) / 10) * 10 AS age, count(*) AS n "
        "FROM first f JOIN person p ON p.person_id = f.person_id GROUP BY 1 ORDER BY 1"
    ),
    (
        "SELECT drug_concept_id, avg(days_supply) AS days, count(*) AS n FROM drug_exposure "
        "WHERE drug_exposure_start_date >= DATE '2015-01-01' GROUP BY drug_concept_id HAVING count(*) >= 100 ORDER BY n DESC LIMIT 10"
    ),
    (
        "SELECT count(*) AS n FROM person WHERE person_id IN (SELECT person_id FROM visit_occurrence GROUP BY person_id "
        "HAVING count(*) >= 3) AND person_id NOT IN (SELECT person_id FROM drug_exposure WHERE drug_concept_id = 1503297)"
    ),
    (
        "SELECT CASE WHEN n >= 5 THEN '5 or more' WHEN n >= 2 THEN '2 to 4' ELSE '1' END AS visits, count(*) AS persons "
        "FROM (SELECT person_id, count(*) AS n FROM visit_occurrence GROUP BY person_id) t GROUP BY 1"
    ),
    (
        "SELECT round(100.0 * sum(CASE WHEN value_as_number >= 7 THEN 1 ELSE 0 END) / count(*), 1) AS percent "
        "FROM measurement WHERE measurement_concept_id = 3004249"
    ),
    (
        "SELECT p.gender_concept_id, stddev(m.value_as_number) AS sd, median(m.value_as_number) AS mid FROM measurement m "
        "JOIN person p USING (person_id) WHERE m.measurement_concept_id = 3004249 GROUP BY p.gender_concept_id"
    ),
)


@pytest.mark.skipif(not ATTACKS.is_file(), reason="the schema of the attack cases is not here; set ASEPSIS_SHARED")
@pytest.mark.parametrize("text", OWN)
def test_a_question_in_the_style_of_the_query_library_is_planned(text: str) -> None:
    planned = plan_query(text, _catalogue())
    assert planned.plan is not None, planned.findings
