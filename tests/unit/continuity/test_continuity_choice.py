"""Last-known-good data: which snapshot is taken where restore points were judged, and where they were not."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from asepsis.domain.analysis import Analysis, AnalysisKind, Job, SnapshotInput
from asepsis.domain.continuity_pack import Choice
from asepsis.domain.contract import Contract
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.estate import EstateScan, Inventory
from asepsis.domain.integrity import HistoryVerdict, RestorePointVerdict
from asepsis.domain.names import Digest, PartyId, RestorePointId, RunId, SnapshotId
from asepsis.domain.room import PublishedSnapshot
from asepsis.domain.run import Run, RunStatus
from asepsis.domain.snapshot import Label, Manifest, Origin
from asepsis.domain.source import RestorePoint, Verdict
from asepsis.errors.continuity import NoCleanSnapshot
from asepsis.errors.room import SnapshotsMissing
from asepsis.sealing.links import LINKS
from asepsis.services.continuity_choice import Judged, choose

DAY = datetime(2026, 1, 1, tzinfo=UTC)
WARD = PartyId("ward")
ZERO = Digest("0" * 64)
KEY = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
CLINICAL, TOKENS = "ward-omop-clinical", "ward-omop-tokens"


@pytest.fixture(scope="module")
def contract() -> Contract:
    return read_contract(
        {
            "version": 1, "name": "room", "title": "t", "purpose": "p", "legal_basis": "b", "retention_days": 30,
            "valid": {"from": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"},
            "parties": {
                "ward": {"name": "Ward", "roles": ["owner"], "signing_key": KEY, "sealing_key": KEY},
                "room": {"name": "Room", "roles": ["host"], "signing_key": KEY},
            },
            "datasets": {CLINICAL: {"owner": "ward", "label": "synthetic", "holds": "clinical"}},
            "tables": {}, "analyses": {}, "disclosure": {"profile": "strict-10"}, "budgets": {"ward": 1},
            "runtime": {"level": 0, "measurements": ["m"]}, "ledger": {"origin": "asepsis.local/t"},
        }
    )  # fmt: skip


def snapshot(day: int, *, dataset: str = CLINICAL, texts: tuple[str, ...] = ()) -> PublishedSnapshot:
    """A snapshot that was made from the restore point of a day."""
    origin = Origin(
        source_kind="restic",
        restore_point=RestorePointId(f"point-{day}"),
        mapping=ZERO,
        books=ZERO,
        free_text=texts,
        taken_at=DAY + timedelta(days=day),
    )
    manifest = Manifest(
        owner=WARD,
        dataset=dataset,
        snapshot=SnapshotId(f"{dataset}-{day}"),
        label=Label.SYNTHETIC,
        created_at=DAY + timedelta(days=day, hours=1),
        origin=origin,
        files=(),
    )
    return PublishedSnapshot(
        manifest=manifest,
        digest=ZERO,
        document=b"",
        signature=b"",
        endorsements={},
        contribution=Digest(f"{day:064}"),
        published_at=manifest.created_at,
    )


def judged(verdicts: Iterable[Verdict], *, inventory: Inventory | None = None) -> dict[PartyId, Judged]:
    """What a scan says of one restore point for each day."""
    points = tuple(
        RestorePointVerdict(
            point=RestorePoint(id=RestorePointId(f"point-{day}"), taken_at=DAY + timedelta(days=day)), verdict=verdict
        )
        for day, verdict in enumerate(verdicts)
    )
    history = HistoryVerdict(points=points, last_clean=None, objects_read=1, bytes_read=1)
    scan = EstateScan(history=history, inventory=inventory or Inventory(), objects=1, new_objects=1, new_bytes=1)
    return {WARD: Judged(scan=scan, at=DAY)}


CLEAN, SUSPECT, HIT, UNKNOWN = Verdict.CLEAN, Verdict.SUSPECT, Verdict.COMPROMISED, Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("verdicts", "taken"),
    [
        ((CLEAN, CLEAN, CLEAN), 2),
        ((CLEAN, CLEAN, HIT), 1),
        ((CLEAN, HIT, CLEAN), 2),
        ((CLEAN, SUSPECT, UNKNOWN), 0),
        ((CLEAN, CLEAN), 1),
    ],
)
def test_the_newest_snapshot_from_a_clean_point_is_taken(
    contract: Contract, verdicts: tuple[Verdict, ...], taken: int
) -> None:
    """Damage that was undone, verdicts that stay open and points that are gone are no clean points."""
    snapshots = [snapshot(day) for day in range(3)]
    chosen = choose(contract, snapshots, [], judged=judged(verdicts))
    [found] = chosen.inputs
    assert (found.snapshot, found.choice) == (f"{CLINICAL}-{taken}", Choice.LAST_CLEAN)
    assert chosen.without == set(found.passed_over) == {f"{CLINICAL}-{day}" for day in range(taken + 1, 3)}


def test_what_speaks_against_newer_points_stays_an_open_finding(contract: Contract) -> None:
    chosen = choose(contract, [snapshot(0)], [], judged=judged((CLEAN, HIT, HIT)))
    assert [finding.to_document() for finding in chosen.inputs[0].findings] == [
        {"code": "restore_point.newer_compromised", "count": 2}
    ]


def test_without_any_verdict_the_newest_sealed_one_is_taken_and_that_is_said(contract: Contract) -> None:
    [found] = choose(contract, [snapshot(0), snapshot(1)], [], judged={}).inputs
    assert (found.snapshot, found.choice, found.verdict) == (f"{CLINICAL}-1", Choice.NEWEST_SEALED, UNKNOWN)
    assert [finding.code for finding in found.findings] == ["restore_point.not_judged"]


@pytest.mark.parametrize("inventory", [Inventory(rewritten=("point-0",)), Inventory(back_dated=("point-0",))])  # type: ignore[arg-type]
def test_a_point_that_is_not_what_it_was_is_no_clean_one(contract: Contract, inventory: Inventory) -> None:
    with pytest.raises(NoCleanSnapshot):
        choose(contract, [snapshot(0)], [], judged=judged((CLEAN,), inventory=inventory))


def test_a_point_of_the_same_name_from_another_time_is_another_point(contract: Contract) -> None:
    other = snapshot(0)
    origin = replace(other.manifest.origin, taken_at=DAY + timedelta(hours=1))
    with pytest.raises(NoCleanSnapshot):
        choose(
            contract,
            [replace(other, manifest=replace(other.manifest, origin=origin))],
            [],
            judged=judged((CLEAN,)),
        )


def test_where_nothing_is_clean_nothing_is_taken(contract: Contract) -> None:
    with pytest.raises(NoCleanSnapshot):
        choose(contract, [snapshot(0), snapshot(1)], [], judged=judged((HIT, SUSPECT)))
    with pytest.raises(SnapshotsMissing):
        choose(contract, [snapshot(0, texts=("note.note_text",))], [], judged={})


def test_a_link_map_that_was_made_from_a_snapshot_nobody_trusts_is_left_out(contract: Contract) -> None:
    bad, question = snapshot(1), Digest("a" * 64)
    item = SnapshotInput(owner=WARD, dataset=CLINICAL, snapshot=bad.manifest.snapshot, manifest=ZERO)
    analysis = Analysis(kind=AnalysisKind.LINKAGE, author=PartyId("room"), arguments={})
    job = Job(run=RunId("run-1"), contract=ZERO, analysis=analysis, inputs=(item,))
    run = Run(id=job.run, job=job, question=question, status=RunStatus.FINISHED, submitted_at=DAY)
    made = [replace(snapshot(day, dataset=LINKS), contribution=key) for day, key in ((0, ZERO), (1, question))]
    chosen = choose(contract, [snapshot(0), bad, *made], [run], judged=judged((CLEAN, HIT)))
    assert chosen.without == {bad.manifest.snapshot, made[1].manifest.snapshot}


def test_tokens_are_no_input_of_a_pack_and_a_map_made_from_distrusted_ones_is_left_out(contract: Contract) -> None:
    """Guards: tokens are not chosen, for none is left after a linkage; they lead to the contribution they are of."""
    document = json.loads(json.dumps(contract.to_document()))
    document["datasets"][TOKENS] = {"owner": "ward", "label": "synthetic", "holds": "tokens"}
    keyed = read_contract(document | {"linkage": {"mode": "keyed"}})
    tokens, question = snapshot(1, dataset=TOKENS), Digest("a" * 64)
    item = SnapshotInput(owner=WARD, dataset=TOKENS, snapshot=tokens.manifest.snapshot, manifest=ZERO)
    analysis = Analysis(kind=AnalysisKind.LINKAGE, author=PartyId("room"), arguments={"epoch": 1})
    job = Job(run=RunId("run-1"), contract=ZERO, analysis=analysis, inputs=(item,))
    run = Run(id=job.run, job=job, question=question, status=RunStatus.FINISHED, submitted_at=DAY)
    made = replace(snapshot(1, dataset=LINKS), contribution=question)
    bad = snapshot(1)
    chosen = choose(keyed, [snapshot(0), bad, tokens, made], [run], judged=judged((CLEAN, HIT)))
    assert [one.dataset for one in chosen.inputs] == [CLINICAL]
    assert chosen.without == {bad.manifest.snapshot, made.manifest.snapshot}
