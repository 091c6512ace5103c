# ruff: noqa: E501 - statements read better on one line
"""Lists of values out of public look-up tables, and records that a join multiplies."""

from __future__ import annotations

import pytest

from asepsis.domain.catalogue import ColumnType
from asepsis.sql import plan_query
from asepsis.sql.effects import variants
from asepsis.sql.identity import identity
from asepsis.sql.omop import omop_catalogue
from asepsis.sql.plan import LISTED, ColumnRef, Compare, Listed, Truth
from asepsis.sql.references import sources_of

WHOLE, WORD, DAY, REAL = ColumnType.INTEGER, ColumnType.TEXT, ColumnType.DATE, ColumnType.NUMBER
CATALOGUE = omop_catalogue({
    "person": [("person_id", WHOLE), ("gender_concept_id", WHOLE), ("year_of_birth", WHOLE), ("location_id", WHOLE)],
    "condition_occurrence": [("person_id", WHOLE), ("condition_concept_id", WHOLE), ("condition_start_date", DAY)],
    "measurement": [("person_id", WHOLE), ("measurement_concept_id", WHOLE), ("value_as_number", REAL)],
    "concept": [("concept_id", WHOLE), ("concept_name", WORD), ("vocabulary_id", WORD), ("invalid_reason", WORD)],
    "concept_ancestor": [("ancestor_concept_id", WHOLE), ("descendant_concept_id", WHOLE), ("min_levels_of_separation", WHOLE)],
    "concept_relationship": [("concept_id_1", WHOLE), ("concept_id_2", WHOLE), ("relationship_id", WORD)],
})  # fmt: skip
COUNT = "SELECT count(DISTINCT person_id) AS n FROM condition_occurrence WHERE condition_concept_id "
DESCENDANTS = "(SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id = 201826)"
TIED = (
    "SELECT c.concept_id FROM concept c JOIN concept_ancestor a ON c.concept_id = a.descendant_concept_id "
    "WHERE a.ancestor_concept_id = 201826 AND c.invalid_reason IS NULL"
)


def listed(text: str) -> Listed:
    planned = plan_query(text, CATALOGUE)
    assert planned.plan is not None, planned.findings
    where = planned.plan.groupings[0].rows.where
    assert isinstance(where, Listed)
    return where


def digest(text: str) -> str:
    planned = plan_query(text, CATALOGUE)
    assert planned.plan is not None, planned.findings
    return planned.plan.digest


def codes(text: str) -> set[str]:
    return {finding.code for finding in plan_query(text, CATALOGUE).findings}


def test_descendants_of_a_concept_are_a_list_over_the_public_table_alone() -> None:
    found = listed(f"{COUNT} IN {DESCENDANTS}")
    assert (found.table, found.column, found.negated) == ("concept_ancestor", "descendant_concept_id", False)
    assert sources_of(found) == sources_of(found.argument)
    assert isinstance(found.where, Compare)
    assert found.where.left == ColumnRef(source=LISTED, name="ancestor_concept_id")


@pytest.mark.parametrize(
    "same",
    [
        f"{COUNT} IN ({DESCENDANTS})",
        f"{COUNT} IN (SELECT DISTINCT a.descendant_concept_id FROM main.concept_ancestor AS a WHERE 201826 = a.ancestor_concept_id AND 1 = 1)",
        f"WITH codes AS {DESCENDANTS} {COUNT} IN (SELECT descendant_concept_id FROM codes)",
        f"WITH codes AS {DESCENDANTS} {COUNT} IN (SELECT d.code FROM (SELECT descendant_concept_id AS code FROM codes) d)",
        f"{COUNT} IN (SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id IN (201826))",
    ],
)
def test_the_same_list_in_other_words_is_one_question(same: str) -> None:
    assert digest(same) == digest(f"{COUNT} IN {DESCENDANTS}")


def test_a_join_of_look_up_tables_is_a_nested_list() -> None:
    nested = (
        f"{COUNT} IN (SELECT concept_id FROM concept WHERE invalid_reason IS NULL AND concept_id IN "
        "(SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id = 201826))"
    )
    assert digest(f"{COUNT} IN ({TIED})") == digest(nested)


def test_a_concept_set_of_several_parts_is_one_list_after_the_other() -> None:
    text = f"{COUNT} IN (SELECT concept_id FROM concept WHERE concept_id IN (201826, 443238) UNION {TIED})"
    assert plan_query(text, CATALOGUE).plan is not None


def test_the_order_in_which_two_lists_are_written_makes_no_other_question() -> None:
    left = f"{COUNT} IN {DESCENDANTS} AND person_id IN (SELECT person_id FROM condition_occurrence WHERE condition_concept_id IN ({TIED}))"
    right = f"{COUNT.replace('WHERE', f'WHERE person_id IN (SELECT person_id FROM condition_occurrence WHERE condition_concept_id IN ({TIED})) AND')} IN {DESCENDANTS}"
    assert digest(left) == digest(right)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"{COUNT} IN (SELECT condition_concept_id FROM condition_occurrence)", "sql.uncorrelated_subquery"),
        (f"{COUNT} IN (SELECT gender_concept_id FROM person WHERE person_id = 4242)", "sql.uncorrelated_subquery"),
        (f"{COUNT} IN (SELECT c.concept_id FROM concept c JOIN person p ON p.gender_concept_id = c.concept_id)", "sql.uncorrelated_subquery"),
        (f"{COUNT} IN (SELECT c.concept_id FROM concept c, concept_ancestor a)", "sql.list_subquery"),
        (f"{COUNT} IN (SELECT c.concept_id FROM concept c LEFT JOIN concept_ancestor a ON c.concept_id = a.ancestor_concept_id)", "sql.construct_not_allowed"),
        (f"{COUNT} IN (SELECT c.concept_id FROM concept c JOIN concept_ancestor a ON c.concept_id < a.ancestor_concept_id)", "sql.list_subquery"),
        (f"{COUNT} IN (SELECT max(concept_id) FROM concept)", "sql.extreme_value"),
        (f"{COUNT} IN (SELECT concept_id FROM concept ORDER BY 1 LIMIT 1)", "sql.limit_in_subquery"),
        (f"{COUNT} IN (SELECT concept_id FROM concept GROUP BY 1)", "sql.construct_not_allowed"),
        (f"{COUNT} IN (SELECT concept_id, concept_id AS other FROM concept)", "sql.union_columns"),
        (f"{COUNT} IN (SELECT concept_name FROM concept)", "sql.type_mismatch"),
        (f"{COUNT} IN (SELECT DISTINCT ON (vocabulary_id) concept_id FROM concept)", "sql.list_subquery"),
        (f"{COUNT} IN (SELECT 201826)", "sql.list_subquery"),
        (f"{COUNT} IN (SELECT 201826 FROM concept)", "sql.list_subquery"),
        (f"{COUNT} IN (SELECT concept_id FROM concept WHERE year_of_birth = 1931)", "sql.unknown_column"),
        (f"{COUNT} IN (SELECT concept_id FROM concept WHERE condition_concept_id = concept_id)", "sql.unknown_column"),
        (f"{COUNT} IN (SELECT concept_id FROM nowhere)", "sql.unknown_table"),
        (f"{COUNT} IN (SELECT concept_id FROM range(5))", "sql.list_subquery"),
        ("SELECT count(*) FROM measurement WHERE value_as_number IN (SELECT concept_id FROM concept)", "sql.column_not_usable"),
        ("SELECT count(*) FROM person WHERE person_id IN (SELECT concept_id FROM concept)", "sql.person_key_predicate"),
        ("SELECT count(*) FROM person JOIN concept_ancestor a ON a.descendant_concept_id = gender_concept_id", "sql.lookup_key"),
    ],
)  # fmt: skip
def test_a_list_holds_nothing_about_patients(text: str, code: str) -> None:
    assert plan_query(text, CATALOGUE).plan is None
    assert code in codes(text)


def test_a_list_of_kinds_is_not_tested_for_its_effect_and_an_exclusion_is() -> None:
    for polarity, tested in (("IN", 0), ("NOT IN", 1)):
        plan = plan_query(f"{COUNT} {polarity} {DESCENDANTS}", CATALOGUE).plan
        assert plan is not None
        assert len(variants(plan.groupings[0])) == tested


def test_a_listed_cell_has_one_identity_in_two_shapes_of_question() -> None:
    exists = (
        "SELECT count(*) AS n FROM person p WHERE EXISTS (SELECT 1 FROM condition_occurrence c "
        f"WHERE c.person_id = p.person_id AND c.condition_concept_id IN {DESCENDANTS})"
    )
    found = set()
    for text in (f"{COUNT} IN {DESCENDANTS}", exists):
        plan = plan_query(text, CATALOGUE).plan
        assert plan is not None
        found.add(identity(plan.groupings[0], Truth(value=True), ()))
    assert len(found) == 1


MULTIPLIED = "measurement a JOIN measurement b ON a.person_id = b.person_id"


@pytest.mark.parametrize(
    "text",
    [
        f"SELECT count(*) AS n FROM {MULTIPLIED}",
        f"SELECT count(a.value_as_number) AS n FROM {MULTIPLIED}",
        f"SELECT sum(a.value_as_number) AS n FROM {MULTIPLIED}",
        f"SELECT sum(CASE WHEN b.measurement_concept_id = 1 THEN 1 ELSE 0 END) AS n FROM {MULTIPLIED}",
        "SELECT count(*) AS n FROM person p LEFT JOIN measurement a ON a.person_id = p.person_id LEFT JOIN measurement b ON b.person_id = p.person_id",
        f"SELECT sum(n) AS s FROM (SELECT a.person_id, count(*) AS n FROM {MULTIPLIED} GROUP BY a.person_id) t",
        "SELECT count(*) AS n FROM (SELECT person_id FROM measurement UNION ALL SELECT person_id FROM person) t JOIN measurement m ON m.person_id = t.person_id",
        "SELECT p.location_id, count(*) AS n FROM measurement a JOIN (SELECT person_id, measurement_concept_id FROM measurement) b USING (person_id) JOIN person p ON p.person_id = a.person_id GROUP BY 1",
    ],
)
def test_records_that_a_join_multiplies_are_not_counted_or_added_up(text: str) -> None:
    """Guard: one person with k records would weigh k * k in such a number."""
    assert plan_query(text, CATALOGUE).plan is None
    assert codes(text) == {"sql.multiplied_records"}


@pytest.mark.parametrize(
    "text",
    [
        f"SELECT count(DISTINCT a.person_id) AS n, avg(a.value_as_number) AS m FROM {MULTIPLIED}",
        "SELECT count(*) AS n FROM measurement a JOIN (SELECT DISTINCT person_id FROM condition_occurrence) d USING (person_id)",
        "SELECT count(*) AS n, sum(a.value_as_number) AS s FROM measurement a JOIN person p USING (person_id) JOIN concept c ON c.concept_id = a.measurement_concept_id",
        "SELECT count(*) AS n FROM measurement a WHERE EXISTS (SELECT 1 FROM measurement b WHERE b.person_id = a.person_id AND b.measurement_concept_id = 1)",
        f"SELECT count(*) AS n FROM (SELECT a.person_id, min(a.value_as_number) AS low FROM {MULTIPLIED} GROUP BY a.person_id) t",
    ],
)
def test_persons_and_records_of_one_table_are_counted_in_joins(text: str) -> None:
    assert plan_query(text, CATALOGUE).plan is not None, codes(text)
