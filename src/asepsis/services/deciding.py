"""What releases an output: the rules of the contract by themselves, or somebody's signed review.

The room applies this when it settles a run, and whoever verifies an evidence bundle applies it again: the room's
own word that an output was released proves nothing.
"""

from __future__ import annotations

from typing import Final

from asepsis.domain.contract import Contract
from asepsis.domain.finding import Assessment, Severity
from asepsis.domain.names import PartyId, ReleaseId
from asepsis.domain.parties import Role
from asepsis.domain.release import ReleaseStatus
from asepsis.domain.statistic import Statistic
from asepsis.errors.room import ReviewNotTrusted
from asepsis.sealing.agreement import Agreement
from asepsis.sealing.canonical import digest
from asepsis.sealing.review import review_payload, verify_review

DECIDING: Final = frozenset({Role.OWNER, Role.CHECKER})
"""The roles whose parties decide on outputs."""


def outcome(assessment: Assessment, contract: Contract) -> ReleaseStatus:
    """Refused by a check; released where every owner opted in and every check passed; else a person decides."""
    if assessment.severity is Severity.REFUSE:
        return ReleaseStatus.REFUSED
    automatic = contract.automatic_release == {owner.id for owner in contract.owners}
    passed = assessment.severity is Severity.PASS
    return ReleaseStatus.RELEASED if automatic and passed else ReleaseStatus.IN_REVIEW


def check_released(
    release: ReleaseId,
    statistic: Statistic,
    agreement: Agreement,
    *,
    author: PartyId,
    decided_by: PartyId,
    review: bytes,
) -> None:
    """Check that this output was rightly released.

    Args:
        release: the release.
        statistic: the output, whose signature was verified.
        agreement: the contract that it belongs to.
        author: who asked for it.
        decided_by: who released it, as the room says.
        review: that party's signature; empty where the contract's rules released it by themselves.

    Raises:
        ReviewNotTrusted: the rules leave it to a person, and no other party that may decide signed its release.
    """
    contract = agreement.contract
    decided = outcome(statistic.assessment, contract)
    if decided is ReleaseStatus.RELEASED:
        return
    is_decider = bool(contract.party(decided_by).roles & DECIDING)
    if decided is ReleaseStatus.REFUSED or decided_by == author or not is_decider:
        raise ReviewNotTrusted(party=decided_by)
    payload = review_payload(
        release, contract=agreement.digest, statistic=digest(statistic.to_document()), released=True
    )
    verify_review(agreement, party=decided_by, payload=payload, signature=review)
