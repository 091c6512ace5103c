"""What a trial expects must be something that it can find: a slip of the pen never passes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from asepsis.engines.harmonise import run_mapping_tests
from asepsis.errors.harmonise import MappingMalformed

FOLDER = Path(__file__).parents[3] / "examples" / "mappings" / "riverside"


def tried(tmp_path: Path, expect: dict[str, object]) -> tuple[str, ...]:
    folder = tmp_path / "m"
    shutil.copytree(FOLDER, folder)
    shutil.rmtree(folder / "tests")
    (folder / "tests").mkdir()
    case = {"name": "it", "given": {"json": "no JSON"}, "expect": expect}
    (folder / "tests" / "it.yaml").write_text(yaml.safe_dump({"from": "condition", "cases": [case]}))
    return run_mapping_tests(folder)[0].differences


@pytest.mark.parametrize(
    "expect",
    [
        {"condition_occurrence.condition_start_dat": None},
        {"condition_ocurrence.condition_start_date": None},
        {"measurement.value_as_number": None},
        {"flag": None},
        {"state": "quarantined", "reason": None},
        {},
    ],
)
def test_an_expectation_that_nothing_can_meet_is_refused_by_name(tmp_path: Path, expect: dict[str, object]) -> None:
    with pytest.raises(MappingMalformed) as caught:
        tried(tmp_path, expect)
    assert sorted(set(expect) - {"state"})[-1:] == [key for key in expect if f"expect.{key}" in str(caught.value)]


def test_a_column_without_a_row_is_null(tmp_path: Path) -> None:
    expect = {"state": "quarantined", "condition_occurrence.condition_start_date": None, "condition_occurrence.rows": 0}
    assert tried(tmp_path, {**expect, "condition_occurrence": False}) == ()
