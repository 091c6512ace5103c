"""The rules of a key desk that need no state: who may ask for what, which data may meet, which evidence counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from asepsis.domain.access import ASKS, READS
from asepsis.domain.analysis import Analysis, AnalysisKind
from asepsis.domain.contract import Contract, Holding
from asepsis.domain.snapshot import Label
from asepsis.errors.contract import UnknownParty
from asepsis.errors.desk import AnalysisNotAllowed, AuthorWithoutRole, HoldingRefused

LEVEL_FOR_REAL: Final = 2
"""Real data goes to trusted execution environments only. (Level 1 will need a clause signed by every owner.)"""


def check_author(analysis: Analysis, contract: Contract) -> None:
    """Raise AuthorWithoutRole unless the author is a party with a role that may ask for this kind."""
    refusal = AuthorWithoutRole(contract=contract.name, analysis=analysis.kind.value)
    try:
        author = contract.party(analysis.author)
    except UnknownParty:
        raise refusal from None
    if not author.roles & ASKS[analysis.kind]:
        raise refusal


def check_kind(analysis: Analysis, contract: Contract) -> None:
    """Raise AnalysisNotAllowed unless the contract allows this kind and, for a method, this method."""
    allowed = {
        AnalysisKind.QUERY: contract.queries,
        AnalysisKind.METHOD: analysis.body in contract.methods,
        AnalysisKind.REFERRAL: contract.referrals,
        AnalysisKind.LINKAGE: True,
    }
    if not allowed[analysis.kind]:
        raise AnalysisNotAllowed(contract=contract.name, analysis=analysis.kind.value)


def check_holding(kind: AnalysisKind, holding: Holding) -> None:
    """Raise HoldingRefused unless this kind may read such data."""
    if holding not in READS[kind]:
        raise HoldingRefused(analysis=kind.value, holding=holding.value)


def strictest(labels: Iterable[Label]) -> Label:
    """Real, if anything is real."""
    return Label.REAL if Label.REAL in set(labels) else Label.SYNTHETIC


def needed_level(contract: Contract, label: Label) -> int:
    """The weakest evidence that counts for such data under this contract."""
    return max(contract.level, LEVEL_FOR_REAL if label is Label.REAL else 0)
