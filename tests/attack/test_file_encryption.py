"""Files encrypted, wiped or encoded in every pattern that is known are found; ordinary work is not."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from asepsis.domain.source import Verdict
from encryption_patterns import DAMAGES, generated_files, real_files
from encryption_suite import clean_days, damaged_suite, points_found, versions_called_damaged

SHARED = Path(os.environ.get("ASEPSIS_SHARED", Path(__file__).resolve().parents[2] / ".." / "shared")) / "data"
needs_real_files = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared test data are not beside this repository")
SOME = [
    "whole",
    "first 512 bytes",
    "last 4 KB",
    "every second 16 bytes, from the second",
    "zeros",
    "whole, then base64",
]


def test_every_kind_of_file_shows_every_pattern_beside_the_version_before() -> None:
    dice = random.Random(1)
    suite = damaged_suite(generated_files(dice), dice, patterns={name: DAMAGES[name] for name in SOME})
    assert suite.missed() == []
    assert suite.called_damaged == {}
    assert points_found(suite, dice, runs=60) == (60, 60)


def test_sixty_days_of_ordinary_work_raise_no_alarm() -> None:
    history = clean_days(generated_files(random.Random(2)), random.Random(3), days=60)
    assert [point.verdict for point in history.points] == [Verdict.CLEAN] * 60


@pytest.mark.long
@needs_real_files
@pytest.mark.parametrize("seed", [1, 2])
def test_real_files_meet_the_measures_of_the_issue(seed: int) -> None:
    """At least 97 % of files and 99.5 % of restore points; false alarms at most 0.5 % and 0.05 %; none in 60 days."""
    dice = random.Random(seed)
    files = generated_files(dice) | real_files(SHARED, largest=1_000_000)
    chosen = {name: content for name, content in files.items() if name.startswith("/made/") or dice.random() < 0.3}
    suite = damaged_suite(chosen, dice)
    assert suite.share("beside") >= 0.97
    points, found = points_found(suite, dice, runs=400)
    assert found >= 0.995 * points
    whole = damaged_suite(files, dice, patterns={})
    assert len(whole.called_damaged) <= 0.005 * len(files)
    versions, called = versions_called_damaged(files, whole, dice)
    assert len(called) <= 0.0005 * versions
    history = clean_days(chosen, dice, days=60)
    assert {point.verdict for point in history.points[1:]} == {Verdict.CLEAN}
