"""Last-known-good data: for every dataset of the contract, which snapshot of the room is used, and why.

Where an owner's restore points were judged, only a snapshot from a clean one is used. Where they were not, the newest
sealed one is, and it is said that nobody judged it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.continuity_pack import Choice, OpenFinding, PackedInput
from asepsis.domain.contract import Contract
from asepsis.domain.datasets import Dataset, Holding
from asepsis.domain.estate import EstateScan, Inventory
from asepsis.domain.integrity import RestorePointVerdict
from asepsis.domain.names import Digest, PartyId, RestorePointId, SnapshotId
from asepsis.domain.room import PublishedSnapshot
from asepsis.domain.run import Run
from asepsis.domain.source import Verdict
from asepsis.errors.continuity import NoCleanSnapshot
from asepsis.errors.room import SnapshotsMissing
from asepsis.sealing.links import LINKS

_UNJUDGED: Final = "restore_point.not_judged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a scan of one owner's backup said, and when."""

    scan: EstateScan
    at: datetime

    @property
    def points(self) -> Mapping[RestorePointId, RestorePointVerdict]:
        """The verdicts by restore point."""
        return {verdict.point.id: verdict for verdict in self.scan.history.points}


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Why a pack is made: when production was declared down, and what is known of the backups.

    ``ahead`` is how far the occasion's clock stands before the true one: zero, but in a drill of a past incident.
    """

    declared_at: datetime
    drill: bool = False
    ahead: timedelta = timedelta(0)
    judged: Mapping[PartyId, Judged] = field(default_factory=dict)
    last_drills: Mapping[Digest, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The inputs of a pack, and the published snapshots that no analysis may read."""

    inputs: tuple[PackedInput, ...]
    without: frozenset[SnapshotId] = field(default_factory=frozenset)


def choose(
    contract: Contract,
    published: Sequence[PublishedSnapshot],
    runs: Sequence[Run],
    *,
    judged: Mapping[PartyId, Judged],
) -> Chosen:
    """Choose a snapshot for every dataset that an analysis reads, so not of tokens, which one linkage reads.

    ``published`` are the snapshots whose keys still exist, and all tokens, the oldest first.

    Raises:
        SnapshotsMissing: a dataset has none.
        NoCleanSnapshot: the owner's restore points were judged, and no snapshot comes from a clean one.
    """
    inputs = tuple(
        _choose(dataset, _usable(dataset, published), judged.get(dataset.owner))
        for dataset in contract.datasets
        if dataset.holds is not Holding.TOKENS
    )
    distrusted = {snapshot for item in inputs for snapshot in item.passed_over}
    return Chosen(inputs=inputs, without=frozenset(distrusted | _links_of(distrusted, published, runs)))


def _usable(dataset: Dataset, published: Iterable[PublishedSnapshot]) -> list[PublishedSnapshot]:
    """The snapshots of a dataset without free text that the contract does not ask for, the newest first."""
    own = [item for item in published if item.manifest.dataset == dataset.name]
    return [item for item in reversed(own) if dataset.free_text.issuperset(item.manifest.origin.free_text)]


def _choose(dataset: Dataset, snapshots: Sequence[PublishedSnapshot], judged: Judged | None) -> PackedInput:
    if not snapshots:
        raise SnapshotsMissing(dataset=dataset.name)
    if judged is None:
        unjudged = (OpenFinding(code=_UNJUDGED, count=1),)
        return _input(snapshots[0], Choice.NEWEST_SEALED, verdict=Verdict.UNKNOWN, findings=unjudged)
    for place, snapshot in enumerate(snapshots):
        verdict = judged.points.get(snapshot.manifest.origin.restore_point)
        if verdict is not None and _is_clean(snapshot, verdict, judged.scan.inventory):
            passed_over = tuple(item.manifest.snapshot for item in snapshots[:place])
            findings = _findings(verdict, judged)
            return _input(
                snapshot, Choice.LAST_CLEAN, verdict=Verdict.CLEAN, findings=findings, passed_over=passed_over
            )
    raise NoCleanSnapshot(dataset=dataset.name)


def _is_clean(snapshot: PublishedSnapshot, verdict: RestorePointVerdict, inventory: Inventory) -> bool:
    """Judged clean, and still the restore point that the snapshot was made from."""
    taken, point = snapshot.manifest.origin.taken_at, verdict.point
    is_same = taken is None or taken == point.taken_at.astimezone(UTC)
    return (
        is_same and verdict.verdict is Verdict.CLEAN and point.id not in (*inventory.rewritten, *inventory.back_dated)
    )


def _input(
    snapshot: PublishedSnapshot,
    choice: Choice,
    *,
    verdict: Verdict,
    findings: tuple[OpenFinding, ...],
    passed_over: tuple[SnapshotId, ...] = (),
) -> PackedInput:
    manifest = snapshot.manifest
    return PackedInput(
        owner=manifest.owner,
        dataset=manifest.dataset,
        snapshot=manifest.snapshot,
        manifest=snapshot.digest,
        restore_point=manifest.origin.restore_point,
        taken_at=manifest.origin.taken_at,
        choice=choice,
        verdict=verdict,
        findings=findings,
        passed_over=passed_over,
    )


def _findings(chosen: RestorePointVerdict, judged: Judged) -> tuple[OpenFinding, ...]:
    """Signals of the restore point itself, newer ones that are not clean, and an inventory that is not as it was."""
    inventory = judged.scan.inventory
    points = judged.scan.history.points
    newer = [one.verdict for one in points if one.point.taken_at > chosen.point.taken_at]
    counts = {
        **{signal.code: signal.count for signal in chosen.signals},
        **{f"restore_point.newer_{verdict.value}": newer.count(verdict) for verdict in Verdict if verdict != "clean"},
        "inventory.vanished": len(inventory.vanished),
        "inventory.rewritten": len(inventory.rewritten),
        "inventory.back_dated": len(inventory.back_dated),
    }
    return tuple(OpenFinding(code=code, count=count) for code, count in sorted(counts.items()) if count)


def _links_of(
    distrusted: set[SnapshotId], published: Sequence[PublishedSnapshot], runs: Sequence[Run]
) -> set[SnapshotId]:
    """The link maps made from contributions that are not trusted: from their identifiers, or from tokens of those."""
    came = {item.contribution for item in published if item.manifest.snapshot in distrusted}
    sources = {item.manifest.snapshot for item in published if item.contribution in came}
    questions = {
        run.question
        for run in runs
        if run.job.analysis.kind is AnalysisKind.LINKAGE and sources & {item.snapshot for item in run.job.inputs}
    }
    return {
        item.manifest.snapshot
        for item in published
        if item.manifest.dataset == LINKS and item.contribution in questions
    }
