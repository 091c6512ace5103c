"""The room's records as documents, and back: what the tables of ``room_state`` keep in their ``document`` column."""

from __future__ import annotations

from collections.abc import Mapping

from asepsis.domain.analysis import read_analysis, read_job
from asepsis.domain.documents import Document, Fields, encode_bytes, encode_time
from asepsis.domain.memory import read_memory_step
from asepsis.domain.names import Digest, PartyId, ReferralId, ReleaseId, RunId
from asepsis.domain.referral import Referral, ReferralStatus
from asepsis.domain.release import ReleaseStatus
from asepsis.domain.room import PublishedSnapshot, Release, RoomMemory
from asepsis.domain.run import Run, RunProof, RunStatus
from asepsis.domain.snapshot import Manifest
from asepsis.domain.statistic import package_document, read_package


def run_document(run: Run) -> Document:
    """A run as a document."""
    return {
        "id": run.id,
        "job": run.job.to_document(),
        "question": run.question,
        "status": run.status.value,
        "submitted_at": encode_time(run.submitted_at),
        "proof": None if run.proof is None else proof_document(run.proof),
    }


def read_run(value: object) -> Run:
    """A run from its document."""
    fields = Fields(value, document="run")
    proof = fields.anything("proof")
    return Run(
        id=RunId(fields.text("id")),
        job=read_job(fields.anything("job")),
        question=Digest(fields.text("question")),
        status=fields.choice("status", RunStatus),
        submitted_at=fields.time("submitted_at"),
        proof=None if proof is None else _read_proof(proof),
    )


def proof_document(proof: RunProof) -> Document:
    """The proof of a run as a document."""
    return {
        "checkpoint": proof.checkpoint,
        "evidence": dict(proof.evidence),
        "grants": dict(proof.grants),
        "statistic": proof.statistic,
        "signature": encode_bytes(proof.signature),
    }


def snapshot_document(snapshot: PublishedSnapshot) -> Document:
    """A published snapshot as a document."""
    return {
        "manifest": snapshot.manifest.to_document(),
        "digest": snapshot.digest,
        "document": encode_bytes(snapshot.document),
        "signature": encode_bytes(snapshot.signature),
        "endorsements": _encoded(snapshot.endorsements),
        "contribution": snapshot.contribution,
        "published_at": encode_time(snapshot.published_at),
    }


def read_snapshot(value: object) -> PublishedSnapshot:
    """A published snapshot from its document."""
    fields = Fields(value, document="snapshot")
    return PublishedSnapshot(
        manifest=Manifest.from_document(fields.anything("manifest")),
        digest=Digest(fields.text("digest")),
        document=fields.octets("document"),
        signature=fields.octets("signature", empty=True),
        endorsements=_decoded(fields, "endorsements"),
        contribution=Digest(fields.text("contribution")),
        published_at=fields.time("published_at"),
    )


def memory_document(kept: RoomMemory) -> Document:
    """A version of the memory of releases as a document."""
    return {"step": kept.step.to_document(), "signature": encode_bytes(kept.signature)}


def read_memory(value: object) -> RoomMemory:
    """A version of the memory of releases from its document."""
    fields = Fields(value, document="memory")
    return RoomMemory(step=read_memory_step(fields.anything("step")), signature=fields.octets("signature"))


def release_document(release: Release) -> Document:
    """A release as a document."""
    return {
        "id": release.id,
        "run": release.run,
        "contract": release.contract,
        "question": release.question,
        "author": release.author,
        "status": release.status.value,
        "decided_by": release.decided_by or "",
        "decided_at": encode_time(release.decided_at),
        "review": encode_bytes(release.review),
    }


def read_release(value: object) -> Release:
    """A release from its document."""
    fields = Fields(value, document="release")
    return Release(
        id=ReleaseId(fields.text("id")),
        run=RunId(fields.text("run")),
        contract=Digest(fields.text("contract")),
        question=Digest(fields.text("question")),
        author=PartyId(fields.text("author")),
        status=fields.choice("status", ReleaseStatus),
        decided_by=PartyId(fields.text("decided_by", default="")) or None,
        decided_at=fields.time("decided_at"),
        review=fields.octets("review", empty=True),
    )


def referral_document(referral: Referral) -> Document:
    """A referral as a document."""
    return {
        "id": referral.id,
        "contract": referral.contract,
        "analysis": referral.analysis.to_document(),
        "analysis_digest": referral.analysis_digest,
        "reason": referral.reason,
        "status": referral.status.value,
        "requested_at": encode_time(referral.requested_at),
        "approvals": _encoded(referral.approvals),
        "run": referral.run or "",
        "packages": [package_document(package) for package in referral.packages],
        "collected_by": sorted(referral.collected_by),
    }


def read_referral(value: object) -> Referral:
    """A referral from its document."""
    fields = Fields(value, document="referral")
    return Referral(
        id=ReferralId(fields.text("id")),
        contract=Digest(fields.text("contract")),
        analysis=read_analysis(fields.anything("analysis")),
        analysis_digest=Digest(fields.text("analysis_digest")),
        reason=fields.text("reason"),
        status=fields.choice("status", ReferralStatus),
        requested_at=fields.time("requested_at"),
        approvals=_decoded(fields, "approvals"),
        run=RunId(fields.text("run", default="")) or None,
        packages=tuple(read_package(item) for item in fields.items("packages")),
        collected_by=frozenset(PartyId(team) for team in fields.texts("collected_by")),
    )


def _read_proof(value: object) -> RunProof:
    fields = Fields(value, document="run", place="proof")
    statistic = fields.anything("statistic")
    if not isinstance(statistic, dict):
        raise fields.malformed("statistic", "a mapping is needed")
    return RunProof(
        checkpoint=fields.text("checkpoint"),
        evidence=_documents(fields, "evidence"),
        grants=_documents(fields, "grants"),
        statistic=statistic,
        signature=fields.octets("signature"),
    )


def _documents(fields: Fields, key: str) -> dict[PartyId, Document]:
    with fields.mapping(key) as raw:
        documents = {PartyId(name): raw.anything(name) for name in raw.names()}
    return {party: value for party, value in documents.items() if isinstance(value, dict)}


def _encoded(values: Mapping[PartyId, bytes]) -> Document:
    return {party: encode_bytes(value) for party, value in values.items()}


def _decoded(fields: Fields, key: str) -> dict[PartyId, bytes]:
    with fields.mapping(key) as raw:
        return {PartyId(name): raw.octets(name) for name in raw.names()}
