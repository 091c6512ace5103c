"""``on_fail: repair``: the field becomes what the requirement says, the record says so, and is checked once more."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from asepsis.engines.harmonise import HarmonisedRun, load_mapping
from asepsis.errors.harmonise import ExpressionRefused, MappingMalformed

MAPPINGS = Path(__file__).parents[3] / "examples" / "mappings"
Run = Callable[..., HarmonisedRun]
CENTURY = {
    "expr": "condition_start_date is null or condition_start_date <= extract_date",
    "reason": "date_in_future",
    "on_fail": "repair",
    "field": "condition_start_date",
    "to": "parse_date('19' || substr(dxdate, 3), '%Y%m%d')",
}


def folder_with(folder: Path, rule: dict[str, Any], **changes: Any) -> Path:
    """Northgate's mapping, where a date in the future is treated by this requirement."""
    shutil.copytree(MAPPINGS / "northgate", folder)
    path = folder / "tables" / "condition_occurrence.yaml"
    content = yaml.safe_load(path.read_text()) | changes
    content["require"] = [item for item in content["require"] if item["reason"] != rule["reason"]] + [rule]
    path.write_text(yaml.safe_dump(content))
    return folder


def test_what_fails_is_repaired_named_and_accepted(
    sources: dict[str, dict[str, bytes]], run: Run, tmp_path: Path
) -> None:
    result = run(load_mapping(folder_with(tmp_path / "m", CENTURY)), sources["northgate"])
    [diagnoses] = [file for file in result.books.files if file.path.endswith("DXHIST.DBF")]
    assert diagnoses.repairs["date_in_future"] == 1
    assert "date_in_future" not in diagnoses.reasons
    days = [
        str(row["condition_start_date"]) for row in pq.read_table(result.tables["condition_occurrence"]).to_pylist()
    ]
    assert "1988-01-01" in days
    origins = pq.read_table(result.provenance).to_pylist()
    assert [row["repairs"] for row in origins if "date_in_future" in row["repairs"]] == [["date_in_future"]]


@pytest.mark.parametrize("to", ["parse_date('29' || substr(dxdate, 3), '%Y%m%d')", "dxdate", "null"])
def test_what_still_fails_after_the_repair_is_quarantined(
    to: str, sources: dict[str, dict[str, bytes]], run: Run, tmp_path: Path
) -> None:
    """Guard: the second check, on the repaired value; no impossible date is emitted."""
    strict = CENTURY | {"to": to, "expr": "condition_start_date <= date_yymmdd('121231', 1925)"}
    result = run(load_mapping(folder_with(tmp_path / "m", strict)), sources["northgate"])
    [diagnoses] = [file for file in result.books.files if file.path.endswith("DXHIST.DBF")]
    days = pq.read_table(result.tables["condition_occurrence"])["condition_start_date"].to_pylist()
    assert all(day.year <= 2012 for day in days)
    assert diagnoses.reasons.get("date_in_future", 0) + (to == "dxdate") >= 1


@pytest.mark.parametrize(
    "change",
    [
        {"field": "condition_concept_id"},
        {"field": "no_such_column"},
        {"field": None},
        {"to": None},
        {"on_fail": "flag"},
        {"on_fail": "null_flag"},
    ],
)
def test_a_repair_without_all_that_it_needs_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    rule = {name: value for name, value in (CENTURY | change).items() if value is not None}
    with pytest.raises(MappingMalformed):
        load_mapping(folder_with(tmp_path / "m", rule))


def test_a_whole_table_cannot_be_repaired_and_the_new_value_is_a_checked_expression(tmp_path: Path) -> None:
    with pytest.raises(MappingMalformed, match="single requirement"):
        load_mapping(folder_with(tmp_path / "a", CENTURY, on_fail="repair"))
    with pytest.raises(ExpressionRefused):
        load_mapping(folder_with(tmp_path / "b", CENTURY | {"to": "current_date()"}))
