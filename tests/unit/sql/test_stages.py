# ruff: noqa: E501 - statements read better on one line
"""Expressions over the features of a stage with one row per person."""

from __future__ import annotations

import pytest

from asepsis.domain.catalogue import ColumnType
from asepsis.sql import plan_query
from asepsis.sql.omop import omop_catalogue
from asepsis.sql.plan import ColumnRef, DaysBetween

WHOLE, DAY, REAL = ColumnType.INTEGER, ColumnType.DATE, ColumnType.NUMBER
CATALOGUE = omop_catalogue({
    "person": [("person_id", WHOLE), ("year_of_birth", WHOLE)],
    "visit_occurrence": [("person_id", WHOLE), ("visit_start_date", DAY), ("visit_end_date", DAY), ("total_cost", REAL)],
})  # fmt: skip
STAGE = "(SELECT person_id, {} AS x FROM visit_occurrence GROUP BY person_id) t"


def test_days_between_the_first_and_the_last_record_are_one_value_per_person() -> None:
    planned = plan_query(
        "SELECT avg(x) AS a FROM " + STAGE.format("max(visit_end_date) - min(visit_start_date)"), CATALOGUE
    )
    assert planned.plan is not None, planned.findings
    found = planned.plan.groupings[0].measures[0].argument
    assert found == DaysBetween(start=ColumnRef(source=0, name="c1"), end=ColumnRef(source=0, name="c0"))


def test_days_between_may_be_a_condition_on_persons() -> None:
    text = "SELECT count(*) AS n FROM person WHERE person_id IN (SELECT person_id FROM visit_occurrence GROUP BY person_id HAVING max(visit_start_date) - min(visit_start_date) > 365)"
    assert plan_query(text, CATALOGUE).plan is not None


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("person_id - min(visit_start_date)", "sql.person_key_predicate"),
        ("max(person_id) - min(person_id)", "sql.function_not_allowed"),
        ("sum(total_cost) * sum(total_cost)", "sql.construct_not_allowed"),
        ("floor(sum(total_cost) / 0.5)", "sql.construct_not_allowed"),
        ("hash(sum(total_cost))", "sql.function_not_allowed"),
        ("min(visit_start_date) - visit_end_date", "sql.not_grouped"),
    ],
)
def test_an_expression_over_features_stays_on_the_allow_list(expression: str, code: str) -> None:
    planned = plan_query("SELECT count(*) AS n FROM " + STAGE.format(expression) + " WHERE x > 5", CATALOGUE)
    assert planned.plan is None
    assert code in {finding.code for finding in planned.findings}
