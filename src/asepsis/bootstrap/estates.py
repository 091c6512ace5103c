"""The estate index beside a source: what was seen once need not be read again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from asepsis.bootstrap.backups import look_into
from asepsis.bootstrap.room import Room
from asepsis.desk_home import now
from asepsis.domain.estate import EstateScan
from asepsis.domain.names import PartyId
from asepsis.engines.rules.misp import misp_names
from asepsis.engines.rules.yara import YaraRules
from asepsis.integrity.notes import OUR_NAMES
from asepsis.services.estate import Estate, Progress
from asepsis.services.estate_record import HospitalRecord, HospitalSeal
from asepsis.store.estate_index import EstateIndex
from asepsis.store.estate_records import SqlEstateRecords

RECORDS: Final = "estate-records.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """The hospital, in its room, that signs what is seen and keeps the record of it at home."""

    room: Room
    party: PartyId


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRequest:
    """What to scan, into which index, and what to hold against it.

    ``rate`` limits reading to so many bytes a second; ``rules`` are folders or files of YARA rules, or ``builtin``.
    """

    uri: str
    index: Path
    rate: int | None = None
    rules: tuple[str, ...] = ()
    misp: bool = False
    recorder: Recorder | None = None
    reads: bool = True
    """Whether what the index does not know is read; else the verdict is made from the index alone."""
    before: datetime | None = None


def scan_estate(request: ScanRequest, *, report: Callable[[Progress], None]) -> EstateScan:
    """Scan a source into an index.

    Raises the errors of the source, IndexUnusable, and what was asked for: RulesUnavailable, RulesUnusable,
    NamesUnavailable, IndexAltered, RecordAltered.
    """
    rules = YaraRules(request.rules) if request.rules else None
    names = misp_names() if request.misp else OUR_NAMES
    record = None if request.recorder is None else hospital_record(request.recorder)
    index = EstateIndex(request.index, seal=None if record is None else record.seal)
    try:
        estate = Estate(
            source=look_into(request.uri),
            index=index,
            clock=now,
            pace=pace(request.rate),
            reads=request.reads,
            rules=rules,
            names=names,
            before=request.before,
            record=record,
        )
        return estate.scan(report=report)
    finally:
        index.close()


def hospital_record(recorder: Recorder) -> HospitalRecord:
    """The hospital's own record of its sources. Raises KeysMissing."""
    room, party = recorder.room, recorder.party
    keys = room.keys(party)
    return HospitalRecord(
        room=room.origin,
        party=party,
        seal=HospitalSeal(signs=keys.sign, key=keys.public().signing),
        records=SqlEstateRecords(room.home(party) / RECORDS),
        state=room.state,
        audit=room.audit,
        clock=now,
    )


def pace(rate: int | None) -> Callable[[int], None]:
    """Waits so that on the average no more than ``rate`` bytes a second are read."""
    started, read = time.monotonic(), 0

    def wait(count: int) -> None:
        nonlocal read
        read += count
        if rate is not None:
            time.sleep(max(0.0, read / rate - (time.monotonic() - started)))

    return wait
