"""The rules of a key desk that need no state: who may ask for what, which data may meet, which evidence counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from asepsis.domain.analysis import Analysis, AnalysisKind
from asepsis.domain.contract import Contract, Holding, Role
from asepsis.domain.snapshot import Label
from asepsis.errors.contract import UnknownParty
from asepsis.errors.desk import AnalysisNotAllowed, AuthorWithoutRole, HoldingRefused

LEVEL_FOR_REAL: Final = 2
"""Real data goes to trusted execution environments only. (Level 1 will need a clause signed by every owner.)"""

MAY_ASK: Final[Mapping[AnalysisKind, frozenset[Role]]] = {
    AnalysisKind.QUERY: frozenset({Role.RESEARCHER}),
    AnalysisKind.METHOD: frozenset({Role.RESEARCHER}),
    AnalysisKind.REFERRAL: frozenset({Role.RESEARCHER}),
    AnalysisKind.LINKAGE: frozenset({Role.HOST, Role.OWNER}),
}
"""Who may be the author of each kind of analysis."""

MAY_READ: Final[Mapping[AnalysisKind, frozenset[Holding]]] = {
    AnalysisKind.QUERY: frozenset({Holding.CLINICAL}),
    AnalysisKind.METHOD: frozenset({Holding.CLINICAL}),
    AnalysisKind.REFERRAL: frozenset({Holding.CLINICAL, Holding.IDENTITY}),
    AnalysisKind.LINKAGE: frozenset({Holding.IDENTITY}),
}
"""Which data each kind may read: identifiers and clinical data meet in referrals only."""

MAY_READ_LINKS: Final = frozenset({AnalysisKind.QUERY, AnalysisKind.METHOD, AnalysisKind.REFERRAL})
"""The kinds that may read a link map."""


def check_author(analysis: Analysis, contract: Contract) -> None:
    """Raise AuthorWithoutRole unless the author is a party with a role that may ask for this kind."""
    refusal = AuthorWithoutRole(contract=contract.name, analysis=analysis.kind.value)
    try:
        author = contract.party(analysis.author)
    except UnknownParty:
        raise refusal from None
    if not author.roles & MAY_ASK[analysis.kind]:
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
    if holding not in MAY_READ[kind]:
        raise HoldingRefused(analysis=kind.value, holding=holding.value)


def strictest(labels: Iterable[Label]) -> Label:
    """Real, if anything is real."""
    return Label.REAL if Label.REAL in set(labels) else Label.SYNTHETIC


def needed_level(contract: Contract, label: Label) -> int:
    """The weakest evidence that counts for such data under this contract."""
    return max(contract.level, LEVEL_FOR_REAL if label is Label.REAL else 0)
