"""Periods of observation: from what they are computed, and what a mapping is told that leaves events outside."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from asepsis.engines.harmonise import HarmonisedRun, check_mapping, load_mapping
from asepsis.errors.harmonise import MappingMalformed

MAPPINGS = Path(__file__).parents[3] / "examples" / "mappings"


def with_spans(folder: Path, spans: list[dict[str, str]]) -> Path:
    shutil.copytree(MAPPINGS / "northgate", folder)
    path = folder / "tables" / "observation_period.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"spans": spans}))
    return folder


def test_check_names_the_tables_whose_events_no_span_counts(tmp_path: Path) -> None:
    spans = [{"table": "condition_occurrence", "column": "condition_start_date"}]
    remarks = check_mapping(with_spans(tmp_path / "m", spans))
    named = {item.text.split()[5] for item in remarks if item.code == "mapping.events_outside_periods"}
    assert named == {"drug_exposure,", "measurement,", "visit_occurrence,"}
    for hospital in ("northgate", "riverside"):
        assert not [item for item in check_mapping(MAPPINGS / hospital) if "outside" in item.code]


def test_a_span_of_a_table_that_nothing_fills_is_refused(tmp_path: Path) -> None:
    spans = [{"table": "procedure_occurrence", "column": "procedure_date"}]
    with pytest.raises(MappingMalformed, match="no table file fills procedure_occurrence"):
        load_mapping(with_spans(tmp_path / "m", spans))


def test_a_period_goes_from_the_month_of_birth_to_the_last_event(riverside_run: HarmonisedRun) -> None:
    found = pq.read_table(riverside_run.tables["observation_period"]).to_pylist()
    assert (date(1971, 2, 1), date(2020, 1, 2)) in {
        (row["observation_period_start_date"], row["observation_period_end_date"]) for row in found
    }
