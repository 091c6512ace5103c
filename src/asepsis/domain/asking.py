"""Who may do what, as a question and a ruling: a principal, a deed, its subject, and what holds around it.

The rules themselves are the policies of ``asepsis.access``. A question carries names, roles and marks only, never a
value from data, so that it may be recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.contract import Contract
from asepsis.domain.names import PartyId
from asepsis.domain.parties import Role

Mark = str | int | bool | frozenset[str]
"""What a policy can look at."""

_NOTHING: Final[Mapping[str, Mark]] = MappingProxyType({})


class PrincipalKind(StrEnum):
    """Who asks: a party by its keys, a person or a service by a token, a runtime by its evidence."""

    PARTY = "Party"
    PERSON = "Person"
    SERVICE = "Service"
    RUNTIME = "Runtime"


class Scope(StrEnum):
    """What a token is good for: a group of deeds."""

    READING = "reading"
    ASKING = "asking"
    DECIDING = "deciding"
    GIVING = "giving"


class Deed(StrEnum):
    """Everything that is decided by policy; the names are those of the policies' actions."""

    READ = "read"
    READ_RELEASE = "read-release"
    QUERY = "query"
    METHOD = "method"
    REFER = "refer"
    LINK = "link"
    SEE_UNRELEASED = "see-unreleased"
    DECIDE_RELEASE = "decide-release"
    APPROVE_REFERRAL = "approve-referral"
    SIGN_CONTRACT = "sign-contract"
    STOP_CONTRACT = "stop-contract"
    CONTRIBUTE = "contribute"
    COLLECT_REFERRAL = "collect-referral"
    GRANT = "grant"


ASKING: Final[Mapping[AnalysisKind, Deed]] = {
    AnalysisKind.QUERY: Deed.QUERY,
    AnalysisKind.METHOD: Deed.METHOD,
    AnalysisKind.LINKAGE: Deed.LINK,
    AnalysisKind.REFERRAL: Deed.REFER,
}
"""The deed of asking for each kind of analysis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks, for which party, in which roles; ``scopes`` are a token's, and none for who acts with a key."""

    kind: PrincipalKind
    id: str
    party: PartyId
    roles: frozenset[Role] = frozenset()
    scopes: frozenset[Scope] | None = None

    def marks(self) -> Mapping[str, Mark]:
        """What policies can look at."""
        marks: dict[str, Mark] = {"party": self.party, "roles": frozenset(role.value for role in self.roles)}
        if self.scopes is not None:
            marks["scopes"] = frozenset(scope.value for scope in self.scopes)
        return marks


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimePrincipal:
    """A runtime that asks for data keys, as its evidence was appraised."""

    level: int
    confined: bool
    id: str = "runtime"
    kind: PrincipalKind = PrincipalKind.RUNTIME

    def marks(self) -> Mapping[str, Mark]:
        """What policies can look at."""
        return {"level": self.level, "confined": self.confined}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """On what: its kind among those of the policies' schema, its name, and what policies can look at."""

    kind: str
    id: str
    marks: Mapping[str, Mark] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """May this principal do this deed on this subject, as things stand?"""

    principal: Principal | RuntimePrincipal
    deed: Deed
    subject: Subject
    context: Mapping[str, Mark] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The answer, and the names of the policies that made it; a refusal without any is one that nothing permits.

    ``fault`` says that the question itself was not one that the policies speak of.
    """

    allowed: bool
    policies: tuple[str, ...] = ()
    fault: bool = False


def party_principal(contract: Contract, party: PartyId) -> Principal:
    """A party that acts with its own keys. Raises UnknownParty."""
    roles = contract.party(party).roles
    return Principal(kind=PrincipalKind.PARTY, id=party, party=party, roles=roles)


def parties_of(contract: Contract) -> frozenset[str]:
    """The names of all parties."""
    return frozenset(str(party.id) for party in contract.parties)


def contract_subject(contract: Contract) -> Subject:
    """A contract that something is asked under."""
    return Subject(kind="Contract", id=contract.name, marks={"parties": parties_of(contract)})
