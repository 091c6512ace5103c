"""Our own words for OMOP and the dashboard, against the originals where these are."""

from __future__ import annotations

import csv
from typing import Any

import pytest
from quality_world import shared

from asepsis.harmonise.quality.checks import FACTS, Kind, earliest, planned_checks
from asepsis.harmonise.quality.concepts import ANCESTORS, SEXES, UNITS, VALUES
from asepsis.harmonise.quality.spec import TABLES

OURS = {kind for kind in Kind if FACTS[kind].origin == "asepsis"}
FLAGS = [
    Kind.REQUIRED, Kind.PRIMARY_KEY, Kind.FOREIGN_KEY, Kind.DOMAIN, Kind.CLASS, Kind.STANDARD, Kind.VALUES,
    Kind.STANDARD_ZERO, Kind.SOURCE_ZERO, Kind.CODES, Kind.LOW, Kind.HIGH, Kind.AFTER, Kind.DURING_LIFE,
    Kind.WITHIN_VISIT, Kind.AFTER_BIRTH, Kind.BEFORE_DEATH, Kind.START_END,
]  # fmt: skip


def rows_of(name: str) -> list[dict[str, str]]:
    path = shared("omop54_spec") / "dqd" / f"OMOP_CDMv5.4_{name}.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def fields() -> list[dict[str, str]]:
    return [row for row in rows_of("Field_Level") if row["cdmTableName"].lower() in TABLES]


def test_every_kind_of_the_dashboard_is_ours_with_its_level_category_and_severity() -> None:
    theirs = {
        row["checkName"]: (row["checkLevel"].lower(), row["kahnCategory"], row["severity"])
        for row in rows_of("Check_Descriptions")
    }
    mine = {kind.value: FACTS[kind] for kind in Kind if kind not in OURS}
    assert {name: (one.level, one.category, one.severity) for name, one in mine.items()} == theirs
    assert len(theirs) == 27


def test_every_check_of_a_field_has_the_threshold_of_the_dashboard(fields: list[dict[str, str]]) -> None:
    theirs = {
        (kind, row["cdmTableName"].lower(), row["cdmFieldName"].lower()): float(row[f"{kind}Threshold"])
        for row in fields
        for kind in FLAGS
        if row[kind] not in {"", "No"}
    }
    mine = {(one.kind, one.table, one.field): one.threshold for one in planned_checks() if one.kind in FLAGS}
    assert mine == theirs
    assert len(theirs) > 400


def test_every_integer_of_the_dashboard_is_checked_to_be_one(fields: list[dict[str, str]]) -> None:
    theirs = {(row["cdmTableName"].lower(), row["cdmFieldName"]) for row in fields if row["cdmDatatype"] == "integer"}
    mine = {(one.table, one.field) for one in planned_checks() if one.kind is Kind.DATATYPE}
    rest = {(row["cdmTableName"].lower(), row["cdmFieldName"]) for row in fields if "int" in row["cdmDatatype"].lower()}
    assert theirs <= mine == rest


def test_fields_types_keys_domains_and_ranges_are_those_of_omop(fields: list[dict[str, str]]) -> None:
    for row in fields:
        field = TABLES[row["cdmTableName"].lower()].fields[row["cdmFieldName"].lower()]
        kind = row["cdmDatatype"].lower().partition("(")[0].replace("bigint", "integer")
        assert field.type.value == kind, field.name
        target = row["fkTableName"].lower()
        assert field.refers_to == (target if target not in {"", "concept"} else None), field.name
        assert (field.concept is not None) == (target == "concept"), field.name
        assert (field.concept.domain if field.concept else None) == (row["fkDomain"] or None), field.name
        if field.codes is not None:
            assert field.codes.concept == row["standardConceptFieldName"].lower()
        if row["plausibleStartBeforeEndFieldName"]:
            assert field.ends == row["plausibleStartBeforeEndFieldName"].lower()
        _same_range(field, row)


def _same_range(field: Any, row: dict[str, str]) -> None:
    if field.is_day and row["plausibleValueLow"]:
        assert earliest(field.name).replace("-", "") == row["plausibleValueLow"].strip("'")
        assert row["plausibleValueHigh"] == "DATEADD(dd,1,GETDATE())"
    elif field.range is not None:
        assert field.range.low == float(row["plausibleValueLow"])
        high = "YEAR(GETDATE())+1" if field.range.is_high_next_year else field.range.high
        assert str(high if high is not None else "").removesuffix(".0") == row["plausibleValueHigh"]


def test_fields_of_the_specification_are_the_fields_of_the_tables(fields: list[dict[str, str]]) -> None:
    theirs = {(row["cdmTableName"].lower(), row["cdmFieldName"].lower()) for row in fields}
    assert theirs == {(table.name, field) for table in TABLES.values() for field in table.fields}


def test_tables_ask_for_as_many_persons_as_the_dashboard() -> None:
    for row in rows_of("Table_Level"):
        table = TABLES.get(row["cdmTableName"].lower())
        if table is not None:
            threshold = row["measurePersonCompletenessThreshold"]
            assert table.persons == (float(threshold) if threshold else None), table.name
            assert table.is_required == (row["isRequired"] == "Yes"), table.name


def test_rules_of_single_concepts_are_those_of_the_dashboard() -> None:
    rows = rows_of("Concept_Level")
    genders = {"Male": 8507, "Female": 8532}
    sexes = {
        (r["cdmTableName"].lower(), int(r["conceptId"]), genders[r["plausibleGender"]])
        for r in rows
        if r["plausibleGender"]
    }
    assert sexes == {(one.table, concept, one.gender) for one in SEXES for concept in one.concepts}
    branches = {
        (
            r["cdmTableName"].lower(),
            frozenset(map(int, r["conceptId"].split(","))),
            genders[r["plausibleGenderUseDescendants"]],
        )
        for r in rows
        if r["plausibleGenderUseDescendants"]
    }
    assert branches == {(one.table, frozenset(one.concepts), one.gender) for one in ANCESTORS}
    units = {
        int(r["conceptId"]): set(map(int, r["plausibleUnitConceptIds"].split(",")))
        for r in rows
        if r["plausibleUnitConceptIds"]
    }
    assert units == {concept: set(of) for concept, of in UNITS.items()}
    values = {
        (int(r["conceptId"]), int(r["unitConceptId"]), float(r["plausibleValueLow"]), float(r["plausibleValueHigh"]))
        for r in rows
        if r["plausibleValueLow"]
    }
    assert values == set(VALUES)


def test_a_check_occurs_once_and_every_kind_says_what_to_do() -> None:
    ids = [one.id for one in planned_checks()]
    assert len(ids) == len(set(ids))
    assert set(FACTS) == set(Kind)
    assert all(one.says and one.next.endswith(".") for one in FACTS.values())
