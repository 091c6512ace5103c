"""Attacks on the deposit of link maps: shares and manifests that no granted linkage made."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "desk"))

from desk_world import NORTH, NOW, SOUTH, ZERO, Runtime, World

from asepsis.domain.analysis import AnalysisKind, Job
from asepsis.domain.attestation import LEASE_SECONDS
from asepsis.domain.keydesk import GrantedRun, ShareDeposit
from asepsis.domain.names import Digest, PartyId
from asepsis.domain.snapshot import Label, Manifest
from asepsis.errors import AsepsisError
from asepsis.errors.contract import ContractNotInForce
from asepsis.errors.desk import DeskStopped, InputRefused, LinkageUnknown, LinksRefused
from asepsis.errors.sealing import EnvelopeRefused
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.envelope import seal_to
from asepsis.sealing.links import share_info
from asepsis.sealing.signing import Purpose, sign

SHARES: Mapping[PartyId, bytes] = {NORTH: bytes([1]) * 32, SOUTH: bytes([2]) * 32}


class Linked:
    """A linkage that the desk of Northgate granted, and its honest deposit there."""

    def __init__(self, home: Path) -> None:
        self.world = World(home)
        self.runtime = Runtime()
        self.job: Job = self.world.job(AnalysisKind.LINKAGE, run="link-1")
        self.desk = self.world.desks[NORTH]
        self.desk.grant(self.world.request(job=self.job, runtime=self.runtime))

    def deposit(self, **changes: Any) -> ShareDeposit:
        parts: dict[str, Any] = {
            "job": self.job,
            "runtime": self.runtime,
            "manifest": self.world.link_manifest(),
            "shares": SHARES,
            **changes,
        }
        return self.world.deposit(NORTH, **parts)

    def refuses(self, deposit: ShareDeposit, error: type[AsepsisError]) -> None:
        before = self.world.acts()
        with pytest.raises(error) as caught:
            self.desk.deposit_share(deposit)
        assert self.world.acts() == [*before, "link.refused"]
        assert self.world.entries()[-1].facts == {"code": caught.value.code}


@pytest.fixture
def linked(tmp_path: Path) -> Linked:
    return Linked(tmp_path)


def test_a_deposit_by_another_key_than_the_granted_runtimes_is_refused(linked: Linked) -> None:
    linked.refuses(linked.deposit(runtime=Runtime()), LinkageUnknown)


def test_a_statistic_that_was_changed_after_signing_is_refused(linked: Linked) -> None:
    deposit = linked.deposit()
    linked.refuses(replace(deposit, statistic={**deposit.statistic, "plan": "1" * 64}), LinkageUnknown)


def test_a_deposit_for_a_run_that_was_no_linkage_is_refused(linked: Linked) -> None:
    job, runtime = linked.world.job(run="query-1"), Runtime()
    linked.desk.grant(linked.world.request(job=job, runtime=runtime))
    linked.refuses(linked.deposit(job=job, runtime=runtime), LinkageUnknown)


def test_a_deposit_for_an_unknown_run_or_contract_is_refused(linked: Linked) -> None:
    linked.refuses(linked.deposit(job=replace(linked.job, run="link-2")), LinkageUnknown)
    linked.refuses(replace(linked.deposit(), contract=Digest(ZERO)), LinkageUnknown)


def test_a_deposit_after_the_lease_is_refused(linked: Linked) -> None:
    linked.world.clock.forward(seconds=LEASE_SECONDS)
    linked.refuses(linked.deposit(), LinkageUnknown)


def test_a_statistic_of_another_job_of_the_same_run_is_refused(linked: Linked) -> None:
    other = replace(linked.job, inputs=linked.job.inputs[:1])
    linked.refuses(linked.deposit(job=other), LinksRefused)


def test_a_statistic_without_a_link_map_is_refused(linked: Linked) -> None:
    deposit = linked.deposit()
    statistic = {**deposit.statistic, "links": None}
    signature = sign(linked.runtime.signing.private, purpose=Purpose.STATISTIC, payload=canonical(statistic))
    linked.refuses(replace(deposit, statistic=statistic, signature=signature), LinksRefused)


def test_no_other_dataset_can_be_endorsed_as_a_link_map(linked: Linked) -> None:
    manifest = replace(linked.world.link_manifest(), dataset="northgate-clinical", owner=NORTH)
    linked.refuses(linked.deposit(manifest=manifest), LinksRefused)


def test_a_share_of_another_owner_or_made_by_the_room_is_refused(linked: Linked) -> None:
    deposit = linked.deposit()
    manifest = linked.world.link_manifest()
    info = share_info(linked.job.run, snapshot=manifest.snapshot, owner=NORTH)
    own = seal_to(linked.desk.public().sealing, bytes(32), info=info)
    linked.refuses(replace(deposit, sealed=own), LinksRefused)
    linked.refuses(linked.deposit(shares={NORTH: b"short", SOUTH: bytes(32)}), LinksRefused)


def test_a_share_that_was_sealed_for_another_snapshot_is_refused(linked: Linked) -> None:
    wrong = linked.deposit(manifest=linked.world.link_manifest("links-9"))
    sealed = {"northgate": wrong.statistic["links"]["shares"]["northgate"]}  # type: ignore[index]
    deposit = linked.deposit()
    links = {**deposit.statistic["links"], "shares": sealed}  # type: ignore[dict-item]
    statistic = {**deposit.statistic, "links": links}
    signature = sign(linked.runtime.signing.private, purpose=Purpose.STATISTIC, payload=canonical(statistic))
    moved = replace(deposit, statistic=statistic, signature=signature, sealed=wrong.sealed)
    linked.refuses(moved, EnvelopeRefused)


def test_another_link_map_under_an_endorsed_name_is_refused(linked: Linked) -> None:
    linked.desk.deposit_share(linked.deposit())
    changed = linked.world.link_manifest(created_at=NOW.replace(year=2027))
    linked.refuses(linked.deposit(manifest=changed), LinksRefused)


def test_a_stopped_desk_or_a_suspended_contract_endorses_nothing(linked: Linked) -> None:
    linked.desk.stop("")
    with pytest.raises(DeskStopped):
        linked.desk.deposit_share(linked.deposit())
    linked.desk.resume()
    linked.desk.suspend(linked.world.digest)
    with pytest.raises(ContractNotInForce):
        linked.desk.deposit_share(linked.deposit())


def test_a_link_map_of_real_data_cannot_be_labelled_synthetic(linked: Linked) -> None:
    """No level-0 linkage of real data is ever granted; a grant of level 2 is written as that evidence will write it."""
    runtime, job = Runtime(), linked.world.job(AnalysisKind.LINKAGE, run="real-1")
    granted = GrantedRun(
        run=job.run,
        job=digest(job.to_document()),
        contract=linked.world.digest,
        kind=AnalysisKind.LINKAGE,
        label=Label.REAL,
        signing_key=runtime.signing.public,
        lease_until=NOW.replace(hour=13),
    )
    with linked.world.states[NORTH].writing() as records:
        records.add_grant(granted)
    linked.refuses(linked.deposit(job=job, runtime=runtime), LinksRefused)
    real = linked.world.link_manifest(label=Label.REAL)
    linked.desk.deposit_share(linked.deposit(job=job, runtime=runtime, manifest=real))


def with_links(linked: Linked, known: Manifest, kind: AnalysisKind = AnalysisKind.QUERY, **changes: Any) -> Job:
    linked.world.manifests["links"] = known
    holds = "identity" if kind is AnalysisKind.LINKAGE else "clinical"
    inputs = (linked.world.input(f"northgate-{holds}"), linked.world.input("links", **changes))
    return linked.world.job(kind, run="run-9", inputs=inputs)


def test_a_link_map_that_was_not_endorsed_or_was_changed_gets_no_share(linked: Linked) -> None:
    manifest = linked.world.link_manifest()
    with pytest.raises(InputRefused):
        linked.desk.grant(linked.world.request(job=with_links(linked, manifest)))
    linked.desk.deposit_share(linked.deposit())
    with pytest.raises(InputRefused):
        linked.desk.grant(linked.world.request(job=with_links(linked, manifest, manifest=Digest(ZERO))))
    linked.desk.grant(linked.world.request(job=with_links(linked, manifest)))


def test_a_linkage_reads_no_link_map(linked: Linked) -> None:
    linked.desk.deposit_share(linked.deposit())
    job = with_links(linked, linked.world.link_manifest(), AnalysisKind.LINKAGE)
    with pytest.raises(InputRefused):
        linked.desk.grant(linked.world.request(job=job))
