"""Incidents of one hospital: who may act, what was done, and that the ledger tells exactly the same.

An act is kept first and recorded second, and counts once the ledger has it: what was interrupted in between is
finished by whatever comes next. An act that the ledger has and the records have not was taken away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Final, Protocol

from asepsis.domain.documents import encode_time
from asepsis.domain.estate_record import source_name
from asepsis.domain.incident import Appointment, IncidentRole, Roster
from asepsis.domain.incident_acts import Declared, Deed, IncidentAct, Step
from asepsis.domain.incident_state import Incident
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import PartyId
from asepsis.errors.incident import IncidentTampered, IncidentUnknown
from asepsis.integrity.incident.reporting import MalwareReport, malware_reports
from asepsis.ports import Clock, IncidentRecords, Randomness, RoomState
from asepsis.sealing.canonical import digest
from asepsis.sealing.incident import (
    SignedAct,
    SignedAppointment,
    act_payload,
    appointment_payload,
    replay,
    verify_roster,
)
from asepsis.sealing.signing import Purpose
from asepsis.services.audit import Audit

_NONCE: Final = 16
RECORDED_AS: Final = {step: act for step in Step for act in Act if act.value == f"incident.{step.value}"}
"""The entry that tells of each step."""

Sign = Callable[[Purpose, bytes], bytes]


class Heeds(Protocol):
    """The hospital's own key desk, which holds its keys while an incident does."""

    def heed_incident(self, acts: Sequence[SignedAct], *, appointments: Sequence[SignedAppointment], room: str) -> None:
        """Hold, or let go, as the acts of an incident say; doing it again changes nothing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """Who does something now, and how they sign."""

    person: str
    sign: Sign


@dataclass(frozen=True, slots=True, kw_only=True)
class Incidents:
    """The use cases. ``key`` is the hospital's public signing key, ``room`` the name of the ledger."""

    party: PartyId
    room: str
    key: bytes
    records: IncidentRecords
    state: RoomState
    audit: Audit
    desk: Heeds
    clock: Clock
    randomness: Randomness

    def appoint(self, person: str, key: bytes, *, roles: frozenset[IncidentRole], days: int, sign: Sign) -> Appointment:
        """Appoint a person; ``sign`` is the hospital's. Raises AppointmentRefused."""
        since = self.clock()
        appointment = Appointment(
            room=self.room,
            party=self.party,
            person=person,
            key=key,
            roles=roles,
            since=since,
            until=since + timedelta(days=days),
        )
        signature = sign(Purpose.APPOINTMENT, appointment_payload(appointment))
        signed = SignedAppointment(appointment=appointment, signature=signature)
        self._roster([*self.records.appointments(), signed])
        self.records.add_appointment(signed)
        entry = LedgerEntry(at=since, actor=self.party, act=Act.PERSON_APPOINTED, subject=signed.digest)
        with self.state.acting(entry):
            pass
        return appointment

    def roster(self) -> Roster:
        """Everybody who was appointed. Raises AppointmentRefused."""
        return self._roster(self.records.appointments())

    def declare(self, sources: Sequence[str], *, reason: str, by: Doing) -> Incident:
        """Declare an incident about these sources; it counts once a second person confirmed it."""
        nonce = self.randomness(_NONCE).hex()
        deed = Declared(room=self.room, party=self.party, sources=tuple(sources), reason=reason, nonce=nonce)
        act = IncidentAct(step=Step.DECLARED, person=by.person, at=self.clock(), deed=deed)
        return self._do(None, act, by)

    def act(self, incident: str, step: Step, deed: Deed, *, by: Doing) -> Incident:
        """The next act of an incident. Raises what the state machine refuses it with."""
        state = self.incident(incident)
        act = IncidentAct(
            step=step,
            person=by.person,
            at=max(self.clock(), state.last_at),
            deed=deed,
            incident=state.id,
            number=state.acts,
            previous=state.head,
        )
        return self._do(state, act, by)

    def incident(self, wanted: str) -> Incident:
        """An incident by its name or the beginning of it. Raises IncidentUnknown, IncidentTampered."""
        names = [name for name in self.records.incidents() if name.startswith(wanted)]
        if len(names) != 1:
            raise IncidentUnknown(incident=wanted)
        return self._checked(names[0])

    def all(self) -> list[Incident]:
        """All incidents, oldest first. Raises IncidentTampered."""
        return sorted((self._checked(name) for name in self.records.incidents()), key=lambda one: one.declared.at)

    def acts(self, incident: Incident) -> Sequence[SignedAct]:
        """The signed acts of an incident."""
        return self.records.acts(incident.id)

    def report(self, incident: Incident, *, to: str, post: Callable[[MalwareReport], Sequence[str]]) -> tuple[str, ...]:
        """Tell a backup server what speaks against restore points; the ledger has it first. Returns what it answers.

        Whatever posting raises passes through; the ledger then says that it was about to be done.
        """
        reports = list(malware_reports(incident))
        if not reports:
            return ()
        told = [asdict(report) | {"detected_at": encode_time(report.detected_at)} for report in reports]
        entry = LedgerEntry(
            at=self.clock(),
            actor=self.party,
            act=Act.INCIDENT_REPORTED,
            subject=incident.id,
            facts={"source": source_name(to), "digest": digest(told), "count": len(reports)},
        )
        with self.state.acting(entry):
            pass
        return tuple(event for report in reports for event in post(report))

    def _do(self, state: Incident | None, act: IncidentAct, by: Doing) -> Incident:
        signed = SignedAct(act=act, signature=by.sign(Purpose.INCIDENT_ACT, act_payload(act)))
        acts = [*(() if state is None else self.records.acts(state.id)), signed]
        after = replay(acts, self.roster())
        self.records.add_act(after.id, signed)
        self._record(after, acts)
        return after

    def _checked(self, name: str) -> Incident:
        """The state that the signed acts give, if the ledger has them all, in this order, and no others."""
        acts = self.records.acts(name)
        state = replay(acts, self.roster())
        if state.id != name or (state.room, state.party) != (self.room, self.party):
            raise IncidentTampered(problem="it is of another room or hospital")
        told = [entry.facts.get("digest") for entry in self.audit.entries() if _is_act_of(entry, name)]
        kept = [signed.digest for signed in acts]
        if kept[:-1] == told:
            self._record(state, acts)  # it was interrupted
        elif kept != told:
            raise IncidentTampered(problem="the ledger tells of other acts than those that are here")
        elif state.closed is not None:
            self._heed(acts)
        return state

    def _record(self, state: Incident, acts: Sequence[SignedAct]) -> None:
        """Put the newest act into the ledger; the desk holds before that, and lets go after it."""
        if state.holds:
            self._heed(acts)
        newest = acts[-1]
        entry = LedgerEntry(
            at=newest.act.at,
            actor=self.party,
            act=RECORDED_AS[newest.act.step],
            subject=state.id,
            facts={"digest": newest.digest, "sequence": newest.act.number},
        )
        with self.state.acting(entry):
            pass
        if state.closed is not None:
            self._heed(acts)

    def _heed(self, acts: Sequence[SignedAct]) -> None:
        self.desk.heed_incident(acts, appointments=self.records.appointments(), room=self.room)

    def _roster(self, signed: Sequence[SignedAppointment]) -> Roster:
        return verify_roster(signed, party=self.party, room=self.room, key=self.key)


def _is_act_of(entry: LedgerEntry, incident: str) -> bool:
    return entry.subject == incident and entry.act in RECORDED_AS.values()
