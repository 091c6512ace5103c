"""The evidence bundle of a release: one file that proves, offline and with public keys only, how a number came out.

It holds the contract with all signatures, the job with the analysis, the manifests of all inputs, each owner's evidence
and grant with what it charged, the signed statistic with its plan's hash and assessment, the review where a person
decided, and every entry about the run and the release with the ledger's proof. :func:`verify_release` believes none of
it: each part is checked against the contract, and the contract against the digest that the verifier brings along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from asepsis.domain.analysis import Job, read_job
from asepsis.domain.attestation import Appraisal, Binding, Evidence, Grant, read_evidence, read_grant
from asepsis.domain.budget import Budget
from asepsis.domain.documents import Document, Fields, encode_bytes
from asepsis.domain.keydesk import checkpoint_digest
from asepsis.domain.ledger import Act
from asepsis.domain.memory import MemoryVersion
from asepsis.domain.names import Digest, PartyId, ReleaseId, SnapshotId
from asepsis.domain.release import Released, ReleaseStatus
from asepsis.domain.room import PublishedSnapshot, Release
from asepsis.domain.run import RunProof
from asepsis.domain.statistic import Statistic, read_statistic
from asepsis.errors.contract import TransitionRefused
from asepsis.errors.room import BundleForged, KeysNotPinned, RecordMissing
from asepsis.errors.sealing import SignatureInvalid
from asepsis.ledger.checkpoint import verify_checkpoint
from asepsis.ports import Appraise, RoomState
from asepsis.sealing.agreement import Agreement, verify_agreement
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.links import SignedLinks, verify_links
from asepsis.sealing.manifest import SignedManifest, manifest_digest, verify_manifest
from asepsis.sealing.signing import Purpose, verify
from asepsis.services.audit import Audit, ledger_keys
from asepsis.services.contracts import Contracts
from asepsis.services.deciding import check_released, outcome
from asepsis.services.runs import verify_statistic
from asepsis.services.trail import Trail, check_trail, trail_document

FORMAT: Final = "asepsis/release-bundle/2"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedRelease:
    """What a verified bundle shows; ``manifests`` are the inputs' as they were signed.

    ``reviewed`` is whether ``decided_by`` decided, and not the contract's rules.
    """

    release: ReleaseId
    agreement: Agreement
    job: Job
    statistic: Statistic
    manifests: Mapping[SnapshotId, bytes]
    appraisals: Mapping[PartyId, Appraisal]
    grants: Mapping[PartyId, Grant]
    decided_by: PartyId
    reviewed: bool
    trail: Trail

    @property
    def contract(self) -> Digest:
        """The contract's digest."""
        return self.agreement.digest

    @property
    def purpose(self) -> str:
        """What the run was for: the purpose that it stated, or the contract's."""
        contract, stated = self.agreement.contract, self.job.analysis.purpose
        return contract.purposes.get(stated, contract.purpose)

    @property
    def table(self) -> Released | None:
        """The released table, for analyses that have one."""
        return self.statistic.table

    @property
    def owners(self) -> tuple[PartyId, ...]:
        """All owners; each of them granted."""
        return tuple(owner.id for owner in self.agreement.contract.owners)

    @property
    def charges(self) -> dict[PartyId, Budget]:
        """Each owner's budget once the run was charged."""
        return {owner: grant.charge for owner, grant in self.grants.items() if grant.charge is not None}

    @property
    def level(self) -> int:
        """The lowest level at which an owner's appraisal leaves the runtime."""
        return min(appraisal.level for appraisal in self.appraisals.values())

    @property
    def position(self) -> int:
        """Where the release stands in the ledger."""
        return self.trail.released.position

    @property
    def ledger_size(self) -> int:
        """How many entries the ledger had when the bundle was made."""
        return self.trail.ledger_size


@dataclass(frozen=True, slots=True)
class Evidences:
    """Writes evidence bundles."""

    state: RoomState
    contracts: Contracts
    audit: Audit

    def bundle(self, release_id: ReleaseId) -> Document:
        """The bundle of a release. Raises RecordMissing, or TransitionRefused for what was not released."""
        release = self.state.release(release_id)
        if release.status is not ReleaseStatus.RELEASED:
            raise TransitionRefused(subject="release", current=release.status.value, wanted="bundled")
        run = self.state.run(release.run)
        if run.proof is None:
            raise BundleForged(what="the run has no proof")
        verify_statistic(run, run.proof)
        trail = self.audit.trail({run.id, release.id})
        if trail[-1][0].act is not Act.RELEASE_RELEASED:  # the room's own status proves nothing
            raise RecordMissing(subject="ledger entry", id=release.id)
        pinned = {item.snapshot for item in run.job.inputs}
        manifests = [_manifest(item) for item in self.state.snapshots() if item.manifest.snapshot in pinned]
        return {
            "format": FORMAT,
            **self.contracts.papers(release.contract).to_document(),
            "release": release.id,
            "job": run.job.to_document(),
            "manifests": manifests,
            **_proof(run.proof),
            "review": _review(release),
            "trail": trail_document(trail),
        }


def verify_release(document: object, *, contract: Digest, appraise: Appraise) -> VerifiedRelease:
    """Check a bundle from the contract's digest down to the ledger's proof.

    Args:
        document: the bundle.
        contract: the digest of the contract, from a source the verifier trusts.
        appraise: the verifier of evidence.

    Raises:
        KeysNotPinned: the bundle is under another contract.
        BundleForged: a part does not belong to the others.
        AsepsisError: a signature, manifest, grant, piece of evidence or proof does not verify.
    """
    fields = Fields(document, document="bundle")
    if fields.text("format") != FORMAT:
        raise fields.malformed("format", f"'{FORMAT}' is needed")
    with fields.mapping("signatures") as raw:
        signatures = {PartyId(name): raw.octets(name) for name in raw.names()}
    agreement = verify_agreement(fields.anything("contract"), signatures)
    if agreement.digest != contract:
        raise KeysNotPinned
    job = read_job(fields.anything("job"))
    manifests = _check_manifests(job, fields.items("manifests"), agreement)
    statistic_document = fields.anything("statistic")
    statistic = read_statistic(statistic_document)
    evidence = _evidence(fields)
    started = None if statistic.memory is None else statistic.memory.before
    granted = _check_grants(job, fields, evidence, agreement=agreement, appraise=appraise, started=started)
    _check_statistic(job, statistic, statistic_document, evidence, signature=fields.octets("signature", length=64))
    release = ReleaseId(fields.text("release"))
    trail = check_trail(
        fields.items("trail"), release=release, job=job, statistic=digest(statistic_document), agreement=agreement
    )
    decided_by, review = trail.released.entry.actor, _read_review(fields)
    author = job.analysis.author
    check_released(release, statistic, agreement, author=author, decided_by=decided_by, review=review)
    fields.items("statements")
    fields.close()
    return VerifiedRelease(
        release=release,
        agreement=agreement,
        job=job,
        statistic=statistic,
        manifests=manifests,
        appraisals=granted.appraisals,
        grants=granted.grants,
        decided_by=decided_by,
        reviewed=outcome(statistic.assessment, agreement.contract) is not ReleaseStatus.RELEASED,
        trail=trail,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Granted:
    appraisals: dict[PartyId, Appraisal]
    grants: dict[PartyId, Grant]


def _proof(proof: RunProof) -> Document:
    return {
        "checkpoint": proof.checkpoint,
        "evidence": dict(proof.evidence),
        "grants": dict(proof.grants),
        "statistic": proof.statistic,
        "signature": encode_bytes(proof.signature),
    }


def _review(release: Release) -> Document:
    return {"signature": encode_bytes(release.review)}


def _read_review(fields: Fields) -> bytes:
    with fields.mapping("review") as raw:
        return raw.octets("signature", empty=True)


def _manifest(snapshot: PublishedSnapshot) -> Document:
    return {
        "document": encode_bytes(snapshot.document),
        "signature": encode_bytes(snapshot.signature),
        "endorsements": {owner: encode_bytes(value) for owner, value in snapshot.endorsements.items()},
        "owner": snapshot.manifest.owner,
    }


def _check_manifests(job: Job, items: list[object], agreement: Agreement) -> dict[SnapshotId, bytes]:
    """Every input of the job is a manifest that its owner signed, or that all owners endorsed; returns these."""
    digests, documents = set(), {}
    for item in items:
        fields = Fields(item, document="bundle", place="manifests")
        document, signature = fields.octets("document"), fields.octets("signature", empty=True)
        owner = PartyId(fields.name("owner"))
        with fields.mapping("endorsements") as raw:
            endorsements = {PartyId(name): raw.octets(name) for name in raw.names()}
        fields.close()
        if endorsements:
            manifest = verify_links(SignedLinks(document=document, endorsements=endorsements), agreement.contract)
        else:
            key = agreement.contract.party(owner).signing_key
            manifest = verify_manifest(SignedManifest(document=document, signature=signature), key)
        digests.add(manifest_digest(manifest))
        documents[manifest.snapshot] = document
    if digests != {item.manifest for item in job.inputs}:
        raise BundleForged(what="the manifests are not those of the job")
    return documents


def _evidence(fields: Fields) -> dict[PartyId, Evidence]:
    with fields.mapping("evidence") as raw:
        return {PartyId(owner): read_evidence(raw.anything(owner)) for owner in raw.names()}


def _check_grants(
    job: Job,
    fields: Fields,
    evidence: dict[PartyId, Evidence],
    *,
    agreement: Agreement,
    appraise: Appraise,
    started: MemoryVersion | None,
) -> _Granted:
    """Every owner granted this job, from this memory, to this runtime, whose evidence was bound, and charged it."""
    contract = agreement.contract
    keys = ledger_keys(contract)
    note = fields.text("checkpoint")
    checkpoint = verify_checkpoint(note, log_key=keys.log, witness_keys=keys.witnesses, quorum=len(keys.witnesses))
    with fields.mapping("grants") as raw:
        grants = {PartyId(owner): read_grant(raw.anything(owner)) for owner in raw.names()}
    owners = {owner.id for owner in contract.owners}
    if set(grants) != owners or set(evidence) != owners:
        raise BundleForged(what="an owner's grant or evidence is missing")
    appraisals = {}
    for owner in contract.owners:
        grant, shown = grants[owner.id], evidence[owner.id]
        _check_grant(grant, job, shown, owner=owner.id, key=owner.signing_key)
        _check_charge(grant, limit=contract.budgets[owner.id])
        if grant.memory != started:
            raise BundleForged(what="a grant names another memory of releases than the statistic")
        binding = Binding(
            nonce=grant.nonce,
            contract=agreement.digest,
            job=digest(job.to_document()),
            profile=contract.profile,
            checkpoint=checkpoint_digest(checkpoint.text),
            sealing_key=shown.sealing_key,
            signing_key=shown.signing_key,
        )
        appraisals[owner.id] = appraise(
            shown,
            binding=binding,
            measurements=contract.measurements,
            minimum_level=contract.level,
            at=grant.granted_at,  # certificates end; what counted when the owner granted counts for ever
        )
    return _Granted(appraisals=appraisals, grants=grants)


def _check_charge(grant: Grant, *, limit: int) -> None:
    if grant.charge is None or grant.charge.used < 1 or grant.charge.limit != limit:
        raise BundleForged(what="a grant does not say what it was charged")


def _check_grant(grant: Grant, job: Job, evidence: Evidence, *, owner: PartyId, key: bytes) -> None:
    verify(key, purpose=Purpose.GRANT, payload=canonical(grant.body()), signature=grant.signature)
    bound = (grant.owner, grant.run, grant.contract, grant.job, grant.evidence)
    if bound != (owner, job.run, job.contract, digest(job.to_document()), digest(evidence.to_document())):
        raise BundleForged(what="a grant is for another run")


def _check_statistic(
    job: Job, statistic: Statistic, document: object, evidence: dict[PartyId, Evidence], *, signature: bytes
) -> None:
    """The runtime that got the keys signed this statistic for this job."""
    if len({item.signing_key for item in evidence.values()}) != 1:
        raise BundleForged(what="the owners granted to different runtimes")
    key = next(iter(evidence.values())).signing_key
    try:
        verify(key, purpose=Purpose.STATISTIC, payload=canonical(document), signature=signature)
    except SignatureInvalid:
        raise BundleForged(what="the statistic was not signed by the runtime") from None
    if (statistic.run, statistic.contract, statistic.job) != (job.run, job.contract, digest(job.to_document())):
        raise BundleForged(what="the statistic is of another run")
