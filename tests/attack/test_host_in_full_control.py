"""The host holds the room's files, database, key and network, and still forges no release and hides no act.

What it cannot read is in ``test_room_canary``; that it gets no key, and that no changed byte passes, in
``test_room_refuses``, ``test_room_tampering`` and ``test_desk_witness``. Here are the forgeries that are well formed:
the host writes its own database by its own program, signs with its own key, and lets the desks cosign the outcome.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from asepsis.cli.story.agreement import LABORATORY
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import PartyId, ReleaseId
from asepsis.domain.release import ReleaseStatus
from asepsis.errors.ledger import ConsistencyRefused, RollbackDetected
from asepsis.ledger.checkpoint import Checkpoint
from asepsis.sealing.canonical import digest
from asepsis.sealing.review import review_payload
from asepsis.sealing.signing import Purpose
from simulator import (
    COMMON,
    NORTHGATE,
    OWNERS,
    RARE,
    RIVERSIDE,
    World,
    base_folder,
    call,
    draft,
    once,
    persons_with,
    sign,
)


@pytest.fixture(scope="session")
def waiting_world(tmp_path_factory: pytest.TempPathFactory, contributed_world: World) -> World:
    """Read only: one owner did not opt in, so that two outputs wait for a person's decision."""

    def make(folder: Path) -> None:
        world = contributed_world.copy(folder)
        sign(world, draft(world, disclosure={"profile": "strict-10", "automatic_release": [NORTHGATE]}))
        world.room().linkage.link()
        for concept in (COMMON, RARE):
            answer = call(*world.query(persons_with(concept)), "--json").document()
            assert answer["status"] == "in review"

    return World(once(base_folder(tmp_path_factory) / "world-waiting", make))


@pytest.fixture
def waiting(waiting_world: World, tmp_path: Path) -> World:
    return waiting_world.copy(tmp_path / "world")


def forge(world: World, number: int, *, decided_by: PartyId, review: bytes) -> ReleaseId:
    """The host says "released" in its database and in the ledger; the ledger only grew, so every desk cosigns."""
    room = world.room()
    release = room.state.releases()[number]
    proof = room.state.run(release.run).proof
    assert proof is not None
    statistic = digest(proof.statistic)
    facts = {"contract": release.contract, "run": release.run, "statistic": statistic}
    entry = LedgerEntry(
        at=release.decided_at, actor=decided_by, act=Act.RELEASE_RELEASED, subject=release.id, facts=facts
    )
    forged = replace(release, status=ReleaseStatus.RELEASED, decided_by=decided_by, review=review)
    with room.state.acting(entry) as tables:
        tables.put_release(forged, was=release)
    room.audit.checkpoint()
    return release.id


def signature(world: World, number: int, *, by: PartyId, released: bool = True) -> bytes:
    """A signed decision on one of the outputs."""
    room = world.room()
    release = room.state.releases()[number]
    proof = room.state.run(release.run).proof
    assert proof is not None
    payload = review_payload(
        release.id, contract=release.contract, statistic=digest(proof.statistic), released=released
    )
    return room.keys(by).sign(Purpose.REVIEW, payload)


def verified(world: World, release: ReleaseId) -> tuple[int, str]:
    """How getting the release's bundle from the room, and verifying it elsewhere, ends."""
    bundle = world.folder / "bundle.json"
    got = call(*world.command("release", "get", release, "--out", str(bundle)))
    if got.code:
        return got.code, got.error
    answer = call("release", "verify", str(bundle), "--contract", world.room().contracts.status().digest)
    return answer.code, "" if answer.code == 0 else answer.error


HOST = PartyId("room")
FORGERIES = {
    "as if the rules had": (HOST, lambda _: b""),
    "in an owner's name": (NORTHGATE, lambda _: b""),
    "with the host's signature": (HOST, lambda world: signature(world, 0, by=HOST)),
    "with the host's signature in an owner's name": (NORTHGATE, lambda world: signature(world, 0, by=HOST)),
    "by the author": (LABORATORY, lambda world: signature(world, 0, by=LABORATORY)),
    "by a decision on another output": (NORTHGATE, lambda world: signature(world, 1, by=NORTHGATE)),
    "by the other owner's decision": (NORTHGATE, lambda world: signature(world, 0, by=RIVERSIDE)),
    "by a refusal": (NORTHGATE, lambda world: signature(world, 0, by=NORTHGATE, released=False)),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_the_host_cannot_release_what_waits_for_a_person(forgery: str, waiting: World) -> None:
    """Guard: ``check_released``, where a bundle is verified and wherever the room shows a release."""
    decided_by, make = FORGERIES[forgery]
    release = forge(waiting, 0, decided_by=decided_by, review=make(waiting))
    assert verified(waiting, release) == (7, "review.not_trusted")
    shown = call(*waiting.command("release", "show", release))
    assert (shown.code, shown.error, shown.out) == (7, "review.not_trusted", "")


def test_an_owners_decision_releases_it_and_the_bundle_says_who_decided(waiting: World) -> None:
    release = waiting.room().state.releases()[0].id
    own = call(*waiting.command("release", "review", release, "--as", LABORATORY, "--approve"))
    assert own.code == 3
    answer = call(*waiting.command("release", "review", release, "--as", RIVERSIDE, "--approve"), "--json")
    assert (answer.code, answer.document()["status"]) == (0, "released")
    bundle = waiting.folder / "bundle.json"
    assert call(*waiting.command("release", "get", release, "--out", str(bundle))).code == 0
    contract = waiting.room().contracts.status().digest
    told = call("release", "verify", str(bundle), "--contract", contract, "--json").document()
    assert (told["decided_by"], told["reviewed"]) == (RIVERSIDE, True)
    assert [step["act"] for step in told["trail"]][-2:] == ["review.opened", "release.released"]
    document = json.loads(bundle.read_text())
    document["review"]["signature"] = ""
    bundle.write_text(json.dumps(document))
    refused = call("release", "verify", str(bundle), "--contract", contract)
    assert (refused.code, refused.error) == (7, "review.not_trusted")


def test_an_export_of_before_is_found_by_what_a_desk_saw(waiting: World) -> None:
    """The host hides its newest acts by showing an older export, well signed and cosigned at its time."""
    old, new = waiting.folder / "old.jsonl", waiting.folder / "new.jsonl"
    assert call(*waiting.command("ledger", "export", "--out", str(old))).code == 0
    release = waiting.room().state.releases()[0].id
    assert call(*waiting.command("release", "review", release, "--as", RIVERSIDE, "--refuse")).code == 0
    assert call(*waiting.command("ledger", "export", "--out", str(new))).code == 0
    seen = []
    for owner in OWNERS:
        file = waiting.folder / f"{owner}.checkpoint"
        assert call(*waiting.command("keydesk", "seen", "--as", owner, "--out", str(file))).code == 0
        seen += ["--seen", str(file)]
    verify = ["--contract", str(waiting.contract_file)]
    assert call("ledger", "verify", str(old), *verify).code == 0  # nothing is wrong with it by itself
    answer = call("ledger", "verify", str(old), *verify, *seen)
    assert (answer.code, answer.error) == (7, "ledger.history_split")
    assert call("ledger", "verify", str(new), *verify, *seen).code == 0


def test_a_room_restored_from_an_old_backup_is_noticed_by_every_desk(waiting: World, waiting_world: World) -> None:
    """Guard: ``check_growth``. No run, no checkpoint, no export, until somebody explains it to the owners."""
    release = waiting.room().state.releases()[0].id
    assert call(*waiting.command("release", "review", release, "--as", RIVERSIDE, "--approve")).code == 0
    shutil.rmtree(waiting.path / "host")
    shutil.copytree(waiting_world.path / "host", waiting.path / "host")
    for command in (
        waiting.query(persons_with(COMMON + 1)),
        waiting.command("ledger", "export", "--out", str(waiting.folder / "x")),
        waiting.command("release", "review", release, "--as", NORTHGATE, "--refuse"),
    ):
        answer = call(*command)
        assert answer.code == 7
        assert answer.error in {"ledger.rollback_detected", "ledger.consistency_refused"}  # as it grew meanwhile
    room = waiting.room()
    ledger, size = room.state.ledger(), room.state.ledger().size()
    old = Checkpoint(origin=room.origin, size=size, root=ledger.root(size))
    note = room.keys(room.host).sign_checkpoint(old)
    for owner in OWNERS:
        with pytest.raises((RollbackDetected, ConsistencyRefused)):
            room.desk(owner).cosign(note, proof=[])
        assert waiting.desk_acts(owner)[-1] == "witness.refused"
