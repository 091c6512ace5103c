"""The continuity pack: what was run on which snapshots, how old the data are, and how each objective fared.

The pack is one statement that its lead signs. It names every file that belongs to it by length and digest; what can be
derived from the files' own proofs (tables, ages, texts) is derived again by whoever verifies it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from asepsis.domain.continuity_age import Measured, Stamp, seconds
from asepsis.domain.documents import Document, encode_time
from asepsis.domain.names import Digest, PartyId, ReferralId, ReleaseId, RestorePointId, RunId, SnapshotId
from asepsis.domain.source import Verdict

FORMAT: Final = "asepsis/continuity-pack/1"


class Choice(StrEnum):
    """Why a snapshot was taken."""

    LAST_CLEAN = "last clean"
    """Of all snapshots from restore points that were judged clean, it is the newest."""
    NEWEST_SEALED = "newest sealed"
    """No restore points were judged; it is the newest that the owner sealed and signed."""


class Outcome(StrEnum):
    """What became of a pre-approved analysis or of the essentials."""

    READY = "ready"
    """Nothing was run: it could be."""
    RELEASED = "released"
    DELIVERED = "delivered"
    IN_REVIEW = "in review"
    REFUSED = "refused"
    STALE = "stale"
    """Its data are too old, and the contract says that it does not run then."""
    NOT_APPROVED = "not approved"
    """An owner has not approved the essentials at its desk."""
    FAILED = "failed"


ANSWERED: Final = frozenset({Outcome.RELEASED, Outcome.DELIVERED})


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFinding:
    """Something that speaks against the data or the backup they came from: a stable code, and how often."""

    code: str
    count: int

    def to_document(self) -> Document:
        """The document form."""
        return {"code": self.code, "count": self.count}


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedInput:
    """A snapshot that the analyses read, and why this one. ``passed_over`` are newer ones that were not trusted."""

    owner: PartyId
    dataset: str
    snapshot: SnapshotId
    manifest: Digest
    restore_point: RestorePointId
    taken_at: datetime | None
    choice: Choice
    verdict: Verdict
    findings: tuple[OpenFinding, ...] = ()
    passed_over: tuple[SnapshotId, ...] = ()

    def to_document(self) -> Document:
        """The document form."""
        return {
            "owner": self.owner,
            "dataset": self.dataset,
            "snapshot": self.snapshot,
            "manifest": self.manifest,
            "restore_point": self.restore_point,
            "taken_at": None if self.taken_at is None else encode_time(self.taken_at),
            "choice": self.choice.value,
            "verdict": self.verdict.value,
            "findings": [finding.to_document() for finding in self.findings],
            "passed_over": list(self.passed_over),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedOutput:
    """One pre-approved analysis, or the essentials: who answers for it, what came out, and how its objectives fared."""

    name: str
    title: str
    responsible: str
    digest: Digest
    outcome: Outcome
    stamp: Stamp
    rpo: Measured
    rto: Measured
    code: str | None = None
    release: ReleaseId | None = None
    referral: ReferralId | None = None
    run: RunId | None = None
    last_drill: datetime | None = None

    def to_document(self) -> Document:
        """The document form."""
        return {
            "name": self.name,
            "title": self.title,
            "responsible": self.responsible,
            "digest": self.digest,
            "outcome": self.outcome.value,
            "code": self.code,
            "release": self.release,
            "referral": self.referral,
            "run": self.run,
            "stamp": self.stamp.to_document(),
            "rpo": self.rpo.to_document(),
            "rto": self.rto.to_document(),
            "last_drill": None if self.last_drill is None else encode_time(self.last_drill),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much of what could have been checked was checked."""

    datasets: int
    datasets_judged: int
    restore_points: int
    restore_points_judged: int
    objects: int
    objects_read: int
    size: int
    """Bytes of the different objects of the judged backups."""
    size_read: int
    size_checked: int
    """Bytes of objects whose own format was followed to its end."""
    outputs: int
    outputs_answered: int

    def to_document(self) -> Document:
        """The document form: each as so many of so many."""
        return {
            "datasets": [self.datasets_judged, self.datasets],
            "restore_points": [self.restore_points_judged, self.restore_points],
            "objects": [self.objects_read, self.objects],
            "bytes": [self.size_read, self.size],
            "bytes_checked": [self.size_checked, self.size],
            "outputs": [self.outputs_answered, self.outputs],
        }


def share(some: int, of: int) -> str:
    """So much of so much, and the share, rounded down: only all of it is 100 %."""
    return f"{some:,} of {of:,}" + (f" ({100 * some // of} %)" if of else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The numbers of one recovery. The worst output stands for all; nothing that is unknown is counted as met."""

    rpo: Measured
    rto: Measured
    to_verdict: timedelta | None
    to_pack: timedelta
    coverage: Coverage
    drill_age: timedelta | None

    def to_document(self) -> Document:
        """The document form; lengths of time are in whole seconds."""
        return {
            "rpo": self.rpo.to_document(),
            "rto": self.rto.to_document(),
            "time_to_verdict_seconds": seconds(self.to_verdict),
            "time_to_pack_seconds": seconds(self.to_pack),
            "coverage": self.coverage.to_document(),
            "drill_age_seconds": seconds(self.drill_age),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """The statement. ``at`` is the instant that ages are measured at; in a drill it may be a simulated one.

    ``files`` says of every other file of the pack its length and SHA-256.
    """

    id: str
    number: int
    contract: Digest
    lead: PartyId
    drill: bool
    declared_at: datetime
    at: datetime
    signed_at: datetime
    inputs: tuple[PackedInput, ...]
    outputs: tuple[PackedOutput, ...]
    metrics: Metrics
    not_checked: tuple[str, ...]
    files: Mapping[str, tuple[int, Digest]] = field(default_factory=dict)

    @property
    def findings(self) -> int:
        """How many findings are open against the data: each code once for each owner's restore point."""
        return len({(item.owner, item.restore_point, found.code) for item in self.inputs for found in item.findings})

    def to_document(self) -> Document:
        """The document that the lead signs."""
        return {
            "format": FORMAT,
            "pack": self.id,
            "number": self.number,
            "contract": self.contract,
            "lead": self.lead,
            "drill": self.drill,
            "declared_at": encode_time(self.declared_at),
            "at": encode_time(self.at),
            "signed_at": encode_time(self.signed_at),
            "inputs": [item.to_document() for item in self.inputs],
            "outputs": [output.to_document() for output in self.outputs],
            "open_findings": self.findings,
            "metrics": self.metrics.to_document(),
            "not_checked": list(self.not_checked),
            "files": [
                {"path": path, "length": length, "sha256": digest}
                for path, (length, digest) in sorted(self.files.items())
            ],
        }
