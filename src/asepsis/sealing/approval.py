"""Approvals: an owner's signed yes to one analysis under one contract; any edit of either voids it."""

from __future__ import annotations

from collections.abc import Mapping

from asepsis.domain.names import Digest, PartyId
from asepsis.errors.contract import ApprovalMissing
from asepsis.errors.sealing import SignatureInvalid
from asepsis.sealing.agreement import Agreement
from asepsis.sealing.canonical import canonical
from asepsis.sealing.signing import Purpose, verify


def approval_payload(contract: Digest, *, analysis: Digest) -> bytes:
    """The bytes that an owner signs with ``Purpose.APPROVAL``."""
    return canonical({"format": "asepsis/approval/1", "contract": contract, "analysis": analysis})


def verify_approvals(agreement: Agreement, *, analysis: Digest, approvals: Mapping[PartyId, bytes]) -> None:
    """Check that every owner approved exactly this analysis. Raises ApprovalMissing."""
    payload = approval_payload(agreement.digest, analysis=analysis)
    for owner in agreement.contract.owners:
        try:
            verify(owner.signing_key, purpose=Purpose.APPROVAL, payload=payload, signature=approvals.get(owner.id, b""))
        except SignatureInvalid:
            raise ApprovalMissing(owner=owner.id) from None
