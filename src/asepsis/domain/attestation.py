"""Evidence, appraisal and grants (RFC 9334 roles: the runtime attests, a key desk verifies and relies).

Levels: 0 ``process`` is NON-CONFIDENTIAL, 1 a TPM, 2 a trusted execution environment. ``report_data`` binds the
evidence to one run: it hashes the desk's nonce, the contract, the job, the policy profile, the ledger
checkpoint and the two ephemeral public keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from asepsis.domain.documents import Document, Fields, encode_bytes, encode_time
from asepsis.domain.names import Digest, PartyId, RunId, SnapshotId

_TAG: Final = b"asepsis-key-release/1"
_KEY_LENGTH: Final = 32
_SIGNATURE_LENGTH: Final = 64
NONCE_LENGTH: Final = 32
NONCE_SECONDS: Final = 120
LEASE_SECONDS: Final = 600


class EvidenceKind(StrEnum):
    """What vouches for the runtime."""

    PROCESS = "process"


LEVELS: Final = {EvidenceKind.PROCESS: 0}


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
class Evidence:
    """What the runtime shows a desk. For ``process`` the signature is by the runtime's own ephemeral key."""

    kind: EvidenceKind
    confidential: bool
    measurement: Digest
    report_data: bytes
    sealing_key: bytes
    signing_key: bytes
    signature: bytes

    def body(self) -> Document:
        """What the signature covers."""
        return {
            "kind": self.kind.value,
            "confidential": self.confidential,
            "measurement": self.measurement,
            "report_data": encode_bytes(self.report_data),
            "sealing_key": encode_bytes(self.sealing_key),
            "signing_key": encode_bytes(self.signing_key),
        }

    def to_document(self) -> Document:
        """The document form; :func:`read_evidence` reads it."""
        return {**self.body(), "signature": encode_bytes(self.signature)}


def read_evidence(value: object) -> Evidence:
    """Read evidence; its kind is read from its own body, never from a label beside it. Raises DocumentMalformed."""
    fields = Fields(value, document="evidence")
    evidence = Evidence(
        kind=fields.choice("kind", EvidenceKind),
        confidential=fields.flag("confidential"),
        measurement=Digest(fields.text("measurement")),
        report_data=fields.octets("report_data", length=64),
        sealing_key=fields.octets("sealing_key", length=_KEY_LENGTH),
        signing_key=fields.octets("signing_key", length=_KEY_LENGTH),
        signature=fields.octets("signature", length=_SIGNATURE_LENGTH),
    )
    fields.close()
    return evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Appraisal:
    """What is known about a runtime after its evidence was checked (the shape of an EAR); a refusal raises instead."""

    kind: EvidenceKind
    level: int
    claims: Mapping[str, str]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedKey:
    """A snapshot's data key, sealed (HPKE) to the runtime's ephemeral key."""

    snapshot: SnapshotId
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One desk's yes to one run, signed with the owner's key."""

    owner: PartyId
    run: RunId
    contract: Digest
    job: Digest
    evidence: Digest
    nonce: bytes
    keys: tuple[SealedKey, ...]
    granted_at: datetime
    lease_until: datetime
    signature: bytes = b""

    def body(self) -> Document:
        """What the signature covers."""
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
        signature=fields.octets("signature", length=_SIGNATURE_LENGTH),
    )
    fields.close()
    return grant


def _read_key(value: object) -> SealedKey:
    fields = Fields(value, document="grant")
    key = SealedKey(snapshot=SnapshotId(fields.text("snapshot")), sealed=fields.octets("sealed"))
    fields.close()
    return key
