"""Whoever can write to the backup, to the estate index or to the record of a source is found out by what was signed."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from asepsis.bootstrap.backups import look_into
from asepsis.bootstrap.estates import RECORDS, Recorder, ScanRequest, hospital_record, scan_estate
from asepsis.bootstrap.room import Room, create_room
from asepsis.domain.ledger import Act
from asepsis.domain.names import PartyId, RestorePointId
from asepsis.errors.estate import IndexAltered, RecordAltered
from asepsis.store.room_state import SqlRoomState

REPOSITORY = Path(__file__).parents[2] / "examples" / "two_hospitals" / "northgate" / "restic-repository"
NORTHGATE = PartyId("northgate")


@dataclass
class Scene:
    """A hospital's room, its backup, and the index beside the backup."""

    room: Room
    repository: Path
    index: Path

    def scan(self) -> Any:
        recorder = Recorder(room=self.room, party=NORTHGATE)
        request = ScanRequest(uri=f"restic:{self.repository}", index=self.index, recorder=recorder)
        return scan_estate(request, report=lambda _: None)

    def in_index(self, statement: str, *values: object) -> None:
        with sqlite3.connect(self.index) as connection:
            assert connection.execute(statement, values).rowcount > 0

    def in_records(self, statement: str, *values: object) -> None:
        with sqlite3.connect(self.room.home(NORTHGATE) / RECORDS) as connection:
            assert connection.execute(statement, values).rowcount > 0

    def newest(self) -> Path:
        return max((self.repository / "snapshots").iterdir(), key=lambda path: path.stat().st_mtime)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("estate")
    room = create_room(folder / "room", origin="asepsis.local/estate")
    room.enrol(NORTHGATE, owner=True)
    repository = Path(shutil.copytree(REPOSITORY, folder / "repository"))
    scene = Scene(room=room, repository=repository, index=folder / "estate.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASEPSIS_RESTIC_PASSWORD", "northgate-demo")
        assert scene.scan().new_objects == 28
    return scene


@pytest.fixture
def scene(scanned: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A copy to be tampered with, at the place where the original was: a source is known by its address."""
    monkeypatch.setenv("ASEPSIS_RESTIC_PASSWORD", "northgate-demo")
    kept = {name: getattr(scanned, name) for name in ("repository", "index")}
    for name, path in kept.items():
        target = tmp_path / name
        shutil.copytree(path, target) if path.is_dir() else shutil.copy(path, target)
    folder = shutil.copytree(scanned.room.folder, tmp_path / "room")
    room = Room(folder, scanned.room.host, scanned.room.origin)
    link = Path(kept["repository"])
    yield Scene(room=room, repository=link, index=tmp_path / "index")  # type: ignore[misc]
    shutil.rmtree(link)
    shutil.copytree(tmp_path / "repository", link)


def test_an_honest_second_scan_reads_nothing_and_is_told_to_the_ledger(scene: Scene) -> None:
    found = scene.scan()
    assert (found.new_objects, found.inventory.is_as_expected) == (0, True)
    told = [entry for entry in scene.room.audit.entries() if entry.act is Act.RECOVERY_SCANNED]
    assert [entry.facts["sequence"] for entry in told] == [0, 1]
    assert {entry.facts["count"] for entry in told} == {5}


def test_a_vanished_point_is_named_whatever_the_index_says(scene: Scene) -> None:
    gone = scene.newest()
    gone.unlink()
    scene.in_index("DELETE FROM restore_point WHERE id = ?", gone.name)
    assert scene.scan().inventory.vanished == (RestorePointId(gone.name),)


def test_a_vanished_point_is_named_even_with_a_new_index(scene: Scene) -> None:
    gone = scene.newest()
    gone.unlink()
    scene.index.unlink()
    assert scene.scan().inventory.vanished == (RestorePointId(gone.name),)


def test_a_point_that_comes_up_late_is_back_dated_whatever_the_index_says(scene: Scene, tmp_path: Path) -> None:
    repository = Path(shutil.copytree(REPOSITORY, tmp_path / "second"))
    second = Scene(room=scene.room, repository=repository, index=tmp_path / "second.db")
    source = look_into(f"restic:{repository}")
    oldest = repository / "snapshots" / source.restore_points()[0].id
    late = oldest.read_bytes()
    oldest.unlink()
    second.scan()
    oldest.write_bytes(late)
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
        "UPDATE batch SET number = number + 1",
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
    assert scene.scan().new_objects == 28


def test_a_batch_that_was_taken_away_is_read_again(scene: Scene) -> None:
    for table in ("object", "batch"):
        scene.in_index(f"DELETE FROM {table}")
    assert scene.scan().new_objects == 28


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
    source = f"restic:{scene.repository}"
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
