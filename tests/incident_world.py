"""A hospital with three appointed persons, and the acts that take an incident from its declaration to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from asepsis.domain.incident import Appointment, Finding, IncidentRole, Roster
from asepsis.domain.incident_acts import (
    Chosen,
    Closed,
    Confirmed,
    Declared,
    Deed,
    Frozen,
    IncidentAct,
    Looked,
    Part,
    Point,
    SignedOff,
    Step,
)
from asepsis.domain.incident_state import Incident
from asepsis.domain.names import PartyId
from asepsis.domain.source import Verdict
from asepsis.sealing.incident import (
    SignedAct,
    SignedAppointment,
    act_payload,
    appointment_payload,
    replay,
    verify_roster,
)
from asepsis.sealing.signing import KeyPair, Purpose, generate_signing_key, sign

NOW = datetime(2026, 3, 1, 6, tzinfo=UTC)
ROOM = "asepsis.local/room"
HOSPITAL = PartyId("northgate")
SOURCE = "dir:/backups"
ADA, BEN, CY = "ada", "ben", "cy"
LEAD, SECURITY, OWNER = IncidentRole.RECOVERY_LEAD, IncidentRole.SECURITY, IncidentRole.DATA_OWNER
PEOPLE = {ADA: {LEAD}, BEN: {SECURITY}, CY: {OWNER}}
GOOD = Point(id="good", taken_at=NOW - timedelta(days=2), root="aa", verdict=Verdict.CLEAN)
BAD = Point(id="bad", taken_at=NOW - timedelta(days=1), root="bb", verdict=Verdict.COMPROMISED)
POINTS = (GOOD, BAD)
RANSOM = Finding(source=SOURCE, about="bad", code="note.ransom", count=1, verdict=Verdict.COMPROMISED)
MASS = Finding(source=SOURCE, about="good", code="signal.mass_rename", count=8, verdict=Verdict.SUSPECT)
SUSPICIOUS = (replace(GOOD, verdict=Verdict.SUSPECT), BAD)
LOOK = Looked(
    source=SOURCE,
    points=POINTS,
    last_clean="good",
    objects=4,
    unread=0,
    findings=(RANSOM,),
    rules={"asepsis.integrity": "1"},
    unchecked=("2 objects of formats that are not parsed",),
)
CHOICE = Chosen(parts=(Part(source=SOURCE, point="good", root="aa"),), reason="the newest clean one")
FROZEN = Frozen(source=SOURCE, points=tuple(replace(point, verdict=Verdict.UNKNOWN) for point in POINTS))
DECLARED = Declared(room=ROOM, party=HOSPITAL, sources=(SOURCE,), reason="notes on screens", nonce="0" * 32)


def agree(role: IncidentRole) -> SignedOff:
    return SignedOff(role=role, agrees=True)


def dissent(role: IncidentRole, reason: str = "too early") -> SignedOff:
    return SignedOff(role=role, agrees=False, reason=reason)


WAY: tuple[tuple[str, Step, Deed], ...] = (
    (ADA, Step.DECLARED, DECLARED),
    (BEN, Step.CONFIRMED, Confirmed()),
    (ADA, Step.FROZEN, FROZEN),
    (BEN, Step.SCANNED, LOOK),
    (ADA, Step.CHOSEN, CHOICE),
    (ADA, Step.SIGNED, agree(LEAD)),
    (BEN, Step.SIGNED, agree(SECURITY)),
    (CY, Step.SIGNED, agree(OWNER)),
    (ADA, Step.CLOSED, Closed()),
)
"""The shortest way from the declaration to the end."""


@dataclass
class Hospital:
    """Its keys, its people, and the acts of one incident."""

    keys: KeyPair = field(default_factory=generate_signing_key)
    people: dict[str, KeyPair] = field(default_factory=lambda: {name: generate_signing_key() for name in PEOPLE})
    acts: list[SignedAct] = field(default_factory=list)
    at: datetime = NOW
    party: PartyId = HOSPITAL

    def appointments(self) -> list[SignedAppointment]:
        return [self.appoint(name, roles) for name, roles in PEOPLE.items()]

    def appoint(self, name: str, roles: set[IncidentRole], *, key: bytes | None = None) -> SignedAppointment:
        appointment = Appointment(
            room=ROOM,
            party=self.party,
            person=name,
            key=key or self.people[name].public,
            roles=frozenset(roles),
            since=NOW,
            until=NOW + timedelta(days=365),
        )
        payload = appointment_payload(appointment)
        return SignedAppointment(
            appointment=appointment, signature=sign(self.keys.private, purpose=Purpose.APPOINTMENT, payload=payload)
        )

    def roster(self) -> Roster:
        return verify_roster(self.appointments(), party=self.party, room=ROOM, key=self.keys.public)

    def state(self) -> Incident:
        return replay(self.acts, self.roster())

    def next(self, person: str, step: Step, deed: Deed) -> IncidentAct:
        """The act as it would follow now."""
        self.at += timedelta(minutes=10)
        if not self.acts:
            deed = replace(deed, party=self.party) if isinstance(deed, Declared) else deed
            return IncidentAct(step=step, person=person, at=self.at, deed=deed)
        state = self.state()
        return IncidentAct(
            step=step,
            person=person,
            at=self.at,
            deed=deed,
            incident=state.id,
            number=state.acts,
            previous=state.head,
        )

    def signed(self, act: IncidentAct, *, by: str | None = None) -> SignedAct:
        key = self.people[by or act.person].private
        return SignedAct(act=act, signature=sign(key, purpose=Purpose.INCIDENT_ACT, payload=act_payload(act)))

    def do(self, person: str, step: Step, deed: Deed) -> Incident:
        """Sign an act and see what the incident becomes; what is refused is not kept."""
        signed = self.signed(self.next(person, step, deed))
        state = replay([*self.acts, signed], self.roster())
        self.acts.append(signed)
        return state

    def go(self, way: Sequence[tuple[str, Step, Deed]]) -> Incident:
        for person, step, deed in way:
            self.do(person, step, deed)
        return self.state()
