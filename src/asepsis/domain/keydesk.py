"""What a key desk is asked and what it remembers: requests, registered snapshots, granted runs, link maps, its head.

A request is untrusted: documents as they came, which the desk reads itself. Over the network the same parts
travel as one document; in embedded mode they are handed over as they are. No value here holds an open key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.documents import Document, Fields, encode_bytes
from asepsis.domain.memory import MemoryVersion
from asepsis.domain.names import Digest, PartyId, RunId, SnapshotId
from asepsis.domain.snapshot import Label

_NOBODY: Final[Mapping[PartyId, bytes]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKeys:
    """The public keys of a party: Ed25519 for signatures, X25519 for envelopes; 32 bytes each."""

    signing: bytes
    sealing: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRequest:
    """The request for the data keys of one run.

    ``contract``, ``job``, ``evidence`` and the signed ``statements`` are documents; ``signatures`` are those of all
    parties under the contract; ``nonce`` is the desk's own, to which the evidence is bound; ``checkpoint`` is the
    note of the ledger's checkpoint that the desk cosigned last; ``approvals`` are the owners' signatures over a
    referral, empty for other kinds; ``memory`` is the version of the memory of releases that the run starts from.
    """

    contract: object
    signatures: Mapping[PartyId, bytes]
    job: object
    evidence: object
    nonce: bytes
    checkpoint: str
    statements: Sequence[object] = ()
    approvals: Mapping[PartyId, bytes] = field(default_factory=lambda: _NOBODY)
    memory: object = None

    def to_document(self) -> Document:
        """The document form, as it travels to a desk; :func:`read_grant_request` reads it."""
        return {
            "contract": self.contract,
            "signatures": _encoded(self.signatures),
            "job": self.job,
            "evidence": self.evidence,
            "nonce": encode_bytes(self.nonce),
            "checkpoint": self.checkpoint,
            "statements": list(self.statements),
            "approvals": _encoded(self.approvals),
            "memory": self.memory,
        }


def read_grant_request(value: object) -> GrantRequest:
    """Read the outer form of a request; its parts are read by the desk. Raises DocumentMalformed."""
    fields = Fields(value, document="request")
    request = GrantRequest(
        contract=fields.anything("contract"),
        signatures=_decoded(fields, "signatures"),
        job=fields.anything("job"),
        evidence=fields.anything("evidence"),
        nonce=fields.octets("nonce"),
        checkpoint=fields.text("checkpoint"),
        statements=fields.items("statements"),
        approvals=_decoded(fields, "approvals"),
        memory=fields.anything("memory"),
    )
    fields.close()
    return request


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryDeposit:
    """The step of a run to a new version of the memory of releases, and the runtime's signature over it."""

    step: Document
    signature: bytes

    def to_document(self) -> Document:
        """The document form, as it travels to a desk; :func:`read_memory_deposit` reads it."""
        return {"step": self.step, "signature": encode_bytes(self.signature)}


def read_memory_deposit(value: object) -> MemoryDeposit:
    """Read the outer form of a deposit. Raises DocumentMalformed."""
    fields = Fields(value, document="request")
    step = fields.anything("step")
    if not isinstance(step, dict):
        raise fields.malformed("step", "a mapping is needed")
    deposit = MemoryDeposit(step=step, signature=fields.octets("signature", length=64))
    fields.close()
    return deposit


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareDeposit:
    """One owner's share of a new link map's key, with the linkage's statistic and the runtime's signature over it.

    ``sealed`` is the share as the statistic carries it for this owner.
    """

    run: RunId
    contract: Digest
    statistic: Document
    signature: bytes
    sealed: bytes

    def to_document(self) -> Document:
        """The document form, as it travels to a desk; :func:`read_share_deposit` reads it."""
        return {
            "run": self.run,
            "contract": self.contract,
            "statistic": self.statistic,
            "signature": encode_bytes(self.signature),
            "sealed": encode_bytes(self.sealed),
        }


def read_share_deposit(value: object) -> ShareDeposit:
    """Read the outer form of a deposit. Raises DocumentMalformed."""
    fields = Fields(value, document="request")
    statistic = fields.anything("statistic")
    if not isinstance(statistic, dict):
        raise fields.malformed("statistic", "a mapping is needed")
    deposit = ShareDeposit(
        run=RunId(fields.text("run")),
        contract=Digest(fields.text("contract")),
        statistic=statistic,
        signature=fields.octets("signature", length=64),
        sealed=fields.octets("sealed"),
    )
    fields.close()
    return deposit


@dataclass(frozen=True, slots=True, kw_only=True)
class NarrowRequest:
    """An amendment, the signatures under it so far, and those under the version that it amends."""

    contract: object
    signatures: Mapping[PartyId, bytes]
    before: Mapping[PartyId, bytes]

    def to_document(self) -> Document:
        """The document form, as it travels to a desk; :func:`read_narrow_request` reads it."""
        return {
            "contract": self.contract,
            "signatures": _encoded(self.signatures),
            "before": _encoded(self.before),
        }


def read_narrow_request(value: object) -> NarrowRequest:
    """Read the outer form of a request; the desk reads the contract. Raises DocumentMalformed."""
    fields = Fields(value, document="request")
    request = NarrowRequest(
        contract=fields.anything("contract"),
        signatures=_decoded(fields, "signatures"),
        before=_decoded(fields, "before"),
    )
    fields.close()
    return request


@dataclass(frozen=True, slots=True, kw_only=True)
class CosignRequest:
    """A checkpoint's note, the consistency proof from the last one, and the ledger's key for the first time."""

    note: str
    proof: Sequence[bytes]
    room_key: str | None = None

    def to_document(self) -> Document:
        """The document form, as it travels to a desk; :func:`read_cosign_request` reads it."""
        return {
            "note": self.note,
            "proof": [encode_bytes(item) for item in self.proof],
            "room_key": self.room_key or "",
        }


def read_cosign_request(value: object) -> CosignRequest:
    """Read a request for a cosignature. Raises DocumentMalformed."""
    fields = Fields(value, document="request")
    proof = [Fields({"hash": item}, document="request").octets("hash", length=32) for item in fields.items("proof")]
    request = CosignRequest(note=fields.text("note"), proof=proof, room_key=fields.text("room_key", default="") or None)
    fields.close()
    return request


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedNonce:
    """When a nonce was issued, and whether it was used before it was asked for now."""

    issued_at: datetime
    used: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSnapshot:
    """A registered snapshot with its data key, wrapped under the owner's key; nothing is left of a destroyed one."""

    snapshot: SnapshotId
    dataset: str
    manifest: Digest
    label: Label
    sealed_at: datetime
    wrapped: bytes

    @property
    def is_destroyed(self) -> bool:
        """Whether the key was destroyed."""
        return not self.wrapped


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLinks:
    """An endorsed link map with the owner's share of its data key, wrapped under the owner's key."""

    snapshot: SnapshotId
    contract: Digest
    manifest: Digest
    label: Label
    sealed_at: datetime
    wrapped: bytes
    endorsement: bytes

    @property
    def is_destroyed(self) -> bool:
        """Whether the owner's share was destroyed."""
        return not self.wrapped


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptMemory:
    """The newest version of a lineage's memory that the desk knows, and its owner's wrapped share of the key."""

    lineage: Digest
    version: MemoryVersion
    wrapped: bytes

    @property
    def is_destroyed(self) -> bool:
        """Whether the owner's share was destroyed."""
        return not self.wrapped


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantedRun:
    """One grant that this desk gave: to which runtime key, for what, how long."""

    run: RunId
    job: Digest
    contract: Digest
    kind: AnalysisKind
    label: Label
    signing_key: bytes
    lease_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The last checkpoint of the room's ledger that this desk cosigned, and the key that it was pinned to."""

    room_key: str
    origin: str
    size: int
    root: bytes


def checkpoint_digest(text: str) -> Digest:
    """What evidence names: SHA-256 over the text of a checkpoint, without its signatures."""
    return Digest(hashlib.sha256(text.encode()).hexdigest())


def _encoded(values: Mapping[PartyId, bytes]) -> Document:
    return {party: encode_bytes(value) for party, value in values.items()}


def _decoded(fields: Fields, key: str) -> dict[PartyId, bytes]:
    with fields.mapping(key) as raw:
        return {PartyId(name): raw.octets(name, length=64) for name in raw.names()}
