"""A room on disk with two owners, a signed contract, and outputs in every state, made with the real services."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from asepsis.attest.process import make_evidence, measure
from asepsis.bootstrap.room import Room, create_room, now
from asepsis.domain.analysis import Analysis, AnalysisKind, Job
from asepsis.domain.attestation import Binding, Grant
from asepsis.domain.documents import encode_bytes
from asepsis.domain.finding import Assessment, Finding, Severity
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import Digest, PartyId, ReferralId, ReleaseId, RestorePointId, RunId, SnapshotId
from asepsis.domain.referral import Referral, ReferralStatus
from asepsis.domain.release import CellAction, Released, ReleaseStatus
from asepsis.domain.room import PublishedSnapshot, Release
from asepsis.domain.run import Run, RunProof, RunStatus
from asepsis.domain.snapshot import Label, Manifest, Origin, SealedFile
from asepsis.domain.statistic import Statistic
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.manifest import manifest_digest
from asepsis.sealing.review import review_payload
from asepsis.sealing.signing import Purpose, generate_sealing_key, generate_signing_key, sign

CANARY = "Quenby Zzyzx"
"""A patient's name: it lies in everything that must not be shown."""

HOSTILE = "<script>alert(1)</script>"
"""A text that a page must escape."""

ORIGIN = "room.example/audit"
OWNERS = (PartyId("northgate"), PartyId("riverside"))
RESEARCHER = PartyId("ada")
TEAM = PartyId("north-clinic")
ZERO = Digest("0" * 64)
SHOWN, ROUNDED, SUPPRESSED = CellAction.SHOWN, CellAction.ROUNDED, CellAction.SUPPRESSED

COUNTS = Released(
    columns=("sex", "decade", "persons"),
    rows=(("female", 1950, 1240), ("female", 1960, 980), ("male", 1950, 1100), (HOSTILE, 1960, None)),
    actions=(((SHOWN, SHOWN, ROUNDED),) * 3) + ((SHOWN, SHOWN, SUPPRESSED),),
    notes=("Counts are rounded to 10; counts below 10 are suppressed.",),
)
NOISY = Released(
    columns=("sex", "persons"),
    rows=(("female", 1240), (None, 2310)),
    actions=((SHOWN, CellAction.NOISY), (CellAction.MARGIN, CellAction.NOISY)),
    within=((None, 31.2), (None, 31.2)),
)
COST = Finding(code="privacy.cost", severity=Severity.PASS, reason="The question costs 20000 millionths of rho.")
CURVES = Released(
    columns=("stratum", "day", "at_risk", "survival", "lower", "upper"),
    rows=tuple(
        (stratum, 90 * n, 200 - 20 * n, *(round(pace**n + shift, 3) for shift in (0.0, -0.04, 0.03)))
        for stratum, pace in (("female", 0.96), ("male", 0.91))
        for n in range(9)
    ),
    actions=((SHOWN, SHOWN, ROUNDED, CellAction.DERIVED, CellAction.DERIVED, CellAction.DERIVED),) * 18,
)


@dataclass(frozen=True)
class Served:
    """The room and the ids of its outputs."""

    room: Room
    counts: ReleaseId
    curves: ReleaseId
    waiting: ReleaseId
    referral: ReferralId


def make_room(folder: Path, *, signed: bool = True, **changes: Any) -> Room:
    """A room with enrolled parties and a contract."""
    room = create_room(folder, origin=ORIGIN)
    keys = {owner: room.enrol(owner, owner=True) for owner in OWNERS}
    keys |= {party: room.enrol(party, owner=False) for party in (RESEARCHER, TEAM)}
    keys[room.host] = room.keys(room.host)
    document = contract_document({party: each.public() for party, each in keys.items()}, room.host, **changes)
    room.contracts.propose(document)
    for party in keys if signed else OWNERS[:1]:
        room.contracts.sign(party, signature=room.sign_contract(party, document))
    room.audit.checkpoint()
    return room


def contract_document(public: dict[PartyId, Any], host: PartyId, **changes: Any) -> dict[str, Any]:
    roles = {**dict.fromkeys(OWNERS, "owner"), RESEARCHER: "researcher", TEAM: "clinician", host: "host"}
    parties = {
        party: {
            "name": party.replace("-", " ").title(),
            "roles": [roles[party]],
            "signing_key": encode_bytes(keys.signing),
            "sealing_key": encode_bytes(keys.sealing),
            **({"team_of": OWNERS[0]} if party == TEAM else {}),
        }
        for party, keys in public.items()
    }
    document: dict[str, Any] = {
        "version": 1,
        "name": "rare-diseases",
        "title": "Rare diseases in two hospitals",
        "purpose": "Count people with rare diseases and describe how they fare",
        "legal_basis": "consent",
        "valid": {"from": "2020-01-01T00:00:00Z", "until": "2090-01-01T00:00:00Z"},
        "retention_days": 30,
        "parties": parties,
        "datasets": {f"{o}-clinical": {"owner": o, "label": "synthetic", "holds": "clinical"} for o in OWNERS},
        "tables": {"person": {"columns": {"person_id": {"type": "integer", "uses": ["unit"]}}}},
        "analyses": {"queries": True, "methods": ["kaplan_meier"], "referrals": True},
        "disclosure": {"profile": "strict-10", "automatic_release": []},
        "budgets": dict.fromkeys(OWNERS, 30),
        "runtime": {"level": 0, "measurements": [measure()]},
        "ledger": {"origin": ORIGIN},
    }
    return json.loads(json.dumps({**document, **changes}))


def serve_room(folder: Path) -> Served:
    """A room with snapshots, two releases, an output in review whose table holds the canary, and a referral."""
    room = make_room(folder)
    for owner in OWNERS:
        publish(room, owner)
    warning = Finding(
        code="disclosure.threshold",
        severity=Severity.REVIEW,
        reason="One group is smaller than the threshold.",
        advice="Use wider groups.",
    )
    passed = Finding(code="disclosure.rounded", severity=Severity.PASS, reason="All counts are rounded.")
    hidden = replace(COUNTS, rows=((CANARY, 1, 2),), actions=COUNTS.actions[:1], notes=(CANARY,))
    served = Served(
        room=room,
        counts=settle(room, 1, COUNTS, ReleaseStatus.RELEASED, warning, passed),
        curves=settle(room, 2, CURVES, ReleaseStatus.RELEASED, passed),
        waiting=settle(room, 3, hidden, ReleaseStatus.IN_REVIEW, warning),
        referral=refer(room),
    )
    room.audit.checkpoint()
    return served


def publish(room: Room, owner: PartyId) -> None:
    """A published snapshot: its ciphertext is there, its manifest is signed."""
    snapshot = SnapshotId(f"{owner}-1")
    folder = room.files.incoming(snapshot)
    (folder / "f1").write_bytes(bytes(range(256)) * 40)
    room.files.publish(snapshot)
    manifest = Manifest(
        owner=owner,
        dataset=f"{owner}-clinical",
        snapshot=snapshot,
        label=Label.SYNTHETIC,
        created_at=now(),
        origin=Origin(source_kind="restic", restore_point=RestorePointId("4f3c2b1a"), mapping=ZERO, books=ZERO),
        files=(SealedFile(id="f1", table="person", rows=1000, length=9000, sealed_length=10240, root=ZERO),),
    )
    document = canonical(manifest.to_document())
    published = PublishedSnapshot(
        manifest=manifest,
        digest=manifest_digest(manifest),
        document=document,
        signature=room.keys(owner).sign(Purpose.MANIFEST, document),
        endorsements={},
        contribution=Digest(digest({"owner": owner})),
        published_at=now(),
    )
    with room.state.acting(act(Act.SNAPSHOT_PUBLISHED, owner, snapshot, manifest=published.digest)) as tables:
        tables.put_snapshot(published)


def settle(room: Room, number: int, table: Released, status: ReleaseStatus, *findings: Finding) -> ReleaseId:
    """A finished run and its output; the question's text holds the canary."""
    contract = room.contracts.status().digest
    run_id, release_id = RunId(f"run-{number:016x}"), ReleaseId(f"release-{number:016x}")
    body = f"SELECT count(*) FROM person WHERE name = '{CANARY}'"
    analysis = Analysis(kind=AnalysisKind.QUERY, author=RESEARCHER, body=body, arguments={})
    job = Job(run=run_id, contract=contract, analysis=analysis, inputs=())
    statistic = Statistic(
        run=run_id,
        contract=contract,
        job=digest(job.to_document()),
        plan=ZERO,
        assessment=Assessment(profile="strict-10", findings=findings),
        table=table,
    ).to_document()
    run = Run(
        id=run_id,
        job=job,
        question=digest({"question": number}),
        status=RunStatus.FINISHED,
        submitted_at=now(),
        proof=proof(room, job, statistic),
    )
    is_released = status is ReleaseStatus.RELEASED
    payload = review_payload(release_id, contract=contract, statistic=digest(statistic), released=True)
    release = Release(
        id=release_id,
        run=run_id,
        contract=contract,
        question=run.question,
        author=RESEARCHER,
        status=status,
        decided_by=OWNERS[0] if is_released else None,
        decided_at=now(),
        review=room.keys(OWNERS[0]).sign(Purpose.REVIEW, payload) if is_released else b"",
    )
    done = Act.RELEASE_RELEASED if is_released else Act.REVIEW_OPENED
    entry = act(done, room.host, release_id, contract=contract, run=run_id, statistic=digest(statistic))
    with room.state.acting(entry) as tables:
        tables.put_run(run, was=None)
        tables.put_release(release, was=None)
    return release_id


def proof(room: Room, job: Job, statistic: dict[str, object]) -> RunProof:
    """Real evidence and grants of this shape; the desks were not asked."""
    sealing, signing = generate_sealing_key(), generate_signing_key()
    evidence, grants = {}, {}
    for owner in OWNERS:
        binding = Binding(
            nonce=bytes(32),
            contract=job.contract,
            job=digest(job.to_document()),
            profile="strict-10",
            checkpoint=ZERO,
            sealing_key=sealing.public,
            signing_key=signing.public,
        )
        shown = make_evidence(binding, signing_key=signing.private).to_document()
        grant = Grant(
            owner=owner,
            run=job.run,
            contract=job.contract,
            job=digest(job.to_document()),
            evidence=digest(shown),
            nonce=bytes(32),
            keys=(),
            granted_at=now(),
            lease_until=now(),
        )
        signature = room.keys(owner).sign(Purpose.GRANT, canonical(grant.body()))
        evidence[owner], grants[owner] = shown, replace(grant, signature=signature).to_document()
    note = room.state.checkpoint() or ""
    signed = sign(signing.private, purpose=Purpose.STATISTIC, payload=canonical(statistic))
    return RunProof(checkpoint=note, evidence=evidence, grants=grants, statistic=statistic, signature=signed)


def refer(room: Room) -> ReferralId:
    """A referral that one owner has approved; its cohort and its reason hold the canary."""
    contract = room.contracts.status().digest
    analysis = Analysis(kind=AnalysisKind.REFERRAL, author=RESEARCHER, body=CANARY, arguments={})
    referral = Referral(
        id=ReferralId("referral-" + "1" * 16),
        contract=contract,
        analysis=analysis,
        analysis_digest=digest(analysis.to_document()),
        reason=CANARY,
        status=ReferralStatus.REQUESTED,
        requested_at=now(),
        approvals={OWNERS[0]: bytes(64)},
    )
    with room.state.acting(act(Act.REFERRAL_REQUESTED, RESEARCHER, referral.id, contract=contract)) as tables:
        tables.put_referral(referral, was=None)
    return referral.id


def act(kind: Act, actor: PartyId, subject: str, **facts: str) -> LedgerEntry:
    return LedgerEntry(at=now(), actor=actor, act=kind, subject=subject, facts=facts)
