"""Every known case of trust is run by a test that exists, or stands in ``trust_cases.yaml`` with the reason."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import yaml

TESTS = Path(__file__).resolve().parents[1]
LISTED = yaml.safe_load((Path(__file__).parent / "trust_cases.yaml").read_text())


@cache
def names_in(file: str) -> frozenset[str]:
    return frozenset(re.findall(r"^def (test_\w+)", (TESTS / file).read_text(), re.MULTILINE))


@pytest.mark.parametrize("case", sorted(LISTED["run"]))
def test_the_tests_of_a_case_exist(case: str) -> None:
    for place in LISTED["run"][case]:
        file, _, name = place.partition("::")
        assert name in names_in(file) or (name == "FILE" and names_in(file)), place


def test_every_case_is_listed_once(shared_data: Path) -> None:
    cases = yaml.safe_load((shared_data / "attacks" / "trust.yaml").read_text())["cases"]
    known = {case["id"] for case in cases if case["area"] != "attestation"}
    assert known == set(LISTED["run"]) | set(LISTED["not_run"])
    assert not set(LISTED["run"]) & set(LISTED["not_run"])
    assert all(len(reason) > 20 for reason in LISTED["not_run"].values())
