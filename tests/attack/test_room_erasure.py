"""A contract ends and one owner destroys its keys: nothing of its data opens any more, which a certificate proves."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asepsis.bootstrap.erasures import verify_erasure_certificate
from asepsis.bootstrap.room import open_room
from asepsis.domain.erasure import DestroyedKey, KeyKind
from asepsis.errors import AsepsisError
from asepsis.errors.contract import ErasureNotTrusted
from asepsis.errors.keys import KeyDestroyed
from asepsis.errors.room import BundleForged, KeysNotPinned
from asepsis.sealing.erasure import SignedErasure, erasure_payload
from asepsis.sealing.signing import Purpose
from simulator import NORTHGATE, RIVERSIDE, World, call


def snapshots_of(world: World, owner: str) -> list[Any]:
    return [item.manifest for item in world.room().state.snapshots() if item.manifest.owner == owner]


def folder_of(world: World, snapshot: str) -> Path:
    return Path(world.room().files.folder(snapshot))


def test_after_an_erasure_a_saved_copy_of_the_room_and_of_the_desk_opens_nothing(world: World, tmp_path: Path) -> None:
    """The whole room is restored from a copy, but for the secrets, which no backup may hold."""
    mine, theirs = snapshots_of(world, NORTHGATE), snapshots_of(world, RIVERSIDE)
    contract = world.room().contracts.status().digest
    secrets = Path("parties") / NORTHGATE / "keys" / "erasable"
    saved = shutil.copytree(
        world.path, tmp_path / "saved", ignore=lambda at, names: ["erasable"] if "keys" in at else []
    )
    assert call(*world.command("contract", "erase", "--as", NORTHGATE, "--json")).document() == []
    assert call(*world.command("contract", "end", "--as", RIVERSIDE)).code == 0
    (told,) = call(*world.command("contract", "erase", "--as", NORTHGATE, "--json")).document()
    assert {key["id"] for key in told["keys"] if key["kind"] == "snapshot"} == {one.snapshot for one in mine}
    assert {key["kind"] for key in told["keys"]} == {"snapshot", "links"}
    assert not any(folder_of(world, one.snapshot).exists() for one in mine)
    assert all(folder_of(world, one.snapshot).exists() for one in theirs)
    acts = [(entry.act.value, entry.subject) for entry in world.room().audit.entries()]
    assert {("key.shredded", one.snapshot) for one in mine} | {("snapshot.withdrawn", mine[0].snapshot)} <= set(acts)
    assert list((world.path / secrets).iterdir()) == []

    for path in (world.path, saved):  # here, and where a thief or a careless administrator restored everything
        desk = open_room(Path(path)).desk(NORTHGATE)
        for manifest in mine:
            with pytest.raises(KeyDestroyed):
                desk.own_key(manifest)

    certificate = json.loads(Path(told["file"]).read_text())
    assert_it_proves(certificate, contract, keys=len(told["keys"]))
    again = call(*world.command("contract", "erase", "--as", NORTHGATE, "--json")).document()
    assert [(one["file"], one["new"]) for one in again] == [(told["file"], False)]


def assert_it_proves(certificate: dict[str, Any], contract: Any, *, keys: int) -> None:
    """It verifies under this contract, and no part of it can be another."""
    verified = verify_erasure_certificate(certificate, contract=contract)
    assert (verified.erasure.owner, len(verified.erasure.keys)) == (NORTHGATE, keys)
    with pytest.raises(KeysNotPinned):
        verify_erasure_certificate(certificate, contract="0" * 64)

    def forged(change: Any) -> dict[str, Any]:
        changed = deepcopy(certificate)
        change(changed)
        return changed

    def refuses(change: Any, error: type[AsepsisError]) -> None:
        with pytest.raises(error):
            verify_erasure_certificate(forged(change), contract=contract)

    refuses(lambda one: one["erasure"]["keys"].pop(), ErasureNotTrusted)
    refuses(lambda one: one["erasure"].update(owner=RIVERSIDE), ErasureNotTrusted)
    refuses(lambda one: one["erasure"].update(at="2020-01-01T00:00:00Z"), ErasureNotTrusted)
    refuses(lambda one: one.update(signature="A" * 86 + "=="), ErasureNotTrusted)
    refuses(lambda one: one["contract"].update(title="Another"), KeysNotPinned)
    refuses(lambda one: one["entry"]["facts"].update(count=1), AsepsisError)
    refuses(lambda one: one.update(proof=one["proof"].replace("index ", "index 1", 1)), AsepsisError)
    refuses(lambda one: one.update(more=1), AsepsisError)


def test_a_ledger_entry_about_something_else_proves_no_erasure(world: World) -> None:
    """Guard: what the entry tells, in ``verify_certificate``."""
    call(*world.command("contract", "end", "--as", NORTHGATE))
    (told,) = call(*world.command("contract", "erase", "--as", NORTHGATE, "--json")).document()
    certificate = json.loads(Path(told["file"]).read_text())
    room = world.room()
    other = next(entry for entry in room.audit.entries() if entry.act.value == "contract.ended")
    entry, proof = room.audit.trail({other.subject})[-1]
    with pytest.raises(BundleForged):
        verify_erasure_certificate(
            {**certificate, "entry": entry.to_document(), "proof": proof}, contract=told["contract"]
        )


def test_no_owner_erases_what_is_anothers(world: World) -> None:
    """Guard: ``Erasures._check``; an owner with its own key signs a list with a snapshot of the other hospital."""
    call(*world.command("contract", "end", "--as", NORTHGATE))
    room = world.room()
    (signed,) = room.desk(NORTHGATE).erase(room.contracts.status().digest)
    (foreign, *_) = snapshots_of(world, RIVERSIDE)
    key = DestroyedKey(
        kind=KeyKind.SNAPSHOT, id=foreign.snapshot, dataset=foreign.dataset, manifest="0" * 64, secret=""
    )
    wide = replace(signed.erasure, keys=(*signed.erasure.keys, key))
    forged = SignedErasure(erasure=wide, signature=room.keys(NORTHGATE).sign(Purpose.ERASURE, erasure_payload(wide)))
    with pytest.raises(ErasureNotTrusted):
        room.erasures.record([forged])
    assert folder_of(world, foreign.snapshot).exists()
    assert room.state.erasures() == []
