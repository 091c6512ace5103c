"""The acts of an incident: what each step says, as a value and as the document that a person signs.

An act names the incident, its own number and the digest of the signed act before it, so that acts can be neither
reordered, left out nor carried over from another incident.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from asepsis.domain.documents import Document, Fields, encode_time
from asepsis.domain.incident import Finding, IncidentRole, read_findings, sentence
from asepsis.domain.names import PartyId
from asepsis.domain.source import Verdict

FORMAT: Final = "asepsis/incident-act/1"


class Step(StrEnum):
    """What an act does."""

    DECLARED = "declared"
    CONFIRMED = "confirmed"
    FROZEN = "frozen"
    JUDGED = "judged"
    SCANNED = "scanned"
    COMPARED = "compared"
    SETTLED = "settled"
    CHOSEN = "chosen"
    SIGNED = "signed"
    EXPORTED = "exported"
    CLOSED = "closed"


class Settlement(StrEnum):
    """How a finding is settled: it stays and is accepted, or what it tells of was mended."""

    WAIVED = "waived"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """An incident is declared, in one room, about these sources; ``nonce`` makes it unlike any other."""

    room: str
    party: PartyId
    sources: tuple[str, ...]
    reason: str
    nonce: str

    def to_document(self) -> Document:
        """The document form."""
        return {
            "room": self.room,
            "party": self.party,
            "sources": list(self.sources),
            "reason": self.reason,
            "nonce": self.nonce,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """A second person confirms the declaration."""

    def to_document(self) -> Document:
        """The document form."""
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A restore point: ``root`` is the digest of its list of entries with their contents.

    ``verdict`` is that of the act in which it stands; unknown at a freeze, which judges nothing.
    """

    id: str
    taken_at: datetime
    root: str
    verdict: Verdict = Verdict.UNKNOWN

    def to_document(self) -> Document:
        """The document form."""
        return {
            "id": self.id,
            "taken_at": encode_time(self.taken_at),
            "root": self.root,
            "verdict": self.verdict.value,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A source with all its restore points as they are: what is held, and what later scans are compared with."""

    source: str
    points: tuple[Point, ...]

    def to_document(self) -> Document:
        """The document form."""
        return {"source": self.source, "points": [point.to_document() for point in self.points]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """The verdict on a source: from the index as it was (``judged``), or after reading everything (``scanned``).

    ``rules`` names the versions of what judged, ``unchecked`` says what it did not look at.
    """

    source: str
    points: tuple[Point, ...]
    last_clean: str
    objects: int
    unread: int
    findings: tuple[Finding, ...]
    rules: Mapping[str, str]
    unchecked: tuple[str, ...] = ()

    def to_document(self) -> Document:
        """The document form."""
        return {
            "source": self.source,
            "points": [point.to_document() for point in self.points],
            "last_clean": self.last_clean,
            "objects": self.objects,
            "unread": self.unread,
            "findings": [finding.to_document() for finding in self.findings],
            "rules": dict(self.rules),
            "unchecked": list(self.unchecked),
        }

    def point(self, wanted: str) -> Point | None:
        """The restore point of that id."""
        return next((point for point in self.points if point.id == wanted), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two states of the same tables were compared, row by row; ``subject`` says which, in the words of who asked."""

    subject: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    rules: Mapping[str, str]
    unchecked: tuple[str, ...] = ()

    def to_document(self) -> Document:
        """The document form."""
        return {
            "subject": self.subject,
            "verdict": self.verdict.value,
            "findings": [finding.to_document() for finding in self.findings],
            "rules": dict(self.rules),
            "unchecked": list(self.unchecked),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A finding is waived or resolved, with the reason."""

    finding: str
    how: Settlement
    reason: str

    def to_document(self) -> Document:
        """The document form."""
        return {"finding": self.finding, "how": self.how.value, "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is taken from one restore point: everything, or what lies at ``path`` (a file, a folder, a table)."""

    source: str
    point: str
    root: str
    path: str = ""

    def to_document(self) -> Document:
        """The document form."""
        return {"source": self.source, "point": self.point, "root": self.root, "path": self.path}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The restore point to go back to, or a composite of several."""

    parts: tuple[Part, ...]
    reason: str

    def to_document(self) -> Document:
        """The document form."""
        return {"parts": [part.to_document() for part in self.parts], "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedOff:
    """A person agrees with everything so far in a role, or dissents."""

    role: IncidentRole
    agrees: bool
    reason: str = ""

    def to_document(self) -> Document:
        """The document form."""
        return {"role": self.role.value, "agrees": self.agrees, "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A clean set left the sources: ``root`` is the digest of its manifest.

    ``subject`` and ``restored`` belong to a revert patch: which states it was made from, and the root of the tables
    that it restores.
    """

    root: str
    files: int
    size: int
    subject: str = ""
    restored: str = ""

    def to_document(self) -> Document:
        """The document form."""
        return {
            "root": self.root,
            "files": self.files,
            "size": self.size,
            "subject": self.subject,
            "restored": self.restored,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """The end of recovery is declared."""

    def to_document(self) -> Document:
        """The document form."""
        return {}


Deed = Declared | Confirmed | Frozen | Looked | Compared | Settled | Chosen | SignedOff | Exported | Closed


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentAct:
    """One act of one person. The first act of an incident has no ``incident`` and no ``previous`` yet."""

    step: Step
    person: str
    at: datetime
    deed: Deed
    incident: str = ""
    number: int = 0
    previous: str = field(default="")

    def to_document(self) -> Document:
        """The document whose canonical form the person signs; :func:`read_act` reads it."""
        return {
            "format": FORMAT,
            "incident": self.incident,
            "number": self.number,
            "previous": self.previous,
            "step": self.step.value,
            "person": self.person,
            "at": encode_time(self.at),
            "deed": self.deed.to_document(),
        }


def read_act(value: object) -> IncidentAct:
    """Read an act. Raises DocumentMalformed."""
    fields = Fields(value, document="incident act")
    if fields.text("format") != FORMAT:
        raise fields.malformed("format", f"'{FORMAT}' is needed")
    step = fields.choice("step", Step)
    with fields.mapping("deed") as inner:
        deed = _READERS[step](inner)
    act = IncidentAct(
        step=step,
        person=fields.name("person"),
        at=fields.time("at"),
        deed=deed,
        incident=fields.text("incident", default=""),
        number=fields.integer("number"),
        previous=fields.text("previous", default=""),
    )
    fields.close()
    return act


def _declared(fields: Fields) -> Declared:
    return Declared(
        room=fields.text("room"),
        party=PartyId(fields.name("party")),
        sources=fields.texts("sources"),
        reason=sentence(fields, "reason"),
        nonce=fields.text("nonce"),
    )


def _frozen(fields: Fields) -> Frozen:
    return Frozen(source=fields.text("source"), points=_points(fields))


def _looked(fields: Fields) -> Looked:
    return Looked(
        source=fields.text("source"),
        points=_points(fields),
        last_clean=fields.text("last_clean", default=""),
        objects=fields.integer("objects"),
        unread=fields.integer("unread"),
        findings=read_findings(fields.items("findings")),
        rules=_rules(fields),
        unchecked=fields.texts("unchecked"),
    )


def _compared(fields: Fields) -> Compared:
    return Compared(
        subject=sentence(fields, "subject"),
        verdict=fields.choice("verdict", Verdict),
        findings=read_findings(fields.items("findings")),
        rules=_rules(fields),
        unchecked=fields.texts("unchecked"),
    )


def _settled(fields: Fields) -> Settled:
    return Settled(
        finding=fields.text("finding"), how=fields.choice("how", Settlement), reason=sentence(fields, "reason")
    )


def _chosen(fields: Fields) -> Chosen:
    parts = []
    for item in fields.items("parts"):
        inner = Fields(item, document="incident act", place="deed.parts")
        parts.append(
            Part(
                source=inner.text("source"),
                point=inner.text("point"),
                root=inner.text("root"),
                path=inner.text("path", default=""),
            )
        )
        inner.close()
    return Chosen(parts=tuple(parts), reason=sentence(fields, "reason"))


def _signed_off(fields: Fields) -> SignedOff:
    return SignedOff(
        role=fields.choice("role", IncidentRole),
        agrees=fields.flag("agrees"),
        reason=sentence(fields, "reason", empty=True),
    )


def _exported(fields: Fields) -> Exported:
    return Exported(
        root=fields.text("root"),
        files=fields.integer("files"),
        size=fields.integer("size"),
        subject=sentence(fields, "subject", empty=True),
        restored=fields.text("restored", default=""),
    )


def _points(fields: Fields) -> tuple[Point, ...]:
    points = []
    for item in fields.items("points"):
        inner = Fields(item, document="incident act", place="deed.points")
        points.append(
            Point(
                id=inner.text("id"),
                taken_at=inner.time("taken_at"),
                root=inner.text("root"),
                verdict=inner.choice("verdict", Verdict),
            )
        )
        inner.close()
    return tuple(points)


def _rules(fields: Fields) -> Mapping[str, str]:
    value = fields.anything("rules")
    if not isinstance(value, dict) or not all(isinstance(text, str) for pair in value.items() for text in pair):
        raise fields.malformed("rules", "a mapping of names to versions is needed")
    return value


_READERS: Final[Mapping[Step, Callable[[Fields], Deed]]] = {
    Step.DECLARED: _declared,
    Step.CONFIRMED: lambda _: Confirmed(),
    Step.FROZEN: _frozen,
    Step.JUDGED: _looked,
    Step.SCANNED: _looked,
    Step.COMPARED: _compared,
    Step.SETTLED: _settled,
    Step.CHOSEN: _chosen,
    Step.SIGNED: _signed_off,
    Step.EXPORTED: _exported,
    Step.CLOSED: lambda _: Closed(),
}
