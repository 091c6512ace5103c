from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from asepsis.engines.harmonise import load_mapping, run_mapping_tests
from asepsis.errors import AsepsisError
from asepsis.errors.harmonise import (
    CopybookRefused,
    ExpressionRefused,
    IdentifierColumn,
    MappingMalformed,
    MappingMissing,
)

NORTHGATE = Path(__file__).parents[3] / "examples" / "mappings" / "northgate"

Edit = Callable[[str, str, str], Path]


@pytest.fixture
def edit(tmp_path: Path) -> Edit:
    folder = tmp_path / "mapping"
    shutil.copytree(NORTHGATE, folder)

    def change(file: str, old: str, new: str) -> Path:
        path = folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return folder

    return change


@pytest.mark.parametrize(
    ("file", "old", "new", "error", "place"),
    [
        ("source.yaml", "owner: northgate", "owner: [", MappingMalformed, "line"),
        ("source.yaml", "owner: northgate", "owner: a\nowner: b", MappingMalformed, "line"),
        ("source.yaml", "owner: northgate", "owner: &a x\nlanguage: *a", MappingMalformed, "line"),
        ("source.yaml", "owner: northgate", "owner: northgate\ncolour: red", MappingMalformed, "colour"),
        ("source.yaml", "owner: northgate", "owner: 7", MappingMalformed, "owner"),
        ("source.yaml", "owner: northgate\n", "", MappingMalformed, "owner"),
        ("source.yaml", "owner: northgate", "owner: !!python/object/apply:os.system [ls]", MappingMalformed, "line"),
        ("source.yaml", "asepsis-mapping/1", "asepsis-mapping/9", MappingMalformed, "format"),
        ("source.yaml", "label: synthetic", "label: maybe", MappingMalformed, "label"),
        ("source.yaml", "reader: dbase", "reader: punchcard", MappingMalformed, "files.dxhist.reader"),
        ("source.yaml", "encoding: cp850", "encoding: klingon", MappingMalformed, "files.dxhist.encoding"),
        ("source.yaml", "encoding: cp850", "encoding: hex", MappingMalformed, "files.dxhist.encoding"),
        ("source.yaml", "extract_date: 2012-12-31", "extract_date: soon", MappingMalformed, "extract_date"),
        ("source.yaml", "layout: PATMAST.CPY", "layout: OTHER.CPY", MappingMissing, ""),
        ("source.yaml", "duplicates: [raw]", "duplicates: [nothing]", MappingMalformed, "duplicates"),
        ("PATMAST.CPY", "PIC 9(8)", "PIC Q(8)", CopybookRefused, ""),
        ("tables/person.yaml", "table: person", "table: patient", MappingMalformed, "table"),
        ("tables/person.yaml", "table: person", "table: death", MappingMalformed, ""),
        ("tables/person.yaml", "from: patmast", "from: nothing", MappingMalformed, "from"),
        ("tables/person.yaml", "on_fail: exclude", "on_fail: drop", MappingMalformed, "on_fail"),
        ("tables/person.yaml", "field: year_of_birth", "field: shoe_size", MappingMalformed, "field"),
        ("tables/person.yaml", "year(birth)", "read_text(birth)", ExpressionRefused, "fields.year_of_birth"),
        ("tables/person.yaml", "year(birth)", "nothing", ExpressionRefused, "fields.year_of_birth"),
        ("tables/person.yaml", "year(birth)", "birth > pat_mrn || 2", MappingMalformed, "from: patmast"),
        ("tables/person.yaml", "gender_source_value:", "person_source_value:", IdentifierColumn, ""),
        ("tables/person.yaml", "gender_source_value:", "day_of_birth:", IdentifierColumn, ""),
        ("tables/condition_occurrence.yaml", "code_map: conditions", "code_map: other", MappingMalformed, "code_map"),
        (
            "tables/condition_occurrence.yaml",
            "condition_start_date: {",
            "condition_end_date: {",
            MappingMalformed,
            "fields",
        ),
        ("codes/conditions.csv", "exact", "perfect", MappingMalformed, "line"),
        ("codes/conditions.csv", "source_code,", "code,", MappingMalformed, "line"),
        ("codes/conditions.csv", "0340,", "07054,", MappingMalformed, "line"),
        ("codes/conditions.csv", "0340,", '"0340,', MappingMalformed, ""),
    ],
)
def test_a_malformed_mapping_is_one_clear_error_with_its_place(
    edit: Edit, file: str, old: str, new: str, error: type[AsepsisError], place: str
) -> None:
    with pytest.raises(error) as raised:
        load_mapping(edit(file, old, new))
    assert place in raised.value.detail
    assert "\n" not in raised.value.detail
    assert raised.value.advice


def test_a_missing_folder_or_file_is_named(tmp_path: Path, edit: Edit) -> None:
    with pytest.raises(MappingMissing) as raised:
        load_mapping(tmp_path / "nothing")
    assert "source.yaml" in raised.value.detail


def test_any_change_of_the_folder_changes_the_digest(edit: Edit) -> None:
    assert load_mapping(edit("codes/conditions.csv", "broader", "narrower")).digest != load_mapping(NORTHGATE).digest


@pytest.mark.long
def test_a_trial_that_fails_names_what_differs(edit: Edit) -> None:
    folder = edit("tests/patients.yaml", "person.year_of_birth: 1925", "person.year_of_birth: 2025")
    failed = [trial for trial in run_mapping_tests(folder) if not trial.passed]
    assert [trial.differences for trial in failed] == [("person.year_of_birth",)]
