"""The signature around evidence of any kind: by the runtime's ephemeral key, over everything that it shows.

For ``process`` it is all there is. For hardware it holds report, endorsements and keys together, so that nobody on
the way can exchange one of them.
"""

from __future__ import annotations

from dataclasses import replace

from asepsis.domain.attestation import Evidence
from asepsis.errors.attest import EvidenceSignatureInvalid
from asepsis.errors.sealing import KeyMalformed, SignatureInvalid
from asepsis.sealing.canonical import canonical
from asepsis.sealing.signing import Purpose, sign, verify


def sign_evidence(evidence: Evidence, *, signing_key: bytes) -> Evidence:
    """The evidence, signed by the private half of the signing key that it names. Raises KeyMalformed."""
    return replace(evidence, signature=sign(signing_key, purpose=Purpose.EVIDENCE, payload=canonical(evidence.body())))


def verify_envelope(evidence: Evidence) -> None:
    """Raise EvidenceSignatureInvalid unless the evidence is signed by the signing key that it names."""
    try:
        verify(
            evidence.signing_key,
            purpose=Purpose.EVIDENCE,
            payload=canonical(evidence.body()),
            signature=evidence.signature,
        )
    except (SignatureInvalid, KeyMalformed):
        raise EvidenceSignatureInvalid from None
