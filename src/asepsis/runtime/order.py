"""The order: what the room asks the runtime to do, verified by the runtime itself before anything else happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from asepsis.domain.access import LINKED, READS, REMEMBERED, require_allowed
from asepsis.domain.analysis import AnalysisKind, Job, SnapshotInput, read_job
from asepsis.domain.contract import Contract
from asepsis.domain.datasets import Holding
from asepsis.domain.documents import Document, Fields
from asepsis.domain.memory import MemoryVersion, read_memory_version
from asepsis.domain.names import Digest, PartyId, SnapshotId
from asepsis.domain.snapshot import Manifest
from asepsis.domain.statements import require_not_stopped
from asepsis.errors.runtime import OrderRefused
from asepsis.sealing.agreement import Agreement, verify_agreement
from asepsis.sealing.approval import verify_approvals
from asepsis.sealing.canonical import digest
from asepsis.sealing.links import SignedLinks, verify_links
from asepsis.sealing.manifest import SignedManifest, manifest_digest, verify_manifest
from asepsis.sealing.statement import read_statements


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotFolder:
    """A verified manifest and the folder where the room keeps its sealed files."""

    manifest: Manifest
    folder: Path
    holds: Holding | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFolder:
    """A version of the memory of releases, and the folder where the room keeps it sealed."""

    version: MemoryVersion
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A verified order. ``snapshots`` hold clinical or identity data; ``links`` is the link map, if there is one.

    ``memory`` is the version that the room names; it counts only if every owner's grant names the same.
    """

    agreement: Agreement
    job: Job
    job_digest: Digest
    snapshots: tuple[SnapshotFolder, ...]
    links: SnapshotFolder | None
    nonces: Mapping[PartyId, bytes]
    checkpoint: Digest
    memory: MemoryFolder | None
    output: Path

    @property
    def contract(self) -> Contract:
        """The contract that the order runs under."""
        return self.agreement.contract

    def held(self, holding: Holding) -> tuple[SnapshotFolder, ...]:
        """The snapshots that hold clinical or identity data."""
        return tuple(snapshot for snapshot in self.snapshots if snapshot.holds is holding)


def read_order(document: Document, *, now: datetime) -> Order:
    """Verify everything that can be verified before keys are asked for.

    Raises:
        ContractNotSigned, ContractExpired, ContractNotYetValid, ContractNotInForce, ContractForbids: the contract
            does not carry this job.
        RetentionOver: an input is older than the contract keeps data.
        SignatureInvalid, ManifestMalformed: a manifest is not its owner's.
        OrderRefused: the parts do not belong together.
    """
    fields = Fields(document, document="order")
    with fields.mapping("signatures") as raw:
        signatures = {PartyId(name): raw.octets(name, length=64) for name in raw.names()}
    agreement = verify_agreement(fields.anything("contract"), signatures)
    agreement.contract.require_time(now)
    require_not_stopped(read_statements(fields.items("statements"), agreement), contract=agreement.contract)
    job = read_job(fields.anything("job"))
    if job.contract != agreement.digest:
        raise OrderRefused(what="the contract of the job")
    require_allowed(job.analysis, agreement.contract)
    folders = [_read_snapshot(item, agreement.contract) for item in fields.items("snapshots")]
    _check_inputs(job, folders)
    for folder in folders:
        made = folder.manifest
        agreement.contract.require_retained(made.dataset, sealed_at=made.created_at, now=now)
    with fields.mapping("approvals") as raw:
        approvals = {PartyId(name): raw.octets(name, length=64) for name in raw.names()}
    if job.analysis.kind is AnalysisKind.REFERRAL:
        verify_approvals(agreement, analysis=digest(job.analysis.to_document()), approvals=approvals)
    with fields.mapping("nonces") as raw:
        nonces = {PartyId(name): raw.octets(name) for name in raw.names()}
    order = Order(
        agreement=agreement,
        job=job,
        job_digest=digest(job.to_document()),
        snapshots=tuple(folder for folder in folders if folder.holds is not None),
        links=next((folder for folder in folders if folder.holds is None), None),
        nonces=nonces,
        checkpoint=Digest(fields.text("checkpoint")),
        memory=_read_memory(fields.anything("memory"), job.analysis.kind),
        output=Path(fields.text("output")),
    )
    fields.close()
    return order


def _read_memory(value: object, kind: AnalysisKind) -> MemoryFolder | None:
    """The memory of releases, for the kinds that have one and for no other."""
    if (value is not None) != (kind in REMEMBERED):
        raise OrderRefused(what="the memory of releases")
    if value is None:
        return None
    fields = Fields(value, document="order", place="memory")
    memory = MemoryFolder(
        version=read_memory_version(fields.anything("version")), folder=Path(fields.text("folder", default=""))
    )
    fields.close()
    return memory


def _read_snapshot(item: object, contract: Contract) -> SnapshotFolder:
    fields = Fields(item, document="order", place="snapshots")
    document = fields.octets("manifest")
    signature = fields.octets("signature", empty=True)
    folder = Path(fields.text("folder"))
    with fields.mapping("endorsements") as raw:
        endorsements = {PartyId(name): raw.octets(name, length=64) for name in raw.names()}
    owner = PartyId(fields.name("owner"))
    fields.close()
    if endorsements:
        links = verify_links(SignedLinks(document=document, endorsements=endorsements), contract)
        return SnapshotFolder(manifest=links, folder=folder, holds=None)
    signed = SignedManifest(document=document, signature=signature)
    manifest = verify_manifest(signed, contract.party(owner).signing_key)
    dataset = contract.dataset(manifest.dataset)
    if manifest.owner != dataset.owner or manifest.owner != owner or manifest.label is not dataset.label:
        raise OrderRefused(what="the owner of a snapshot")
    if not dataset.free_text.issuperset(manifest.origin.free_text):
        raise OrderRefused(what="free text that the contract does not ask for")
    return SnapshotFolder(manifest=manifest, folder=folder, holds=dataset.holds)


def _check_inputs(job: Job, folders: list[SnapshotFolder]) -> None:
    """The job pins exactly these manifests, and its kind may read what they hold."""
    wanted: dict[SnapshotId, SnapshotInput] = {item.snapshot: item for item in job.inputs}
    if len(wanted) != len(job.inputs) or set(wanted) != {folder.manifest.snapshot for folder in folders}:
        raise OrderRefused(what="the list of snapshots")
    for folder in folders:
        item = wanted[folder.manifest.snapshot]
        if (item.owner, item.dataset) != (folder.manifest.owner, folder.manifest.dataset):
            raise OrderRefused(what="the owner of a snapshot")
        if item.manifest != manifest_digest(folder.manifest):
            raise OrderRefused(what="the manifest of a snapshot")
        kind = job.analysis.kind
        if not (kind in LINKED if folder.holds is None else folder.holds in READS[kind]):
            raise OrderRefused(what=f"what a {kind.value} may read")
