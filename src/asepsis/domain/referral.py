"""Referrals: patient-level rows for the clinical team of the patients' own hospital, never for the one who asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from asepsis.domain.analysis import Analysis
from asepsis.domain.names import Digest, PartyId, ReferralId, RunId
from asepsis.domain.statistic import Package
from asepsis.errors.contract import TransitionRefused


class ReferralStatus(StrEnum):
    """The life of a referral; the one who asked learns no more than this."""

    REQUESTED = "requested"
    APPROVED = "approved"
    DELIVERED = "delivered"
    REFUSED = "refused"


TRANSITIONS: Final[Mapping[ReferralStatus, frozenset[ReferralStatus]]] = {
    ReferralStatus.REQUESTED: frozenset({ReferralStatus.REQUESTED, ReferralStatus.APPROVED, ReferralStatus.REFUSED}),
    ReferralStatus.APPROVED: frozenset({ReferralStatus.DELIVERED}),
    ReferralStatus.DELIVERED: frozenset({ReferralStatus.DELIVERED}),
    ReferralStatus.REFUSED: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Referral:
    """A request for follow-up: who asked, for which cohort, who approved, and the sealed packages."""

    id: ReferralId
    contract: Digest
    analysis: Analysis
    analysis_digest: Digest
    reason: str
    status: ReferralStatus
    requested_at: datetime
    approvals: Mapping[PartyId, bytes]
    run: RunId | None = None
    packages: tuple[Package, ...] = ()
    collected_by: frozenset[PartyId] = frozenset()


def move(status: ReferralStatus, to: ReferralStatus) -> ReferralStatus:
    """The new status, if the transition table has that move. Raises TransitionRefused."""
    if to not in TRANSITIONS[status]:
        raise TransitionRefused(subject="referral", current=status.value, wanted=to.value)
    return to
