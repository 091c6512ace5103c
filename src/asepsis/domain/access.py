"""Who may ask for which kind of analysis, and what each may read: identifiers meet clinical data in referrals only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from asepsis.domain.analysis import Analysis, AnalysisKind
from asepsis.domain.contract import Contract, Holding, Role
from asepsis.errors.contract import ContractForbids

READS: Final[Mapping[AnalysisKind, frozenset[Holding]]] = {
    AnalysisKind.QUERY: frozenset({Holding.CLINICAL}),
    AnalysisKind.METHOD: frozenset({Holding.CLINICAL}),
    AnalysisKind.LINKAGE: frozenset({Holding.IDENTITY}),
    AnalysisKind.REFERRAL: frozenset({Holding.CLINICAL, Holding.IDENTITY}),
}

ASKS: Final[Mapping[AnalysisKind, frozenset[Role]]] = {
    AnalysisKind.QUERY: frozenset({Role.RESEARCHER}),
    AnalysisKind.METHOD: frozenset({Role.RESEARCHER}),
    AnalysisKind.REFERRAL: frozenset({Role.RESEARCHER}),
    AnalysisKind.LINKAGE: frozenset({Role.HOST, Role.OWNER}),
}
"""Who may be the author of each kind."""

LINKED: Final = frozenset({AnalysisKind.QUERY, AnalysisKind.METHOD, AnalysisKind.REFERRAL})
"""The kinds that see one person per patient, and so read the link map where there are several owners."""


REMEMBERED: Final = frozenset({AnalysisKind.QUERY, AnalysisKind.METHOD})
"""The kinds whose answers are judged by, and added to, the contract's memory of releases."""


def require_allowed(analysis: Analysis, contract: Contract) -> None:
    """Raise ContractForbids unless the contract allows this kind, and this author may ask for it.

    The room, every desk and the runtime each apply this rule themselves.
    """
    allowed = {
        AnalysisKind.QUERY: contract.queries,
        AnalysisKind.METHOD: analysis.body in contract.methods,
        AnalysisKind.LINKAGE: True,
        AnalysisKind.REFERRAL: contract.referrals,
    }
    if not allowed[analysis.kind]:
        raise ContractForbids(contract=contract.name, what=f"this {analysis.kind.value}")
    if not contract.party(analysis.author).roles & ASKS[analysis.kind]:
        raise ContractForbids(contract=contract.name, what=f"{analysis.author} asking for a {analysis.kind.value}")
