"""The state machine of an incident: from one act to the next, and what is missing for its end.

Declared by one person and confirmed by a second; frozen; looked at; a restore point chosen; signed off by data owner,
security and recovery lead, who are three persons; exported; closed. Everything that changes what was signed off voids
the signatures that there were. The state is never kept: it is what the signed acts amount to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from asepsis.domain.estate import NOT_READ
from asepsis.domain.incident import ESTATE, Finding, FindingStatus, IncidentRole, Roster
from asepsis.domain.incident_acts import (
    Chosen,
    Compared,
    Declared,
    Deed,
    Exported,
    Frozen,
    IncidentAct,
    Looked,
    Part,
    Settled,
    Settlement,
    SignedOff,
    Step,
)
from asepsis.domain.names import PartyId
from asepsis.domain.source import Verdict
from asepsis.errors.incident import (
    FindingUnknown,
    IncidentNotReady,
    IncidentStepRefused,
    IncidentTampered,
    PersonNotAppointed,
    SamePerson,
)

D_co = TypeVar("D_co", bound=Deed, covariant=True)

_ID_LENGTH: Final = 16
_SETTLED: Final = {Settlement.WAIVED: FindingStatus.WAIVED, Settlement.RESOLVED: FindingStatus.RESOLVED}
_MOST_DISSENT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted(Generic[D_co]):
    """What an act says, and whose it is."""

    number: int
    step: Step
    person: str
    at: datetime
    deed: D_co


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """What the acts so far amount to. ``voices`` count; ``voided`` were made before something changed."""

    id: str
    declared: Noted[Declared]
    head: str
    acts: int
    last_at: datetime
    confirmed: Noted[Deed] | None = None
    frozen: tuple[Noted[Frozen], ...] = ()
    looks: tuple[Noted[Looked], ...] = ()
    comparisons: tuple[Noted[Compared], ...] = ()
    settled: tuple[Noted[Settled], ...] = ()
    choice: Noted[Chosen] | None = None
    voices: tuple[Noted[SignedOff], ...] = ()
    voided: tuple[Noted[SignedOff], ...] = ()
    exports: tuple[Noted[Exported], ...] = ()
    closed: Noted[Deed] | None = None

    @property
    def party(self) -> PartyId:
        """Whose incident it is."""
        return self.declared.deed.party

    @property
    def room(self) -> str:
        """The name of the ledger in which it is recorded."""
        return self.declared.deed.room

    @property
    def holds(self) -> bool:
        """Whether nothing that it holds may be deleted."""
        return bool(self.frozen) and self.closed is None

    def scan(self, source: str, *, full: bool = False) -> Noted[Looked] | None:
        """The newest full scan of a source; without one, and unless ``full``, the newest quick verdict."""
        of_source = [look for look in self.looks if look.deed.source == source]
        scans = [look for look in of_source if look.step is Step.SCANNED]
        return (scans or ([] if full else of_source) or [None])[-1]  # type: ignore[list-item]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings that count: of the newest look at each source, and of the newest comparison of each pair."""
        looks = [self.scan(held.deed.source) for held in self.frozen]
        newest = {noted.deed.subject: noted for noted in self.comparisons}
        found = [one for look in looks if look is not None for one in look.deed.findings]
        return tuple(dict.fromkeys([*found, *(one for noted in newest.values() for one in noted.deed.findings)]))

    def status(self, finding: Finding) -> FindingStatus:
        """What became of a finding."""
        if finding.verdict is Verdict.CLEAN:
            return FindingStatus.NOTED
        settled = next((one for one in reversed(self.settled) if one.deed.finding == finding.id), None)
        if settled is not None:
            return _SETTLED[settled.deed.how]
        return FindingStatus.SET_ASIDE if self._is_left_behind(finding) else FindingStatus.OPEN

    @property
    def open_findings(self) -> tuple[Finding, ...]:
        """The findings that stand in the way of signing off."""
        return tuple(one for one in self.findings if self.status(one) is FindingStatus.OPEN)

    @property
    def dissent(self) -> tuple[Noted[SignedOff], ...]:
        """Everybody who did not agree, also with what was changed afterwards."""
        return tuple(voice for voice in (*self.voided, *self.voices) if not voice.deed.agrees)

    def _is_left_behind(self, finding: Finding) -> bool:
        """About a restore point that the choice does without; what is about the whole estate never is."""
        look = self.scan(finding.source)
        if self.choice is None or look is None or finding.code.startswith(ESTATE):
            return False
        taken = {(part.source, part.point) for part in self.choice.deed.parts}
        return look.deed.point(finding.about) is not None and (finding.source, finding.about) not in taken


def declare(act: IncidentAct, *, digest: str, roster: Roster) -> Incident:
    """The incident that a first act declares; ``digest`` is that of the signed act.

    Raises:
        PersonNotAppointed: whoever declares has no role.
        IncidentTampered: it is no first act.
    """
    if not isinstance(act.deed, Declared) or (act.incident, act.number, act.previous) != ("", 0, ""):
        raise IncidentTampered(problem="the first act declares nothing")
    _role_of(act, roster)
    declared = Noted(number=0, step=act.step, person=act.person, at=act.at, deed=act.deed)
    name = f"incident-{digest[:_ID_LENGTH]}"
    return Incident(id=name, declared=declared, head=digest, acts=1, last_at=act.at)


def advance(incident: Incident, act: IncidentAct, *, digest: str, roster: Roster) -> Incident:
    """The incident after its next act; ``digest`` is that of the signed act.

    Raises:
        IncidentTampered: it is not the next act of this incident.
        PersonNotAppointed, SamePerson: it takes another person.
        IncidentStepRefused, IncidentNotReady, FindingUnknown: it is not the time for this step.
    """
    if (act.incident, act.number, act.previous) != (incident.id, incident.acts, incident.head):
        raise IncidentTampered(problem=f"act {act.number} is not the one that follows in this incident")
    if act.at < incident.last_at:
        raise IncidentTampered(problem=f"act {act.number} is older than the one before it")
    if incident.closed is not None:
        raise _refused(act, "it is closed")
    roles = _role_of(act, roster)
    if incident.confirmed is None and act.step is not Step.CONFIRMED:
        raise _refused(act, "a second person has not confirmed it")
    needed = _ROLES.get(act.step)
    if needed is not None and not roles & needed:
        raise PersonNotAppointed(person=act.person, role=" or ".join(sorted(needed)))
    noted: Noted[Any] = Noted(number=act.number, step=act.step, person=act.person, at=act.at, deed=act.deed)
    changed = _STEPS[act.step](incident, noted, roles)
    if act.step in _VOIDING:
        changed = replace(changed, voices=(), voided=(*changed.voided, *changed.voices))
    return replace(changed, head=digest, acts=incident.acts + 1, last_at=act.at)


def missing_before_signing(incident: Incident) -> list[str]:
    """What has to be done before anybody can sign off, in words."""
    return list(_missing_before_signing(incident))


def missing(incident: Incident) -> list[str]:
    """The criteria for the end of an incident that are not met, in words; nothing else is asked for."""
    return [*_missing_before_signing(incident), *_missing_voices(incident)]


def require_ready(incident: Incident, *, step: str) -> None:
    """Raise IncidentNotReady unless all criteria are met."""
    lacking = missing(incident)
    if lacking:
        raise IncidentNotReady(step=step, count=len(lacking), first=lacking[0])


def _missing_before_signing(incident: Incident) -> Iterator[str]:
    if incident.confirmed is None:
        yield "a second person who confirms it"
    if not incident.frozen:
        yield "a freeze"
    held = {noted.deed.source for noted in incident.frozen}
    yield from (f"a freeze of {source}" for source in incident.declared.deed.sources if held and source not in held)
    yield from (f"a full scan of {source}" for source in sorted(held) if incident.scan(source, full=True) is None)
    if incident.choice is None:
        yield "a chosen restore point"
    elif not all(_is_judged(incident, part) for part in incident.choice.deed.parts):
        yield "another choice, since the newest full scan does not know the chosen restore point as it was"
    for finding in incident.open_findings:
        yield f"a settlement of {finding.id} ({finding.code})"


def _is_judged(incident: Incident, part: Part) -> bool:
    look = incident.scan(part.source, full=True)
    point = None if look is None else look.deed.point(part.point)
    return point is not None and point.root == part.root


def _missing_voices(incident: Incident) -> Iterator[str]:
    """All three have spoken, the data owner agrees, and no more than one other dissents."""
    spoken = {voice.deed.role for voice in incident.voices}
    yield from (f"the sign-off as {role.value}" for role in IncidentRole if role not in spoken)
    against = {voice.deed.role for voice in incident.voices if not voice.deed.agrees}
    if IncidentRole.DATA_OWNER in against:
        yield "the agreement of the data owner, who dissents"
    elif len(against) > _MOST_DISSENT:
        yield "the agreement of security or of the recovery lead, who both dissent"


def _role_of(act: IncidentAct, roster: Roster) -> frozenset[IncidentRole]:
    roles = roster.roles(act.person, act.at)
    if not roles:
        raise PersonNotAppointed(person=act.person, role="any of " + ", ".join(IncidentRole))
    return roles


def _refused(act: IncidentAct | Noted[Any], problem: str) -> IncidentStepRefused:
    return IncidentStepRefused(step=act.step.value, problem=problem)


def _confirm(incident: Incident, act: Noted[Deed], _: frozenset[IncidentRole]) -> Incident:
    if incident.confirmed is not None:
        raise _refused(act, "it is confirmed already")
    if act.person == incident.declared.person:
        raise SamePerson(person=act.person, what="confirms it")
    return replace(incident, confirmed=act)


def _freeze(incident: Incident, act: Noted[Frozen], _: frozenset[IncidentRole]) -> Incident:
    if act.deed.source in {noted.deed.source for noted in incident.frozen}:
        raise _refused(act, "this source is frozen already")
    return replace(incident, frozen=(*incident.frozen, act))


def _look(incident: Incident, act: Noted[Looked], _: frozenset[IncidentRole]) -> Incident:
    if act.deed.source not in {noted.deed.source for noted in incident.frozen}:
        raise _refused(act, "this source is not frozen")
    told = {finding.about for finding in act.deed.findings if finding.verdict is not Verdict.CLEAN}
    if any(point.verdict is not Verdict.CLEAN and point.id not in told for point in act.deed.points):
        raise _refused(act, "a restore point is not clean and no finding says why")
    if act.step is Step.SCANNED and any(finding.code == NOT_READ for finding in act.deed.findings):
        raise _refused(act, "a full scan leaves out nothing that can be read")
    return replace(incident, looks=(*incident.looks, act))


def _compare(incident: Incident, act: Noted[Compared], _: frozenset[IncidentRole]) -> Incident:
    return replace(incident, comparisons=(*incident.comparisons, act))


def _settle(incident: Incident, act: Noted[Settled], _: frozenset[IncidentRole]) -> Incident:
    if act.deed.finding not in {finding.id for finding in incident.open_findings}:
        raise FindingUnknown(finding=act.deed.finding)
    return replace(incident, settled=(*incident.settled, act))


def _choose(incident: Incident, act: Noted[Chosen], _: frozenset[IncidentRole]) -> Incident:
    if not act.deed.parts:
        raise _refused(act, "nothing is chosen")
    if not all(_is_judged(incident, part) for part in act.deed.parts):
        raise _refused(act, "a restore point is not one that the newest full scan judged")
    return replace(incident, choice=act)


def _sign(incident: Incident, act: Noted[SignedOff], roles: frozenset[IncidentRole]) -> Incident:
    if act.deed.role not in roles:
        raise PersonNotAppointed(person=act.person, role=act.deed.role.value)
    spoken = (*incident.voided, *incident.voices)
    if any(voice.person == act.person and voice.deed.role is not act.deed.role for voice in spoken):
        raise SamePerson(person=act.person, what=f"signs as {act.deed.role.value}, having signed in another role")
    if not act.deed.agrees and not act.deed.reason:
        raise _refused(act, "a dissent says why")
    lacking = missing_before_signing(incident)
    if lacking:
        raise IncidentNotReady(step=act.step.value, count=len(lacking), first=lacking[0])
    others = tuple(voice for voice in incident.voices if voice.person != act.person)
    earlier = tuple(voice for voice in incident.voices if voice.person == act.person)
    return replace(incident, voices=(*others, act), voided=(*incident.voided, *earlier))


def _export(incident: Incident, act: Noted[Exported], _: frozenset[IncidentRole]) -> Incident:
    require_ready(incident, step=act.step.value)
    return replace(incident, exports=(*incident.exports, act))


def _close(incident: Incident, act: Noted[Deed], _: frozenset[IncidentRole]) -> Incident:
    require_ready(incident, step=act.step.value)
    return replace(incident, closed=act)


def _again(_incident: Incident, act: Noted[Deed], _: frozenset[IncidentRole]) -> Incident:
    raise _refused(act, "it is declared already")


_LEAD: Final = frozenset({IncidentRole.RECOVERY_LEAD})
_STEPS: Final[Mapping[Step, Callable[[Incident, Noted[Any], frozenset[IncidentRole]], Incident]]] = {
    Step.DECLARED: _again,
    Step.CONFIRMED: _confirm,
    Step.FROZEN: _freeze,
    Step.JUDGED: _look,
    Step.SCANNED: _look,
    Step.COMPARED: _compare,
    Step.SETTLED: _settle,
    Step.CHOSEN: _choose,
    Step.SIGNED: _sign,
    Step.EXPORTED: _export,
    Step.CLOSED: _close,
}
_ROLES: Final[Mapping[Step, frozenset[IncidentRole]]] = {
    Step.FROZEN: _LEAD | {IncidentRole.SECURITY},
    Step.SETTLED: frozenset({IncidentRole.SECURITY, IncidentRole.DATA_OWNER}),
    Step.CHOSEN: _LEAD,
    Step.EXPORTED: _LEAD,
    Step.CLOSED: _LEAD,
}
_VOIDING: Final = frozenset({Step.FROZEN, Step.JUDGED, Step.SCANNED, Step.COMPARED, Step.SETTLED, Step.CHOSEN})
