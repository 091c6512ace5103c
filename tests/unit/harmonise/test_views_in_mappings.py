"""A ViewDefinition as the shape of a FHIR file: every resource is accounted for, whatever the view makes of it."""

from __future__ import annotations

import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest

from asepsis.engines.harmonise import harmonise, load_mapping
from asepsis.engines.harmonise.checking import check_mapping, mapping_docs
from asepsis.engines.harmonise.result import HarmonisedRun
from asepsis.engines.harmonise.trial import run_mapping_tests
from asepsis.errors.harmonise import MappingMalformed, MappingMissing, ViewRefused

VIEW: dict[str, Any] = {
    "resourceType": "ViewDefinition",
    "resource": "Patient",
    "status": "active",
    "select": [
        {
            "column": [
                {"name": "id", "path": "getResourceKey()"},
                {"name": "birthDate", "path": "birthDate", "type": "date"},
                {"name": "active", "path": "active", "type": "boolean"},
            ]
        },
        {
            "forEachOrNull": "name.where(use = 'official')",
            "column": [{"name": "family", "path": "family"}, {"name": "given", "path": "given.join(' ')"}],
        },
    ],
    "where": [{"path": "deceased.ofType(boolean).exists().not()"}],
}
SOURCE = """
format: asepsis-mapping/1
source: fhir
owner: ward
dataset: ward
label: synthetic
files:
  patient:
    pattern: patient.ndjson
    reader: ndjson
    encoding: utf-8
    extract_date: 2020-01-01
    view: views/patient.json
"""
PERSON = """
table: person
from: patient
person: id
fields:
  year_of_birth: {expr: "year(parse_date(birthdate, '%Y-%m-%d'))"}
"""
IDENTITY = (
    "table: identity\nfrom: patient\nperson: id\nfields: {family_name: {expr: family}, given_name: {expr: given}}\n"
)
TRIAL = """
from: patient
cases:
  - name: a patient
    given: {json: '{"resourceType": "Patient", "id": "x", "birthDate": "1960-02-03"}'}
    expect: {state: accepted, person.year_of_birth: 1960}
  - name: an observation
    given: {json: '{"resourceType": "Observation", "id": "x"}'}
    expect: {state: excluded, reasons: [not_in_view, person_key_missing]}
"""


def patient(key: str, **more: Any) -> dict[str, Any]:
    official = {"use": "official", "family": f"Family {key}", "given": ["A", "B"]}
    return {"resourceType": "Patient", "id": key, "birthDate": "1950-01-02", "name": [official], **more}


RESOURCES = [
    patient("whole", active=True),
    patient("nameless", name=[]),
    {"resourceType": "Observation", "id": "other"},
    patient("dead", deceasedBoolean=True),
    patient("twice", name=[{"use": "official", "family": "One"}, {"use": "official", "family": "Two"}]),
    patient("several", birthDate=["1950-01-02", "1951-01-02"]),
]
LINES = "".join(json.dumps(item) + "\n" for item in RESOURCES) + "{broken\n\n"


@pytest.fixture(name="folder")
def mapping_folder(tmp_path: Path) -> Path:
    """A mapping with a view."""
    folder = tmp_path / "mapping"
    for name in ("tables", "views", "tests"):
        (folder / name).mkdir(parents=True)
    (folder / "source.yaml").write_text(SOURCE)
    (folder / "views" / "patient.json").write_text(json.dumps(VIEW))
    (folder / "tables" / "person.yaml").write_text(PERSON)
    (folder / "tables" / "identity.yaml").write_text(IDENTITY)
    (folder / "tests" / "patient.yaml").write_text(TRIAL)
    return folder


def run(folder: Path, workdir: Path) -> HarmonisedRun:
    files = {"patient.ndjson": partial(io.BytesIO, LINES.encode())}
    return harmonise(load_mapping(folder), files, workdir=workdir, run="run", person_key=bytes(32))


def test_every_resource_is_accounted_for(folder: Path, tmp_path: Path) -> None:
    """Guards: without its defects a resource without a row, or with two, would be a person without a key."""
    found = run(folder, tmp_path)
    [books] = found.books.files
    assert (books.landed, books.accepted, books.excluded, books.quarantined, books.header) == (8, 2, 2, 3, 1)
    assert books.exclusions == {"not_in_view": 2}
    named = {"not_json": 1, "several_rows_in_view": 1, "view_failed": 1}
    assert books.reasons == named | {"person_key_missing": 2}
    rows = duckdb.sql(f"SELECT family_name, given_name FROM read_parquet('{found.identity}') ORDER BY ALL").fetchall()
    assert rows == [("Family whole", "A B"), (None, "")]


def test_the_view_is_part_of_the_mapping(folder: Path) -> None:
    before = load_mapping(folder).digest
    (folder / "views" / "patient.json").write_text(json.dumps({**VIEW, "name": "other"}))
    assert load_mapping(folder).digest != before


def test_check_test_and_docs_know_views(folder: Path) -> None:
    assert [trial.differences for trial in run_mapping_tests(folder)] == [(), ()]
    assert not any(remark.is_error for remark in check_mapping(folder))
    assert "ViewDefinition of Patient" in mapping_docs(folder)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"select": []}, ViewRefused),
        ({"select": [{"column": [{"name": "id", "path": "id.trace('x')"}]}]}, ViewRefused),
        ({"select": [{"column": [{"name": "id", "path": "id", "collection": True}]}]}, MappingMalformed),
        ({"select": [{"column": [{"name": "ID", "path": "id"}, {"name": "1", "path": "id"}]}]}, ViewRefused),
    ],
)
def test_a_view_outside_the_subset_is_refused(folder: Path, change: dict[str, Any], error: type[Exception]) -> None:
    (folder / "views" / "patient.json").write_text(json.dumps(VIEW | change))
    with pytest.raises(error):
        load_mapping(folder)


def test_a_view_is_a_file_of_the_folder_and_stands_alone(folder: Path) -> None:
    source = folder / "source.yaml"
    source.write_text(SOURCE.replace("views/patient.json", "../patient.json"))
    with pytest.raises(MappingMissing):
        load_mapping(folder)
    source.write_text(SOURCE + "    paths: {id: id}\n")
    with pytest.raises(MappingMalformed):
        load_mapping(folder)
    source.write_text(SOURCE)
    (folder / "views" / "patient.json").write_text("{")
    with pytest.raises(MappingMalformed):
        load_mapping(folder)
