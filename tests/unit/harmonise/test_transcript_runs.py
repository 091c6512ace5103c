"""A hospital whose files are a workbook and an SPSS file: contributed whole, with books, by a mapping folder only."""

from __future__ import annotations

import gzip
import io
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from blake3 import blake3

from asepsis.engines.harmonise import HarmonisedRun, Resources, harmonise, load_mapping
from asepsis.errors.harmonise import TableFileDamaged

openpyxl = pytest.importorskip("openpyxl", reason="openpyxl, which writes the files of these tests, is not installed")
polars = pytest.importorskip("polars", reason="polars, which writes the files of these tests, is not installed")
pyreadstat = pytest.importorskip("pyreadstat", reason="the extra 'tables' is not installed")
pytest.importorskip("python_calamine", reason="the extra 'tables' is not installed")

SMALL = Resources(memory="256MB", threads=1)
SOURCE = """
format: asepsis-mapping/1
source: archive
owner: southgate
dataset: southgate-omop
label: synthetic
files:
  patients:
    pattern: patients.xlsx
    reader: excel
    sheet: Patients
    header_row: 2
    extract_date: 2020-01-01
    columns: [mrn, name, born]
  labs:
    pattern: labs.sav*
    reader: statistics
    format: sav
    extract_date: 2020-01-01
    columns: [mrn, taken, value]
"""
TABLES = {
    "person": """
table: person
from: patients
person: mrn
fields:
  gender_concept_id: {expr: "0"}
  year_of_birth: {expr: "year(parse_date(born, '%Y-%m-%d'))"}
require:
  - {expr: "born is not null", reason: birth_date_missing}
""",
    "measurement": """
table: measurement
from: labs
person: mrn
fields:
  measurement_concept_id: {expr: "3004410"}
  measurement_date: {expr: "parse_date(taken, '%Y-%m-%d')"}
  measurement_type_concept_id: {expr: "32817"}
  value_as_number: {expr: "to_number(value)"}
require:
  - {expr: "value is null or not starts_with(value, '.(')", reason: refused_value, on_fail: exclude}
""",
}


def workbook() -> bytes:
    book = openpyxl.Workbook()
    book.active.title = "Patients"
    for row in (["Southgate 2020"], ["MRN", "Name", "Born"], [1, "Ö'Neil", "1950-01-31"], [], [2, "Roe", "1960-02-29"]):
        book.active.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("mapping/tables", "export", "runs"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "mapping" / "source.yaml").write_text(SOURCE)
    for name, text in TABLES.items():
        (tmp_path / "mapping" / "tables" / f"{name}.yaml").write_text(text)
    (tmp_path / "export" / "patients.xlsx").write_bytes(workbook())
    frame = polars.DataFrame({"mrn": ["1", "1", "2"], "taken": ["2010-05-06"] * 3, "value": [5.5, 99.0, 0.1]})
    plain = tmp_path / "labs.sav"
    pyreadstat.write_sav(frame, str(plain), missing_ranges={"value": [99]})
    (tmp_path / "export" / "labs.sav.gz").write_bytes(gzip.compress(plain.read_bytes()))
    return tmp_path


def run(folder: Path) -> HarmonisedRun:
    files: dict[str, Any] = {path.name: partial(path.open, "rb") for path in (folder / "export").iterdir()}
    mapping = load_mapping(folder / "mapping")
    return harmonise(mapping, files, workdir=folder / "runs", run="r", person_key=bytes(32), resources=SMALL)


def test_rows_of_a_workbook_and_of_an_spss_file_become_tables_and_books(folder: Path) -> None:
    found = run(folder)
    measured = pq.read_table(found.tables["measurement"]).to_pylist()
    assert sorted(row["value_as_number"] for row in measured) == [0.1, 5.5]
    assert {row["year_of_birth"] for row in pq.read_table(found.tables["person"]).to_pylist()} == {1950, 1960}
    files = {file.path: file for file in found.books.files}
    sheet, labs = files["patients.xlsx"], files["labs.sav.gz"]
    assert sheet.exclusions == {"blank_row": 1}
    assert (sheet.declared, sheet.counted, sheet.meets_declared_count) == (3, 3, True)
    assert labs.exclusions == {"refused_value": 1}
    assert (labs.declared, labs.counted, labs.meets_declared_count) == (3, 3, True)


def test_the_digest_in_the_books_is_that_of_the_file_as_stored(folder: Path) -> None:
    files = {file.path: file for file in run(folder).books.files}
    for path in (folder / "export").iterdir():
        assert str(files[path.name].digest) == blake3(path.read_bytes()).hexdigest()


def test_a_damaged_file_ends_the_run_and_nothing_of_it_stays(folder: Path) -> None:
    path = folder / "export" / "labs.sav.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-30]))
    with pytest.raises(TableFileDamaged):
        run(folder)
    assert not (folder / "runs" / "r").exists()
