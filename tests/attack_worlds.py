# ruff: noqa: E501 - statements read better on one line
"""Three neighbouring worlds for the attack cases, as Parquet files: A as planted, B without what is secret, C without the target.

About 20,000 persons from one seed, over the whole schema of the cases. The target is the only woman born in 1931 in
location 77, where two more persons live, and of a rare race; she has many records, and others have few. The vocabulary is public and the
same in all worlds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import duckdb

from asepsis.domain.catalogue import Catalogue, ColumnType
from asepsis.sql.omop import omop_catalogue

PERSONS: Final = 20_000
TARGET: Final = 4242
HIV, VIRAL_LOAD, ANTIRETROVIRAL = 439727, 3010813, 1718069
WORLDS: Final = ("A", "B", "C")
VOCABULARY: Final = ("concept", "concept_ancestor")

SCHEMA: Final[Mapping[str, tuple[str, ...]]] = {
    "person": ("person_id", "gender_concept_id", "year_of_birth", "month_of_birth", "race_concept_id", "race_source_value", "location_id", "care_site_id"),
    "condition_occurrence": ("condition_occurrence_id", "person_id", "condition_concept_id", "condition_start_date", "visit_occurrence_id", "condition_source_value"),
    "drug_exposure": ("drug_exposure_id", "person_id", "drug_concept_id", "drug_exposure_start_date", "quantity", "days_supply"),
    "measurement": ("measurement_id", "person_id", "measurement_concept_id", "measurement_date", "value_as_number", "unit_concept_id"),
    "visit_occurrence": ("visit_occurrence_id", "person_id", "visit_concept_id", "visit_start_date", "visit_end_date", "care_site_id"),
    "concept": ("concept_id", "concept_name", "vocabulary_id"),
    "concept_ancestor": ("ancestor_concept_id", "descendant_concept_id", "min_levels_of_separation"),
}  # fmt: skip
"""The schema of the cases, and two tables of the vocabulary."""

_SECRET: Final = {
    "condition_occurrence": f"condition_concept_id = {HIV}",
    "measurement": f"measurement_concept_id = {VIRAL_LOAD}",
    "drug_exposure": f"drug_concept_id = {ANTIRETROVIRAL}",
}
_TABLES: Final = """
    CREATE MACRO h(x, n) AS CAST(hash(x * 1000003 + {seed}) % n AS BIGINT);
    CREATE TABLE person AS SELECT i AS person_id, CASE WHEN h(i * 7, 100) < 51 THEN 8532 ELSE 8507 END AS gender_concept_id,
        1935 + h(i * 11, 70) AS year_of_birth, 1 + h(i * 13, 12) AS month_of_birth,
        CAST([8527, 8527, 8527, 8516, 8515][1 + h(i * 17, 5)] AS BIGINT) AS race_concept_id, 'race ' || i AS race_source_value,
        CAST([70, 71, 72, 73, 74, 75, 76, 78, 79, 80, 81][1 + h(i * 19, 11)] AS BIGINT) AS location_id, 1 + h(i * 23, 9) AS care_site_id FROM range(1, {persons} + 1) t(i);
    UPDATE person SET location_id = 77 WHERE person_id IN (17, 18);
    UPDATE person SET race_concept_id = 8557 WHERE person_id = {target} OR h(person_id * 29, 120) = 0;
    UPDATE person SET year_of_birth = 1931, gender_concept_id = 8532, location_id = 77 WHERE person_id = {target};
    CREATE TABLE condition_occurrence AS SELECT row_number() OVER (ORDER BY person_id, n) AS condition_occurrence_id, * FROM (
        SELECT person_id, n, CAST([201826, 320128, 255573, 313217, 192671, 4329847][1 + h(person_id * 31 + n, 6)] AS BIGINT) AS condition_concept_id,
            DATE '2015-01-01' + CAST(h(person_id * 37 + n, 2000) AS INTEGER) AS condition_start_date, person_id * 3 AS visit_occurrence_id, 'note ' || person_id AS condition_source_value
        FROM person, range(3) t(n) WHERE h(person_id * 41 + n, 3) > 0
        UNION ALL SELECT person_id, 9, {hiv}, CASE WHEN person_id = {target} THEN DATE '2019-03-14' ELSE DATE '2016-01-01' + CAST(h(person_id * 43, 1500) AS INTEGER) END, person_id * 3, 'note ' || person_id
        FROM person WHERE h(person_id * 43, 50) = 0 AND location_id <> 77 OR person_id = {target});
    CREATE TABLE measurement AS SELECT row_number() OVER (ORDER BY person_id, n) AS measurement_id, * FROM (
        SELECT person_id, n, CAST([3004249, 3016723, 3020564][1 + h(person_id * 47 + n, 3)] AS BIGINT) AS measurement_concept_id,
            DATE '2016-01-01' + CAST(h(person_id * 53 + n, 1500) AS INTEGER) AS measurement_date, CAST(80 + h(person_id * 59 + n, 90) AS DOUBLE) AS value_as_number, CAST(8840 AS BIGINT) AS unit_concept_id
        FROM person, range(4) t(n) WHERE h(person_id * 61 + n, 2) = 0
        UNION ALL SELECT {target}, 100 + n, 3016723, DATE '2017-01-01' + CAST(n AS INTEGER), 95, 8840 FROM range(40) t(n)
        UNION ALL SELECT person_id, 9, {viral}, CASE WHEN person_id = {target} THEN DATE '2019-03-14' ELSE condition_start_date + 30 END,
            CASE WHEN person_id = {target} THEN 48211.5 ELSE 100 + h(person_id * 101, 90000) END, 8799 FROM condition_occurrence WHERE condition_concept_id = {hiv});
    CREATE TABLE visit_occurrence AS SELECT row_number() OVER (ORDER BY person_id, n) AS visit_occurrence_id, * FROM (
        SELECT person_id, n, CAST([9201, 9202, 9203][1 + h(person_id * 67 + n, 3)] AS BIGINT) AS visit_concept_id, DATE '2016-05-01' + CAST(h(person_id * 71 + n, 900) AS INTEGER) AS visit_start_date,
            DATE '2016-05-01' + CAST(h(person_id * 71 + n, 900) + h(person_id + n, 8) AS INTEGER) AS visit_end_date, 1 + h(person_id * 73 + n, 9) AS care_site_id
        FROM person, range(4) t(n) WHERE h(person_id * 79 + n, 4) > 0
        UNION ALL SELECT {target}, 100 + n, 9202, DATE '2016-06-01' + CAST(20 * n AS INTEGER), DATE '2016-06-01' + CAST(20 * n AS INTEGER), 3 FROM range(25) t(n));
    CREATE TABLE drug_exposure AS SELECT row_number() OVER (ORDER BY person_id, n) AS drug_exposure_id, * FROM (
        SELECT person_id, n, CAST([1503297, 1308216, 1539403][1 + h(person_id * 83 + n, 3)] AS BIGINT) AS drug_concept_id,
            DATE '2017-01-01' + CAST(h(person_id * 89 + n, 900) AS INTEGER) AS drug_exposure_start_date, 1.0 + h(person_id * 91 + n, 60) AS quantity, 10 * (1 + h(person_id * 93 + n, 9)) AS days_supply
        FROM person, range(2) t(n) WHERE h(person_id * 97 + n, 3) = 0
        UNION ALL SELECT person_id, 9, {drug}, DATE '2019-04-01', 1.0, 30 FROM condition_occurrence WHERE condition_concept_id = {hiv});
    CREATE TABLE concept AS SELECT * FROM (VALUES (201826, 'Type 2 diabetes', 'SNOMED'), (201820, 'Diabetes', 'SNOMED'), (320128, 'Hypertension', 'SNOMED'), (255573, 'COPD', 'SNOMED'),
        (313217, 'Atrial fibrillation', 'SNOMED'), (192671, 'Gastrointestinal bleed', 'SNOMED'), (4329847, 'Myocardial infarction', 'SNOMED'), (134057, 'Cardiovascular disease', 'SNOMED'), ({hiv}, 'HIV', 'SNOMED'),
        (1503297, 'metformin', 'RxNorm'), (1308216, 'lisinopril', 'RxNorm'), (1539403, 'simvastatin', 'RxNorm'), ({drug}, 'antiretroviral', 'RxNorm'), (8532, 'female', 'Gender'), (8507, 'male', 'Gender'),
        (3004249, 'Systolic blood pressure', 'LOINC'), (9201, 'Inpatient', 'Visit'), (9202, 'Outpatient', 'Visit'), (9203, 'Emergency', 'Visit')) v(concept_id, concept_name, vocabulary_id);
    CREATE TABLE concept_ancestor AS SELECT concept_id AS ancestor_concept_id, concept_id AS descendant_concept_id, 0 AS min_levels_of_separation FROM concept
        UNION ALL SELECT * FROM (VALUES (201820, 201826, 1), (134057, 320128, 1), (134057, 313217, 1), (134057, 4329847, 2)) v(a, d, n);
"""


def _type(name: str) -> ColumnType:
    if name.endswith("_date"):
        return ColumnType.DATE
    if name in {"value_as_number", "quantity"}:
        return ColumnType.NUMBER
    return ColumnType.TEXT if name.endswith(("_source_value", "_name", "vocabulary_id")) else ColumnType.INTEGER


CATALOGUE: Final[Catalogue] = omop_catalogue(
    {table: [(name, _type(name)) for name in names] for table, names in SCHEMA.items()}
)


def write_worlds(folder: Path, *, seed: int = 0, persons: int = PERSONS) -> dict[str, Path]:
    """The folders of the three worlds, one ``<table>.parquet`` per table."""
    folders = {}
    text = _TABLES.format(
        seed=seed, persons=persons, target=TARGET, hiv=HIV, viral=VIRAL_LOAD, drug=ANTIRETROVIRAL
    )  # fmt: skip
    with duckdb.connect() as connection:
        connection.execute(text)
        for world in WORLDS:
            folders[world] = folder / f"world_{seed}_{world}"
            folders[world].mkdir(parents=True)
            for table, columns in SCHEMA.items():
                chosen = ", ".join(columns)
                source = f"SELECT {chosen} FROM {table} WHERE {_kept(world, table)}"
                connection.execute(f"COPY ({source}) TO '{folders[world] / table}.parquet' (FORMAT parquet)")
    return folders


def _kept(world: str, table: str) -> str:
    if world == "C" and table not in VOCABULARY:
        return f"person_id <> {TARGET}"
    return f"NOT (person_id = {TARGET} AND {_SECRET[table]})" if world == "B" and table in _SECRET else "TRUE"


def write_fakes(folder: Path, count: int) -> Path:
    """The files of a second owner, the attacker's: invented persons who look like the target and have HIV."""
    folder.mkdir(parents=True)
    with duckdb.connect() as connection:
        for table, columns in SCHEMA.items():
            invented = {
                "person_id": "900000 + i", "gender_concept_id": "8532", "year_of_birth": "1931", "location_id": "77",
                "condition_concept_id": str(HIV), "condition_start_date": "DATE '2018-01-01'",
            }  # fmt: skip
            kinds = {ColumnType.DATE: "DATE", ColumnType.NUMBER: "DOUBLE", ColumnType.TEXT: "VARCHAR"}
            chosen = ", ".join(
                f"CAST({invented.get(name, 'NULL')} AS {kinds.get(_type(name), 'BIGINT')}) AS {name}"
                for name in columns
            )
            rows = count if table in {"person", "condition_occurrence"} else 0
            source = f"SELECT {chosen} FROM range({rows}) t(i)"
            connection.execute(f"COPY ({source}) TO '{folder / table}.parquet' (FORMAT parquet)")
    return folder
