"""Ed25519 signatures with a purpose: a signature for one thing can never be shown as one for another.

The signed message is ``asepsis/<purpose>/1`` NUL payload, so that a party may use one key for contracts,
manifests and approvals. Source: RFC 8032 (pure Ed25519).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from asepsis.domain.curve import is_small_order
from asepsis.errors.sealing import KeyMalformed, SignatureInvalid


class Purpose(StrEnum):
    """What a signature is for; the list is closed, so that no purpose can be made up from data."""

    CONTRACT = "contract"
    AMENDMENT = "amendment"
    SUSPENSION = "suspension"
    RESUMPTION = "resumption"
    ENDING = "ending"
    MANIFEST = "manifest"
    WITHDRAWAL = "withdrawal"
    JOB = "job"
    EVIDENCE = "evidence"
    GRANT = "grant"
    GRANT_REQUEST = "grant-request"
    STATISTIC = "statistic"
    MEMORY = "memory"
    REVIEW = "review"
    APPROVAL = "approval"
    RELEASE = "release"
    RECEIPT = "receipt"
    REFERRAL = "referral"
    COLLECTION = "collection"
    CHECKPOINT = "checkpoint"
    CERTIFICATE = "certificate"
    ERASURE = "erasure"
    CHANGE_TICKET = "change-ticket"
    ESTATE_RECORD = "estate-record"
    APPOINTMENT = "appointment"
    INCIDENT_ACT = "incident-act"
    RECOVERY = "recovery-certificate"
    CONTINUITY_PACK = "continuity-pack"
    DRILL_REPORT = "drill-report"
    LINK_COMMITMENT = "link-commitment"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A raw key pair of 32 bytes each; the private half never shows in a repr."""

    private: bytes = field(repr=False)
    public: bytes


def generate_signing_key() -> KeyPair:
    """A fresh Ed25519 key pair."""
    key = Ed25519PrivateKey.generate()
    return KeyPair(private=key.private_bytes_raw(), public=key.public_key().public_bytes_raw())


def generate_sealing_key() -> KeyPair:
    """A fresh X25519 key pair, to which envelopes are sealed."""
    key = X25519PrivateKey.generate()
    return KeyPair(private=key.private_bytes_raw(), public=key.public_key().public_bytes_raw())


def public_signing_key(private_key: bytes) -> bytes:
    """The public half of an Ed25519 private key; raises `KeyMalformed`."""
    return _private(private_key).public_key().public_bytes_raw()


def sign(private_key: bytes, *, purpose: Purpose, payload: bytes) -> bytes:
    """Sign a payload for one purpose; 64 bytes. Raises `KeyMalformed`."""
    return _private(private_key).sign(_message(purpose, payload))


def verify(public_key: bytes, *, purpose: Purpose, payload: bytes, signature: bytes) -> None:
    """Check a signature.

    Raises:
        SignatureInvalid: it was not made by this key, for this purpose, over this payload.
        KeyMalformed: the public key is no Ed25519 key, or one under which signatures verify that nobody made.
    """
    if is_small_order(public_key):
        raise KeyMalformed(role="public signing")
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
    except ValueError:
        raise KeyMalformed(role="public signing") from None
    try:
        key.verify(signature, _message(purpose, payload))
    except InvalidSignature:
        raise SignatureInvalid(purpose=purpose.value) from None


def _message(purpose: Purpose, payload: bytes) -> bytes:
    return b"asepsis/" + Purpose(purpose).value.encode("ascii") + b"/1\x00" + payload


def _private(key: bytes) -> Ed25519PrivateKey:
    try:
        return Ed25519PrivateKey.from_private_bytes(key)
    except ValueError:
        raise KeyMalformed(role="private signing") from None
