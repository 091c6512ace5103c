"""The hospital's own record of a source: which restore points each scan saw for the first time.

Records of a source form a line: each names the digest of the one before. What was ever seen follows from all of them,
so that nobody who can change a backup, or the estate index beside it, can make a restore point never have been there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from asepsis.domain.documents import Document, Fields, encode_time
from asepsis.domain.estate import IndexedPoint
from asepsis.domain.names import PartyId, RestorePointId

FORMAT: Final = "asepsis/estate-record/1"
DOCUMENT: Final = "estate record"


@dataclass(frozen=True, slots=True, kw_only=True)
class EstateRecord:
    """What one scan of a source added: ``points`` are those that no earlier record has.

    ``previous`` is the digest of the record before it, empty in the first, whose ``number`` is 0.
    """

    room: str
    party: PartyId
    source: str
    number: int
    previous: str
    at: datetime
    points: tuple[IndexedPoint, ...]
    present: int
    """How many restore points the source had."""
    checks: str
    """The version of the checks that judged it."""
    rules: str = ""
    """The digest of the rules that were held against its objects."""

    def to_document(self) -> Document:
        """The document form that :func:`read_record` reads, and over which the signature is made."""
        return {
            "format": FORMAT,
            "room": self.room,
            "party": self.party,
            "source": self.source,
            "number": self.number,
            "previous": self.previous,
            "at": encode_time(self.at),
            "points": [
                {
                    "id": point.id,
                    "taken_at": encode_time(point.taken_at),
                    "first_seen": encode_time(point.first_seen),
                    "entries": point.entries,
                }
                for point in self.points
            ],
            "present": self.present,
            "checks": self.checks,
            "rules": self.rules,
        }


def read_record(value: object) -> EstateRecord:
    """Read a record. Raises DocumentMalformed."""
    fields = Fields(value, document=DOCUMENT)
    if fields.text("format") != FORMAT:
        raise fields.malformed("format", f"{FORMAT} is needed")
    record = EstateRecord(
        room=fields.text("room"),
        party=PartyId(fields.text("party")),
        source=fields.text("source"),
        number=fields.integer("number"),
        previous=fields.text("previous", default=""),
        at=fields.time("at"),
        points=tuple(_point(item) for item in fields.items("points")),
        present=fields.integer("present"),
        checks=fields.text("checks"),
        rules=fields.text("rules", default=""),
    )
    fields.close()
    return record


def source_name(uri: str) -> str:
    """How the ledger names a source: by a digest, since an address may hold spaces, paths and hosts."""
    return sha256(uri.encode(errors="surrogateescape")).hexdigest()


def points_of(records: Sequence[EstateRecord]) -> dict[RestorePointId, IndexedPoint]:
    """All restore points that were ever seen, as they were when they were first seen."""
    return {point.id: point for record in reversed(records) for point in record.points}


def _point(value: object) -> IndexedPoint:
    fields = Fields(value, document=DOCUMENT, place="points")
    point = IndexedPoint(
        id=RestorePointId(fields.text("id")),
        taken_at=fields.time("taken_at"),
        first_seen=fields.time("first_seen"),
        entries=fields.text("entries"),
    )
    fields.close()
    return point
