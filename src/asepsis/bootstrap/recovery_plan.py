"""What a contingency plan is written from: the room's contract, drills, incidents and appointments, and its sources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from asepsis.bootstrap.backups import look_into
from asepsis.bootstrap.continuity import DRILLS
from asepsis.bootstrap.incidents import INDEX, open_incidents, tool
from asepsis.bootstrap.room import Room
from asepsis.desk_home import now
from asepsis.domain.documents import Fields
from asepsis.domain.ledger import Act
from asepsis.domain.names import PartyId
from asepsis.errors import AsepsisError
from asepsis.errors.contract import (
    ContractExpired,
    ContractNotInForce,
    ContractNotSigned,
    ContractNotYetValid,
    NoContract,
)
from asepsis.integrity.incident.plan import DrillFacts, RoomFacts, SourceFacts
from asepsis.sealing.agreement import Agreement
from asepsis.services.continuity_drill import verify_report
from asepsis.services.estate import Estate
from asepsis.store.estate_index import EstateIndex


def room_facts(room: Room, party: PartyId, *, sources: Sequence[str], index: Path | None = None) -> RoomFacts:
    """The facts of one hospital: its named sources, and those of its incidents. Raises IncidentTampered."""
    incidents = open_incidents(room, party)
    states = incidents.all()
    named = dict.fromkeys([*sources, *(uri for state in states for uri in state.declared.deed.sources)])
    agreement = _agreement(room)
    certified = [entry for entry in room.audit.entries() if entry.act is Act.RECOVERY_CERTIFIED]
    return RoomFacts(
        party=party,
        room=room.origin,
        at=now(),
        tool=" ".join(tool().values()),
        sources=tuple(_source(uri, index or room.home(party) / INDEX) for uri in named),
        people=incidents.roster().appointments,
        continuity=None if agreement is None else agreement.contract.continuity,
        drills=() if agreement is None else tuple(_drills(room, agreement)),
        incidents=tuple(states),
        certificates=sum(entry.actor == party for entry in certified),
    )


def _agreement(room: Room) -> Agreement | None:
    """The contract in force; a plan can be written before there is one."""
    try:
        return room.contracts.in_force()
    except (NoContract, ContractNotSigned, ContractNotInForce, ContractNotYetValid, ContractExpired):
        return None


def _source(uri: str, index: Path) -> SourceFacts:
    """A source by what the index knows of it; nothing of it is read now."""
    opened = EstateIndex(index)
    try:
        scan = Estate(source=look_into(uri), index=opened, clock=now, reads=False).scan()
    except AsepsisError as error:
        return SourceFacts(uri=uri, fault=error.code)
    finally:
        opened.close()
    points = [one.point for one in scan.history.points]
    return SourceFacts(
        uri=uri,
        points=len(points),
        newest=max((point.taken_at for point in points), default=None),
        last_clean=scan.history.last_clean or "",
        unread=scan.unread,
    )


def _drills(room: Room, agreement: Agreement) -> list[DrillFacts]:
    """The reports of drills that verify under the contract in force; others show nothing."""
    found = []
    for path in sorted((room.folder / "host" / DRILLS).glob("*.json")):
        try:
            document, _ = verify_report(path.read_bytes(), agreement)
            fields = Fields(document, document="drill report")
            passed, ended = fields.flag("passed"), fields.time("ended_at")
        except AsepsisError:
            continue
        found.append(DrillFacts(report=fields.text("report"), ended_at=ended, passed=passed))
    return found
