"""Two owners with their real desks, a room, a researcher and a runtime, small enough for one test."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asepsis.attest.appraise import appraise
from asepsis.attest.process import make_evidence, measure
from asepsis.domain.access import REMEMBERED
from asepsis.domain.analysis import Analysis, AnalysisKind, Job, SnapshotInput
from asepsis.domain.attestation import Binding, Grant
from asepsis.domain.contract import Contract
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.documents import encode_bytes
from asepsis.domain.finding import Assessment
from asepsis.domain.keydesk import GrantRequest, ShareDeposit, checkpoint_digest
from asepsis.domain.ledger import LedgerEntry
from asepsis.domain.memory import EMPTY
from asepsis.domain.names import Digest, PartyId, RestorePointId, RunId, SnapshotId
from asepsis.domain.snapshot import Label, Manifest, Origin, SealedFile
from asepsis.domain.statistic import Links, Share, Statistic
from asepsis.keys.files import FileKeys
from asepsis.keys.kek import OwnerKek
from asepsis.ledger.checkpoint import Checkpoint, sign_checkpoint
from asepsis.ledger.note import VerifierKey
from asepsis.ledger.tree import MemoryNodes, consistency_proof, leaf_hash, root
from asepsis.sealing.agreement import contract_digest, contract_payload
from asepsis.sealing.approval import approval_payload
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.envelope import open_sealed, seal_to
from asepsis.sealing.grant import grant_info
from asepsis.sealing.links import LINKS, share_info
from asepsis.sealing.manifest import SignedManifest, manifest_digest
from asepsis.sealing.signing import KeyPair, Purpose, generate_sealing_key, generate_signing_key, sign
from asepsis.services.keydesk.desk import KeyDesk
from asepsis.services.keydesk.office import Office
from asepsis.store.desk_state import SqlDeskState

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ORIGIN = "room.example/audit"
NORTH, SOUTH = PartyId("northgate"), PartyId("riverside")
RESEARCHER, HOST = PartyId("ada"), PartyId("host")
OWNERS = (NORTH, SOUTH)
ZERO = "0" * 64

KEYED: Mapping[str, Any] = {
    "linkage": {"mode": "keyed"},
    "datasets": {
        f"{owner}-{holds}": {"owner": owner, "label": "synthetic", "holds": holds}
        for owner in OWNERS
        for holds in ("clinical", "tokens")
    },
}
"""What makes the contract of a world one that links by keyed tokens."""


class Clock:
    """A clock that a test can turn."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class Runtime:
    """The ephemeral keys of one run."""

    sealing: KeyPair = field(default_factory=generate_sealing_key)
    signing: KeyPair = field(default_factory=generate_signing_key)

    def open(self, grant: Grant) -> dict[str, bytes]:
        info = grant_info(grant)
        return {key.snapshot: open_sealed(self.sealing.private, key.sealed, info=info) for key in grant.keys}


class RoomLedger:
    """The room's ledger: leaves that mean nothing, checkpoints that are real."""

    def __init__(self, key: KeyPair) -> None:
        self.key = key
        self.nodes = MemoryNodes()
        self.grow(3)

    @property
    def verifier(self) -> str:
        return VerifierKey(name=ORIGIN, public_key=self.key.public).text

    def grow(self, count: int = 1, *, of: bytes = b"entry") -> None:
        for _ in range(count):
            self.nodes.append(leaf_hash(of + secrets.token_bytes(8)))

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        size = self.nodes.leaf_count() if size is None else size
        return Checkpoint(origin=ORIGIN, size=size, root=root(self.nodes, size=size))

    def note(self, size: int | None = None) -> str:
        return sign_checkpoint(self.checkpoint(size), private_key=self.key.private)

    def proof(self, old: int) -> list[bytes]:
        return consistency_proof(self.nodes, old_size=old, new_size=self.nodes.leaf_count())


class World:
    """Everything around two desks."""

    def __init__(self, home: Path, *, label: str = "synthetic", kek: OwnerKek | None = None, **changes: Any) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.clock = Clock()
        self.room_key = generate_signing_key()
        self.researcher_key = generate_signing_key()
        self.keys = {owner: FileKeys.create(home / f"{owner}-keys", owner=True) for owner in OWNERS}
        if kek is not None:
            self.keys[NORTH] = FileKeys(home / f"{NORTH}-keys", kek=kek)
        self.states = {owner: SqlDeskState(home / f"{owner}-desk.db") for owner in OWNERS}
        self.desks = {owner: self.desk(owner) for owner in OWNERS}
        self.document = self.contract_document(label=label, **changes)
        self.contract: Contract = read_contract(self.document)
        self.digest = contract_digest(self.contract)
        self.signatures = self.sign_all()
        self.deks: dict[str, bytes] = {}
        self.manifests: dict[str, Manifest] = {}
        for dataset in self.contract.datasets:
            self.register(dataset.name, dataset.owner, label=Label(label))
        self.ledger = RoomLedger(self.room_key)
        self.witness()

    def desk(self, owner: PartyId) -> KeyDesk:
        """A desk over the owner's state, as a restart would open it."""
        return KeyDesk(
            Office(
                owner=owner,
                state=self.states[owner],
                keys=self.keys[owner],
                appraise=appraise,
                clock=self.clock,
                randomness=secrets.token_bytes,
            ),
        )

    def contract_document(self, *, label: str, **changes: Any) -> dict[str, Any]:
        parties = {
            owner: {
                "name": owner.title(),
                "roles": ["owner"],
                "signing_key": encode_bytes(keys.public().signing),
                "sealing_key": encode_bytes(keys.public().sealing),
            }
            for owner, keys in self.keys.items()
        }
        parties[RESEARCHER] = {
            "name": "Ada",
            "roles": ["researcher"],
            "signing_key": encode_bytes(self.researcher_key.public),
        }
        parties[HOST] = {"name": "Host", "roles": ["host"], "signing_key": encode_bytes(self.room_key.public)}
        datasets = {
            f"{owner}-{holds}": {"owner": owner, "label": label, "holds": holds}
            for owner in OWNERS
            for holds in ("clinical", "identity")
        }
        document: dict[str, Any] = {
            "version": 1,
            "name": "rare-diseases",
            "title": "Rare diseases",
            "purpose": "research",
            "legal_basis": "consent",
            "valid": {"from": "2026-01-01T00:00:00Z", "until": "2026-12-31T00:00:00Z"},
            "retention_days": 365,
            "parties": parties,
            "datasets": datasets,
            "tables": {"person": {"columns": {"person_id": {"type": "integer", "uses": ["unit"]}}}},
            "analyses": {"queries": True, "methods": ["kaplan_meier"], "referrals": True},
            "disclosure": {"profile": "strict-10", "automatic_release": []},
            "budgets": dict.fromkeys(OWNERS, 3),
            "runtime": {"level": 0, "measurements": [measure()]},
            "ledger": {"origin": ORIGIN},
        }
        return json.loads(json.dumps({**document, **changes}))

    def sign_all(self) -> dict[PartyId, bytes]:
        payload = contract_payload(self.contract)
        signatures = {owner: desk.sign_contract(self.document) for owner, desk in self.desks.items()}
        signatures[RESEARCHER] = sign(self.researcher_key.private, purpose=Purpose.CONTRACT, payload=payload)
        signatures[HOST] = sign(self.room_key.private, purpose=Purpose.CONTRACT, payload=payload)
        return signatures

    def manifest(self, dataset: str, owner: PartyId, *, snapshot: str, label: Label = Label.SYNTHETIC) -> Manifest:
        return Manifest(
            owner=owner,
            dataset=dataset,
            snapshot=SnapshotId(snapshot),
            label=label,
            created_at=NOW,
            origin=Origin(
                source_kind="dir", restore_point=RestorePointId("rp"), mapping=Digest(ZERO), books=Digest(ZERO)
            ),
            files=(SealedFile(id="f1", table="person", rows=1, length=1, sealed_length=1, root=ZERO),),
        )

    def signed_manifest(self, manifest: Manifest) -> SignedManifest:
        document = canonical(manifest.to_document())
        return SignedManifest(document=document, signature=self.keys[manifest.owner].sign(Purpose.MANIFEST, document))

    def register(self, dataset: str, owner: PartyId, *, label: Label) -> None:
        manifest = self.manifest(dataset, owner, snapshot=f"{dataset}-1", label=label)
        self.manifests[dataset] = manifest
        self.deks[manifest.snapshot] = secrets.token_bytes(32)
        self.desks[owner].register(self.signed_manifest(manifest), dek=self.deks[manifest.snapshot])

    def witness(self) -> dict[PartyId, str]:
        note = self.ledger.note()
        return {
            owner: desk.cosign(note, proof=self.ledger.proof(desk.seen_size()), room_key=self.ledger.verifier)
            for owner, desk in self.desks.items()
        }

    def input(self, known: str, **changes: Any) -> SnapshotInput:
        manifest = self.manifests[known]
        item = SnapshotInput(
            owner=manifest.owner,
            dataset=manifest.dataset,
            snapshot=manifest.snapshot,
            manifest=manifest_digest(manifest),
        )
        return replace(item, **changes)

    def job(self, kind: AnalysisKind = AnalysisKind.QUERY, *, run: str = "run-1", **changes: Any) -> Job:
        linked = "tokens" if self.contract.linkage.mode == "keyed" else "identity"
        holds = {"linkage": (linked,), "referral": ("clinical", "identity")}.get(kind.value, ("clinical",))
        body = {"query": "SELECT 1", "method": "kaplan_meier", "referral": "SELECT 2"}.get(kind.value, "")
        author = HOST if kind is AnalysisKind.LINKAGE else RESEARCHER
        job = Job(
            run=RunId(run),
            contract=self.digest,
            analysis=Analysis(kind=kind, author=author, body=body, arguments={}),
            inputs=tuple(self.input(f"{owner}-{one}") for owner in OWNERS for one in holds),
        )
        return replace(job, **changes)

    def request(
        self, owner: PartyId = NORTH, *, job: Job | None = None, runtime: Runtime | None = None, **changes: Any
    ) -> GrantRequest:
        """A request that passes; ``nonce`` and ``checkpoint`` given here are what the evidence is bound to."""
        job = job or self.job()
        runtime = runtime or Runtime()
        nonce = changes.pop("nonce", None) or self.desks[owner].nonce()
        note = changes.pop("checkpoint", None) or self.ledger.note()
        binding = Binding(
            nonce=nonce,
            contract=self.digest,
            job=digest(job.to_document()),
            profile=self.contract.profile,
            checkpoint=checkpoint_digest(note.split("\n\n")[0] + "\n"),
            sealing_key=runtime.sealing.public,
            signing_key=runtime.signing.public,
        )
        request = GrantRequest(
            contract=self.document,
            signatures=self.signatures,
            job=job.to_document(),
            evidence=make_evidence(binding, signing_key=runtime.signing.private).to_document(),
            nonce=nonce,
            checkpoint=note,
            memory=EMPTY.to_document() if job.analysis.kind in REMEMBERED else None,
        )
        return replace(request, **changes)

    def approvals(self, job: Job) -> Mapping[PartyId, bytes]:
        """Every owner's approval, as each desk gives it."""
        analysis = digest(job.analysis.to_document())
        return {owner: desk.approve_referral(analysis, contract=self.digest) for owner, desk in self.desks.items()}

    def foreign_approvals(self, job: Job) -> Mapping[PartyId, bytes]:
        """Valid signatures of all owners that no desk recorded."""
        payload = approval_payload(self.digest, analysis=digest(job.analysis.to_document()))
        return {owner: keys.sign(Purpose.APPROVAL, payload) for owner, keys in self.keys.items()}

    def link_manifest(self, snapshot: str = "links-1", **changes: Any) -> Manifest:
        return replace(self.manifest(LINKS, HOST, snapshot=snapshot), **changes)

    def deposit(
        self, owner: PartyId, *, job: Job, runtime: Runtime, manifest: Manifest, shares: Mapping[PartyId, bytes]
    ) -> ShareDeposit:
        """What a linkage run leaves at one desk."""
        sealed = {
            one: seal_to(
                self.keys[one].public().sealing,
                share,
                info=share_info(job.run, snapshot=manifest.snapshot, owner=one),
            )
            for one, share in shares.items()
        }
        statistic = Statistic(
            run=job.run,
            contract=self.digest,
            job=digest(job.to_document()),
            plan=Digest(ZERO),
            assessment=Assessment(profile="strict-10", findings=()),
            links=Links(
                manifest=manifest, shares=tuple(Share(owner=one, sealed=value) for one, value in sealed.items())
            ),
        ).to_document()
        signature = sign(runtime.signing.private, purpose=Purpose.STATISTIC, payload=canonical(statistic))
        return ShareDeposit(
            run=job.run, contract=self.digest, statistic=statistic, signature=signature, sealed=sealed[owner]
        )

    def entries(self, owner: PartyId = NORTH) -> list[LedgerEntry]:
        """The owner's own ledger."""
        with self.states[owner].reading() as records:
            return list(records.ledger.entries(0, records.ledger.size()))

    def acts(self, owner: PartyId = NORTH) -> list[str]:
        return [entry.act.value for entry in self.entries(owner)]
