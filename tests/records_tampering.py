# ruff: noqa: E501 - statements read better on one line
"""The record-level cases of the tamper suite as statements on the tables of a day, and what must be found.

`tests/records_world.py` makes the days. A case is applied to a copy of the newest day; the truth is what plain Python sees
between the day before and the copy.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from records_world import TABLES

VALUES = "value_as_number = round(value_as_number * {factor}, {digits})"


@dataclass(frozen=True)
class Tamper:
    """A case: statements, and any of these findings (code, table, column) is the true cause."""

    id: str
    statements: tuple[str, ...]
    causes: tuple[tuple[str, str, str | None], ...]
    ticket: dict[str, object] = field(default_factory=dict)


def pick(table: str, count: int, where: str = "TRUE", key: str | None = None) -> str:
    """A condition: this many rows, chosen by the seed."""
    key = key or f"{table}_id"
    return f"{key} IN (SELECT {key} FROM {table} WHERE {where} ORDER BY u({key}, 'pick') LIMIT {count})"


def share(table: str, part: float, key: str | None = None) -> str:
    return f"u({key or table + '_id'}, 'share') < {part}"


BUSY_LAB = "(SELECT mode(measurement_concept_id) FROM measurement)"
BUSY_PERSON = "(SELECT mode(person_id) FROM measurement)"
BUSY_CONDITION = "(SELECT mode(condition_concept_id) FROM condition_occurrence)"
OLD = "{date} < DATE '{{today}}' - {days}"


def cells(*codes: str, table: str, column: str | None) -> tuple[tuple[str, str, str | None], ...]:
    return tuple((code, table, column) for code in codes)


TAMPERS = [
    Tamper("T-01", (f"UPDATE person SET birth_datetime = birth_datetime + INTERVAL 365 DAY WHERE {share('person', 0.01)}",), cells("dates.shifted", table="person", column="birth_datetime")),
    Tamper("T-02", (f"UPDATE person SET birth_datetime = birth_datetime + to_days((u(person_id, 'x') * 4000)::INT - 1500) WHERE {pick('person', 12)}",), cells("cells.changed", "dates.shifted", table="person", column="birth_datetime")),
    Tamper("T-03", (f"UPDATE person SET gender_concept_id = 8507 + 8532 - gender_concept_id WHERE {pick('person', 25)}",), cells("codes.swapped", "codes.replaced", table="person", column="gender_concept_id")),
    Tamper("T-04", (f"UPDATE measurement SET value_as_number = round(value_as_number * 1.1, 2) WHERE measurement_concept_id = {BUSY_LAB}",), cells("cells.scaled", table="measurement", column="value_as_number")),
    Tamper("T-05", (f"UPDATE measurement SET value_as_number = value_as_number * 1.01 WHERE {pick('measurement', 30, OLD.format(date='measurement_date', days=200) + ' AND value_as_number IS NOT NULL')}",), cells("cells.scaled", "cells.changed", table="measurement", column="value_as_number")),
    Tamper("T-06", (f"UPDATE measurement SET value_as_number = round(value_as_number * 1.3, 2) WHERE person_id = {BUSY_PERSON}",), cells("cells.scaled", table="measurement", column="value_as_number")),
    Tamper("T-08", (f"DELETE FROM condition_occurrence WHERE condition_concept_id = {BUSY_CONDITION}",), cells("rows.group_deleted", table="condition_occurrence", column="condition_concept_id")),
    Tamper("T-09", (f"DELETE FROM condition_occurrence WHERE {pick('condition_occurrence', 40, OLD.format(date='condition_start_date', days=100))}",), cells("rows.deleted", table="condition_occurrence", column=None)),
    Tamper("T-10", (f"DELETE FROM drug_exposure WHERE {share('drug_exposure', 0.15)}",), cells("rows.deleted", table="drug_exposure", column=None)),
    Tamper("T-11", (f"DELETE FROM note WHERE NOT {pick('note', 50)}",), cells("rows.truncated", table="note", column=None)),
    Tamper("T-12", ("INSERT INTO condition_occurrence SELECT (SELECT max(condition_occurrence_id) FROM condition_occurrence) + i + 1, (SELECT list(person_id ORDER BY person_id) FROM person)[1 + (u(i, 'who') * 500)::INT], 4100000 + (u(i, 'what') * 100)::INT, DATE '{today}' - 90 - (u(i, 'when') * 100)::INT, 32817, 100 + i % 40 FROM range(60) t(i)",), cells("rows.backdated", table="condition_occurrence", column=None)),
    Tamper("T-14", (
        f"CREATE TABLE pairs AS SELECT measurement_id AS m, person_id AS p, row_number() OVER (ORDER BY measurement_id) AS i FROM measurement WHERE {pick('measurement', 80)}",
        "UPDATE measurement SET person_id = q.p FROM pairs AS o JOIN pairs AS q ON q.i = CASE WHEN o.i % 2 = 1 THEN o.i + 1 ELSE o.i - 1 END WHERE measurement_id = o.m",
    ), cells("persons.swapped", "persons.reassigned", table="measurement", column="person_id")),
    Tamper("T-15", (
        "CREATE TABLE pairs AS SELECT drug_exposure_id AS m, person_id AS p, row_number() OVER (ORDER BY drug_exposure_id) AS i, row_number() OVER (ORDER BY u(drug_exposure_id, 'permute')) AS j FROM drug_exposure",
        "UPDATE drug_exposure SET person_id = q.p FROM pairs AS o JOIN pairs AS q ON q.i = o.j WHERE drug_exposure_id = o.m",
    ), cells("persons.permuted", table="drug_exposure", column="person_id")),
    Tamper("T-16", (f"UPDATE measurement SET unit_concept_id = 8840 WHERE measurement_concept_id = {BUSY_LAB}",), cells("codes.replaced", table="measurement", column="unit_concept_id")),
    Tamper("T-17", (f"UPDATE drug_exposure SET dose_value = dose_value * 10 WHERE {pick('drug_exposure', 20, chr(39).join(['drug_exposure_start_date > DATE ', '{today}', ' - 30']))}",), cells("cells.scaled", table="drug_exposure", column="dose_value")),
    Tamper("T-18", (f"UPDATE drug_exposure SET drug_concept_id = 19000000 + (drug_concept_id + 7) % 90 WHERE {share('drug_exposure', 0.003)}",), cells("codes.replaced", table="drug_exposure", column="drug_concept_id")),
    Tamper("T-19", (f"DELETE FROM person WHERE {pick('person', 20)}",), (*cells("rows.deleted", "persons.erased", table="person", column=None), ("references.orphaned", "measurement", "person_id"), ("references.orphaned", "payer_plan_period", "person_id"), ("references.orphaned", "visit_occurrence", "person_id"), ("references.orphaned", "drug_exposure", "person_id"), ("references.orphaned", "condition_occurrence", "person_id"))),
    Tamper("T-20", (f"UPDATE measurement SET value_as_number = NULL WHERE {share('measurement', 0.02)}",), cells("cells.nulled", table="measurement", column="value_as_number")),
    Tamper("T-21", ("UPDATE note SET note_text = aes(note_text)",), cells("text.not_text", table="note", column="note_text")),
    Tamper("T-22", (f"UPDATE note SET note_text = aes(note_text) WHERE {share('note', 0.05)}",), cells("text.not_text", table="note", column="note_text")),
    Tamper("T-23", (f"INSERT INTO measurement SELECT (SELECT max(measurement_id) FROM measurement) + row_number() OVER (), * EXCLUDE (measurement_id) FROM measurement WHERE {pick('measurement', 500)}",), cells("rows.copied", table="measurement", column=None)),
    Tamper("T-24", ("UPDATE visit_occurrence SET visit_start_date = visit_start_date + 1, visit_end_date = visit_end_date + 1",), cells("dates.shifted", table="visit_occurrence", column="visit_start_date")),
    Tamper("T-25", ("UPDATE measurement SET measurement_date = measurement_date - 30 WHERE provider_id = 117",), cells("dates.shifted", table="measurement", column="measurement_date")),
    Tamper("T-27", ("UPDATE measurement SET value_as_number = round(value_as_number - 0.5 * (2 + (measurement_concept_id * 7) % 90) * 0.134, 2) WHERE measurement_id > {newest:measurement} AND person_id IN (SELECT subject_id FROM cohort WHERE cohort_definition_id = 2)",), cells("values.drift", table="measurement", column="value_as_number")),
    Tamper("T-28", (f"UPDATE measurement SET measurement_date = measurement_date + 500 WHERE {pick('measurement', 30)}",), cells("dates.future", "dates.shifted", table="measurement", column=None)),
    Tamper("T-29", ("CREATE OR REPLACE TABLE measurement AS FROM read_parquet('{past}/measurement.parquet')",), cells("rows.rolled_back", table="measurement", column=None)),
    Tamper("T-30", (f"UPDATE measurement SET value_as_number = round(value_as_number * (1 + 0.01 * n(measurement_id, 'noise')), 3) WHERE {share('measurement', 0.1)}",), cells("cells.changed", table="measurement", column="value_as_number")),
    Tamper("T-31", (f"UPDATE measurement SET measurement_concept_id = CASE measurement_concept_id WHEN {BUSY_LAB} THEN 3000009 ELSE {BUSY_LAB} END WHERE measurement_concept_id IN ({BUSY_LAB}, 3000009)",), cells("codes.swapped", table="measurement", column="measurement_concept_id")),
    Tamper("T-33", (
        "CREATE TABLE gone AS SELECT person_id AS p FROM person WHERE race_concept_id = 8515",
        *(f"DELETE FROM {table} WHERE person_id IN (SELECT p FROM gone)" for table in ("visit_occurrence", "condition_occurrence", "drug_exposure", "measurement", "observation", "note", "payer_plan_period", "death", "person")),
        "DELETE FROM cohort WHERE subject_id IN (SELECT p FROM gone)",
    ), cells("rows.group_deleted", table="person", column="race_concept_id")),
    Tamper("T-34", (f"DELETE FROM death WHERE {pick('death', 15, key='person_id')}",), cells("rows.deleted", table="death", column=None)),
    Tamper("T-35", (f"UPDATE visit_occurrence SET visit_end_date = visit_start_date - 3 WHERE {share('visit_occurrence', 0.01)}",), cells("dates.reversed", table="visit_occurrence", column="visit_end_date")),
    Tamper("T-37", (f"UPDATE observation SET observation_concept_id = 4222295 WHERE {pick('observation', 20, 'observation_concept_id = 439224')}",), cells("codes.replaced", "codes.unknown", table="observation", column="observation_concept_id")),
    Tamper("T-39", ("ALTER TABLE measurement ALTER unit_concept_id TYPE VARCHAR", "ALTER TABLE drug_exposure DROP COLUMN dose_value"), (("schema.column_gone", "drug_exposure", "dose_value"), ("schema.type_changed", "measurement", "unit_concept_id"))),
]  # fmt: skip

ERASED = "(SELECT mode(person_id) FROM note)"
EVENTS = (
    "visit_occurrence",
    "condition_occurrence",
    "drug_exposure",
    "measurement",
    "observation",
    "note",
    "payer_plan_period",
)
BENIGN = [
    Tamper("B-02", ("INSERT INTO measurement SELECT (SELECT max(measurement_id) FROM measurement) + row_number() OVER (), person_id, measurement_concept_id, measurement_date - (u(measurement_id, 'back') * 20)::INT, round(value_as_number * (1 + 0.03 * n(measurement_id, 'v')), 2), unit_concept_id, provider_id FROM measurement WHERE measurement_date > DATE '{today}' - 5",), (), {"table": "measurement", "kind": "insert", "rows_at_most": 20_000}),
    Tamper("B-03", (*(f"DELETE FROM {table} WHERE person_id = {{erased}}" for table in (*EVENTS, "death", "person")), "DELETE FROM cohort WHERE subject_id = {erased}"), (), {"table": "*", "kind": "delete", "rows_at_most": 4000, "where": {"person_id": ["{erased}"]}}),
    Tamper("B-04", ("merge",), ()),
    Tamper("B-05", ("UPDATE condition_occurrence SET condition_concept_id = 4200000 WHERE condition_concept_id = 4100003",), (), {"table": "condition_occurrence", "kind": "update", "columns": ["condition_concept_id"], "rows_at_most": 5000, "where": {"condition_concept_id": ["4100003"]}}),
    Tamper("B-06", ("UPDATE measurement SET value_as_number = round(value_as_number * 18.02, 2), unit_concept_id = 8753 WHERE measurement_concept_id = 3000002",), (), {"table": "measurement", "kind": "update", "columns": ["value_as_number", "unit_concept_id"], "rows_at_most": 50_000, "where": {"measurement_concept_id": ["3000002"]}, "factor": 18.02}),
    Tamper("B-07", ("INSERT INTO condition_occurrence SELECT (SELECT max(condition_occurrence_id) FROM condition_occurrence) + i + 1, (SELECT list(person_id ORDER BY person_id) FROM person)[1 + (u(i, 'who') * 500)::INT], 4100000 + (u(i, 'what') * 100)::INT, DATE '{today}' - 3000 - (u(i, 'when') * 2000)::INT, 32817, 100 + i % 40 FROM range(3000) t(i)",), (), {"table": "condition_occurrence", "kind": "insert", "rows_at_most": 3000 + 200}),
    Tamper("B-08", ("ALTER TABLE measurement ADD COLUMN value_source_value VARCHAR",), (), {"table": "measurement", "kind": "schema", "columns": ["value_source_value"]}),
    Tamper("B-09", (f"UPDATE measurement SET value_as_number = round(value_as_number * 1.02, 4) WHERE {pick('measurement', 60, chr(39).join(['measurement_date > DATE ', '{today}', ' - 5']))}",), (), {"table": "measurement", "kind": "update", "columns": ["value_as_number"], "rows_at_most": 80}),
]  # fmt: skip


def apply(
    tamper: Tamper, source: Path, target: Path, *, seed: int, today: str, before: Path, past: Path | None = None
) -> dict[str, object]:
    """Copy a day and tamper with it; returns the ticket with its values filled in."""
    connection = duckdb.connect(config={"threads": 1})
    connection.execute(f"CREATE MACRO u(k, s) AS (hash(k, s, {seed}) >> 11)::DOUBLE / 9007199254740992")
    connection.execute("CREATE MACRO n(k, s) AS sqrt(-2 * ln(u(k, s) + 1e-12)) * cos(6.283185307 * u(k, s || 'x'))")
    connection.create_function("aes", encrypt, ["VARCHAR"], "VARCHAR")
    target.mkdir(parents=True)
    touched = [table for table in TABLES if any(table in text for text in tamper.statements)]
    for table in TABLES:
        if table in touched:
            connection.execute(f"CREATE TABLE {table} AS FROM read_parquet('{source / table}.parquet')")
        else:
            shutil.copyfile(source / f"{table}.parquet", target / f"{table}.parquet")
    names = {"today": today, "past": str(past)}
    if "{erased}" in str(tamper):
        row = connection.execute(ERASED).fetchone()
        names["erased"] = str(row[0]) if row else ""
    for text in tamper.statements:
        filled = (
            text.replace("{today}", today).replace("{past}", names["past"]).replace("{erased}", names.get("erased", ""))
        )
        if "{newest:measurement}" in filled:
            row = connection.execute(
                f"SELECT max(measurement_id) FROM read_parquet('{before}/measurement.parquet')"
            ).fetchone()
            filled = filled.replace("{newest:measurement}", str(row[0]) if row else "0")
        connection.execute(filled)
    for table in touched:
        connection.execute(f"COPY {table} TO '{target / table}.parquet' (FORMAT parquet)")
    connection.close()
    ticket = dict(tamper.ticket)
    if "where" in ticket:
        where = ticket["where"]
        assert isinstance(where, dict)
        ticket["where"] = {
            name: [value.replace("{erased}", names.get("erased", "")) for value in values]
            for name, values in where.items()
        }
    return ticket


def encrypt(text: str | None) -> str | None:
    """AES-256 in counter mode, as base64."""
    if text is None:
        return None
    key = hashlib.sha256(b"tamper").digest()
    encryptor = Cipher(
        algorithms.AES(key), modes.CTR(hashlib.md5(text.encode(), usedforsecurity=False).digest())
    ).encryptor()
    return base64.b64encode(encryptor.update(text.encode()) + encryptor.finalize()).decode()


def truth(
    before: Path, after: Path, keys: dict[str, str], counted: Callable[[str], bool] = lambda _: True
) -> Iterator[tuple[str, int, int, int]]:
    """(table, inserted, deleted, updated) by plain Python over the rows of both days."""
    for table in filter(counted, TABLES):
        old, new = (
            {row[keys[table]]: row for row in pq.read_table(folder / f"{table}.parquet").to_pylist()}
            for folder in (before, after)
        )
        names = set(next(iter(old.values()), {})) & set(next(iter(new.values()), {}))
        updated = sum(
            1 for key in old.keys() & new.keys() if any(str(old[key][name]) != str(new[key][name]) for name in names)
        )
        yield table, len(new.keys() - old.keys()), len(old.keys() - new.keys()), updated
