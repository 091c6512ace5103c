# ruff: noqa: E501 - statements read better on one line
"""Questions of our own in the style of the OHDSI query library are planned; test_disclosure_suite.py runs the rest."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from asepsis.sql import plan_query

sys.path.insert(0, str(Path(__file__).parents[1]))

from attack_worlds import CATALOGUE

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


@pytest.mark.parametrize("text", OWN)
def test_a_question_in_the_style_of_the_query_library_is_planned(text: str) -> None:
    planned = plan_query(text, CATALOGUE)
    assert planned.plan is not None, planned.findings
