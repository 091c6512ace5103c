"""What a desk gives when everything is in order, and how it counts."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from desk_world import NORTH, NOW, OWNERS, SOUTH, Runtime, World

from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.attestation import LEASE_SECONDS
from asepsis.domain.budget import Budget
from asepsis.errors.desk import BudgetExhausted, SnapshotConflict, SnapshotNotOurs
from asepsis.errors.sealing import SignatureInvalid
from asepsis.sealing.canonical import canonical
from asepsis.sealing.links import combine
from asepsis.sealing.memory import memory_id
from asepsis.sealing.signing import Purpose, verify


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_grant_opens_exactly_this_owners_snapshots_to_the_runtime(world: World) -> None:
    runtime = Runtime()
    grant = world.desks[NORTH].grant(world.request(runtime=runtime))
    opened = runtime.open(grant)
    assert len(opened.pop(memory_id(world.digest))) == 32
    assert opened == {"northgate-clinical-1": world.deks["northgate-clinical-1"]}


def test_a_grant_is_signed_by_the_owner_and_leased(world: World) -> None:
    grant = world.desks[NORTH].grant(world.request())
    verify(
        world.contract.party(NORTH).signing_key,
        purpose=Purpose.GRANT,
        payload=canonical(grant.body()),
        signature=grant.signature,
    )
    assert (grant.lease_until - grant.granted_at).total_seconds() == LEASE_SECONDS
    assert grant.granted_at == NOW


def test_a_lease_never_outlives_the_contract(world: World) -> None:
    world.clock.now = world.contract.valid_until.replace(year=2026, month=12, day=30, hour=23, minute=55)
    assert world.desks[NORTH].grant(world.request()).lease_until == world.contract.valid_until


def test_the_intent_stands_in_the_desks_ledger_before_the_charge_and_the_grant(world: World) -> None:
    world.desks[NORTH].grant(world.request())
    assert world.acts()[-3:] == ["grant.intended", "budget.charged", "grant.given"]


def test_a_run_is_charged_once_however_often_it_is_tried_again(world: World) -> None:
    for _ in range(5):
        world.desks[NORTH].grant(world.request())
    assert world.desks[NORTH].budget(world.digest) == Budget(limit=3, used=1)


def test_a_grant_says_under_the_owners_signature_what_the_run_was_charged(world: World) -> None:
    """Guard: ``_signed`` in ``keydesk.grants`` comes after the charge; a charge counted before is said again."""
    job = world.job()
    first = world.desks[NORTH].grant(world.request(job=job))
    again = world.desks[NORTH].grant(world.request(job=job))
    other = world.desks[NORTH].grant(world.request(job=world.job(run="run-another")))
    used = [None if one.charge is None else one.charge.used for one in (first, again, other)]
    assert used == [1, 1, 2]
    lie = replace(other, charge=Budget(limit=world.contract.budgets[NORTH], used=1))
    key = world.contract.party(NORTH).signing_key
    verify(key, purpose=Purpose.GRANT, payload=canonical(other.body()), signature=other.signature)
    with pytest.raises(SignatureInvalid):
        verify(key, purpose=Purpose.GRANT, payload=canonical(lie.body()), signature=lie.signature)


def test_every_new_run_is_charged_until_nothing_remains(world: World) -> None:
    for number in range(3):
        world.desks[NORTH].grant(world.request(job=world.job(run=f"run-{number}")))
    with pytest.raises(BudgetExhausted):
        world.desks[NORTH].grant(world.request(job=world.job(run="run-9")))
    assert world.desks[NORTH].budget(world.digest).remaining == 0
    world.desks[NORTH].grant(world.request(job=world.job(run="run-0")))  # the old run goes on


def test_another_job_under_the_same_run_is_another_charge(world: World) -> None:
    world.desks[NORTH].grant(world.request())
    other = replace(world.job().analysis, body="SELECT 3")
    world.desks[NORTH].grant(world.request(job=world.job(analysis=other)))
    assert world.desks[NORTH].budget(world.digest).used == 2


def test_a_charge_survives_a_restart_of_the_desk(world: World) -> None:
    world.desks[NORTH].grant(world.request())
    world.states[NORTH].close()
    assert world.desk(NORTH).budget(world.digest).used == 1


def test_the_kinds_that_the_contract_allows_are_granted(world: World) -> None:
    for kind in (AnalysisKind.QUERY, AnalysisKind.METHOD, AnalysisKind.LINKAGE):
        world.desks[NORTH].grant(world.request(job=world.job(kind, run=f"run-{kind}")))


def test_a_referral_that_every_owner_approved_is_granted_with_both_keys(world: World) -> None:
    job = world.job(AnalysisKind.REFERRAL)
    runtime = Runtime()
    grant = world.desks[NORTH].grant(world.request(job=job, runtime=runtime, approvals=world.approvals(job)))
    assert set(runtime.open(grant)) == {"northgate-clinical-1", "northgate-identity-1"}


def test_registering_a_snapshot_again_changes_nothing(world: World) -> None:
    before = world.acts()
    manifest = world.manifests["northgate-clinical"]
    world.desks[NORTH].register(world.signed_manifest(manifest), dek=world.deks[manifest.snapshot])
    assert world.acts() == before


def test_another_key_or_manifest_for_a_known_snapshot_is_a_conflict(world: World) -> None:
    manifest = world.manifests["northgate-clinical"]
    with pytest.raises(SnapshotConflict):
        world.desks[NORTH].register(world.signed_manifest(manifest), dek=bytes(32))
    changed = world.signed_manifest(replace(manifest, files=()))
    with pytest.raises(SnapshotConflict):
        world.desks[NORTH].register(changed, dek=world.deks[manifest.snapshot])


def test_a_desk_keeps_no_keys_of_other_owners(world: World) -> None:
    foreign = world.manifests["riverside-clinical"]
    with pytest.raises(SignatureInvalid):
        world.desks[NORTH].register(world.signed_manifest(foreign), dek=bytes(32))
    document = canonical(foreign.to_document())
    mine = replace(world.signed_manifest(foreign), signature=world.keys[NORTH].sign(Purpose.MANIFEST, document))
    with pytest.raises(SnapshotNotOurs):
        world.desks[NORTH].register(mine, dek=bytes(32))


def test_a_link_map_opens_with_the_shares_of_all_owners_together(world: World) -> None:
    runtime, job = Runtime(), world.job(AnalysisKind.LINKAGE, run="link-1")
    manifest = world.link_manifest()
    shares = {NORTH: bytes([1]) * 32, SOUTH: bytes([2]) * 32}
    for owner in OWNERS:
        world.desks[owner].grant(world.request(owner, job=job, runtime=runtime))
        deposit = world.deposit(owner, job=job, runtime=runtime, manifest=manifest, shares=shares)
        endorsement = world.desks[owner].deposit_share(deposit)
        assert world.desks[owner].deposit_share(deposit) == endorsement
        verify(
            world.contract.party(owner).signing_key,
            purpose=Purpose.MANIFEST,
            payload=canonical(manifest.to_document()),
            signature=endorsement,
        )
    world.manifests["links"] = manifest
    reader = Runtime()
    query = world.job(run="run-2", inputs=(world.input("northgate-clinical"), world.input("links")))
    opened = [
        reader.open(world.desks[owner].grant(world.request(owner, job=query, runtime=reader))) for owner in OWNERS
    ]
    assert combine(keys["links-1"] for keys in opened) == bytes([3]) * 32
    assert "link.made" in world.acts()


def test_a_contract_that_was_suspended_and_resumed_goes_on(world: World) -> None:
    suspended = world.desks[SOUTH].suspend(world.digest)
    resumed = world.desks[SOUTH].resume_contract(world.digest)
    statements = [suspended.to_document(), resumed.to_document()]
    world.desks[NORTH].grant(world.request(statements=statements))
    world.desks[SOUTH].grant(world.request(SOUTH))


def test_a_stopped_desk_grants_again_after_it_was_resumed(world: World) -> None:
    world.desks[NORTH].stop("an incident")
    world.desks[NORTH].resume()
    world.desks[NORTH].grant(world.request())
