"""Reviews: a checker's signed decision on exactly one output under one contract."""

from __future__ import annotations

from asepsis.domain.names import Digest, PartyId, ReleaseId
from asepsis.errors.room import ReviewNotTrusted
from asepsis.errors.sealing import SignatureInvalid
from asepsis.sealing.agreement import Agreement
from asepsis.sealing.canonical import canonical
from asepsis.sealing.signing import Purpose, verify


def review_payload(release: ReleaseId, *, contract: Digest, statistic: Digest, released: bool) -> bytes:
    """The bytes that who decides signs with ``Purpose.REVIEW``."""
    return canonical(
        {
            "format": "asepsis/review/1",
            "release": release,
            "contract": contract,
            "statistic": statistic,
            "decision": "released" if released else "refused",
        }
    )


def verify_review(agreement: Agreement, *, party: PartyId, payload: bytes, signature: bytes) -> None:
    """Check that a party of the contract signed this decision. Raises ReviewNotTrusted, or UnknownParty."""
    key = agreement.contract.party(party).signing_key
    try:
        verify(key, purpose=Purpose.REVIEW, payload=payload, signature=signature)
    except SignatureInvalid:
        raise ReviewNotTrusted(party=party) from None
