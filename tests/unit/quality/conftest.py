"""Fixtures of the tests of data quality."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from quality_world import TODAY, Rows, write_tables

from asepsis.engines.quality import assess_quality
from asepsis.harmonise.quality.report import QualityReport


@pytest.fixture
def assess(tmp_path: Path) -> Callable[..., QualityReport]:
    def run(rows: Rows, **options: Any) -> QualityReport:
        return assess_quality(write_tables(tmp_path / "tables", rows), run="test", as_of=TODAY, **options)

    return run
