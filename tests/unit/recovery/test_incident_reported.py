"""What is posted to a backup server is told to the ledger, before it leaves."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from asepsis.bootstrap.incidents import open_incidents
from asepsis.bootstrap.room import Room, create_room
from asepsis.domain.estate_record import source_name
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import PartyId
from asepsis.errors.source import SourceUnavailableError
from asepsis.integrity.incident.reporting import MalwareReport
from incident_world import WAY, Hospital

SERVER = "veeam:https://vbr.test:9419"
NORTHGATE = PartyId("northgate")


@pytest.fixture
def room(tmp_path: Path) -> Room:
    made = create_room(tmp_path / "room", origin="asepsis.local/reported")
    made.enrol(NORTHGATE, owner=True)
    return made


def told(room: Room) -> list[LedgerEntry]:
    return [entry for entry in room.audit.entries() if entry.act is Act.INCIDENT_REPORTED]


def test_a_post_is_in_the_ledger_before_it_leaves_and_names_neither_server_nor_machine(room: Room) -> None:
    incident = Hospital().go(WAY[:4])
    known_when_posted: list[int] = []

    def post(report: MalwareReport) -> list[str]:
        known_when_posted.append(len(told(room)))
        return [f"event of {report.restore_point}"]

    assert open_incidents(room, NORTHGATE).report(incident, to=SERVER, post=post) == ("event of bad",)
    assert known_when_posted == [1]
    (entry,) = told(room)
    assert (entry.actor, entry.subject) == (NORTHGATE, incident.id)
    assert (entry.facts["count"], entry.facts["source"]) == (1, source_name(SERVER))


def test_a_post_that_fails_was_told_and_one_of_nothing_is_no_act(room: Room) -> None:
    incidents = open_incidents(room, NORTHGATE)

    def fail(_: MalwareReport) -> list[str]:
        raise SourceUnavailableError(name=SERVER)

    with pytest.raises(SourceUnavailableError):
        incidents.report(Hospital().go(WAY[:4]), to=SERVER, post=fail)
    assert len(told(room)) == 1
    assert incidents.report(Hospital().go(WAY[:3]), to=SERVER, post=fail) == ()
    assert len(told(room)) == 1
