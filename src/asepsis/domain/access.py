"""Who may ask for which kind of analysis, and what each may read: identifiers meet clinical data in referrals only.

The rules are the policies of ``asepsis.access``, by which the room and every desk decide. The runtime applies the
same rules itself, from tables that were compiled from the policies (``access_tables``).
"""

from __future__ import annotations

from typing import Final

from asepsis.domain.access_tables import ASKS, READS
from asepsis.domain.analysis import Analysis, AnalysisKind
from asepsis.domain.contract import Contract
from asepsis.errors.contract import ContractForbids

__all__ = ["ASKS", "LINKED", "READS", "REMEMBERED", "is_agreed", "require_allowed", "serves"]

LINKED: Final = frozenset({AnalysisKind.QUERY, AnalysisKind.METHOD, AnalysisKind.REFERRAL})
"""The kinds that see one person per patient, and so read the link map where there are several owners."""


REMEMBERED: Final = frozenset({AnalysisKind.QUERY, AnalysisKind.METHOD})
"""The kinds whose answers are judged by, and added to, the contract's memory of releases."""


def is_agreed(analysis: Analysis, contract: Contract) -> bool:
    """Whether the contract allows this kind of analysis, for this purpose and, for a method, this method."""
    allowed = {
        AnalysisKind.QUERY: contract.queries,
        AnalysisKind.METHOD: analysis.body in contract.methods,
        AnalysisKind.LINKAGE: True,
        AnalysisKind.REFERRAL: contract.referrals,
    }
    return allowed[analysis.kind] and serves(analysis, contract)


def serves(analysis: Analysis, contract: Contract) -> bool:
    """Whether an analysis states one of the contract's purposes, and none where there is no choice.

    A linkage serves all of them, a referral has its reason, and what runs when production is down its own clause.
    """
    if analysis.purpose:
        return analysis.kind in REMEMBERED and analysis.purpose in contract.purposes
    if not contract.purposes or analysis.kind not in REMEMBERED:
        return True
    return contract.continuity is not None and any(
        analysis == one.analysis(analysis.author) for one in contract.continuity.analyses
    )


def require_allowed(analysis: Analysis, contract: Contract) -> None:
    """Raise ContractForbids unless the contract allows this kind, and this author may ask for it; for the runtime."""
    if not is_agreed(analysis, contract):
        raise ContractForbids(contract=contract.name, what=f"this {analysis.kind.value}")
    if not contract.party(analysis.author).roles & ASKS[analysis.kind]:
        raise ContractForbids(contract=contract.name, what=f"{analysis.author} asking for a {analysis.kind.value}")
