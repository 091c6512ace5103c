"""What may not be kept is destroyed for good: no copy of a desk's database and of its owner's key opens it again."""

from __future__ import annotations

import secrets
import shutil
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from desk_world import HOST, NORTH, NOW, OWNERS, SOUTH, Runtime, World

from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.erasure import Clause, Erasure, KeyKind
from asepsis.domain.names import PartyId
from asepsis.domain.snapshot import Manifest
from asepsis.errors.contract import (
    AmendmentRefused,
    ContractNotInForce,
    ErasureNotTrusted,
    RetentionOver,
    StatementNotTrusted,
)
from asepsis.errors.keys import KeyDestroyed, KeysUnwritable
from asepsis.errors.sealing import KeyUnwrapRefused
from asepsis.keys.files import FileKeys
from asepsis.sealing.agreement import contract_digest
from asepsis.sealing.canonical import digest
from asepsis.sealing.context import snapshot_binding
from asepsis.sealing.erasable import erasable_binding
from asepsis.sealing.erasure import verify_erasure
from asepsis.sealing.memory import memory_id
from asepsis.sealing.statement import SignedStatement
from asepsis.store.desk_state import SqlDeskState

CLINICAL, IDENTITY = f"{NORTH}-clinical", f"{NORTH}-identity"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two desks with snapshots under a contract that keeps data for 30 days."""
    return World(tmp_path, retention_days=30)


def with_shares(made: World) -> World:
    """North's desk also keeps its shares of a link map and of a memory."""
    runtime, job, manifest = Runtime(), made.job(AnalysisKind.LINKAGE), made.link_manifest()
    shares = {owner: secrets.token_bytes(32) for owner in OWNERS}
    made.desks[NORTH].grant(made.request(job=job, runtime=runtime))
    made.desks[NORTH].deposit_share(made.deposit(NORTH, job=job, runtime=runtime, manifest=manifest, shares=shares))
    made.desks[NORTH].grant(made.request(job=made.job(run="run-2")))
    return made


def erase(world: World, owner: PartyId = NORTH) -> tuple[Erasure, ...]:
    return tuple(signed.erasure for signed in world.desks[owner].erase(world.digest))


def own_key(world: World, dataset: str = CLINICAL) -> bytes:
    return world.desks[NORTH].own_key(world.manifests[dataset])


def manifest_of(world: World, name: str, *, days: int) -> Manifest:
    """A newer snapshot of the clinical dataset, registered at its desk."""
    manifest = replace(world.manifest(CLINICAL, NORTH, snapshot=name), created_at=NOW + timedelta(days=days))
    world.desks[NORTH].register(world.signed_manifest(manifest), dek=secrets.token_bytes(32))
    return manifest


def test_nothing_is_destroyed_while_the_contract_lets_it_be_kept(world: World) -> None:
    assert erase(world) == ()
    assert own_key(world) == world.deks[f"{CLINICAL}-1"]
    assert "erasure.intended" not in world.acts()


def test_when_a_contract_ends_every_key_of_its_data_goes(world: World) -> None:
    """Also the shares of link map and memory: they open nowhere any more, whatever other owners keep."""
    with_shares(world).desks[NORTH].end(world.digest)
    (erasure,) = erase(world)
    lineage = world.digest
    assert erasure.clause is Clause.ENDED
    assert erasure.contract == erasure.lineage == world.digest
    assert {(key.kind, key.id) for key in erasure.keys} == {
        (KeyKind.SNAPSHOT, f"{CLINICAL}-1"),
        (KeyKind.SNAPSHOT, f"{IDENTITY}-1"),
        (KeyKind.LINKS, "links-1"),
        (KeyKind.MEMORY, memory_id(lineage)),
    }
    assert len({key.secret for key in erasure.keys} - {""}) == 4
    assert erasure.leases_until == NOW + timedelta(seconds=600)
    assert list((world.home / f"{NORTH}-keys" / "erasable").iterdir()) == []
    for dataset in (CLINICAL, IDENTITY):
        with pytest.raises(KeyDestroyed):
            own_key(world, dataset)
    name = digest(erasure.to_document())
    told = [(entry.act.value, entry.subject) for entry in world.entries() if entry.facts.get("digest") == name]
    assert {subject for act, subject in told if act == "key.shredded"} == {key.id for key in erasure.keys}
    assert [(e.act.value, e.subject) for e in world.entries()][-1] == ("contract.erased", name)


def test_a_copy_of_the_database_and_of_the_owners_key_opens_nothing_after_an_erasure(
    world: World, tmp_path: Path
) -> None:
    """Guard: the erasable secret in ``FileKeys.unwrap``. With the secrets in the copy, too, it would open."""
    keys, database = world.home / f"{NORTH}-keys", world.home / f"{NORTH}-desk.db"
    with world.states[NORTH].reading() as records:
        wrapped = next(one.wrapped for one in records.kept_snapshots() if one.dataset == CLINICAL)
    for path in world.home.glob(f"{NORTH}-desk.db*"):
        shutil.copy(path, tmp_path / f"saved-{path.name}")
    whole = Path(shutil.copytree(keys, tmp_path / "saved-with-secrets"))
    saved = Path(shutil.copytree(keys, tmp_path / "saved", ignore=shutil.ignore_patterns("erasable")))
    world.desks[NORTH].end(world.digest)
    erase(world)
    binding = snapshot_binding(NORTH, dataset=CLINICAL, snapshot=world.manifests[CLINICAL].snapshot)
    thief = FileKeys(saved)
    with pytest.raises(KeyDestroyed):
        thief.unwrap(wrapped, binding=binding)
    thief.wrap(bytes(32), binding=binding)  # a secret of one's own in its place
    with pytest.raises(KeyUnwrapRefused):
        thief.unwrap(wrapped, binding=binding)
    assert FileKeys(whole).unwrap(wrapped, binding=binding) == world.deks[f"{CLINICAL}-1"]
    world.states[NORTH].close()
    for path in tmp_path.glob(f"saved-{database.name}*"):
        shutil.copy(path, world.home / path.name.removeprefix("saved-"))
    world.states[NORTH] = SqlDeskState(database)
    world.desks[NORTH] = world.desk(NORTH)
    with pytest.raises(KeyDestroyed):
        own_key(world)


def test_the_owners_key_alone_unwraps_a_masked_key_only(world: World) -> None:
    """Whatever keeps the owner's key - a token, a vault - never sees a data key."""
    keys = world.keys[NORTH]
    wrapped = keys.wrap(b"d" * 32, binding=b"place")
    folder = world.home / f"{NORTH}-keys" / "erasable"
    secret = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns).read_bytes()
    inner = keys._kek.unwrap(wrapped, binding=erasable_binding(b"place", secret=secret))  # type: ignore[union-attr]
    assert inner != b"d" * 32
    assert keys.unwrap(wrapped, binding=b"place") == b"d" * 32


def test_data_that_are_too_old_are_granted_no_more_and_then_destroyed(world: World) -> None:
    manifest = manifest_of(with_shares(world), "newer", days=0)
    world.clock.forward(days=20)
    newer = replace(manifest, snapshot="newest", created_at=world.clock.now)
    world.desks[NORTH].register(world.signed_manifest(newer), dek=b"n" * 32)
    world.clock.forward(days=10, seconds=-1)
    world.witness()
    world.desks[NORTH].grant(world.request(job=world.job(run="run-3")))
    assert erase(world) == ()
    world.clock.forward(seconds=1)
    with pytest.raises(RetentionOver):
        world.desks[NORTH].grant(world.request(job=world.job(run="run-4")))
    (erasure,) = erase(world)
    assert erasure.clause is Clause.RETENTION
    assert erasure.ids(KeyKind.SNAPSHOT) == ["newer", f"{CLINICAL}-1", f"{IDENTITY}-1"]
    assert erasure.ids(KeyKind.LINKS) == ["links-1"]
    assert erasure.ids(KeyKind.MEMORY) == []
    assert world.desks[NORTH].own_key(newer) == b"n" * 32


def test_a_snapshot_dated_into_the_future_is_not_kept_for_longer(world: World) -> None:
    manifest_of(world, "tomorrow", days=300)
    world.clock.forward(days=31)
    (erasure,) = erase(world)
    assert "tomorrow" in erasure.ids(KeyKind.SNAPSHOT)


def test_a_destroyed_key_is_granted_to_nobody_and_the_refusal_is_on_record(world: World) -> None:
    world.clock.forward(days=31)
    erase(world)
    later = read_contract({**world.document, "retention_days": 300})
    assert later.is_retained(NOW, world.clock.now)
    world.clock.now = NOW + timedelta(days=31, seconds=1)
    with pytest.raises(KeyDestroyed):
        world.desks[NORTH].grant(world.request(job=world.job(run="run-5")))
    assert world.entries()[-1].facts["code"] == "keys.destroyed"


def test_a_snapshot_that_another_contract_lets_be_used_is_spared_and_named(world: World) -> None:
    document = {**world.document, "name": "other", "retention_days": 60, "disclosure": {"profile": "strict-10"}}
    world.desks[NORTH].sign_contract(document)
    with_shares(world).desks[NORTH].end(world.digest)
    (erasure,) = erase(world)
    other = contract_digest(read_contract(document))
    assert [(one.id, one.contract) for one in erasure.spared] == [(f"{CLINICAL}-1", other), (f"{IDENTITY}-1", other)]
    assert erasure.ids(KeyKind.SNAPSHOT) == []
    assert erasure.ids(KeyKind.LINKS) == ["links-1"]
    world.clock.forward(days=60)
    assert [one.ids(KeyKind.SNAPSHOT) for one in erase(world)] == [[], [f"{CLINICAL}-1", f"{IDENTITY}-1"]]


def test_a_desk_that_stops_in_between_goes_on_where_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the intent on nothing of the list is granted, and the list is the same when it is done."""
    world.desks[NORTH].end(world.digest)
    destroyed: list[bytes] = []

    def fails(_self: FileKeys, *, binding: bytes) -> None:
        destroyed.append(binding)
        raise KeysUnwritable(path="x")

    with monkeypatch.context() as patched:
        patched.setattr(FileKeys, "destroy", fails)
        with pytest.raises(KeysUnwritable):
            world.desks[NORTH].erase(world.digest)
    assert len(destroyed) == 1
    assert "contract.erased" not in world.acts()
    with pytest.raises(KeyDestroyed):
        own_key(world)
    (erasure,) = erase(world)
    assert (len(erasure.keys), world.acts().count("erasure.intended")) == (2, 1)
    assert erase(world) == (erasure,)
    assert world.acts().count("contract.erased") == 1


def test_an_end_that_another_party_signed_counts_and_a_made_up_one_does_not(world: World) -> None:
    ended = world.desks[SOUTH].end(world.digest)
    forged = SignedStatement(statement=replace(ended.statement, party=HOST), signature=ended.signature)
    with pytest.raises(StatementNotTrusted):
        world.desks[NORTH].erase(world.digest, statements=[forged.to_document()])
    assert erase(world) == ()
    (signed,) = world.desks[NORTH].erase(world.digest, statements=[ended.to_document()])
    assert signed.erasure.clause is Clause.ENDED


def test_what_was_erased_is_neither_registered_again_nor_amended_into_use(world: World) -> None:
    world.clock.now = world.contract.valid_until
    (erasure,) = erase(world)
    assert erasure.clause is Clause.EXPIRED
    manifest = world.manifests[CLINICAL]
    with pytest.raises(KeyDestroyed):
        world.desks[NORTH].register(world.signed_manifest(manifest), dek=world.deks[f"{CLINICAL}-1"])
    amended = {
        **world.document,
        "valid": {"from": "2026-01-01T00:00:00Z", "until": "2028-01-01T00:00:00Z"},
        "amends": {"contract": world.digest, "lineage": world.digest},
    }
    with pytest.raises(AmendmentRefused):
        world.desks[NORTH].sign_contract(amended)


def test_only_the_owner_can_sign_an_erasure_about_its_contract(world: World) -> None:
    world.desks[NORTH].end(world.digest)
    (signed,) = world.desks[NORTH].erase(world.digest)
    verify_erasure(signed, world.contract)
    changes: list[dict[str, Any]] = [
        {"owner": SOUTH},
        {"keys": signed.erasure.keys[1:]},
        {"at": NOW - timedelta(days=1)},
        {"contract": "f" * 64},
    ]
    for change in changes:
        with pytest.raises(ErasureNotTrusted):
            verify_erasure(replace(signed, erasure=replace(signed.erasure, **change)), world.contract)
    other = read_contract({**world.document, "title": "Another"})
    with pytest.raises(ErasureNotTrusted):
        verify_erasure(signed, other)


def test_nothing_is_granted_under_an_ended_contract(world: World) -> None:
    world.desks[NORTH].end(world.digest)
    with pytest.raises(ContractNotInForce):
        world.desks[NORTH].grant(world.request(job=world.job(run="run-6")))
