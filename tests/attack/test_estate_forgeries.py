"""Whoever can write to the backup, to the estate index or to the record of a source is found out by what was signed."""

from __future__ import annotations

import io
import os
import random
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from asepsis.bootstrap.estates import RECORDS, Recorder, ScanRequest, hospital_record, scan_estate
from asepsis.bootstrap.room import Room, create_room
from asepsis.domain.ledger import Act
from asepsis.domain.names import PartyId, RestorePointId
from asepsis.errors.estate import IndexAltered, RecordAltered
from asepsis.store.room_state import SqlRoomState

NORTHGATE = PartyId("northgate")
START = datetime(2013, 1, 1, tzinfo=UTC)


def backup_in(folder: Path) -> Path:
    """Five archives of four files each; in the newest one all files are noise."""
    folder.mkdir()
    for day in range(5):
        with tarfile.open(folder / f"day{day}.tar", "w") as archive:
            for number in range(4):
                noise = random.Random(number).randbytes(5000)
                content = noise if day == 4 else f"{day};{number};HDL;52\n".encode() * 300
                member = tarfile.TarInfo(f"lab{number}.csv")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        taken = (START + timedelta(days=day)).timestamp()
        os.utime(folder / f"day{day}.tar", (taken, taken))
    return folder


@dataclass
class Scene:
    """A hospital's room, its backup, and the index beside the backup."""

    room: Room
    backup: Path
    index: Path

    def scan(self) -> Any:
        recorder = Recorder(room=self.room, party=NORTHGATE)
        request = ScanRequest(uri=f"tar:{self.backup}", index=self.index, recorder=recorder)
        return scan_estate(request, report=lambda _: None)

    def in_index(self, statement: str, *values: object) -> None:
        with sqlite3.connect(self.index) as connection:
            assert connection.execute(statement, values).rowcount > 0

    def in_records(self, statement: str, *values: object) -> None:
        with sqlite3.connect(self.room.home(NORTHGATE) / RECORDS) as connection:
            assert connection.execute(statement, values).rowcount > 0


OBJECTS = 20


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("estate")
    room = create_room(folder / "room", origin="asepsis.local/estate")
    room.enrol(NORTHGATE, owner=True)
    scene = Scene(room=room, backup=backup_in(folder / "backup"), index=folder / "estate.db")
    assert scene.scan().new_objects == OBJECTS
    return scene


@pytest.fixture
def scene(scanned: Scene, tmp_path: Path) -> Iterator[Scene]:
    """Copies to be tampered with; the backup stays where it is, since a source is known by its address."""
    shutil.copytree(scanned.backup, tmp_path / "backup")
    index = Path(shutil.copy(scanned.index, tmp_path / "index"))
    room = Room(shutil.copytree(scanned.room.folder, tmp_path / "room"), scanned.room.host, scanned.room.origin)
    yield Scene(room=room, backup=scanned.backup, index=index)
    shutil.rmtree(scanned.backup)
    shutil.copytree(tmp_path / "backup", scanned.backup)


def test_an_honest_second_scan_reads_nothing_and_is_told_to_the_ledger(scene: Scene) -> None:
    found = scene.scan()
    assert (found.new_objects, found.inventory.is_as_expected) == (0, True)
    told = [entry for entry in scene.room.audit.entries() if entry.act is Act.RECOVERY_SCANNED]
    assert [entry.facts["sequence"] for entry in told] == [0, 1]
    assert {entry.facts["count"] for entry in told} == {5}


def test_a_vanished_point_is_named_whatever_the_index_says(scene: Scene) -> None:
    gone = scene.backup / "day4.tar"
    gone.unlink()
    scene.in_index("DELETE FROM restore_point WHERE id = ?", gone.name)
    assert scene.scan().inventory.vanished == (RestorePointId(gone.name),)


def test_a_vanished_point_is_named_even_with_a_new_index(scene: Scene) -> None:
    gone = scene.backup / "day4.tar"
    gone.unlink()
    scene.index.unlink()
    assert scene.scan().inventory.vanished == (RestorePointId(gone.name),)


def test_a_point_that_comes_up_late_is_back_dated_whatever_the_index_says(scene: Scene, tmp_path: Path) -> None:
    second = Scene(room=scene.room, backup=backup_in(tmp_path / "second"), index=tmp_path / "second.db")
    oldest = second.backup / "day0.tar"
    aside = oldest.rename(tmp_path / "aside.tar")
    second.scan()
    aside.rename(oldest)
    second.in_index(
        "INSERT INTO restore_point SELECT source, ?, '1970-01-01T00:00:00+00:00', first_seen, entries"
        " FROM restore_point LIMIT 1",
        oldest.name,
    )
    assert second.scan().inventory.back_dated == (RestorePointId(oldest.name),)


CLEAN = '{"format": "text", "size": 5, "is_random": false, "faults": [], "note_words": 0}'


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE object SET facts = '{CLEAN}' WHERE facts LIKE '%unknown%'",
        "UPDATE object SET blake3 = 'aa' WHERE key = (SELECT min(key) FROM object)",
        "DELETE FROM object WHERE key = (SELECT min(key) FROM object)",
        "UPDATE object SET key = key || 'x'",
        "UPDATE batch SET signature = zeroblob(64)",
        "UPDATE batch SET number = number + 1000",
        "INSERT INTO object SELECT source, 'x', batch, size, facts, fault, blake3, entropy, checks FROM object LIMIT 1",
        "INSERT INTO hunted SELECT source, key, batch, 'rules', '[]' FROM object LIMIT 1",
    ],
)
def test_an_edited_index_is_refused(scene: Scene, statement: str) -> None:
    scene.in_index(statement)
    with pytest.raises(IndexAltered):
        scene.scan()


def test_rows_in_a_batch_that_nobody_signed_are_not_believed(scene: Scene) -> None:
    scene.in_index("INSERT INTO batch SELECT source, 99, NULL FROM batch LIMIT 1")
    rows = f"SELECT source, key, 99, size, '{CLEAN}', fault, blake3, entropy, checks FROM object"
    scene.in_index(f"INSERT INTO object {rows}")
    found = scene.scan()
    assert (found.new_objects, found.history.points[-1].verdict.value) == (0, "compromised")


def test_batches_of_another_source_are_not_believed(scene: Scene) -> None:
    for table in ("object", "batch"):
        scene.in_index(f"UPDATE {table} SET source = 'dir:x'")
    assert scene.scan().new_objects == OBJECTS


def test_a_batch_that_was_taken_away_is_read_again(scene: Scene) -> None:
    for table in ("object", "batch"):
        scene.in_index(f"DELETE FROM {table}")
    assert scene.scan().new_objects == OBJECTS


def test_a_record_that_was_taken_away_is_missed(scene: Scene) -> None:
    scene.in_records("DELETE FROM estate_records")
    with pytest.raises(RecordAltered):
        scene.scan()


def test_a_record_rolled_back_is_missed(scene: Scene) -> None:
    scene.scan()
    scene.scan()
    scene.in_records("DELETE FROM estate_records WHERE number > 0")
    with pytest.raises(RecordAltered):
        scene.scan()


@pytest.mark.parametrize(
    ("was", "now"), [("2013", "2012"), ('"present":5', '"present":4'), ('northgate"', 'riverside"')]
)
def test_an_edited_record_is_refused(scene: Scene, was: str, now: str) -> None:
    change = "CAST(replace(CAST(document AS TEXT), ?, ?) AS BLOB)"
    scene.in_records(f"UPDATE estate_records SET document = {change}", was, now)
    with pytest.raises(RecordAltered):
        scene.scan()


def test_records_of_another_source_put_in_place_are_refused(scene: Scene) -> None:
    source = f"tar:{scene.backup}"
    scene.in_records("UPDATE estate_records SET source = ?", source + "/.")
    with pytest.raises(RecordAltered):
        hospital_record(Recorder(room=scene.room, party=NORTHGATE)).points(source + "/.")


def test_a_record_that_was_kept_and_not_yet_told_is_told_by_the_next_scan(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SqlRoomState, "acting", killed)
        with pytest.raises(KeyboardInterrupt):
            scene.scan()
    assert scene.scan().inventory.is_as_expected
    told = [e.facts["sequence"] for e in scene.room.audit.entries() if e.act is Act.RECOVERY_SCANNED]
    assert told == [0, 1, 2]
