"""A scan reads every different object once, ever, and notices restore points that are not what they were."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from typer.testing import CliRunner

from asepsis.bootstrap.backups import look_into
from asepsis.cli.main import app
from asepsis.domain.estate import NOT_READ
from asepsis.domain.names import RestorePointId
from asepsis.errors.estate import IndexUnusable
from asepsis.integrity.reading import read_object
from asepsis.services import estate_reading
from asepsis.services.estate import Estate
from asepsis.services.looking import last_clean
from asepsis.store.estate_index import EstateIndex

REPOSITORY = Path(__file__).parents[3] / "examples" / "two_hospitals" / "northgate" / "restic-repository"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASEPSIS_RESTIC_PASSWORD", "northgate-demo")
    return Path(shutil.copytree(REPOSITORY, tmp_path / "repository"))


def scanned(repository: Path, index: Path, **options: Any) -> Any:
    opened = EstateIndex(index)
    try:
        source = look_into(f"restic:{repository}")
        return Estate(source=source, index=opened, clock=lambda: datetime.now(UTC), **options).scan()
    finally:
        opened.close()


def snapshots(repository: Path) -> list[Path]:
    """Oldest first."""
    points = look_into(f"restic:{repository}").restore_points()
    return [repository / "snapshots" / point.id for point in points]


def test_a_second_scan_reads_nothing_and_says_the_same(repository: Path, tmp_path: Path) -> None:
    before = {path: sha256(path.read_bytes()).digest() for path in repository.rglob("*") if path.is_file()}
    first, second = (scanned(repository, tmp_path / "estate.db") for _ in range(2))
    assert (first.new_objects, second.new_objects) == (first.objects, 0)
    assert first.history.points == second.history.points
    assert first.history.points == last_clean(look_into(f"restic:{repository}")).points
    assert second.inventory.is_as_expected
    assert {path: sha256(path.read_bytes()).digest() for path in repository.rglob("*") if path.is_file()} == before


def test_a_scan_says_how_many_bytes_were_read_and_how_many_were_followed_to_their_end(
    repository: Path, tmp_path: Path
) -> None:
    source = look_into(f"restic:{repository}")
    sizes = {e.content_id: e.size for p in source.restore_points() for e in source.walk(p.id) if e.type == "file"}
    whole = scanned(repository, tmp_path / "estate.db")
    assert whole.size == whole.size_read == sum(sizes.values())
    assert 0 < whole.size_checked < whole.size
    max((repository / "data").rglob("*"), key=lambda path: path.is_file() and path.stat().st_size).unlink()
    damaged = scanned(repository, tmp_path / "other.db")
    assert damaged.size == whole.size > damaged.size_read


def test_a_scan_that_was_stopped_goes_on_where_it_was(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estate_reading, "_SECONDS", 0.0)
    read = 0

    def stopping(count: int) -> None:
        nonlocal read
        read += count
        if read > 2_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scanned(repository, tmp_path / "estate.db", pace=stopping)
    again, whole = scanned(repository, tmp_path / "estate.db"), scanned(repository, tmp_path / "other.db")
    assert 0 < again.new_objects < again.objects
    assert again.history.points == whole.history.points


def test_an_object_that_could_not_be_read_is_tried_again(repository: Path, tmp_path: Path) -> None:
    pack = max((repository / "data").rglob("*"), key=lambda path: path.is_file() and path.stat().st_size)
    content = pack.read_bytes()
    pack.unlink()
    damaged = scanned(repository, tmp_path / "estate.db")
    pack.write_bytes(content)
    again = scanned(repository, tmp_path / "estate.db")
    assert any("object.unreadable" in o.reasons for point in damaged.history.points for o in point.objects)
    assert 0 < again.new_objects < again.objects
    assert again.history.points == scanned(repository, tmp_path / "other.db").history.points


def test_a_restore_point_that_vanished_is_named_for_ever(repository: Path, tmp_path: Path) -> None:
    scanned(repository, tmp_path / "estate.db")
    gone = snapshots(repository)[1]
    gone.unlink()
    for _ in range(2):
        assert scanned(repository, tmp_path / "estate.db").inventory.vanished == (RestorePointId(gone.name),)


def test_a_restore_point_that_comes_up_late_under_an_old_date_is_named(repository: Path, tmp_path: Path) -> None:
    late = snapshots(repository)[0]
    content = late.read_bytes()
    late.unlink()
    scanned(repository, tmp_path / "estate.db")
    late.write_bytes(content)
    assert scanned(repository, tmp_path / "estate.db").inventory.back_dated == (RestorePointId(late.name),)


def test_a_folder_that_was_changed_under_one_name_is_rewritten(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.txt").write_text("one")
    uri = f"dir:{folder}"
    index = EstateIndex(tmp_path / "estate.db")

    def run() -> Any:
        return Estate(source=look_into(uri), index=index, clock=lambda: datetime.now(UTC)).scan()

    assert run().inventory.is_as_expected
    (folder / "a.txt").write_text("another text")
    assert len(run().inventory.rewritten) == 1
    index.close()


def test_an_object_is_digested_whole_and_its_entropy_measured() -> None:
    noise, text = random.Random(1).randbytes(300_000), b"aabb" * 50_000
    found = read_object(BytesIO(noise), key="k", size=len(noise))
    assert found.blake3 == blake3(noise).hexdigest()
    assert found.entropy is not None
    assert found.entropy > 7.99
    assert read_object(BytesIO(text), key="k", size=len(text)).entropy == 1.0
    assert read_object(BytesIO(b""), key="k", size=0).entropy == 0.0


def test_a_file_that_is_no_index_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes, and nothing else" * 100)
    with pytest.raises(IndexUnusable):
        EstateIndex(path)
    assert path.read_text().startswith("these are notes")


def test_the_command_says_what_was_read_and_fails_on_a_vanished_point(repository: Path, tmp_path: Path) -> None:
    arguments = ["recover", "scan", f"restic:{repository}", "--index", str(tmp_path / "estate.db")]
    first = CliRunner().invoke(app, arguments)
    assert first.exit_code == 0
    assert "read now: 28 of 28 objects" in first.output
    snapshots(repository)[0].unlink()
    second = CliRunner().invoke(app, [*arguments, "--json"])
    document = json.loads(second.output)
    assert second.exit_code == 7
    assert (len(document["vanished"]), document["new_objects"]) == (1, 0)
    assert set(document["blake3"]) >= {"/data/README_RESTORE_FILES.txt"}


def test_an_index_that_is_damaged_inside_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "estate.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE restore_point (id TEXT)")
        connection.execute("PRAGMA user_version = 2")
    index = EstateIndex(path)
    for ask in (index.known, index.points):
        with pytest.raises(IndexUnusable):
            ask("dir:x")
    index.close()


def test_an_index_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "estate.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 3")
    with pytest.raises(IndexUnusable):
        EstateIndex(path)


def test_a_verdict_from_the_index_alone_reads_no_object_and_keeps_nothing(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estate_reading, "read_object", lambda *_, **__: pytest.fail("an object was read"))
    quick = scanned(repository, tmp_path / "estate.db", reads=False)
    assert quick.new_objects == quick.unread == quick.objects > 0
    assert quick.history.last_clean is None
    assert all(NOT_READ in one.reasons for point in quick.history.points for one in point.objects)
    monkeypatch.undo()
    monkeypatch.setenv("ASEPSIS_RESTIC_PASSWORD", "northgate-demo")
    full = scanned(repository, tmp_path / "estate.db")
    assert (full.new_objects, full.unread) == (full.objects, 0)
    assert full.unparsed > 0
    assert full.roots == quick.roots
    assert scanned(repository, tmp_path / "estate.db", reads=False).history.points == full.history.points
