"""Evidence, appraisal and grants (RFC 9334 roles: the runtime attests, a key desk verifies and relies).

Levels: 0 ``process`` is NON-CONFIDENTIAL, 1 a TPM, 2 a trusted execution environment. ``report_data`` binds the
evidence to one run: it hashes the desk's nonce, the contract, the job, the policy profile, the ledger
checkpoint and the two ephemeral public keys. Evidence of hardware carries the hardware's own report and what
endorses it; the runtime's signature holds the whole document together (docs/adr/0013-evidence-kinds.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from asepsis.domain.budget import Budget, read_budget
from asepsis.domain.documents import Document, Fields, encode_bytes, encode_time
from asepsis.domain.memory import MemoryVersion, read_memory_version
from asepsis.domain.names import Digest, PartyId, RunId, SnapshotId
from asepsis.domain.privacy import Account, read_account

_TAG: Final = b"asepsis-key-release/1"
_KEY_LENGTH: Final = 32
_SIGNATURE_LENGTH: Final = 64
NONCE_LENGTH: Final = 32
NONCE_SECONDS: Final = 120
LEASE_SECONDS: Final = 600
REPORT_LIMIT: Final = 32 * 1024
"""The most bytes of a report: the largest real one is a TDX quote with its certificates (8 KiB)."""

ENDORSEMENT_LIMIT: Final = 64 * 1024
"""The most bytes of one endorsement: the largest real one is Intel's collateral (19 KiB)."""


class EvidenceKind(StrEnum):
    """What vouches for the runtime."""

    PROCESS = "process"
    TPM2 = "tpm2"
    SEV_SNP = "sev-snp"
    TDX = "tdx"
    NITRO = "nitro"


LEVELS: Final = {
    EvidenceKind.PROCESS: 0,
    EvidenceKind.TPM2: 1,
    EvidenceKind.SEV_SNP: 2,
    EvidenceKind.TDX: 2,
    EvidenceKind.NITRO: 2,
}
CONFIDENTIAL_LEVEL: Final = 2
"""From this level on the host cannot read the runtime's memory."""


class EndorsementKind(StrEnum):
    """What an endorsement is (RFC 9334 section 4.1: a statement that vouches for an attester).

    ``certificates`` are the X.509 certificates, leaf first (PEM, or DER one after another); ``launch`` is a signed
    statement on the measured firmware (COSE_Sign1); ``collateral`` is Intel's (JSON); ``key`` is a TPM's attestation
    key (TPMT_PUBLIC).
    """

    CERTIFICATES = "certificates"
    LAUNCH = "launch"
    COLLATERAL = "collateral"
    KEY = "key"


class AppraisalStatus(StrEnum):
    """How well the evidence speaks for the runtime (the tiers of EAR, draft-ietf-rats-ear); the rest raises."""

    AFFIRMING = "affirming"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Everything that one piece of evidence is bound to."""

    nonce: bytes
    contract: Digest
    job: Digest
    profile: str
    checkpoint: Digest
    sealing_key: bytes
    signing_key: bytes

    def report_data(self) -> bytes:
        """SHA-512 over the length-prefixed parts: 64 bytes, as a report carries."""
        parts = (
            _TAG,
            self.nonce,
            self.contract.encode(),
            self.job.encode(),
            self.profile.encode(),
            self.checkpoint.encode(),
            self.sealing_key,
            self.signing_key,
        )
        return hashlib.sha512(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsement:
    """Something that travels with a report and vouches for the hardware that made it."""

    kind: EndorsementKind
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the runtime shows a desk; the signature is by the runtime's own ephemeral key.

    ``report`` and ``endorsements`` are empty for ``process`` and there for every other kind, in whose reports
    ``report_data`` stands, vouched for by the hardware. ``confined`` is the runtime's word that it found itself in its
    sandbox; it is worth what the measurement and the level are worth.
    """

    kind: EvidenceKind
    confidential: bool
    measurement: Digest
    report_data: bytes
    sealing_key: bytes
    signing_key: bytes
    signature: bytes
    report: bytes = b""
    endorsements: tuple[Endorsement, ...] = ()
    confined: bool = False

    def body(self) -> Document:
        """What the signature covers."""
        body: Document = {
            "kind": self.kind.value,
            "confidential": self.confidential,
            "measurement": self.measurement,
            "report_data": encode_bytes(self.report_data),
            "sealing_key": encode_bytes(self.sealing_key),
            "signing_key": encode_bytes(self.signing_key),
        }
        if self.confined:
            body["confined"] = True
        if self.kind is not EvidenceKind.PROCESS:
            body["report"] = encode_bytes(self.report)
            body["endorsements"] = {item.kind.value: encode_bytes(item.value) for item in self.endorsements}
        return body

    def to_document(self) -> Document:
        """The document form; :func:`read_evidence` reads it."""
        return {**self.body(), "signature": encode_bytes(self.signature)}


def read_evidence(value: object) -> Evidence:
    """Read evidence; its kind is read from its own body, never from a label beside it. Raises DocumentMalformed."""
    fields = Fields(value, document="evidence")
    kind = fields.choice("kind", EvidenceKind)
    is_hardware = kind is not EvidenceKind.PROCESS
    evidence = Evidence(
        kind=kind,
        confidential=fields.flag("confidential"),
        measurement=Digest(fields.text("measurement")),
        report_data=fields.octets("report_data", length=64),
        sealing_key=fields.octets("sealing_key", length=_KEY_LENGTH),
        signing_key=fields.octets("signing_key", length=_KEY_LENGTH),
        signature=fields.octets("signature", length=_SIGNATURE_LENGTH),
        report=_read_octets(fields, "report", limit=REPORT_LIMIT) if is_hardware else b"",
        endorsements=_read_endorsements(fields) if is_hardware else (),
        confined=fields.flag("confined"),
    )
    fields.close()
    return evidence


def _read_endorsements(fields: Fields) -> tuple[Endorsement, ...]:
    with fields.mapping("endorsements") as inner:
        return tuple(
            Endorsement(kind=kind, value=_read_octets(inner, kind.value, limit=ENDORSEMENT_LIMIT))
            for kind in EndorsementKind
            if inner.has(kind.value)
        )


def _read_octets(fields: Fields, key: str, *, limit: int) -> bytes:
    if len(fields.text(key)) > (limit + 2) // 3 * 4:
        raise fields.malformed(key, f"at most {limit} bytes in base64 are allowed")
    return fields.octets(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Appraisal:
    """What is known about a runtime after its evidence was checked (the shape of an EAR); a refusal raises instead.

    ``reasons`` say in words what an ``affirming`` status is missing.
    """

    kind: EvidenceKind
    level: int
    claims: Mapping[str, str]
    reasons: tuple[str, ...] = ()
    status: AppraisalStatus = AppraisalStatus.WARNING


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedKey:
    """A snapshot's data key, sealed (HPKE) to the runtime's ephemeral key."""

    snapshot: SnapshotId
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One desk's yes to one run, signed with the owner's key.

    ``charge`` is the owner's budget once this run was counted. ``memory`` is the version of the contract's memory of
    releases that the run starts from, for kinds that have one. ``accounts`` say what the owner's datasets have paid in
    privacy, this run included, for answers with noise.
    """

    owner: PartyId
    run: RunId
    contract: Digest
    job: Digest
    evidence: Digest
    nonce: bytes
    keys: tuple[SealedKey, ...]
    granted_at: datetime
    lease_until: datetime
    charge: Budget | None = None
    memory: MemoryVersion | None = None
    accounts: tuple[Account, ...] = ()
    signature: bytes = b""

    def body(self) -> Document:
        """What the signature covers."""
        more: Document = {} if self.charge is None else {"charge": self.charge.to_document()}
        if self.memory is not None:
            more["memory"] = self.memory.to_document()
        if self.accounts:
            more["accounts"] = [account.to_document() for account in self.accounts]
        return {
            "owner": self.owner,
            "run": self.run,
            "contract": self.contract,
            "job": self.job,
            "evidence": self.evidence,
            "nonce": encode_bytes(self.nonce),
            "keys": [{"snapshot": key.snapshot, "sealed": encode_bytes(key.sealed)} for key in self.keys],
            "granted_at": encode_time(self.granted_at),
            "lease_until": encode_time(self.lease_until),
            **more,
        }

    def to_document(self) -> Document:
        """The document form; :func:`read_grant` reads it."""
        return {**self.body(), "signature": encode_bytes(self.signature)}


def read_grant(value: object) -> Grant:
    """Read a grant. Raises DocumentMalformed."""
    fields = Fields(value, document="grant")
    grant = Grant(
        owner=PartyId(fields.name("owner")),
        run=RunId(fields.text("run")),
        contract=Digest(fields.text("contract")),
        job=Digest(fields.text("job")),
        evidence=Digest(fields.text("evidence")),
        nonce=fields.octets("nonce", length=NONCE_LENGTH),
        keys=tuple(_read_key(item) for item in fields.items("keys")),
        granted_at=fields.time("granted_at"),
        lease_until=fields.time("lease_until"),
        charge=read_budget(fields.anything("charge")) if fields.has("charge") else None,
        memory=read_memory_version(fields.anything("memory")) if fields.has("memory") else None,
        accounts=tuple(read_account(item) for item in fields.items("accounts")) if fields.has("accounts") else (),
        signature=fields.octets("signature", length=_SIGNATURE_LENGTH),
    )
    fields.close()
    return grant


def _read_key(value: object) -> SealedKey:
    fields = Fields(value, document="grant")
    key = SealedKey(snapshot=SnapshotId(fields.text("snapshot")), sealed=fields.octets("sealed"))
    fields.close()
    return key
