"""The record-level tamper suite on generated days: alarms, the true cause among the first three, the exact ledger.

Quick are cases that stand for the kinds of evidence; all cases, two more seeds and sixty ordinary days are long. Cases
that are not run stand in `tests/attack/tamper_cases_not_run.yaml`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from asepsis.engines.forensics.engine import DuckForensics
from asepsis.services.comparing import CompareSnapshots
from records_chain import chain, rank, run_suite, tampered
from records_tampering import BENIGN, TAMPERS, Tamper, truth
from records_world import World

NOT_RUN = Path(__file__).with_name("tamper_cases_not_run.yaml")
QUICK = ("T-08", "T-19", "T-29")
QUICK_BENIGN = ("B-06",)
KEYS = {"person": "person_id", "provider": "provider_id", "death": "person_id", "cohort": "subject_id"}


def named(cases: Sequence[Tamper], ids: Sequence[str]) -> list[Tamper]:
    return [case for case in cases if case.id in ids]


@pytest.mark.parametrize("case", named(TAMPERS, QUICK), ids=lambda case: case.id)
def test_a_case_is_found_with_its_cause_first(case: Tamper) -> None:
    days = chain(3, 0.25, 7)
    now, target = tampered(case, days, 6)
    place = rank(case, days.alarms(now, 6))
    assert place is not None
    assert place <= 3
    for table, *counts in truth(
        days.days[5], target, KEYS | {name: f"{name}_id" for name in now.tables if name not in KEYS}
    ):
        ledger = now.tables[table].ledger
        assert [ledger.inserted, ledger.deleted, ledger.updated] == counts


@pytest.mark.long
@pytest.mark.parametrize("case", named(BENIGN, QUICK_BENIGN), ids=lambda case: case.id)
def test_a_ticketed_bulk_change_is_no_alarm_and_without_its_ticket_it_is(case: Tamper) -> None:
    days = chain(3, 0.25, 7)
    now, _ = tampered(case, days, 6)
    assert days.alarms(now, 6) == []
    assert sum(one.rows for one in now.explained) > 0
    bare, _ = tampered(case, days, 6, tickets=False)
    assert days.alarms(bare, 6) != []


@pytest.mark.long
def test_a_ticket_that_allows_fewer_rows_explains_none() -> None:
    days = chain(3, 0.25, 7)
    case = named(BENIGN, ["B-06"])[0]
    narrow = replace(case, id="narrow", ticket={**case.ticket, "rows_at_most": 3})
    now, _ = tampered(narrow, days, 6)
    codes = [one.code for one in days.alarms(now, 6)]
    assert "tickets.exceeded" in codes
    assert "cells.scaled" in codes


def test_ordinary_days_are_quiet() -> None:
    days = chain(3, 0.25, 7)
    assert [days.alarms(days.evidence[-1], 6)] == [[]]


def test_merges_and_unmerges_explain_themselves_and_a_swap_under_them_does_not(tmp_path: Path) -> None:
    world = World(seed=5, size=0.1)
    before = world.export(tmp_path / "before")
    world.merge(1001, 1002)
    world.merge(1003, 1004)
    merged = world.export(tmp_path / "merged")
    world.run("UPDATE measurement SET person_id = 2021 - person_id WHERE person_id IN (1010, 1011)")
    swapped = world.export(tmp_path / "swapped")
    use = CompareSnapshots(forensics=DuckForensics(scratch=tmp_path / "scratch", threads=1))
    clean, bad = use.compare(before, merged), use.compare(before, swapped)
    assert (clean.evidence.merges, clean.divergences) == (2, ())
    assert bad.evidence.merges == 2
    assert [one.code for one in bad.divergences] == ["persons.swapped"]


def test_every_record_level_case_is_run_or_listed_with_a_reason(shared_data: Path) -> None:
    listed = yaml.safe_load((shared_data / "attacks" / "tamper.yaml").read_text("utf-8"))["scenarios"]
    wanted = {case["id"] for case in listed if case["level"] in {"record", "benign"}}
    skipped = {case["id"]: case["reason"] for case in yaml.safe_load(NOT_RUN.read_text("utf-8"))}
    run = {case.id for case in (*TAMPERS, *BENIGN)} | {"B-01"}
    assert wanted <= run | skipped.keys()
    assert all(skipped.values())


@pytest.mark.long
@pytest.mark.parametrize("seed", [11, 12])
def test_the_whole_suite(seed: int) -> None:
    days = chain(seed, 1.0, 85)
    result = run_suite(days, 24)
    assert result.alarms >= 0.95 * len(TAMPERS), result.found
    assert result.in_top_three >= 0.9 * len(TAMPERS), result.places
    assert len(days.loud_days(25)) <= 1
    assert not result.loud_tickets
