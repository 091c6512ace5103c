"""A run states one of the contract's purposes, by name, where it has several; nothing else passes anywhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "desk"))

from dataclasses import replace

from desk_world import World

from asepsis.domain.access import is_agreed, require_allowed
from asepsis.domain.analysis import Analysis, AnalysisKind, Job, read_analysis
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.names import Digest
from asepsis.errors.contract import ContractForbids, DocumentMalformed
from asepsis.errors.desk import AnalysisNotAllowed
from asepsis.services.runs import question_digest

PURPOSES = {"counts": "How many there are.", "survival": "How they fare."}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, purposes=PURPOSES)


def stating(world: World, purpose: str, kind: AnalysisKind = AnalysisKind.QUERY, **changes: Any) -> Job:
    job = world.job(kind, **changes)
    return replace(job, analysis=replace(job.analysis, purpose=purpose))


@pytest.mark.parametrize("kind", [AnalysisKind.QUERY, AnalysisKind.METHOD])
@pytest.mark.parametrize("purpose", ["", "marketing", "Counts"])
def test_no_program_lets_a_run_go_without_one_of_the_purposes(world: World, kind: AnalysisKind, purpose: str) -> None:
    """Guard: ``serves``, which room, desks and runtime share."""
    job = stating(world, purpose, kind)
    assert not is_agreed(job.analysis, world.contract)
    with pytest.raises(ContractForbids):
        require_allowed(job.analysis, world.contract)
    if purpose != "Counts":
        with pytest.raises(AnalysisNotAllowed):
            world.desks[world.contract.owners[0].id].grant(world.request(job=job))


def test_the_desk_writes_down_what_a_grant_is_for(world: World) -> None:
    world.desks[world.contract.owners[0].id].grant(world.request(job=stating(world, "survival")))
    (intended,) = [entry for entry in world.entries() if entry.act.value == "grant.intended"]
    assert intended.facts["purpose"] == "survival"


def test_a_referral_has_its_reason_and_a_linkage_serves_all(world: World) -> None:
    for kind in (AnalysisKind.REFERRAL, AnalysisKind.LINKAGE):
        assert is_agreed(world.job(kind).analysis, world.contract)
        assert not is_agreed(stating(world, "survival", kind).analysis, world.contract)


def test_where_there_is_no_choice_none_is_stated(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert is_agreed(world.job().analysis, world.contract)
    assert not is_agreed(stating(world, "survival").analysis, world.contract)


def test_a_clause_without_any_purpose_is_refused(world: World) -> None:
    with pytest.raises(DocumentMalformed, match="purposes"):
        read_contract({**world.document, "purposes": {}})


def test_the_same_question_for_another_purpose_is_another_question(world: World) -> None:
    """Guard: the purpose in ``question_digest``: an answer is not handed on to what it was not asked for."""
    plan = Digest("a" * 64)
    asked = {question_digest(world.digest, plan=plan, inputs=(), purpose=purpose) for purpose in ("", *PURPOSES)}
    assert len(asked) == 3


def test_the_purpose_is_part_of_what_is_signed_for(world: World) -> None:
    analysis: Analysis = stating(world, "survival").analysis
    assert read_analysis(analysis.to_document()) == analysis
    with pytest.raises(DocumentMalformed):
        read_analysis({**analysis.to_document(), "purpose": "Not a name"})
