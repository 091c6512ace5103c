"""Who may ask for which kind of analysis, and what each may read: identifiers meet clinical data in referrals only.

The rules are the policies of ``asepsis.access``, by which the room and every desk decide. The runtime applies the
same rules itself, from tables that were compiled from the policies (``access_tables``).
"""

from __future__ import annotations

from typing import Final

from asepsis.domain.access_tables import ASKS, READS
from asepsis.domain.analysis import Analysis, AnalysisKind
from asepsis.domain.contract import Contract
from asepsis.domain.review_list import ARGUMENT, draws_lists
from asepsis.domain.templates import Template
from asepsis.errors.contract import ContractForbids

__all__ = ["ASKS", "LINKED", "READS", "REMEMBERED", "is_agreed", "require_allowed", "serves", "template_of", "trusts"]

LINKED: Final = frozenset({AnalysisKind.QUERY, AnalysisKind.METHOD, AnalysisKind.REFERRAL})
"""The kinds that see one person per patient, and so read the link map where there are several owners."""


REMEMBERED: Final = frozenset({AnalysisKind.QUERY, AnalysisKind.METHOD})
"""The kinds whose answers are judged by, and added to, the contract's memory of releases."""


def is_agreed(analysis: Analysis, contract: Contract) -> bool:
    """Whether the contract allows this kind of analysis, its purpose, its links, and its method or template."""
    allowed = {
        AnalysisKind.QUERY: contract.queries or template_of(analysis, contract) is not None,
        AnalysisKind.METHOD: analysis.body in contract.methods,
        AnalysisKind.LINKAGE: not draws_lists(analysis) or _reviews(analysis, contract),
        AnalysisKind.REFERRAL: contract.referrals,
    }
    return allowed[analysis.kind] and serves(analysis, contract) and trusts(analysis, contract)


def template_of(analysis: Analysis, contract: Contract) -> Template | None:
    """The contract's template that a query is, if it is one, with the arguments that it has."""
    if analysis.kind is not AnalysisKind.QUERY:
        return None
    return next((one for one in contract.templates if one.admits(analysis.body, analysis.arguments)), None)


def serves(analysis: Analysis, contract: Contract) -> bool:
    """Whether a query or method states one of the contract's purposes, and nothing where there is no choice.

    A linkage serves all of them, and a referral has its reason.
    """
    if analysis.kind in REMEMBERED:
        return analysis.purpose in (contract.purposes or {""})
    return not analysis.purpose


def trusts(analysis: Analysis, contract: Contract) -> bool:
    """Whether a query or method may state how sure its links are; no other kind states it, and nobody without links."""
    if analysis.kind in REMEMBERED and len(contract.owners) > 1:
        return contract.linkage.admits(analysis.certainty)
    return not analysis.certainty


def _reviews(analysis: Analysis, contract: Contract) -> bool:
    """Whether a linkage may draw review lists: where the owners agreed on them, and stating nothing beside."""
    return contract.linkage.review > 0 and analysis.arguments == {ARGUMENT: True}


def require_allowed(analysis: Analysis, contract: Contract) -> None:
    """Raise ContractForbids unless the contract allows this kind, and this author may ask for it; for the runtime."""
    if not is_agreed(analysis, contract):
        raise ContractForbids(contract=contract.name, what=f"this {analysis.kind.value}")
    if not contract.party(analysis.author).roles & ASKS[analysis.kind]:
        raise ContractForbids(contract=contract.name, what=f"{analysis.author} asking for a {analysis.kind.value}")
