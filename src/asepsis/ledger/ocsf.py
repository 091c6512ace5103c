"""The ledger as OCSF events, one JSON document a line, for a security team's collector.

Acts are API Activity (class 6003); refusals that tell of tampering are Detection Findings (class 2004). Each event
carries its entry's position and leaf hash, so that it can be found again in the ledger, which alone proves it. Events
hold what entries hold, personal fields as salted commitments.
Source: https://schema.ocsf.io, version 1.7.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from asepsis.domain.ledger import LedgerEntry
from asepsis.ledger.entry import entry_hash
from asepsis.ledger.verbs import ALARMS, Operation, failed, operation

VERSION: Final = "1.7.0"

_API_ACTIVITY, _APPLICATION = 6003, 6
_DETECTION, _FINDINGS = 2004, 2
_ACTIVITIES: Final = {Operation.CREATE: 1, Operation.READ: 2, Operation.UPDATE: 3, Operation.DELETE: 4}
_OTHER: Final = 99
_INFORMATIONAL, _MEDIUM, _HIGH = 1, 3, 4
_DONE, _FAILED = 1, 2
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

Event = dict[str, object]


def ocsf_events(entries: Iterable[LedgerEntry], *, origin: str) -> Iterator[Event]:
    """All entries, in order; ``origin`` is the name of the ledger."""
    for place, entry in enumerate(entries):
        yield _finding(entry, place, origin) if entry.act in ALARMS else _activity(entry, place, origin)


def _activity(entry: LedgerEntry, place: int, origin: str) -> Event:
    activity = _ACTIVITIES.get(operation(entry.act), _OTHER)
    return {
        **_common(entry, place, origin, kind=(_APPLICATION, _API_ACTIVITY, activity)),
        "activity_name": entry.act.value,
        "severity_id": _MEDIUM if failed(entry.act) else _INFORMATIONAL,
        "actor": {"user": {"uid": entry.actor}},
        "src_endpoint": {"name": origin},
        "api": {"operation": entry.act.value, "service": {"name": "asepsis"}},
        "resources": [{"uid": entry.subject}],
    }


def _finding(entry: LedgerEntry, place: int, origin: str) -> Event:
    return {
        **_common(entry, place, origin, kind=(_FINDINGS, _DETECTION, 1)),
        "severity_id": _HIGH,
        "finding_info": {"uid": entry_hash(entry).hex(), "title": entry.act.meaning, "types": [entry.act.value]},
        "resources": [{"uid": entry.subject, "owner": {"uid": entry.actor}}],
    }


def _common(entry: LedgerEntry, place: int, origin: str, *, kind: tuple[int, int, int]) -> Event:
    category, event_class, activity = kind
    event: Event = {
        "category_uid": category,
        "class_uid": event_class,
        "activity_id": activity,
        "type_uid": event_class * 100 + activity,
        "time": _milliseconds(entry.at),
        "message": entry.act.meaning,
        "status_id": _FAILED if failed(entry.act) else _DONE,
        "metadata": {
            "version": VERSION,
            "product": {"name": "Asepsis", "vendor_name": "Asepsis"},
            "log_name": origin,
            "event_code": entry.act.value,
            "sequence": place,
            "uid": entry_hash(entry).hex(),
        },
        "unmapped": {"facts": dict(entry.facts), "commitments": dict(entry.commitments)},
    }
    if "code" in entry.facts:
        event["status_code"] = str(entry.facts["code"])
    return event


def _milliseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MILLISECOND
