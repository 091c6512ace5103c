"""Why somebody may or may not do something: the question as the room would put it, the ruling, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from asepsis.access.policies import Policy, policies
from asepsis.domain.analysis import Analysis, AnalysisKind
from asepsis.domain.asking import ASKING, Deed, Principal, Question, Ruling, RuntimePrincipal, Subject, party_principal
from asepsis.domain.contract import Contract
from asepsis.domain.names import PartyId, ReferralId, ReleaseId
from asepsis.domain.snapshot import Label
from asepsis.errors.access import QuestionUnclear
from asepsis.ports import Clock, RoomState
from asepsis.services.access import about_contract, about_referral, about_release, about_room, asking, contributing

RUNTIME: Final = "runtime"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A question, its ruling, the policies that made it, what would be needed, and which parties may."""

    question: Question
    ruling: Ruling
    because: tuple[Policy, ...]
    needed: tuple[str, ...]
    parties: tuple[PartyId, ...]


@dataclass(frozen=True, slots=True)
class Explaining:
    """Explains the policies of one room; it changes nothing and is no act."""

    state: RoomState
    clock: Clock
    room: str

    def explain(self, who: str, deed: Deed, what: str, *, contract: Contract, level: int = 0) -> Explanation:
        """Why ``who`` - a party, a token's id, or ``runtime`` - may or may not.

        Raises UnknownParty, TokenRefused, RecordMissing, QuestionUnclear.
        """
        question = self._question(who, deed, what, contract=contract, level=level)
        found = policies().rule(question)
        because = tuple(policies().named(one) for one in found.policies)
        return Explanation(
            question=question,
            ruling=found,
            because=because,
            needed=() if found.allowed else _needed(deed, because),
            parties=_parties(question, contract),
        )

    def _question(self, who: str, deed: Deed, what: str, *, contract: Contract, level: int) -> Question:
        if deed is Deed.GRANT or who == RUNTIME:
            return _granting(deed, what, contract=contract, level=level)
        principal = self._principal(who, contract)
        if deed in set(ASKING.values()):
            return _asking(principal, deed, what, contract)
        subjects: Mapping[Deed, Callable[[], Question]] = {
            Deed.READ: lambda: about_room(principal, deed, contract, room=self.room),
            Deed.READ_RELEASE: lambda: about_room(principal, deed, contract, room=self.room),
            Deed.SIGN_CONTRACT: lambda: about_contract(principal, deed, contract),
            Deed.STOP_CONTRACT: lambda: about_contract(principal, deed, contract),
            Deed.SEE_UNRELEASED: lambda: about_release(principal, deed, self.state.release(ReleaseId(what))),
            Deed.DECIDE_RELEASE: lambda: about_release(principal, deed, self.state.release(ReleaseId(what))),
            Deed.APPROVE_REFERRAL: lambda: about_referral(principal, deed, self.state.referral(ReferralId(what))),
            Deed.COLLECT_REFERRAL: lambda: about_referral(principal, deed, self.state.referral(ReferralId(what))),
            Deed.CONTRIBUTE: lambda: contributing(principal, what, owner=contract.dataset(what).owner),
        }
        return subjects[deed]()

    def _principal(self, who: str, contract: Contract) -> Principal:
        for token in self.state.tokens().values():
            if token.id == who:
                return token.principal(contract, now=self.clock())
        return party_principal(contract, PartyId(who))


def _granting(deed: Deed, what: str, *, contract: Contract, level: int) -> Question:
    if deed is not Deed.GRANT or what not in set(Label):
        raise QuestionUnclear(problem="a runtime asks for one deed, grant, on data that are real or synthetic")
    return Question(
        principal=RuntimePrincipal(level=level, confined=True),
        deed=deed,
        subject=Subject(kind="Run", id="run"),
        context={"label": what, "level": contract.level, "trusted": True, "needs-confinement": False},
    )


def _asking(principal: Principal, deed: Deed, what: str, contract: Contract) -> Question:
    kind = next(kind for kind, one in ASKING.items() if one is deed)
    if kind is AnalysisKind.METHOD and not what:
        raise QuestionUnclear(problem="name the method")
    return asking(principal, Analysis(kind=kind, author=principal.party, body=what, arguments={}), contract)


def _needed(deed: Deed, because: tuple[Policy, ...]) -> tuple[str, ...]:
    """What forbids it; where nothing does, what would permit it."""
    return tuple(policy.words for policy in because or policies().permitting(deed))


def _parties(question: Question, contract: Contract) -> tuple[PartyId, ...]:
    """The parties that may do it with their keys."""
    if not isinstance(question.principal, Principal):
        return ()
    everybody = (party_principal(contract, party.id) for party in contract.parties)
    return tuple(one.party for one in everybody if policies().rule(replace(question, principal=one)).allowed)
