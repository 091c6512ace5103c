"""What the rows behind a divergence have in common is said: one value of a column, or neighbouring keys."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from asepsis.engines.forensics.engine import DuckForensics
from asepsis.integrity.records.catalogue import sentence
from asepsis.integrity.records.values import Divergence
from asepsis.services.comparing import CompareSnapshots

LAB = (
    "SELECT i AS lab_id, 'P' || (hash(i) % 50) AS patient_id, "
    "['K', 'NA', 'GLU'][1 + (hash(i, 1) % 3)::BIGINT] AS code, "
    "DATE '2021-01-01' + (i // 20)::INT AS taken, 40 + i / 8.0 AS value FROM range(4000) t(i)"
)


def found(tmp_path: Path, where: str) -> Divergence:
    for name, select in (
        ("before", LAB),
        ("after", f"SELECT * REPLACE (CASE WHEN {where} THEN value * 1.1 ELSE value END AS value) FROM ({LAB})"),
    ):
        (tmp_path / name).mkdir()
        duckdb.sql(f"COPY ({select}) TO '{tmp_path / name / 'lab.parquet'}'")
    engine = DuckForensics(scratch=tmp_path / "scratch", threads=1)
    return CompareSnapshots(forensics=engine).compare(tmp_path / "before", tmp_path / "after").divergences[0]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("lab_id BETWEEN 1000 AND 1100", "Most of them lie within 2.0% of the range of lab_id."),
        ("patient_id = 'P7'", "100% of these rows share one value of patient_id."),
    ],
)
def test_what_most_rows_share_is_said(where: str, said: str, tmp_path: Path) -> None:
    assert sentence(found(tmp_path, where)).endswith(said)


def test_rows_from_everywhere_share_nothing(tmp_path: Path) -> None:
    divergence = found(tmp_path, "lab_id % 40 = 0")
    assert not {"concentrated", "neighbours"} & divergence.names.keys()
