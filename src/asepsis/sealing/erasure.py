"""Signed erasures: the owner's signature over what its desk destroyed, verified with the contract's key of it."""

from __future__ import annotations

from dataclasses import dataclass

from asepsis.domain.contract import Contract
from asepsis.domain.documents import Document, Fields, encode_bytes
from asepsis.domain.erasure import Erasure, read_erasure
from asepsis.domain.names import Digest
from asepsis.errors.contract import ErasureNotTrusted
from asepsis.errors.sealing import SignatureInvalid
from asepsis.sealing.agreement import contract_digest, lineage_of
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.signing import Purpose, verify


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedErasure:
    """An erasure with its owner's signature (``Purpose.ERASURE``) over the canonical form."""

    erasure: Erasure
    signature: bytes

    @property
    def digest(self) -> Digest:
        """By which the ledger names it."""
        return digest(self.erasure.to_document())

    def to_document(self) -> Document:
        """The document form that :func:`read_signed_erasure` reads."""
        return {"erasure": self.erasure.to_document(), "signature": encode_bytes(self.signature)}


def erasure_payload(erasure: Erasure) -> bytes:
    """The bytes that the owner signs."""
    return canonical(erasure.to_document())


def read_signed_erasure(value: object) -> SignedErasure:
    """Read a signed erasure, without verifying it. Raises DocumentMalformed."""
    fields = Fields(value, document="erasure")
    erasure, signature = read_erasure(fields.anything("erasure")), fields.octets("signature", length=64)
    fields.close()
    return SignedErasure(erasure=erasure, signature=signature)


def verify_erasure(signed: SignedErasure, contract: Contract) -> Erasure:
    """Check that an owner of this contract signed it, about this contract. Raises ErasureNotTrusted."""
    erasure = signed.erasure
    known = contract_digest(contract)
    owner = next((party for party in contract.owners if party.id == erasure.owner), None)
    if owner is None or (erasure.contract, erasure.lineage) != (known, lineage_of(contract, digest=known)):
        raise ErasureNotTrusted(owner=erasure.owner)
    try:
        verify(owner.signing_key, purpose=Purpose.ERASURE, payload=erasure_payload(erasure), signature=signed.signature)
    except SignatureInvalid:
        raise ErasureNotTrusted(owner=erasure.owner) from None
    return erasure
