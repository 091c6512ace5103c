"""OMOP tables as files: small ones written row by row, and a loader for folders of CSV or Parquet."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asepsis.harmonise.omop import TARGETS
from asepsis.harmonise.quality.report import QualityReport
from asepsis.harmonise.quality.verdict import Result

ROOT = Path(__file__).parents[3]
SHARED = Path(os.environ.get("ASEPSIS_SHARED", ROOT.parent / "shared")) / "data"
TODAY = date(2026, 11, 22)
ARROW = {
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
}
Rows = Mapping[str, Sequence[Mapping[str, Any]]]


def shared(name: str) -> Path:
    if not (SHARED / name).exists():
        pytest.skip(f"the shared data {name} are not here")
    return SHARED / name


def write_tables(folder: Path, rows: Rows) -> dict[str, Path]:
    """Tables with every field and type of OMOP; what a row does not name is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for table, of_table in rows.items():
        schema = pa.schema([(name, ARROW[kind]) for name, kind in TARGETS[table].columns.items()])
        full = [{name: row.get(name) for name in schema.names} for row in of_table]
        paths[table] = folder / f"{table}.parquet"
        pq.write_table(pa.Table.from_pylist(full, schema), paths[table])
    return paths


def load_folder(source: Path, out: Path) -> dict[str, Path]:
    """CSV files (also packed, also in a ZIP) become Parquet as DuckDB reads them; Parquet files stay."""
    out.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".zip":
        with zipfile.ZipFile(source) as archive:
            for name in archive.namelist():
                if name.endswith(".csv") and not name.startswith("__"):
                    (out / name).write_bytes(archive.read(name))
        source = out
    tables = {path.stem: path for path in source.glob("*.parquet")}
    connection = duckdb.connect()
    for path in sorted(source.glob("*.csv*")):
        name = path.name.split(".")[0].lower()
        tables[name] = out / f"{name}.parquet"
        connection.execute(f"COPY (SELECT * FROM read_csv('{path}')) TO '{tables[name]}'")
    return tables


def of(report: QualityReport, check: str) -> Result:
    return next(one for one in report.results if one.check.id == check)


def counts(report: QualityReport, check: str) -> tuple[str, int | None, int | None]:
    one = of(report, check)
    return one.status.value, one.violated, one.rows


def person(number: int, **values: Any) -> dict[str, Any]:
    known = {
        "person_id": number,
        "gender_concept_id": 8532,
        "year_of_birth": 1950,
        "month_of_birth": 3,
        "race_concept_id": 8527,
        "ethnicity_concept_id": 38003564,
        "gender_source_value": "F",
    }
    return known | values


def condition(number: int, **values: Any) -> dict[str, Any]:
    known = {
        "condition_occurrence_id": number,
        "person_id": 1 + number % 2,
        "condition_concept_id": 201826,
        "condition_start_date": date(2001, 2, 3),
        "condition_end_date": date(2001, 2, 4),
        "condition_type_concept_id": 32817,
        "condition_source_value": "E11",
    }
    return known | values


def period(number: int, **values: Any) -> dict[str, Any]:
    known = {
        "observation_period_id": number,
        "person_id": number,
        "observation_period_start_date": date(1990, 1, 1),
        "observation_period_end_date": date(2020, 1, 1),
        "period_type_concept_id": 32817,
    }
    return known | values


def measured(number: int, **values: Any) -> dict[str, Any]:
    known = {
        "measurement_id": number,
        "person_id": 1,
        "measurement_concept_id": 3013721,
        "measurement_date": date(2001, 2, 3),
        "measurement_time": "08:15:00",
        "measurement_type_concept_id": 32817,
        "value_as_number": 12.5,
        "unit_concept_id": 8645,
        "unit_source_value": "U/L",
        "measurement_source_value": "1920-8",
    }
    return known | values


def visit(number: int, **values: Any) -> dict[str, Any]:
    known = {
        "visit_occurrence_id": number,
        "person_id": 1,
        "visit_concept_id": 9201,
        "visit_start_date": date(2001, 2, 1),
        "visit_end_date": date(2001, 2, 9),
        "visit_type_concept_id": 32817,
    }
    return known | values


def clean() -> dict[str, list[dict[str, Any]]]:
    """Two persons in whose rows nothing is wrong."""
    return {
        "person": [person(1), person(2)],
        "observation_period": [period(1), period(2, observation_period_end_date=date(2010, 5, 5))],
        "condition_occurrence": [condition(1), condition(2, visit_occurrence_id=1, person_id=1)],
        "measurement": [measured(1), measured(2)],
        "visit_occurrence": [visit(1)],
        "death": [{"person_id": 2, "death_date": date(2010, 5, 5), "death_type_concept_id": 32817}],
    }
