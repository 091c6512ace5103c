"""What a mapping does not know of real files."""

from __future__ import annotations

from pathlib import Path

import pytest

from asepsis.engines.harmonise import load_mapping
from asepsis.engines.harmonise.unmapped import unknown_of
from asepsis.errors import AsepsisError

SOURCE = """format: asepsis-mapping/1
source: s
owner: north
dataset: d
label: synthetic
files:
  people: {pattern: people.ndjson, reader: ndjson, encoding: utf-8, extract_date: 2024-12-31, paths: {nr: nr, sex: sex}}
"""
PERSON = """table: person
from: people
person: nr
fields:
  gender_concept_id: {code_map: sexes, from: sex}
  gender_source_value: {expr: sex}
  year_of_birth: {expr: "1950"}
"""


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    folder = tmp_path / "mapping"
    for name, text in (
        ("source.yaml", SOURCE),
        ("tables/person.yaml", PERSON),
        ("codes/sexes.csv", "source_code,target_concept_id,grade,note\nf,8532,exact,\nm,8507,exact,\n"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "files" / "more").mkdir(parents=True)
    (tmp_path / "files" / "people.ndjson").write_text('{"nr":"1","sex":"f"}\n{"nr":"2","sex":"?"}\n')
    (tmp_path / "files" / "more" / "labs.csv").write_text("canary\n")
    return tmp_path / "files"


def test_files_that_no_entry_reads_are_named_and_unknown_codes_counted(mapping: Path, files: Path) -> None:
    unknown = unknown_of(load_mapping(mapping), files)
    assert unknown.files == ("more/labs.csv",)
    assert [(one.table, one.column, dict(one.codes)) for one in unknown.codes] == [
        ("person", "gender_concept_id", {"?": 1})
    ]


def test_a_folder_of_files_that_is_not_there_is_not_called_a_mapping(mapping: Path, files: Path) -> None:
    with pytest.raises(AsepsisError) as caught:
        unknown_of(load_mapping(mapping), files / "no")
    assert caught.value.code == "source.missing"
