# ruff: noqa: E501 - statements read better on one line
from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.domain.catalogue import Catalogue, ColumnType
from asepsis.domain.finding import Severity
from asepsis.sql import plan_cohort, plan_query
from asepsis.sql.duckdb import Counting, cells_sql, people_sql
from asepsis.sql.omop import omop_catalogue
from asepsis.sql.refusals import REASONS

WHOLE, REAL, DAY, WORD = ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.DATE, ColumnType.TEXT
CATALOGUE = omop_catalogue({
    "person": [("person_id", WHOLE), ("gender_concept_id", WHOLE), ("year_of_birth", WHOLE), ("location_id", WHOLE), ("race_source_value", WORD)],
    "condition_occurrence": [
        ("condition_occurrence_id", WHOLE), ("person_id", WHOLE), ("condition_concept_id", WHOLE), ("condition_start_date", DAY),
        ("condition_source_value", WORD),
    ],
    "measurement": [
        ("measurement_id", WHOLE), ("person_id", WHOLE), ("measurement_concept_id", WHOLE), ("measurement_date", DAY), ("value_as_number", REAL),
    ],
    "concept": [("concept_id", WHOLE), ("concept_name", WORD)],
})  # fmt: skip


def codes(text: str, catalogue: Catalogue = CATALOGUE, **parameters: Any) -> set[str]:
    planned = plan_query(text, catalogue, parameters=parameters)
    assert (planned.plan is None) == bool(planned.findings)
    return {finding.code for finding in planned.findings}


def digest(text: str, **parameters: Any) -> str:
    planned = plan_query(text, CATALOGUE, parameters=parameters)
    assert planned.plan is not None, planned.findings
    return planned.plan.digest


def test_a_condition_on_the_persons_key_is_refused_with_a_version_that_passes() -> None:
    planned = plan_query(
        "SELECT count(DISTINCT person_id) AS n FROM condition_occurrence\nWHERE condition_concept_id = 1 AND person_id = 4242",
        CATALOGUE,
    )
    assert planned.plan is None
    (finding,) = planned.findings
    assert (finding.code, finding.severity) == ("sql.person_key_predicate", Severity.REFUSE)
    assert finding.place == (2, 36)
    assert planned.rewrite is not None
    assert "condition_concept_id = 1" in planned.rewrite
    assert "4242" not in planned.rewrite
    assert plan_query(planned.rewrite, CATALOGUE).plan is not None


@pytest.mark.parametrize("test", [
    "person_id = 4242", "4242 = person_id", "person_id IN (1, 2)", "person_id BETWEEN 1 AND 2", "NOT person_id <> 7",
    "person_id + 0 - 4242 = 0", "person_id > 4242", "(person_id) = 4242", "CASE WHEN person_id = 1 THEN 1 ELSE 0 END = 1",
    "hash(person_id) % 2 = 0", "person_id = year_of_birth", "gender_concept_id = 1 OR person_id = 1", "person_id = $who",
])  # fmt: skip
def test_no_form_of_a_condition_on_the_key_passes(test: str) -> None:
    assert "sql.person_key_predicate" in codes(f"SELECT count(*) FROM person WHERE {test}", who=4242)


@pytest.mark.parametrize(("text", "code"), [
    ("SELECT * FROM person", "sql.row_level"),
    ("SELECT person_id, gender_concept_id FROM person", "sql.person_key_shown"),
    ("SELECT gender_concept_id FROM person", "sql.row_level"),
    ("SELECT person_id, count(*) FROM person GROUP BY person_id", "sql.person_key_shown"),
    ("SELECT max(value_as_number) FROM measurement", "sql.extreme_value"),
    ("SELECT min(value_as_number) FROM measurement", "sql.extreme_value"),
])  # fmt: skip
def test_rows_of_single_persons_are_refused_with_a_counting_version(text: str, code: str) -> None:
    planned = plan_query(text, CATALOGUE)
    assert code in {finding.code for finding in planned.findings}
    assert planned.rewrite is not None
    assert plan_query(planned.rewrite, CATALOGUE).plan is not None


@pytest.mark.parametrize(("text", "code"), [
    ("", "sql.empty"),
    ("SELECT", "sql.no_patient_table"),
    ("SELECT count(*) FROM", "sql.syntax"),
    ("SELECT count(*) FROM person; SELECT 1", "sql.one_statement"),
    ("DROP TABLE person", "sql.not_a_select"),
    ("CALL pragma_version()", "sql.not_a_select"),
    ("SELECT count(*) FROM people", "sql.unknown_table"),
    ("SELECT count(*) FROM other.person", "sql.unknown_table"),
    ("SELECT count(*) FROM person WHERE colour = 1", "sql.unknown_column"),
    ("SELECT race_source_value, count(*) FROM person GROUP BY 1", "sql.unknown_column"),
    ("SELECT count(*) FROM person WHERE gender_concept_id = 'x'", "sql.type_mismatch"),
    ("SELECT count(*) FROM person WHERE gender_concept_id = NULL", "sql.null_comparison"),
    ("SELECT count(*) FROM person WHERE my_udf(gender_concept_id) = 1", "sql.function_not_allowed"),
    ("SELECT bit_xor(gender_concept_id) FROM person", "sql.function_not_allowed"),
    ("SELECT count(*) FROM person p JOIN measurement m ON p.gender_concept_id = m.measurement_concept_id", "sql.join_not_on_person"),
    ("SELECT count(*) FROM person, measurement", "sql.join_not_on_person"),
    ("SELECT count(*) FROM person p FULL JOIN measurement m USING (person_id)", "sql.join_kind"),
    ("SELECT count(*) FROM person p JOIN person q USING (gender_concept_id)", "sql.join_not_on_person"),
    ("SELECT count(*) FROM person p JOIN concept c ON c.concept_name = p.gender_concept_id", "sql.type_mismatch"),
    ("SELECT count(*) FROM concept", "sql.no_patient_table"),
    ("SELECT count(*) FROM person WHERE EXISTS (SELECT 1 FROM measurement)", "sql.uncorrelated_subquery"),
    ("SELECT count(*) FROM person WHERE gender_concept_id = (SELECT max(gender_concept_id) FROM person)", "sql.scalar_subquery"),
    ("SELECT count(*) FROM (SELECT gender_concept_id FROM person) t", "sql.no_person_in_subquery"),
    ("SELECT count(*) FROM (SELECT person_id FROM person LIMIT 1) t", "sql.limit_in_subquery"),
    ("WITH person AS (SELECT person_id FROM measurement) SELECT count(*) FROM person", "sql.shadowed_table"),
    ("SELECT location_id, count(*) FROM person GROUP BY location_id WITH ROLLUP", "sql.construct_not_allowed"),
    ("SELECT row_number() OVER () FROM person", "sql.window"),
    ("SELECT count(DISTINCT value_as_number) FROM measurement", "sql.distinct_values"),
    ("SELECT quantile_cont(value_as_number, 0.999) FROM measurement", "sql.quantile_level"),
    ("SELECT sum(person_id) FROM measurement", "sql.person_key_shown"),
    ("SELECT sum(value_as_number * value_as_number) FROM measurement", "sql.construct_not_allowed"),
    ("SELECT sum(gender_concept_id) FROM person", "sql.column_not_usable"),
    ("SELECT measurement_date, count(*) FROM measurement GROUP BY 1", "sql.column_not_usable"),
    ("SELECT count(*) FROM measurement WHERE measurement_date = DATE '2019-03-14'", "sql.date_off_month"),
    ("SELECT count(*) FROM measurement WHERE value_as_number > 7", "sql.literal_off_bin"),
    ("SELECT count(*) FROM measurement WHERE value_as_number >= 7.5", "sql.literal_off_bin"),
    ("SELECT count(*) FROM person WHERE year_of_birth = 99999999999999999999", "sql.literal_out_of_range"),
    ("SELECT count(*) FROM person WHERE location_id = $loc", "sql.unknown_parameter"),
    ("SELECT count(*) FROM p\u0435rson", "sql.bad_name"),
    ("SELECT count(*) AS n, count(*) AS n FROM person", "sql.duplicate_output"),
    ("SELECT gender_concept_id, count(*) FROM person GROUP BY location_id", "sql.not_grouped"),
    ("SELECT count(*) FROM person UNION SELECT count(*) FROM person", "sql.set_operation"),
    ("SELECT count(*) FROM person TABLESAMPLE BERNOULLI (50 PERCENT)", "sql.construct_not_allowed"),
    ("SELECT count(*) FROM person p QUALIFY 1 = 1", "sql.window"),
    ("SELECT sum(CASE WHEN year_of_birth = 1931 THEN 1000000 ELSE 0 END) FROM person", "sql.column_not_usable"),
    ("SELECT count(*) FROM (VALUES (1)) v(person_id)", "sql.construct_not_allowed"),
])  # fmt: skip
def test_what_is_not_on_the_allow_list_has_its_own_code(text: str, code: str) -> None:
    assert code in codes(text)


def test_a_parameter_cannot_carry_sql() -> None:
    text = "SELECT count(*) FROM person WHERE location_id = $loc"
    assert codes(text, loc="76 OR 1=1") == {"sql.type_mismatch"}
    assert digest(text, loc=76) == digest("SELECT count(*) FROM person WHERE location_id = 76")
    assert codes(text, loc=76, other=1) == {"sql.unused_parameter"}


@pytest.mark.parametrize("text", [
    "SELECT count(*) FROM person WHERE " + "(" * 200 + "1 = 1" + ")" * 200,
    "SELECT count(*) FROM person WHERE " + "NOT " * 3000 + "1 = 1",
    "SELECT count(*) FROM person WHERE location_id IN (" + ", ".join(map(str, range(200_000))) + ")",
    "SELECT count(*) FROM person WHERE " + " OR ".join(f"location_id = {n}" for n in range(1900)),
    "SELECT " + "+" * 3000 + "count(*) FROM person",
    "WITH a AS (SELECT person_id FROM person), "
    + ", ".join(f"{b} AS (SELECT x.person_id FROM {a} x JOIN {a} y USING (person_id))" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + " SELECT count(*) FROM i",
])  # fmt: skip
def test_bombs_end_in_an_answer_and_not_in_a_crash(text: str) -> None:
    planned = plan_query(text, CATALOGUE)
    assert planned.plan is not None or planned.findings


@pytest.mark.parametrize(("left", "right"), [
    ("SELECT count(*) AS a FROM person WHERE location_id=76", "SELECT /* x */ COUNT(*) AS b FROM main.person AS q -- y\n WHERE q.location_id = 76"),
    ("SELECT count(*) FROM person WHERE location_id = 1 AND year_of_birth > 1949", "SELECT count(DISTINCT person_id) FROM person WHERE 1950 <= year_of_birth AND 2 = 2 AND location_id IN (1)"),
    ("SELECT count(*) FROM person WHERE NOT (location_id = 1 OR year_of_birth < 1950)", "SELECT count(*) FROM person WHERE year_of_birth >= 1950 AND location_id <> 1"),
    ("SELECT count(DISTINCT c.person_id) FROM condition_occurrence c JOIN person p USING (person_id) WHERE p.location_id = 3",
     "SELECT count(DISTINCT p.person_id) FROM person p, condition_occurrence c WHERE p.location_id = 3 AND c.person_id = p.person_id"),
    ("SELECT count(*) FROM person p LEFT JOIN measurement m ON m.person_id = p.person_id WHERE m.person_id IS NULL",
     "SELECT count(*) FROM person p WHERE NOT EXISTS (SELECT 1 FROM measurement m WHERE m.person_id = p.person_id)"),
])  # fmt: skip
def test_equal_questions_have_one_digest(left: str, right: str) -> None:
    assert digest(left) == digest(right)


def test_different_questions_have_different_digests() -> None:
    texts = [
        "SELECT count(*) FROM person",
        "SELECT count(*) FROM person WHERE location_id = 1",
        "SELECT count(*) FROM person WHERE location_id = 2",
        "SELECT location_id, count(*) FROM person GROUP BY 1",
        "SELECT location_id, count(*) FROM person GROUP BY 1 HAVING count(*) > 20",
        "SELECT CASE WHEN location_id = 1 THEN 'a' END AS g, count(*) FROM person GROUP BY 1",
        "SELECT CASE WHEN location_id = 1 THEN 'b' END AS g, count(*) FROM person GROUP BY 1",
    ]
    assert len({digest(text) for text in texts}) == len(texts)


def test_no_word_of_the_author_reaches_the_generated_sql() -> None:
    planned = plan_query(
        "WITH canaryname AS (SELECT person_id, min(condition_start_date) AS canarycolumn FROM condition_occurrence "
        "WHERE condition_concept_id = 987654 GROUP BY 1) "
        "SELECT CASE WHEN p.year_of_birth < 1950 THEN 'canarylabel' END AS canaryoutput, count(*) -- canarycomment\n"
        "FROM person canaryalias JOIN canaryname n USING (person_id) JOIN person p ON p.person_id = n.person_id GROUP BY 1",
        CATALOGUE,
    )
    assert planned.plan is not None, planned.findings
    generated = cells_sql(planned.plan.groupings[0], counting=Counting(owners=2))
    assert "canary" not in generated.text
    assert "987654" not in generated.text
    assert "canary" not in str(dict(generated.parameters))
    assert 987654 in generated.parameters.values()


def test_findings_and_logs_never_carry_a_literal(caplog: pytest.LogCaptureFixture) -> None:
    texts = [
        "SELECT count(*) FROM person WHERE person_id = 987654321",
        "SELECT count(*) FROM person WHERE gender_concept_id = 'canary987654321'",
        "SELECT count(*) FROM person WHERE error('987654321') IS NULL",
        "SELECT count(*) FROM person WHERE CAST('987654321x' AS DATE) = DATE '2000-01-01'",
        "CALL leak('987654321')",
        "SELECT count(*) FROM measurement WHERE value_as_number >= 987654321.5",
        "SELECT 987654321 FROM person WHERE (",
        "SELECT count(*) FROM person WHERE year_of_birth = 987654321987654321987654321",
        "SELECT count(*) FROM person WHERE regexp_matches('987654321', '(')",
    ]
    with caplog.at_level(logging.DEBUG):
        for text in texts:
            planned = plan_query(text, CATALOGUE)
            assert planned.plan is None, text
            assert "987654321" not in str(planned.findings)
    assert "987654321" not in caplog.text


def test_every_reason_has_a_sentence_and_an_advice() -> None:
    for code, (reason, advice) in REASONS.items():
        assert code.startswith("sql.")
        assert reason.endswith(".")
        assert advice.endswith((".", "…"))


@pytest.mark.parametrize(("written", "meant"), [
    ("measurement_date BETWEEN DATE '2019-03-14' AND DATE '2019-05-02'", "measurement_date >= DATE '2019-03-01' AND measurement_date < DATE '2019-06-01'"),
    ("measurement_date < DATE '2019-03-14'", "measurement_date < DATE '2019-03-15'"),
    ("measurement_date > DATE '2019-03-31'", "measurement_date >= DATE '2019-04-01'"),
    ("measurement_date > DATE '1203-01-01'", "measurement_date >= DATE '1850-01-01'"),
    ("measurement_date < DATE '9999-12-31'", "measurement_date <= DATE '2300-01-01'"),
])  # fmt: skip
def test_ranges_of_dates_move_outwards_to_months_and_the_author_is_told(written: str, meant: str) -> None:
    text = "SELECT count(*) FROM measurement WHERE "
    assert digest(text + written) == digest(text + meant)
    plan = plan_query(text + written, CATALOGUE).plan
    assert plan is not None
    told = [(note.code, note.severity, note.place) for note in plan.notes]
    assert ("sql.snapped", Severity.PASS, (1, 40)) in told or meant.endswith("'2019-04-01'")


@pytest.mark.parametrize(("written", "meant"), [
    ("year_of_birth BETWEEN 1900 AND 1930", "year_of_birth BETWEEN 1900 AND 1931"),
    ("year_of_birth BETWEEN 1931 AND 1931", "year_of_birth >= 1930 AND year_of_birth < 1935"),
    ("NOT year_of_birth >= 1931", "year_of_birth < 1930"),
    ("year_of_birth > 1800", "year_of_birth > 1804"),
    ("year_of_birth < 3000", "year_of_birth < 2100"),
])  # fmt: skip
def test_windows_that_slide_inside_a_bin_are_one_question(written: str, meant: str) -> None:
    text = "SELECT count(*) FROM person WHERE "
    assert digest(text + written) == digest(text + meant)


def test_a_range_on_its_bins_is_left_alone_and_needs_no_note() -> None:
    for test in (
        "p.year_of_birth BETWEEN 1940 AND 1959",
        "m.measurement_date BETWEEN DATE '2019-01-01' AND DATE '2019-12-31'",
    ):
        plan = plan_query(
            f"SELECT count(*) FROM person p JOIN measurement m USING (person_id) WHERE {test}", CATALOGUE
        ).plan
        assert plan is not None
        assert plan.notes == ()


def test_an_exact_year_stays_an_exact_year() -> None:
    text = "SELECT count(*) FROM person WHERE year_of_birth = "
    assert digest(text + "1931") != digest(text + "1932")


def test_a_cohort_is_the_persons_and_nothing_else() -> None:
    planned = plan_cohort(
        "SELECT DISTINCT c.person_id FROM condition_occurrence c JOIN person p USING (person_id) "
        "WHERE c.condition_concept_id = 1 AND p.year_of_birth < 1950",
        CATALOGUE,
    )
    assert planned.cohort is not None, planned.findings
    assert people_sql(planned.cohort).text.startswith("SELECT DISTINCT")
    for text in (
        "SELECT DISTINCT person_id, location_id FROM person",
        "SELECT count(*) FROM person",
        "SELECT person_id FROM person WHERE person_id = 1",
        "SELECT person_id FROM person LIMIT 1",
    ):
        assert plan_cohort(text, CATALOGUE).cohort is None


WORDS = st.sampled_from(
    [
        "SELECT",
        "FROM",
        "WHERE",
        "GROUP",
        "BY",
        "person",
        "measurement",
        "person_id",
        "value_as_number",
        "count",
        "(",
        ")",
        "*",
        "=",
        ",",
        "1",
        "'x'",
        "AND",
        "OR",
        "NOT",
        "IN",
        "EXISTS",
        "CASE",
        "WHEN",
        "THEN",
        "END",
        "JOIN",
        "ON",
        "USING",
        "AS",
        "n",
        "max",
        "sum",
        "avg",
        "HAVING",
        "ORDER",
        "LIMIT",
        "UNION",
        "ALL",
        "$p",
        "DISTINCT",
        "IS",
        "NULL",
        "INTERVAL",
        "DATE",
    ]
)


@given(st.lists(WORDS, max_size=30).map(" ".join) | st.text(max_size=80))
def test_any_text_is_planned_or_refused(text: str) -> None:
    planned = plan_query(text, CATALOGUE)
    assert planned.plan is not None or planned.findings


def test_cells_and_their_margins_cannot_stand_in_one_result() -> None:
    cells = "SELECT location_id, count(*) AS n FROM person GROUP BY location_id"
    assert codes(f"{cells} UNION ALL SELECT NULL, count(*) FROM person") == {"sql.margins"}
    assert not codes(f"{cells} UNION ALL SELECT measurement_concept_id, count(*) FROM measurement GROUP BY 1")


def test_the_core_imports_no_heavy_library() -> None:
    program = (
        "import sys, asepsis.sql, asepsis.disclosure.counts, asepsis.disclosure.curves, asepsis.methods.registry\n"
        "import asepsis.engines.query.room, asepsis.sql.omop\n"
        "heavy = {'pandas', 'pydantic', 'fastapi', 'sqlalchemy', 'typer', 'structlog'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(("outputs", "partial"), [
    ("count(value_as_number)", [False]),
    ("avg(value_as_number), count(value_as_number)", [False, False]),
    ("count(*), count(value_as_number)", [False, True]),
    ("count(*), count(*) FILTER (WHERE measurement_concept_id = 1)", [False, True]),
    ("avg(value_as_number), avg(value_as_number) FILTER (WHERE measurement_concept_id = 1)", [False, True]),
    ("count(*) FILTER (WHERE measurement_concept_id = 1), count(*) FILTER (WHERE measurement_concept_id = 2)", [True, True]),
    ("1.0 * count(*) FILTER (WHERE measurement_concept_id = 1) / count(*)", [True, False]),
])  # fmt: skip
def test_a_measure_is_a_part_only_beside_another_one(outputs: str, partial: list[bool]) -> None:
    planned = plan_query(f"SELECT {outputs} FROM measurement", CATALOGUE)
    assert planned.plan is not None
    assert [spec.partial for spec in planned.plan.shape.branches[0].measures] == partial


@pytest.mark.parametrize("text", [
    "SELECT count(*) FILTER (WHERE person_id = 1) FROM person",
    "SELECT CASE WHEN person_id = 1 THEN 'x' END AS g, count(*) FROM person GROUP BY 1",
    "SELECT count(*) FROM person p JOIN measurement m ON m.person_id = p.person_id AND m.person_id = 1",
    "SELECT sum(CASE WHEN person_id = 1 THEN value_as_number ELSE 0 END) FROM measurement",
])  # fmt: skip
def test_the_key_is_compared_in_no_other_place_either(text: str) -> None:
    assert "sql.person_key_predicate" in codes(text)
