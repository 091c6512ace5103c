"""Attacks on the desk as a witness: rollback, fork, rewriting, another ledger or key, and stale checkpoints."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "desk"))

from desk_world import NORTH, NOW, ORIGIN, SOUTH, RoomLedger, World

from asepsis.errors import AsepsisError
from asepsis.errors.attest import EvidenceNotBound
from asepsis.errors.desk import CheckpointForked, CheckpointStale, NoCheckpoint, RoomKeyUnknown
from asepsis.errors.ledger import CheckpointRefused, ConsistencyRefused, NoteRefused, RollbackDetected
from asepsis.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from asepsis.ledger.note import Algorithm, VerifierKey, add_signature, sign_note, verify_note
from asepsis.ledger.tree import MemoryNodes
from asepsis.sealing.signing import generate_signing_key
from asepsis.services.audit import witness_key
from asepsis.store.desk_state import SqlDeskState


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def grown(world: World) -> None:
    """The ledger grows by two entries and every desk cosigns."""
    world.ledger.grow(2)
    world.witness()


def refuses(world: World, note: str, error: type[AsepsisError], *, proof: list[bytes], key: str | None = None) -> None:
    before = world.desks[NORTH].seen_size()
    with pytest.raises(error) as caught:
        world.desks[NORTH].cosign(note, proof=proof, room_key=key)
    assert world.desks[NORTH].seen_size() == before
    last = world.entries()[-1]
    assert (last.act.value, last.facts["code"]) == ("witness.refused", caught.value.code)


def test_a_cosigned_checkpoint_verifies_with_the_owners_key(world: World) -> None:
    note = world.ledger.note()
    line = world.desks[NORTH].cosign(note, proof=[], room_key=world.ledger.verifier)
    witness = VerifierKey(name=NORTH, public_key=world.keys[NORTH].public().signing, algorithm=Algorithm.COSIGNATURE)
    log = VerifierKey(name=ORIGIN, public_key=world.room_key.public)
    opened = open_checkpoint(add_signature(note, line=line), log_key=log, witness_keys=[witness], quorum=1)
    assert [cosignature.at for cosignature in opened.cosignatures] == [NOW]


def test_the_head_is_durable_before_the_cosignature_is_returned(world: World) -> None:
    grown(world)
    world.states[NORTH].close()
    state = SqlDeskState(world.home / "northgate-desk.db")
    with state.reading() as records:
        head = records.head()
    assert head is not None
    assert (head.size, head.root) == (5, world.ledger.checkpoint().root)


def test_a_rolled_back_ledger_is_not_cosigned(world: World) -> None:
    grown(world)
    refuses(world, world.ledger.note(3), RollbackDetected, proof=[])


def test_a_rewritten_ledger_of_the_same_size_is_not_cosigned(world: World) -> None:
    fork = RoomLedger(world.room_key)
    refuses(world, fork.note(), RollbackDetected, proof=[])


def test_a_ledger_that_was_rewritten_before_it_grew_is_not_cosigned(world: World) -> None:
    fork = RoomLedger(world.room_key)
    fork.grow(2)
    refuses(world, fork.note(), ConsistencyRefused, proof=fork.proof(3))
    refuses(world, fork.note(), ConsistencyRefused, proof=[])


def test_growth_without_its_proof_is_not_cosigned(world: World) -> None:
    world.ledger.grow()
    refuses(world, world.ledger.note(), ConsistencyRefused, proof=[])


def test_a_checkpoint_signed_by_another_key_is_not_cosigned(world: World) -> None:
    other = generate_signing_key()
    note = sign_checkpoint(world.ledger.checkpoint(), private_key=other.private)
    refuses(world, note, NoteRefused, proof=[])
    refuses(world, note, RoomKeyUnknown, proof=[], key=VerifierKey(name=ORIGIN, public_key=other.public).text)


def test_a_checkpoint_of_another_ledger_is_not_cosigned(world: World) -> None:
    other = Checkpoint(origin="other.example/audit", size=9, root=world.ledger.checkpoint().root)
    refuses(world, sign_checkpoint(other, private_key=world.room_key.private), NoteRefused, proof=[])


def test_the_first_checkpoint_needs_the_key_that_it_pins(tmp_path: Path, world: World) -> None:
    world.states[NORTH] = SqlDeskState(tmp_path / "fresh.db")
    world.desks[NORTH] = world.desk(NORTH)
    refuses(world, world.ledger.note(), RoomKeyUnknown, proof=[])
    as_witness = VerifierKey(name=ORIGIN, public_key=world.room_key.public, algorithm=Algorithm.COSIGNATURE)
    refuses(world, world.ledger.note(), RoomKeyUnknown, proof=[], key=as_witness.text)


def test_a_rolled_back_room_gets_no_keys(world: World) -> None:
    old = world.ledger.note()
    grown(world)
    with pytest.raises(CheckpointStale):
        world.desks[NORTH].grant(world.request(checkpoint=old))


def test_a_checkpoint_that_the_desk_has_not_cosigned_gets_no_keys(world: World) -> None:
    world.ledger.grow()
    with pytest.raises(CheckpointStale):
        world.desks[NORTH].grant(world.request())


def test_a_forked_room_gets_no_keys(world: World) -> None:
    fork = RoomLedger(world.room_key)
    with pytest.raises(CheckpointForked):
        world.desks[NORTH].grant(world.request(checkpoint=fork.note()))


def test_a_desk_hands_out_what_it_saw_under_its_own_signature(world: World) -> None:
    verified = verify_note(world.desks[NORTH].seen(), keys=[witness_key(NORTH, world.keys[NORTH].public().signing)])
    assert verified.text == world.ledger.checkpoint().text
    assert [signature.at for signature in verified.signatures] == [world.clock.now]
    world.ledger.grow()
    assert world.desks[NORTH].seen().startswith(verified.text)  # and not what it has not cosigned


def test_two_histories_for_two_witnesses_never_give_one_run_all_keys(world: World) -> None:
    """Each desk cosigns another branch; evidence is bound to one checkpoint, so one of the desks refuses."""
    fork = RoomLedger(world.room_key)
    fork.nodes = MemoryNodes()
    for index in range(3):
        fork.nodes.append(world.ledger.nodes.node(0, index))
    fork.grow()
    world.ledger.grow()
    world.desks[NORTH].cosign(world.ledger.note(), proof=world.ledger.proof(3))
    world.desks[SOUTH].cosign(fork.note(), proof=fork.proof(3))
    world.desks[NORTH].grant(world.request(NORTH))
    with pytest.raises(CheckpointForked):
        world.desks[SOUTH].grant(world.request(SOUTH))


def test_the_note_of_a_forked_checkpoint_beside_honest_evidence_gets_no_keys(world: World) -> None:
    request = world.request(checkpoint=RoomLedger(world.room_key).note())
    with pytest.raises(EvidenceNotBound):
        world.desks[NORTH].grant(replace(request, checkpoint=world.ledger.note()))


def test_a_checkpoint_without_the_rooms_signature_gets_no_keys(world: World) -> None:
    forged = sign_checkpoint(world.ledger.checkpoint(), private_key=generate_signing_key().private)
    with pytest.raises(NoteRefused):
        world.desks[NORTH].grant(world.request(checkpoint=forged))


def test_a_desk_that_never_cosigned_gives_no_keys(world: World) -> None:
    with world.states[NORTH].writing() as records:
        records._connection.exec_driver_sql("DELETE FROM head")
    with pytest.raises(NoCheckpoint):
        world.desks[NORTH].grant(world.request())


@pytest.mark.parametrize("what", ["origin", "host"])
def test_a_ledger_that_the_contract_does_not_name_gets_no_keys(tmp_path: Path, what: str) -> None:
    if what == "origin":
        world = World(tmp_path, ledger={"origin": "another.example/audit"})
    else:
        world = World(tmp_path)
        other = RoomLedger(generate_signing_key())
        with world.states[NORTH].writing() as records:
            records._connection.exec_driver_sql("DELETE FROM head")
        world.desks[NORTH].cosign(other.note(), proof=[], room_key=other.verifier)
        world.ledger = other
    with pytest.raises(RoomKeyUnknown):
        world.desks[NORTH].grant(world.request())


def test_a_note_that_is_no_checkpoint_is_refused(world: World) -> None:
    note = sign_note(f"{ORIGIN}\nnot a number\nAAAA\n", name=ORIGIN, private_key=world.room_key.private)
    refuses(world, note, CheckpointRefused, proof=[])
