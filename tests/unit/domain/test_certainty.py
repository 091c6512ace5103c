"""An analysis states links that are surer than the contract's where the contract says so, and nowhere else."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "desk"))

from dataclasses import replace

from desk_world import NORTH, World

from asepsis.domain.access import is_agreed, require_allowed
from asepsis.domain.analysis import Analysis, AnalysisKind, Job, read_analysis
from asepsis.domain.contract import Contract
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.names import Digest
from asepsis.domain.narrowing import widened
from asepsis.errors.contract import ContractForbids, DocumentMalformed
from asepsis.errors.desk import AnalysisNotAllowed
from asepsis.services.amending import Direction, changes
from asepsis.services.runs import question_digest

DP = {
    "budget": {"micro_rho": 1000, "pico_delta": 1000},
    "question": {"micro_rho": 10, "pico_delta": 10},
    "records": 4,
    "cells": 4,
    "least_persons": 10,
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, linkage={"stricter": [99]})


def stating(world: World, certainty: int, kind: AnalysisKind = AnalysisKind.QUERY) -> Job:
    job = world.job(kind)
    return replace(job, analysis=replace(job.analysis, certainty=certainty))


@pytest.mark.parametrize("kind", [AnalysisKind.QUERY, AnalysisKind.METHOD])
@pytest.mark.parametrize("certainty", [90, 1, 100])
def test_no_program_lets_an_analysis_state_what_was_not_agreed(
    world: World, kind: AnalysisKind, certainty: int
) -> None:
    """Guard: ``trusts``, which room, desks and runtime share."""
    job = stating(world, certainty, kind)
    assert not is_agreed(job.analysis, world.contract)
    with pytest.raises(ContractForbids):
        require_allowed(job.analysis, world.contract)
    with pytest.raises(AnalysisNotAllowed):
        world.desks[NORTH].grant(world.request(job=job))


def test_what_was_agreed_may_be_stated_and_the_contracts_own_always(world: World, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    plain = World(tmp_path / "plain")
    assert [is_agreed(stating(world, one).analysis, world.contract) for one in (0, 50, 99)] == [True] * 3
    assert [is_agreed(stating(plain, one).analysis, plain.contract) for one in (0, 50, 90, 99)] == [True] * 2 + [
        False
    ] * 2
    world.desks[NORTH].grant(world.request(job=stating(world, 99)))


@pytest.mark.parametrize("kind", [AnalysisKind.REFERRAL, AnalysisKind.LINKAGE])
def test_rows_and_links_are_by_the_contracts_own_links_alone(world: World, kind: AnalysisKind) -> None:
    assert is_agreed(stating(world, 0, kind).analysis, world.contract)
    assert not is_agreed(stating(world, 99, kind).analysis, world.contract)


def test_where_nobody_is_linked_nothing_is_stated(world: World) -> None:
    alone = replace(world.contract, parties=tuple(one for one in world.contract.parties if one.id != "southgate"))
    if len(alone.owners) > 1:
        alone = replace(alone, parties=tuple(one for one in alone.parties if one not in alone.owners[1:]))
    assert len(alone.owners) == 1
    assert not is_agreed(stating(world, 99).analysis, alone)


def test_an_analysis_reads_as_what_it_was_written_from_and_old_ones_keep_their_digest() -> None:
    plain = Analysis(kind=AnalysisKind.QUERY, author=NORTH, arguments={})
    assert "certainty" not in plain.to_document()
    for analysis in (plain, replace(plain, certainty=90)):
        assert read_analysis(analysis.to_document()) == analysis


def test_the_same_question_by_other_links_is_another_one() -> None:
    contract, plan = Digest("a" * 64), Digest("b" * 64)
    asked = [question_digest(contract, plan=plan, inputs=(), certainty=one) for one in (0, 90, 99)]
    assert len(set(asked)) == 3
    assert asked[0] == question_digest(contract, plan=plan, inputs=())


def contract(world: World, **clauses: Any) -> Contract:
    return read_contract({**world.document, **clauses})


def test_fewer_certainties_narrow_and_more_widen(world: World) -> None:
    one, two = world.contract, contract(world, linkage={"stricter": [90, 99]})
    none = contract(world, linkage={})
    assert [widened(new, before=old) for new, old in ((one, two), (none, one), (none, two))] == [()] * 3
    assert [widened(new, before=old) for new, old in ((two, one), (one, none))] == [("linkage",)] * 2
    assert {change.direction for change in changes(none, before=two)} == {Direction.NARROWS}
    assert {change.direction for change in changes(two, before=none)} == {Direction.WIDENS}
    less_sure = contract(world, linkage={"mode": "rules"})
    assert widened(less_sure, before=one) == ("linkage",)


def test_noise_and_several_certainties_do_not_stand_in_one_contract(world: World) -> None:
    analyses = {**world.document["analyses"], "methods": []}
    contract(world, linkage={}, analyses=analyses, dp=DP)
    with pytest.raises(DocumentMalformed, match="stricter"):
        contract(world, analyses=analyses, dp=DP)
