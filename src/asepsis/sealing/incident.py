"""Signed appointments and acts: the hospital signs who may act, each person signs what they do.

What an incident is follows from its signed acts alone. They are verified and replayed in order; each names the digest
of the one before it, so that acts left out, added between, reordered or taken from elsewhere are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from asepsis.domain.documents import Document, Fields, encode_bytes
from asepsis.domain.incident import Appointment, Roster, read_appointment
from asepsis.domain.incident_acts import IncidentAct, read_act
from asepsis.domain.incident_state import Incident, advance, declare
from asepsis.domain.names import Digest, PartyId
from asepsis.errors.incident import AppointmentRefused, IncidentTampered
from asepsis.errors.sealing import SignatureInvalid
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.signing import Purpose, verify

_SIGNATURE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedAppointment:
    """An appointment under the hospital's signature."""

    appointment: Appointment
    signature: bytes

    @property
    def digest(self) -> Digest:
        """By which the ledger names it."""
        return digest(self.to_document())

    def to_document(self) -> Document:
        """The document form that :func:`read_signed_appointment` reads."""
        return {"appointment": self.appointment.to_document(), "signature": encode_bytes(self.signature)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedAct:
    """An act under the signature of its person."""

    act: IncidentAct
    signature: bytes

    @property
    def digest(self) -> Digest:
        """By which the next act and the ledger name it."""
        return digest(self.to_document())

    def to_document(self) -> Document:
        """The document form that :func:`read_signed_act` reads."""
        return {"act": self.act.to_document(), "signature": encode_bytes(self.signature)}


def appointment_payload(appointment: Appointment) -> bytes:
    """The bytes that the hospital signs with ``Purpose.APPOINTMENT``."""
    return canonical(appointment.to_document())


def act_payload(act: IncidentAct) -> bytes:
    """The bytes that the person signs with ``Purpose.INCIDENT_ACT``."""
    return canonical(act.to_document())


def read_signed_appointment(value: object) -> SignedAppointment:
    """Read a signed appointment, without verifying it. Raises DocumentMalformed."""
    fields = Fields(value, document="appointment")
    appointment = read_appointment(fields.anything("appointment"))
    signature = fields.octets("signature", length=_SIGNATURE)
    fields.close()
    return SignedAppointment(appointment=appointment, signature=signature)


def read_signed_act(value: object) -> SignedAct:
    """Read a signed act, without verifying it. Raises DocumentMalformed."""
    fields = Fields(value, document="incident act")
    act, signature = read_act(fields.anything("act")), fields.octets("signature", length=_SIGNATURE)
    fields.close()
    return SignedAct(act=act, signature=signature)


def verify_roster(signed: Iterable[SignedAppointment], *, party: PartyId, room: str, key: bytes) -> Roster:
    """The roster of a hospital whose signing key this is, in one room. Raises AppointmentRefused."""
    found = []
    for one in signed:
        appointment = one.appointment
        if (appointment.party, appointment.room) != (party, room):
            raise AppointmentRefused(person=appointment.person, problem="it is of another hospital or room")
        if appointment.key == key:
            raise AppointmentRefused(person=appointment.person, problem="the hospital's key is no person's")
        try:
            verify(key, purpose=Purpose.APPOINTMENT, payload=appointment_payload(appointment), signature=one.signature)
        except SignatureInvalid:
            raise AppointmentRefused(person=appointment.person, problem="the hospital did not sign it") from None
        found.append(appointment)
    return Roster(tuple(found))


def replay(acts: Sequence[SignedAct], roster: Roster) -> Incident:
    """What signed acts amount to.

    Raises:
        IncidentTampered: a signature does not hold, or the acts are not one unbroken line from the declaration.
        AsepsisError: what :func:`asepsis.domain.incident_state.advance` refuses an act with.
    """
    if not acts:
        raise IncidentTampered(problem="there is no act")
    for signed in acts:
        verify_act(signed, roster)
    first, *others = acts
    incident = declare(first.act, digest=first.digest, roster=roster)
    for signed in others:
        incident = advance(incident, signed.act, digest=signed.digest, roster=roster)
    return incident


def verify_act(signed: SignedAct, roster: Roster) -> None:
    """Check that the person whom an act names signed it. Raises IncidentTampered or PersonNotAppointed."""
    try:
        verify(
            roster.key(signed.act.person),
            purpose=Purpose.INCIDENT_ACT,
            payload=act_payload(signed.act),
            signature=signed.signature,
        )
    except SignatureInvalid:
        raise IncidentTampered(problem=f"act {signed.act.number} is not signed by {signed.act.person}") from None
