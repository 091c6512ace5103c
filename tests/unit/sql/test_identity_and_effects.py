# ruff: noqa: E501 - statements read better on one line
from __future__ import annotations

import pytest

from asepsis.domain.catalogue import ColumnType
from asepsis.sql import plan_query
from asepsis.sql.effects import variants
from asepsis.sql.identity import identity, plain_keys, skeleton
from asepsis.sql.omop import omop_catalogue
from asepsis.sql.plan import Grouping, Truth, Value

WHOLE, REAL, DAY = ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.DATE
CATALOGUE = omop_catalogue({
    "person": [("person_id", WHOLE), ("gender_concept_id", WHOLE), ("year_of_birth", WHOLE), ("location_id", WHOLE)],
    "condition_occurrence": [("person_id", WHOLE), ("condition_concept_id", WHOLE), ("condition_start_date", DAY)],
    "measurement": [("person_id", WHOLE), ("measurement_concept_id", WHOLE), ("measurement_date", DAY), ("value_as_number", REAL)],
})  # fmt: skip


def grouping(text: str) -> Grouping:
    planned = plan_query(text, CATALOGUE)
    assert planned.plan is not None, planned.findings
    return planned.plan.groupings[0]


def who(text: str, *keys: Value | None) -> str:
    one = grouping(text)
    return identity(one, one.measures[0].where if one.measures else Truth(value=True), keys)


DIABETICS = "SELECT count(DISTINCT person_id) FROM condition_occurrence WHERE condition_concept_id = 1"


@pytest.mark.parametrize(("text", "keys"), [
    ("SELECT condition_concept_id, count(*) FROM condition_occurrence GROUP BY 1", (1,)),
    ("SELECT condition_concept_id, count(*) FROM condition_occurrence WHERE condition_concept_id IN (1, 2) GROUP BY 1", (1,)),
    ("SELECT count(*) FROM person p WHERE EXISTS (SELECT 1 FROM condition_occurrence c WHERE c.person_id = p.person_id AND c.condition_concept_id = 1)", ()),
    ("SELECT count(*) FROM person p JOIN condition_occurrence c USING (person_id) WHERE c.condition_concept_id = 1", ()),
    ("SELECT count(DISTINCT CASE WHEN c.condition_concept_id = 1 THEN p.person_id END) FROM person p LEFT JOIN condition_occurrence c ON c.person_id = p.person_id", ()),
    ("SELECT count(*) FROM (SELECT DISTINCT person_id FROM condition_occurrence WHERE condition_concept_id = 1) t", ()),
    ("SELECT count(*) FROM person p JOIN (SELECT DISTINCT person_id FROM condition_occurrence WHERE condition_concept_id = 1) t USING (person_id)", ()),
    ("SELECT count(DISTINCT c.person_id) FROM condition_occurrence c LEFT JOIN measurement m ON m.person_id = c.person_id WHERE c.condition_concept_id = 1", ()),
    ("SELECT count(DISTINCT c.person_id) FILTER (WHERE c.condition_concept_id = 1) FROM condition_occurrence c", ()),
])  # fmt: skip
def test_the_same_persons_in_other_words_have_one_identity(text: str, keys: tuple[Value, ...]) -> None:
    assert who(text, *keys) == who(DIABETICS)


@pytest.mark.parametrize("text", [
    "SELECT count(DISTINCT person_id) FROM condition_occurrence WHERE condition_concept_id = 2",
    "SELECT count(DISTINCT person_id) FROM condition_occurrence WHERE condition_concept_id <> 1",
    "SELECT count(DISTINCT person_id) FROM condition_occurrence",
    "SELECT count(DISTINCT person_id) FROM measurement WHERE measurement_concept_id = 1",
    "SELECT count(*) FROM person p WHERE NOT EXISTS (SELECT 1 FROM condition_occurrence c WHERE c.person_id = p.person_id AND c.condition_concept_id = 1)",
    "SELECT count(DISTINCT c.person_id) FROM condition_occurrence c JOIN measurement m USING (person_id) WHERE c.condition_concept_id = 1",
    "SELECT count(DISTINCT c.person_id) FROM condition_occurrence c JOIN person p USING (person_id) WHERE c.condition_concept_id = 1 AND p.year_of_birth <> 1931",
    "SELECT count(DISTINCT c.person_id) FROM condition_occurrence c JOIN measurement m ON m.person_id = c.person_id AND m.measurement_date >= c.condition_start_date WHERE c.condition_concept_id = 1",
    "SELECT count(DISTINCT c.person_id) FROM condition_occurrence c LEFT JOIN measurement m ON m.person_id = c.person_id WHERE c.condition_concept_id = 1 AND (m.value_as_number >= 5 OR c.condition_concept_id = 3)",
])  # fmt: skip
def test_other_persons_have_other_identities(text: str) -> None:
    assert who(text) != who(DIABETICS)


def test_a_cell_of_a_missing_value_is_the_condition_that_it_is_missing() -> None:
    grouped = "SELECT location_id, count(*) FROM person GROUP BY 1"
    assert who(grouped, None) == who("SELECT count(*) FROM person WHERE location_id IS NULL")
    assert who(grouped, 7) == who("SELECT count(*) FROM person WHERE location_id = 7")
    assert who(grouped, None) != who(grouped, 7)


def test_a_label_for_missing_rows_does_not_make_an_outer_join_an_inner_one() -> None:
    source = "FROM person p LEFT JOIN measurement m ON m.person_id = p.person_id"
    label = "CASE WHEN m.measurement_concept_id = 1 THEN 'a' ELSE 'b' END"
    outer = f"SELECT {label} AS g, count(DISTINCT p.person_id) {source} GROUP BY 1"
    assert who(outer, 1) != who(outer.replace("LEFT JOIN", "JOIN"), 1)


def test_two_conditions_on_one_row_are_not_two_conditions_on_two_rows() -> None:
    one = "SELECT count(DISTINCT person_id) FROM measurement WHERE measurement_concept_id = 1 AND value_as_number >= 7"
    two = "SELECT count(DISTINCT a.person_id) FROM measurement a JOIN measurement b USING (person_id) WHERE a.measurement_concept_id = 1 AND b.value_as_number >= 7"
    assert who(one) != who(two)


def test_everybody_is_everybody() -> None:
    assert who("SELECT count(*) FROM person") == who(
        "SELECT count(*) FROM person p LEFT JOIN measurement m ON m.person_id = p.person_id"
    )
    assert who("SELECT count(*) FROM person") != who("SELECT count(DISTINCT person_id) FROM measurement")


@pytest.mark.parametrize(("where", "parts"), [
    ("location_id = 1", 0),
    ("location_id IN (1, 2) AND gender_concept_id = 3", 0),
    ("location_id = 1 OR location_id = 2", 0),
    ("location_id IS NOT NULL", 0),
    ("year_of_birth > 1800", 0),
    ("year_of_birth >= 1950", 1),
    ("year_of_birth BETWEEN 1950 AND 1959", 1),
    ("location_id <> 1", 1),
    ("location_id <> 1 AND location_id <> 2", 1),
    ("location_id IS NULL", 1),
    ("NOT (year_of_birth = 1931 AND location_id = 7)", 3),
    ("(year_of_birth = 1931 AND location_id = 7) OR gender_concept_id = 8", 3),
    ("EXISTS (SELECT 1 FROM measurement m WHERE m.person_id = p.person_id AND m.measurement_date >= DATE '2019-01-01')", 2),
    ("NOT EXISTS (SELECT 1 FROM measurement m WHERE m.person_id = p.person_id AND m.measurement_concept_id = 5)", 1),
])  # fmt: skip
def test_what_is_tested_for_its_effect(where: str, parts: int) -> None:
    assert len(variants(grouping(f"SELECT count(*) FROM person p WHERE {where}"))) == parts


def test_conditions_on_the_keys_alone_are_not_tested() -> None:
    text = "SELECT a.condition_concept_id, b.condition_concept_id AS other, count(DISTINCT a.person_id) FROM condition_occurrence a JOIN condition_occurrence b ON a.person_id = b.person_id AND a.condition_concept_id < b.condition_concept_id GROUP BY 1, 2"
    assert variants(grouping(text)) == ()


def test_more_conditions_than_can_be_tested_are_refused() -> None:
    text = " AND ".join(f"(location_id = {n} OR gender_concept_id = {n})" for n in range(10))
    assert {
        finding.code for finding in plan_query(f"SELECT count(*) FROM person WHERE {text}", CATALOGUE).findings
    } == {"sql.too_many_conditions"}


def test_keys_that_an_author_composed_are_not_plain() -> None:
    for text, plain in (
        ("SELECT location_id, count(*) FROM person GROUP BY 1", True),
        (
            "SELECT floor(year_of_birth / 10), year(condition_start_date), count(*) FROM person JOIN condition_occurrence USING (person_id) GROUP BY 1, 2",
            True,
        ),
        ("SELECT CASE WHEN location_id = 1 THEN 'a' ELSE 'b' END, count(*) FROM person GROUP BY 1", False),
        ("SELECT n, count(*) FROM (SELECT person_id, count(*) AS n FROM measurement GROUP BY 1) t GROUP BY 1", False),
    ):
        assert plain_keys(grouping(text)) is plain, text


def test_variants_of_a_question_share_their_skeleton() -> None:
    texts = [
        f"SELECT count(*) FROM person WHERE location_id = {n} AND year_of_birth >= {1900 + 5 * n}" for n in range(3)
    ]
    assert len({skeleton([grouping(text)]) for text in texts}) == 1
    assert skeleton([grouping(texts[0])]) != skeleton([grouping("SELECT count(*) FROM person")])
