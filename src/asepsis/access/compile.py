"""What the policies say of analyses, as tables: for the runtime, which carries no policy engine."""

from __future__ import annotations

from asepsis.access.policies import PolicySet
from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.asking import ASKING, Principal, PrincipalKind, Question, Subject
from asepsis.domain.datasets import Holding
from asepsis.domain.names import PartyId
from asepsis.domain.parties import Role

_ANYBODY = PartyId("anybody")


def may_ask(policies: PolicySet, kind: AnalysisKind, *, roles: frozenset[Role], reads: frozenset[Holding]) -> bool:
    """Whether a party of a contract in these roles may ask for an analysis that the contract allows."""
    return policies.rule(
        Question(
            principal=Principal(kind=PrincipalKind.PARTY, id=_ANYBODY, party=_ANYBODY, roles=roles),
            deed=ASKING[kind],
            subject=Subject(kind="Contract", id="contract", marks={"parties": frozenset({_ANYBODY})}),
            context={"agreed": True, "reads": frozenset(holding.value for holding in reads)},
        )
    ).allowed


def asks(policies: PolicySet) -> dict[AnalysisKind, frozenset[Role]]:
    """Each role that by itself may ask for a kind."""
    nothing: frozenset[Holding] = frozenset()
    return {
        kind: frozenset(role for role in Role if may_ask(policies, kind, roles=frozenset({role}), reads=nothing))
        for kind in AnalysisKind
    }


def reads(policies: PolicySet) -> dict[AnalysisKind, frozenset[Holding]]:
    """Each holding that by itself may be read by a kind, whoever asks."""
    everybody = frozenset(Role)
    return {
        kind: frozenset(
            holding for holding in Holding if may_ask(policies, kind, roles=everybody, reads=frozenset({holding}))
        )
        for kind in AnalysisKind
    }
