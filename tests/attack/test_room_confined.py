"""An owner who asks for confinement: the runtime's own word decides, and it is the one that the launcher found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asepsis.bootstrap.runtimes import confinement_found
from asepsis.domain.attestation import read_evidence
from asepsis.domain.desk_rules import DeskRules
from asepsis.errors.attest import EvidenceUnconfined
from asepsis.services.keydesk.desk import KeyDesk
from simulator import COMMON, OWNERS, World, call, persons_with, question


def test_a_desk_that_asks_for_confinement_grants_to_a_confined_runtime_alone(world: World) -> None:
    """Guard: the policy ``no-keys-without-confinement`` and ``standing.is_confined`` in the runtime's evidence."""
    room, owner = world.room(), OWNERS[0]
    desk = room.desk(owner)
    strict = KeyDesk(replace(desk._office, rules=DeskRules(needs_confinement=True)))
    room.__dict__["own_desks"][owner] = strict
    if confinement_found().missing:
        with pytest.raises(EvidenceUnconfined):
            room.analyses.ask(question(persons_with(COMMON)))
        assert "evidence.refused" in world.desk_acts(owner)
        return
    room.analyses.ask(question(persons_with(COMMON)))
    run = room.state.runs()[-1]
    assert run.proof is not None
    assert {read_evidence(one).confined for one in run.proof.evidence.values()} == {True}


def test_the_word_of_the_evidence_is_what_the_ledger_has(world: World) -> None:
    assert call(*world.query(persons_with(COMMON))).code == 0
    room = world.room()
    proof, ledger = room.state.runs()[-1].proof, room.state.ledger()
    finished = [e for e in ledger.entries(0, ledger.size()) if e.act.value == "run.finished"][-1]
    assert proof is not None
    said = {read_evidence(one).confined for one in proof.evidence.values()}
    assert said == {str(finished.facts["confinement"]).endswith(":whole")}
