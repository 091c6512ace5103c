"""The SQL of the checks: one scan per table with an aggregate per distinct condition, and a few over keys and codes.

One query per check takes hours on large tables (OHDSI/DataQualityDashboard#443); here every check of a table that
looks at single rows is an aggregate of one query.
"""

# ruff: noqa: S608 - the SQL is written here from names of OMOP; no data and no name from outside enters it

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from asepsis.harmonise.quality.checks import Check
from asepsis.harmonise.quality.concepts import ANCESTORS, SEXES, UNITS, VALUES
from asepsis.harmonise.quality.conditions import ALWAYS, Shape, condition_of, joined
from asepsis.harmonise.quality.spec import TABLES, FieldType

SHOWN_CODES: Final = 20
LONGEST_CODE: Final = 60
_FAMILIES: Final = {
    FieldType.INTEGER: frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UINTEGER", "UBIGINT"}),
    FieldType.FLOAT: frozenset({"FLOAT", "DOUBLE", "DECIMAL", "TINYINT", "SMALLINT", "INTEGER", "BIGINT"}),
    FieldType.TEXT: frozenset({"VARCHAR"}),
    FieldType.DATE: frozenset({"DATE"}),
    FieldType.DATETIME: frozenset({"TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS"}),
}
_CASTS: Final = {
    FieldType.INTEGER: "BIGINT",
    FieldType.FLOAT: "DOUBLE",
    FieldType.TEXT: "VARCHAR",
    FieldType.DATE: "DATE",
    FieldType.DATETIME: "TIMESTAMP",
}
_NEAR: Final = "BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'"
"""Dates outside of it are no dates of people; adding days to them could overflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One query; ``answers`` says in which columns of its one row a check finds violated and applicable rows."""

    sql: str
    answers: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query with what is bound to it: long lists of concepts are no SQL text, which is slow to read."""

    sql: str
    values: list[Any]


def is_stored_right(table: str, field: str, stored: str) -> bool:
    """Whether a stored type is one that OMOP has for the field."""
    return stored.partition("(")[0] in _FAMILIES[TABLES[table].fields[field].type]


def quoted(name: str) -> str:
    """A column's name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def view_sql(shape: Shape, columns: Mapping[str, str], source: str) -> str:
    """The table with the names and types of OMOP, whatever the stored ones are; ``columns`` are names as stored."""
    parts = []
    for field, spec in shape.spec.fields.items():
        if field not in shape.stored:
            parts.append(f"NULL::{_CASTS[spec.type]} AS {field}")
        elif field in shape.raw:
            parts.append(f"{quoted(columns[field])} AS raw_{field}")
            parts.append(f"TRY_CAST({quoted(columns[field])}::VARCHAR AS {_CASTS[spec.type]}) AS {field}")
        else:
            parts.append(f"{quoted(columns[field])} AS {field}")
    return f"CREATE OR REPLACE VIEW omop_{shape.name} AS SELECT {', '.join(parts)} FROM {source}"


def people_sql() -> str:
    """Each person once: sex, and the first and the likely day of birth that the known parts allow."""
    of = "TRY_CAST(printf('%04d-%02d-%02d', year_of_birth, {month}, {day}) AS DATE)"
    first = of.format(month="coalesce(month_of_birth, 1)", day="coalesce(day_of_birth, 1)")
    middle = of.format(month="coalesce(month_of_birth, 6)", day="coalesce(day_of_birth, 1)")
    return (
        "CREATE TEMP TABLE people AS SELECT person_id AS id, min(gender_concept_id) AS gender, "
        f"min(coalesce(birth_datetime::DATE, {first})) AS earliest, "
        f"min(coalesce(birth_datetime::DATE, {middle})) AS about "
        "FROM omop_person WHERE person_id IS NOT NULL GROUP BY person_id"
    )


def deaths_sql() -> str:
    """Each dead person once, with the last day that is said to be that of death."""
    return (
        "CREATE TEMP TABLE deaths AS SELECT person_id AS id, max(death_date) AS day FROM omop_death "
        f"WHERE person_id IS NOT NULL AND death_date {_NEAR} GROUP BY person_id"
    )


def visits_sql() -> str:
    """Each visit once, from its first to its last day."""
    days = ", ".join(
        f"{pick}(CASE WHEN {field} {_NEAR} THEN {field} END) AS {name}"
        for pick, field, name in (("min", "visit_start_date", "starts"), ("max", "visit_end_date", "ends"))
    )
    return (
        f"CREATE TEMP TABLE visits AS SELECT visit_occurrence_id AS id, {days} FROM omop_visit_occurrence "
        "WHERE visit_occurrence_id IS NOT NULL GROUP BY 1"
    )


def scan_of(shape: Shape, checks: Sequence[Check], *, as_of: date, followed: Mapping[str, str]) -> Scan:
    """One scan of a table for all its row-level checks.

    ``followed`` names the table of ids behind each field that holds a key, as far as there is one.
    """
    slots: dict[str, int] = {"count(*)": 0}
    answers = {}
    for check in checks:
        condition = condition_of(check, shape, as_of)
        violated = slots.setdefault(_count(condition.violated), len(slots))
        answers[check.id] = (violated, slots.setdefault(_count(condition.applies), len(slots)))
    text = " ".join(slots)
    joins = ["LEFT JOIN deaths d ON d.id = t.person_id"] if "d." in text and shape.has("person_id") else []
    for field, table in followed.items():
        if f"{joined(field)}." in text:
            joins.append(f"LEFT JOIN {table} {joined(field)} ON {joined(field)}.id = t.{field}")
    return Scan(sql=f"SELECT {', '.join(slots)} FROM omop_{shape.name} t {' '.join(joins)}", answers=answers)


def _count(condition: str) -> str:
    """As few words as possible: the engine takes longer to read such a query than to run it on a small table."""
    if condition in {ALWAYS, "false"}:
        return {ALWAYS: "count(*)"}.get(condition, "0")
    column, _, rest = condition.partition(" IS NOT NULL")
    return f"count_if({condition})" if rest or not column.replace(".", "").isidentifier() else f"count({column})"


def key_sql(table: str, field: str) -> str:
    """How many rows share their key with another row."""
    return (
        f"SELECT coalesce(sum(n), 0)::BIGINT FROM (SELECT count(*) AS n FROM omop_{table} WHERE {field} IS NOT NULL "
        f"GROUP BY {field} HAVING count(*) > 1)"
    )


def persons_sql(table: str) -> str:
    """How many persons have no row in a table, and how many persons there are."""
    return (
        f"SELECT count(*) FILTER (WHERE id NOT IN (SELECT person_id FROM omop_{table} WHERE person_id IS NOT NULL)), "
        "count(*) FROM people"
    )


def overlap_sql() -> str:
    """How many persons have observation periods that overlap or touch, of those who have any."""
    before = "OVER (PARTITION BY person_id ORDER BY starts, ends, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    rows = (
        "SELECT person_id, observation_period_id AS id, observation_period_start_date AS starts, "
        "observation_period_end_date AS ends FROM omop_observation_period WHERE person_id IS NOT NULL "
        f"AND observation_period_start_date {_NEAR} AND observation_period_end_date {_NEAR}"
    )
    touching = f"SELECT person_id, starts - max(ends) {before} <= 1 AS touches FROM ({rows})"
    return f"SELECT count(DISTINCT person_id) FILTER (WHERE touches), count(DISTINCT person_id) FROM ({touching})"


def era_sql() -> str:
    """How many persons with conditions have no condition era. The table of eras is stored as ``omop_condition_era``."""
    return (
        "SELECT count(*) FILTER (WHERE person_id NOT IN (SELECT person_id FROM omop_condition_era "
        "WHERE person_id IS NOT NULL)), count(*) "
        "FROM (SELECT DISTINCT person_id FROM omop_condition_occurrence WHERE person_id IS NOT NULL)"
    )


def used_sql(shape: Shape) -> str:
    """How often each concept stands in each field: ``(field, concept, rows)``."""
    fields = [field.name for field in shape.spec.fields.values() if field.concept is not None and shape.has(field.name)]
    parts = [
        f"SELECT '{name}' AS field, {name}::BIGINT AS concept, count(*) AS n FROM omop_{shape.name} "
        f"WHERE {name} IS NOT NULL GROUP BY {name}"
        for name in fields
    ]
    nothing = "SELECT NULL::VARCHAR AS field, NULL::BIGINT AS concept, 0::BIGINT AS n WHERE false"
    return f"CREATE TEMP TABLE used_{shape.name} AS {' UNION ALL '.join([nothing, *parts])}"


def known_sql(tables: Sequence[str]) -> str:
    """The concepts in use, from the vocabulary; it is read once."""
    used = " UNION ".join(f"SELECT concept FROM used_{table}" for table in tables)
    return (
        "CREATE TEMP TABLE known AS SELECT concept_id AS id, domain_id AS domain, concept_class_id AS class, "
        "standard_concept IS NOT DISTINCT FROM 'S' AND coalesce(invalid_reason, '') = '' AS is_standard "
        f"FROM concept WHERE concept_id IN ({used})"
    )


def concepts_sql(table: str) -> str:
    """Per field: rows with a concept that is not in the vocabulary, and with one that is not standard."""
    return (
        "SELECT field, coalesce(sum(n) FILTER (WHERE k.id IS NULL AND concept <> 0), 0)::BIGINT, "
        "coalesce(sum(n) FILTER (WHERE concept <> 0 AND NOT k.is_standard), 0)::BIGINT "
        f"FROM used_{table} LEFT JOIN known k ON k.id = concept GROUP BY field"
    )


def domain_sql(table: str, field: str) -> str:
    """Rows whose concept belongs to another domain than the one that is bound."""
    return (
        f"SELECT coalesce(sum(n), 0)::BIGINT FROM used_{table} JOIN known k ON k.id = concept "
        f"WHERE field = '{field}' AND concept <> 0 AND k.domain IS DISTINCT FROM ?"
    )


def codes_sql(shape: Shape, field: str, concept: str) -> str:
    """Distinct codes without and with concept, as ``(unmapped, all)``; a missing code counts as one more code."""
    is_zero = f"{concept} = 0" if shape.has(concept) else "false"
    return (
        "SELECT count(*) FILTER (WHERE is_zero), count(*) FROM "
        f"(SELECT bool_or({is_zero}) AS is_zero FROM omop_{shape.name} GROUP BY {field})"
    )


def unmapped_sql(table: str, field: str, concept: str) -> str:
    """The codes without concept: ``(code, rows, persons)``, the most frequent first."""
    return (
        f"SELECT left({field}, {LONGEST_CODE}), count(*), count(DISTINCT person_id) FROM omop_{table} "
        f"WHERE coalesce({concept}, 0) = 0 AND {field} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
    )


def years_sql(shape: Shape) -> str | None:
    """Rows by year of their day; persons by year of birth."""
    field = "year_of_birth" if shape.name == "person" else shape.spec.at
    if field is None or not shape.has(field):
        return None
    year = field if shape.name == "person" else f"year({field})"
    return f"SELECT {year}::BIGINT, count(*) FROM omop_{shape.name} WHERE {field} IS NOT NULL GROUP BY 1 ORDER BY 1"


def sexes_query(table: str) -> Query:
    """Per concept that only one sex can have: rows of persons of another sex, and rows."""
    of = [(one, group.gender) for group in SEXES if group.table == table for one in group.concepts]
    listed = "(SELECT unnest(?::BIGINT[]) AS concept, unnest(?::BIGINT[]) AS gender) s"
    return Query(sql=_by_sex(table, listed, "s.concept"), values=_columns(of))


def branches_query(table: str) -> Query:
    """The same for whole branches of the vocabulary: ``branch`` is the number of the entry in ``ANCESTORS``."""
    of = [
        (number, one, group.gender)
        for number, group in enumerate(ANCESTORS)
        if group.table == table
        for one in group.concepts
    ]
    listed = "SELECT unnest(?::BIGINT[]) AS branch, unnest(?::BIGINT[]) AS ancestor, unnest(?::BIGINT[]) AS gender"
    below = (
        "(SELECT DISTINCT b.branch, b.gender, a.descendant_concept_id AS concept "
        f"FROM ({listed}) b JOIN concept_ancestor a ON a.ancestor_concept_id = b.ancestor) s"
    )
    return Query(sql=_by_sex(table, below, "s.branch"), values=_columns(of))


def _columns(rows: Sequence[tuple[int, ...]]) -> list[Any]:
    return [list(column) for column in zip(*rows, strict=True)]


def _by_sex(table: str, concepts: str, group: str) -> str:
    field = f"{table.removesuffix('_occurrence')}_concept_id"
    return (
        f"SELECT {group}, count_if(p.gender <> s.gender), count(*) FROM omop_{table} t "
        f"JOIN {concepts} ON s.concept = t.{field} LEFT JOIN people p ON p.id = t.person_id GROUP BY 1 ORDER BY 1"
    )


def units_query() -> Query:
    """Per concept with known units: measurements with another unit, and measurements with a number and a unit."""
    sql = (
        "SELECT u.concept, count_if(NOT list_contains(u.units, t.unit_concept_id)), count(*) FROM omop_measurement t "
        "JOIN (SELECT unnest(?::BIGINT[]) AS concept, unnest(?::BIGINT[][]) AS units) u "
        "ON u.concept = t.measurement_concept_id "
        "WHERE t.value_as_number IS NOT NULL AND t.unit_source_value IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
    return Query(sql=sql, values=[list(UNITS), [list(units) for units in UNITS.values()]])


def values_sql() -> str:
    """Per concept and unit of observations with a known range: rows below, rows above, and rows."""
    of = ", ".join(str(one) for one in VALUES)
    return (
        "SELECT r.concept || '.' || r.unit, count_if(t.value_as_number < r.low), "
        "count_if(t.value_as_number > r.high), count(*) FROM omop_observation t "
        f"JOIN (VALUES {of}) AS r(concept, unit, low, high) "
        "ON r.concept = t.observation_concept_id AND r.unit = t.unit_concept_id "
        "WHERE t.value_as_number IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
