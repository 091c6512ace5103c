# ruff: noqa: E501 - statements read better on one line
"""A hospital's OMOP tables day by day: what an ordinary day does to them, weekends, holidays and month ends included.

Everything follows from a seed. New rows with a lag, corrections of recent rows, rare corrections of old ones, addenda,
deletions, deaths, repeated results, merges and un-merges of persons; one folder of Parquet files for each day.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import duckdb

FIRST = date(2024, 1, 1)
BASE_DAYS = 250
TABLES = (
    "person",
    "provider",
    "visit_occurrence",
    "condition_occurrence",
    "drug_exposure",
    "measurement",
    "observation",
    "note",
    "death",
    "payer_plan_period",
    "cohort",
)
_WORDS = [
    "patient",
    "seen",
    "today",
    "on",
    "the",
    "ward",
    "with",
    "cough",
    "and",
    "mild",
    "fever",
    "no",
    "pain",
    "at",
    "rest",
    "chest",
    "clear",
    "heart",
    "regular",
    "plan",
    "continue",
    "oral",
    "antibiotics",
    "review",
    "in",
    "two",
    "days",
    "family",
    "informed",
    "discharge",
    "when",
    "stable",
    "blood",
    "pressure",
    "normal",
    "appetite",
    "good",
    "sleeping",
    "well",
    "wound",
    "dry",
    "mobilised",
    "with",
    "help",
]
_HOLIDAYS = {(1, 1), (5, 1), (12, 25), (12, 26), (10, 3)}


class World:
    """The tables as they are today, and what a day does to them."""

    def __init__(self, *, seed: int, size: float = 1.0) -> None:
        self.day = 0
        self.seed = seed
        self.size = size
        self.connection = duckdb.connect(config={"threads": 1})
        words = ", ".join(f"'{word}'" for word in _WORDS)
        self.run(f"CREATE MACRO u(k, s) AS (hash(k, s, {seed}) >> 11)::DOUBLE / 9007199254740992")
        self.run("CREATE MACRO n(k, s) AS sqrt(-2 * ln(u(k, s) + 1e-12)) * cos(6.283185307 * u(k, s || 'x'))")
        self.run(
            f"CREATE MACRO prose(k) AS array_to_string(list_transform(range(14 + (hash(k) % 30)::BIGINT), lambda i: [{words}][1 + (hash(k, i) % {len(_WORDS)})::BIGINT]), ' ')"
        )
        self._base()

    @property
    def today(self) -> date:
        return FIRST + timedelta(days=BASE_DAYS + self.day)

    def run(self, text: str) -> None:
        self.connection.execute(text)

    def export(self, folder: Path) -> Path:
        folder.mkdir(parents=True)
        for table in TABLES:
            self.run(f"COPY {table} TO '{folder / table}.parquet' (FORMAT parquet)")
        return folder

    def step(self) -> None:
        """One ordinary day."""
        self.day += 1
        busy = self._busy()
        self._new_persons(int(2 + 3 * busy * self.size))
        self._grow(f"DATE '{self.today}'", busy, f"d{self.day}")
        self._correct(busy)
        self._merge()

    def _busy(self) -> float:
        today = self.today
        if (today.month, today.day) in _HOLIDAYS:
            return 0.25
        busy = 0.4 if today.weekday() >= 5 else 1.0
        return (
            busy
            * (1.4 if (today + timedelta(days=1)).day == 1 else 1.0)
            * (0.85 + 0.3 * ((self.day * 37 + self.seed) % 11) / 10)
        )

    def _base(self) -> None:
        self.run(
            "CREATE TABLE person (person_id BIGINT, gender_concept_id INT, year_of_birth INT, birth_datetime TIMESTAMP, race_concept_id INT, ethnicity_concept_id INT, location_id INT)"
        )
        self.run(
            "CREATE TABLE provider AS SELECT 100 + i AS provider_id, (38004400 + i % 12)::INT AS specialty_concept_id FROM range(40) t(i)"
        )
        self.run(
            "CREATE TABLE visit_occurrence (visit_occurrence_id BIGINT, person_id BIGINT, visit_concept_id INT, visit_start_date DATE, visit_end_date DATE, provider_id BIGINT, care_site_id INT)"
        )
        self.run(
            "CREATE TABLE condition_occurrence (condition_occurrence_id BIGINT, person_id BIGINT, condition_concept_id INT, condition_start_date DATE, condition_type_concept_id INT, provider_id BIGINT)"
        )
        self.run(
            "CREATE TABLE drug_exposure (drug_exposure_id BIGINT, person_id BIGINT, drug_concept_id INT, drug_exposure_start_date DATE, drug_exposure_end_date DATE, quantity DOUBLE, dose_value DOUBLE, provider_id BIGINT)"
        )
        self.run(
            "CREATE TABLE measurement (measurement_id BIGINT, person_id BIGINT, measurement_concept_id INT, measurement_date DATE, value_as_number DOUBLE, unit_concept_id INT, provider_id BIGINT)"
        )
        self.run(
            "CREATE TABLE observation (observation_id BIGINT, person_id BIGINT, observation_concept_id INT, observation_date DATE, value_as_string VARCHAR)"
        )
        self.run(
            "CREATE TABLE note (note_id BIGINT, person_id BIGINT, note_date DATE, note_type_concept_id INT, note_text VARCHAR, provider_id BIGINT)"
        )
        self.run("CREATE TABLE death (person_id BIGINT, death_date DATE, cause_concept_id INT)")
        self.run(
            "CREATE TABLE payer_plan_period (payer_plan_period_id BIGINT, person_id BIGINT, payer_plan_period_start_date DATE, payer_plan_period_end_date DATE, payer_concept_id INT)"
        )
        self.run("CREATE TABLE cohort (subject_id BIGINT, cohort_definition_id INT, cohort_start_date DATE)")
        self._new_persons(int(2400 * self.size))
        self.run(
            f"INSERT INTO death SELECT person_id, DATE '{FIRST}' + (u(person_id, 'dd') * {BASE_DAYS - 1})::INT, 4000000 + (hash(person_id) % 9)::INT FROM person WHERE u(person_id, 'dies') < 0.05"
        )
        self._grow(f"DATE '{FIRST}' + (u(i, 'when') * {BASE_DAYS})::INT", float(BASE_DAYS), "base")

    def _new_persons(self, count: int) -> None:
        self.run(
            f"CREATE OR REPLACE TABLE fresh AS SELECT (SELECT coalesce(max(person_id), 1000) FROM person) + 1 + i AS p FROM range({count}) t(i)"
        )
        self.run(
            "INSERT INTO person SELECT p, CASE WHEN u(p, 'sex') < 0.5 THEN 8507 ELSE 8532 END, (1930 + u(p, 'yob') * 90)::INT, make_timestamp((1930 + u(p, 'yob') * 90)::BIGINT, 1 + (hash(p, 'm') % 12)::BIGINT, 1 + (hash(p, 'd') % 28)::BIGINT, 0, 0, 0), [8527, 8516, 8515, 8657][1 + least(3, (u(p, 'race') * 6)::BIGINT)], 38003563 + (u(p, 'eth') * 1.3)::INT, (hash(p, 'loc') % 200)::INT FROM fresh"
        )
        self.run(
            f"INSERT INTO cohort SELECT p, 1 + (hash(p, 'arm') % 3)::INT, DATE '{self.today}' FROM fresh WHERE u(p, 'enrolled') < 0.9"
        )
        self.run(
            f"INSERT INTO payer_plan_period SELECT p * 10, p, DATE '{FIRST}' - (u(p, 'pp') * 900)::INT, DATE '{FIRST}' + 600, 280 + (u(p, 'payer') * u(p, 'payer2') * 7)::INT FROM fresh"
        )

    def _grow(self, when: str, days: float, tag: str) -> None:
        """New rows of all event tables; ``when`` gives a date for row i, and some rows come late."""
        persons = "(SELECT list(person_id ORDER BY person_id) FROM person WHERE person_id NOT IN (SELECT person_id FROM death))"
        who = f"(SELECT {persons})[1 + (u(i, 'who{tag}') * u(i, 'wh{tag}') * (SELECT count(*) FROM person WHERE person_id NOT IN (SELECT person_id FROM death)) * 0.999)::BIGINT]"
        lag = f"(CASE WHEN u(i, 'l{tag}') < 0.93 THEN 0 WHEN u(i, 'l{tag}') < 0.99 THEN (u(i, 'm{tag}') * 5)::INT WHEN u(i, 'l{tag}') < 0.998 THEN (u(i, 'm{tag}') * 45)::INT ELSE 60 + (u(i, 'm{tag}') * 100)::INT END)"
        provider = f"100 + (hash(i, 'pr{tag}') % 40)::BIGINT"

        def add(table: str, per_day: float, select: str) -> None:
            count = int(per_day * days * self.size)
            top = f"(SELECT coalesce(max({table}_id), 0) FROM {table})"
            self.run(
                f"INSERT INTO {table} SELECT {top} + 1 + k.i, {select.format(tag=tag, provider=provider)} FROM (SELECT i, person, day - {lag} AS day FROM (SELECT i, {who} AS person, {when} AS day FROM range({count}) t(i))) AS k"
            )

        add(
            "visit_occurrence",
            60,
            "person, [9201, 9202, 9203][1 + (hash(i, 'v{tag}') % 3)::BIGINT], day, day + (u(i, 'stay{tag}') * u(i, 'sta{tag}') * 12)::INT, {provider}, (hash(i, 'cs{tag}') % 8)::INT",
        )
        add(
            "condition_occurrence",
            70,
            "person, 4100000 + (u(i, 'c{tag}') * u(i, 'cc{tag}') * 120)::INT, day, 32817 + (hash(i, 'ct{tag}') % 3)::INT, {provider}",
        )
        add(
            "drug_exposure",
            55,
            "person, 19000000 + (u(i, 'g{tag}') * u(i, 'gg{tag}') * 90)::INT, day, day + (u(i, 'days{tag}') * 20)::INT, 1 + (hash(i, 'q{tag}') % 90)::DOUBLE, [5.0, 10, 20, 40, 250, 500][1 + (hash(i, 'do{tag}') % 6)::BIGINT], {provider}",
        )
        lab = "(3000000 + (u(i, 'lab{tag}') * u(i, 'la{tag}') * 40)::INT)"
        add(
            "measurement",
            480,
            f"person, {lab}, day, round((2 + ({lab} * 7) % 90) * (1 + 0.12 * n(i, 'val{{tag}}') + 0.06 * n(person, 'eff')), 2), 8700 + {lab} % 7, {{provider}}",
        )
        add(
            "observation",
            14,
            "person, [439224, 4058286, 4167217, 4272240, 4214956][1 + (hash(i, 'o{tag}') % 5)::BIGINT], day, ['penicillin', 'latex', 'smoker', 'lives alone', 'none'][1 + (hash(i, 'o{tag}') % 5)::BIGINT]",
        )
        add("note", 22, "person, day, 44814637 + (hash(i, 'nt{tag}') % 3)::INT, prose(hash(i, '{tag}')), {provider}")

    def _correct(self, busy: float) -> None:
        """Corrections: many of recent rows, about one a day of old ones."""
        d, today = self.day, f"DATE '{self.today}'"
        recent = "{date} > " + today + " - 14"
        rate = busy * self.size

        def some(table: str, column: str, at: str, count: float, where: str, salt: str) -> str:
            key = f"{table}_id"
            return f"UPDATE {table} SET {column} WHERE {key} IN (SELECT {key} FROM {table} WHERE {where.format(date=at)} ORDER BY u({key}, '{salt}{d}') LIMIT {self._poisson(count, salt)})"

        self.run(
            some(
                "measurement",
                "value_as_number = round(value_as_number * (0.8 + 0.4 * u(measurement_id, 'new')), 2)",
                "measurement_date",
                9 * rate,
                recent,
                "a",
            )
        )
        self.run(
            some(
                "measurement",
                "value_as_number = round(value_as_number * (0.8 + 0.4 * u(measurement_id, 'new2')), 2)",
                "measurement_date",
                0.7,
                "TRUE",
                "b",
            )
        )
        self.run(some("measurement", "value_as_number = NULL", "measurement_date", 0.8 * rate, recent, "c"))
        self.run(
            some(
                "visit_occurrence",
                "visit_end_date = visit_end_date + 1 + (hash(visit_occurrence_id) % 3)::INT",
                "visit_start_date",
                8 * rate,
                recent,
                "e",
            )
        )
        self.run(
            some(
                "condition_occurrence",
                "condition_concept_id = 4100000 + (u(condition_occurrence_id, 'r') * 100)::INT",
                "condition_start_date",
                4 * rate,
                recent,
                "f",
            )
        )
        self.run(
            some(
                "condition_occurrence",
                "condition_concept_id = 4100000 + (u(condition_occurrence_id, 's') * 100)::INT",
                "condition_start_date",
                0.4,
                "TRUE",
                "g",
            )
        )
        self.run(
            some(
                "drug_exposure",
                "drug_exposure_end_date = drug_exposure_end_date + 1 + (hash(drug_exposure_id) % 5)::INT",
                "drug_exposure_start_date",
                5 * rate,
                recent,
                "h",
            )
        )
        self.run(
            some(
                "drug_exposure",
                "dose_value = [5.0, 10, 20, 40][1 + (hash(drug_exposure_id) % 4)::BIGINT]",
                "drug_exposure_start_date",
                1.5 * rate,
                recent,
                "i",
            )
        )
        self.run(
            some("note", "note_text = note_text || ' addendum ' || prose(note_id)", "note_date", 3 * rate, recent, "j")
        )
        for table, at, count in (
            ("measurement", "measurement_date", 3.0),
            ("condition_occurrence", "condition_start_date", 1.2),
            ("drug_exposure", "drug_exposure_start_date", 1.0),
        ):
            self.run(
                f"DELETE FROM {table} WHERE {table}_id IN (SELECT {table}_id FROM {table} WHERE {recent.format(date=at)} ORDER BY u({table}_id, 'del{d}') LIMIT {self._poisson(count * rate, table)})"
            )
            self.run(
                f"DELETE FROM {table} WHERE {table}_id IN (SELECT {table}_id FROM {table} ORDER BY u({table}_id, 'old{d}') LIMIT {self._poisson(0.15, 'o' + table)})"
            )
        self.run(
            f"UPDATE person SET birth_datetime = birth_datetime + INTERVAL 1 DAY WHERE person_id IN (SELECT person_id FROM person ORDER BY u(person_id, 'b{d}') LIMIT {self._poisson(0.2, 'birth')})"
        )
        self.run(
            f"INSERT INTO death SELECT person_id, {today} - (hash(person_id) % 3)::INT, 4000000 + (hash(person_id) % 9)::INT FROM person WHERE person_id NOT IN (SELECT person_id FROM death) ORDER BY u(person_id, 'die{d}') LIMIT {self._poisson(0.8, 'die')}"
        )
        self.run(
            f"INSERT INTO measurement SELECT (SELECT max(measurement_id) FROM measurement) + row_number() OVER (), * EXCLUDE (measurement_id) FROM (SELECT * FROM measurement WHERE {recent.format(date='measurement_date')} ORDER BY u(measurement_id, 'twice{d}') LIMIT {self._poisson(1.0, 'twice')})"
        )

    def _merge(self) -> None:
        if self._poisson(0.2, "merge"):
            pair = self.connection.execute(
                f"SELECT person_id FROM person WHERE person_id NOT IN (SELECT person_id FROM death) ORDER BY u(person_id, 'merge{self.day}') LIMIT 2"
            ).fetchall()
            self.merge(pair[0][0], pair[1][0])

    def merge(self, gone: int, kept: int) -> None:
        """All rows of one person become another's."""
        for table in (
            "visit_occurrence",
            "condition_occurrence",
            "drug_exposure",
            "measurement",
            "observation",
            "note",
            "payer_plan_period",
        ):
            self.run(f"UPDATE {table} SET person_id = {kept} WHERE person_id = {gone}")
        self.run(f"DELETE FROM cohort WHERE subject_id = {gone}")
        self.run(f"DELETE FROM death WHERE person_id = {gone}")
        self.run(f"DELETE FROM person WHERE person_id = {gone}")

    def _poisson(self, mean: float, salt: str) -> int:
        row = self.connection.execute(f"SELECT u({self.day}, 'poisson{salt}')").fetchone()
        chance, count, term = float(row[0]) if row else 0.5, 0, 2.718281828459045**-mean
        total = term
        while chance > total and count < 10_000:
            count += 1
            term *= mean / count
            total += term
        return count
