"""The words of an incident: roles of persons and their appointments, findings, and what every act is made of.

A hospital appoints persons, each with a key of their own; what they do in an incident are signed acts. An act never
holds a value that was read from data, nor a path inside a backup: restore points, codes and counts only. The reasons
are what persons wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final

from asepsis.domain.documents import Document, Fields, encode_bytes, encode_time
from asepsis.domain.names import PartyId
from asepsis.domain.source import Verdict
from asepsis.errors.incident import AppointmentRefused, PersonNotAppointed

APPOINTMENT: Final = "asepsis/appointment/1"
KEY_LENGTH: Final = 32
LONGEST_TEXT: Final = 500
ESTATE: Final = "inventory."
"""Codes of findings about the restore points as a whole begin so; no choice of a restore point sets them aside."""


class IncidentRole(StrEnum):
    """What a person is in an incident; all three sign off, and each role is another person."""

    DATA_OWNER = "data-owner"
    SECURITY = "security"
    RECOVERY_LEAD = "recovery-lead"


class FindingStatus(StrEnum):
    """What became of a finding."""

    OPEN = "open"
    WAIVED = "waived"
    RESOLVED = "resolved"
    SET_ASIDE = "set aside"
    """It is about a restore point that was not chosen."""
    NOTED = "noted"
    """It does not speak against the restore point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding of a scan (about a restore point of a source) or of a comparison (about a table)."""

    source: str
    about: str
    code: str
    count: int
    verdict: Verdict

    @property
    def id(self) -> str:
        """Its name, which changes when it does: what was settled is settled for this count and verdict only."""
        text = "\0".join([self.source, self.about, self.code, str(self.count), self.verdict.value])
        return f"F-{sha256(text.encode()).hexdigest()[:8]}"

    def to_document(self) -> Document:
        """The document form."""
        return {
            "source": self.source,
            "about": self.about,
            "code": self.code,
            "count": self.count,
            "verdict": self.verdict.value,
        }


def read_findings(items: Iterable[object]) -> tuple[Finding, ...]:
    """Read findings. Raises DocumentMalformed."""
    return tuple(_finding(item) for item in items)


def _finding(item: object) -> Finding:
    fields = Fields(item, document="incident", place="findings")
    finding = Finding(
        source=fields.text("source"),
        about=fields.text("about"),
        code=fields.text("code"),
        count=fields.integer("count"),
        verdict=fields.choice("verdict", Verdict),
    )
    fields.close()
    return finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Appointment:
    """A hospital's word that a person, under this Ed25519 key, may act in its incidents in these roles.

    ``room`` is the name of the ledger in which it counts.
    """

    room: str
    party: PartyId
    person: str
    key: bytes
    roles: frozenset[IncidentRole]
    since: datetime
    until: datetime

    def to_document(self) -> Document:
        """The document whose canonical form the hospital signs; :func:`read_appointment` reads it."""
        return {
            "format": APPOINTMENT,
            "room": self.room,
            "party": self.party,
            "person": self.person,
            "key": encode_bytes(self.key),
            "roles": sorted(self.roles),
            "since": encode_time(self.since),
            "until": encode_time(self.until),
        }


def read_appointment(value: object) -> Appointment:
    """Read an appointment. Raises DocumentMalformed."""
    fields = Fields(value, document="appointment")
    if fields.text("format") != APPOINTMENT:
        raise fields.malformed("format", f"'{APPOINTMENT}' is needed")
    roles = fields.texts("roles")
    if not roles or not set(roles) <= set(IncidentRole):
        raise fields.malformed("roles", "one or more of " + ", ".join(IncidentRole) + " are needed")
    appointment = Appointment(
        room=fields.text("room"),
        party=PartyId(fields.name("party")),
        person=fields.name("person"),
        key=fields.octets("key", length=KEY_LENGTH),
        roles=frozenset(IncidentRole(role) for role in roles),
        since=fields.time("since"),
        until=fields.time("until"),
    )
    fields.close()
    return appointment


@dataclass(frozen=True, slots=True)
class Roster:
    """All appointments of one hospital. Different names have different keys, one name has one key for ever."""

    appointments: tuple[Appointment, ...] = ()
    _keys: Mapping[str, bytes] = field(init=False)

    def __post_init__(self) -> None:
        """Raise AppointmentRefused where two persons share a key, or one person has two."""
        keys: dict[str, bytes] = {}
        for one in self.appointments:
            if keys.setdefault(one.person, one.key) != one.key:
                raise AppointmentRefused(person=one.person, problem="the person has another key already")
        if len(set(keys.values())) != len(keys):
            raise AppointmentRefused(person=self.appointments[-1].person, problem="another person has the same key")
        object.__setattr__(self, "_keys", keys)

    def key(self, person: str) -> bytes:
        """The key of a person. Raises PersonNotAppointed."""
        if person not in self._keys:
            raise PersonNotAppointed(person=person, role="an appointed person")
        return self._keys[person]

    def roles(self, person: str, at: datetime) -> frozenset[IncidentRole]:
        """The roles that a person has at a time."""
        held = (one for one in self.appointments if one.person == person and one.since <= at < one.until)
        return frozenset(role for one in held for role in one.roles)


def sentence(fields: Fields, key: str, *, empty: bool = False) -> str:
    """What a person wrote: one printable line of bounded length."""
    text = fields.text(key, default="" if empty else None)
    if len(text) > LONGEST_TEXT or not text.isprintable():
        raise fields.malformed(key, f"one line of at most {LONGEST_TEXT} characters is needed")
    return text
