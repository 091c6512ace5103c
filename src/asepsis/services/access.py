"""Asking the policies before an act: what they refuse is in the ledger before anybody learns of it.

What they allow is in the ledger as the act itself. An entry says who, which deed and which policy, by names that all
parties know; somebody whom the contract does not name is not named there either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from asepsis.access.policies import ruling
from asepsis.domain.access import READS, is_agreed, serves, trusts
from asepsis.domain.analysis import Analysis
from asepsis.domain.asking import (
    ASKING,
    Deed,
    Mark,
    Principal,
    Question,
    Ruling,
    Subject,
    contract_subject,
    parties_of,
    party_principal,
)
from asepsis.domain.contract import Contract
from asepsis.domain.datasets import Holding
from asepsis.domain.ledger import FACTS, Act, LedgerEntry
from asepsis.domain.names import PartyId
from asepsis.domain.referral import Referral
from asepsis.domain.room import Release
from asepsis.errors import AsepsisError
from asepsis.errors.access import AccessDenied
from asepsis.errors.contract import ContractForbids, UnknownParty
from asepsis.ports import Clock, RoomState

NOTHING_PERMITS: Final = "nothing-permits"
FAULT: Final = "question-malformed"

_NO_REFUSALS: Final[Mapping[str, AsepsisError]] = MappingProxyType({})
_NO_FACTS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Access:
    """The policies of one room's control plane."""

    state: RoomState
    clock: Clock
    host: PartyId

    def require(
        self,
        question: Question,
        *,
        otherwise: AsepsisError | None = None,
        refusals: Mapping[str, AsepsisError] = _NO_REFUSALS,
        facts: Mapping[str, str] = _NO_FACTS,
    ) -> None:
        """Raise unless the policies allow it: the error that ``refusals`` has for the policy, or ``otherwise``.

        Raises AccessDenied where neither says anything else.
        """
        found = ruling(question)
        if found.allowed:
            return
        policy = policy_of(found)
        refusal = refusals.get(policy) or otherwise or denied(question, found)
        actor = question.principal.party if isinstance(question.principal, Principal) else self.host
        told = {"code": refusal.code, "policy": policy, **_named(question.subject), **facts}
        self._note(actor, question.deed, told)
        raise refusal

    def party(self, contract: Contract, party: PartyId, *, deed: Deed) -> Principal:
        """A party that acts with its own keys. Raises UnknownParty."""
        try:
            return party_principal(contract, party)
        except UnknownParty as unknown:
            told = {"code": unknown.code, "policy": NOTHING_PERMITS, "contract": contract.name}
            self._note(self.host, deed, told)
            raise

    def _note(self, actor: PartyId, deed: Deed, facts: Mapping[str, str]) -> None:
        """The entry is about the deed: it is no step of the trail of the release or referral that it was wanted on."""
        entry = LedgerEntry(at=self.clock(), actor=actor, act=Act.ACCESS_DENIED, subject=deed.value, facts=facts)
        with self.state.acting(entry):
            pass


def _named(subject: Subject) -> Mapping[str, str]:
    name = subject.kind.lower()
    return {name: subject.id} if name in FACTS else {}


def policy_of(found: Ruling) -> str:
    """The policy that a refusal names."""
    return FAULT if found.fault else found.policies[0] if found.policies else NOTHING_PERMITS


def denied(question: Question, found: Ruling) -> AccessDenied:
    """The refusal in general words."""
    return AccessDenied(who=question.principal.id, deed=question.deed.value, policy=policy_of(found))


def require_asking(access: Access, analysis: Analysis, contract: Contract) -> None:
    """Raise ContractForbids or UnknownParty unless this author may ask for this; a refusal is in the ledger."""
    kind = analysis.kind.value
    what = f"this {kind}" if serves(analysis, contract) else f"a {kind} without one of its purposes, by name"
    what = what if trusts(analysis, contract) else f"a {kind} by links that are {analysis.certainty} per cent sure"
    access.require(
        asking(access.party(contract, analysis.author, deed=ASKING[analysis.kind]), analysis, contract),
        otherwise=ContractForbids(contract=contract.name, what=f"{analysis.author} asking for a {kind}"),
        refusals={"only-what-was-agreed": ContractForbids(contract=contract.name, what=what)},
    )


def asking(principal: Principal, analysis: Analysis, contract: Contract) -> Question:
    """May this principal ask for this analysis? What it would read follows from its kind."""
    return asking_with(principal, analysis, contract, reads=READS[analysis.kind])


def asking_with(principal: Principal, analysis: Analysis, contract: Contract, *, reads: frozenset[Holding]) -> Question:
    """May this principal ask for this analysis, with inputs that hold this?"""
    return Question(
        principal=principal,
        deed=ASKING[analysis.kind],
        subject=contract_subject(contract),
        context={
            "agreed": is_agreed(analysis, contract),
            "reads": frozenset(holding.value for holding in reads),
        },
    )


def about_room(principal: Principal, deed: Deed, contract: Contract, *, room: str) -> Question:
    """May this principal read what the room shows?"""
    subject = Subject(kind="Room", id=room, marks={"parties": parties_of(contract)})
    return Question(principal=principal, deed=deed, subject=subject)


def about_contract(principal: Principal, deed: Deed, contract: Contract) -> Question:
    """May this principal sign or stop the contract?"""
    return Question(principal=principal, deed=deed, subject=contract_subject(contract))


def about_release(principal: Principal, deed: Deed, release: Release) -> Question:
    """May this principal see an output that waits, or decide on it?"""
    return Question(
        principal=principal, deed=deed, subject=Subject(kind="Release", id=release.id, marks={"author": release.author})
    )


def deciders(contract: Contract, release: Release) -> list[PartyId]:
    """The parties that may decide on an output that waits."""
    everybody = (party_principal(contract, party.id) for party in contract.parties)
    return [one.party for one in everybody if ruling(about_release(one, Deed.DECIDE_RELEASE, release)).allowed]


def about_referral(principal: Principal, deed: Deed, referral: Referral) -> Question:
    """May this principal approve or collect the referral?"""
    teams = frozenset(str(package.team) for package in referral.packages)
    marks: Mapping[str, Mark] = {"author": referral.analysis.author, "teams": teams}
    return Question(principal=principal, deed=deed, subject=Subject(kind="Referral", id=referral.id, marks=marks))


def contributing(principal: Principal, dataset: str, *, owner: str) -> Question:
    """May this principal contribute to a dataset of that owner?"""
    return Question(
        principal=principal, deed=Deed.CONTRIBUTE, subject=Subject(kind="Dataset", id=dataset, marks={"owner": owner})
    )
