"""``kill -9`` at any moment of a scan or a comparison: the same command goes on, finds nothing twice, harms no source.

That a publication that is killed goes on is shown by ``test_room_killed.py``.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from asepsis.bootstrap.estates import Recorder, ScanRequest, scan_estate
from asepsis.bootstrap.room import Room, create_room
from asepsis.cli.main import app
from asepsis.domain.ledger import Act
from asepsis.domain.names import PartyId
from asepsis.services import estate_reading

REPOSITORY = Path(__file__).parents[2] / "examples" / "two_hospitals" / "northgate" / "restic-repository"
NORTHGATE = PartyId("northgate")
ROUNDS = [2, pytest.param(20, marks=pytest.mark.long)]


def digests(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        str(path): (sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def killed(work: Callable[[], object], *, after: float) -> bool:
    """Do the work in a child that dies after some seconds of CPU; whether it died before it ended.

    The clock of the CPU kills as ``kill -9`` does: nothing of Python runs any more. A loaded machine changes nothing.
    """
    child = os.fork()
    if not child:
        signal.setitimer(signal.ITIMER_PROF, after)
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASEPSIS_RESTIC_PASSWORD", "northgate-demo")
    monkeypatch.setattr(estate_reading, "_SECONDS", 0.0)
    return Path(shutil.copytree(REPOSITORY, tmp_path / "repository"))


def scanned(repository: Path, index: Path, room: Room) -> Any:
    recorder = Recorder(room=room, party=NORTHGATE)
    return scan_estate(ScanRequest(uri=f"restic:{repository}", index=index, recorder=recorder), report=lambda _: None)


def room_in(folder: Path) -> Room:
    room = create_room(folder, origin="asepsis.local/killed")
    room.enrol(NORTHGATE, owner=True)
    return room


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_scan_killed_at_any_moment_goes_on_and_finds_nothing_twice(
    repository: Path, tmp_path: Path, rounds: int
) -> None:
    before, dice = digests(repository), random.Random(rounds)
    started = time.process_time()
    whole = scanned(repository, tmp_path / "whole.db", room_in(tmp_path / "whole"))
    lasts, room, index = time.process_time() - started, room_in(tmp_path / "room"), tmp_path / "estate.db"
    kills = sum(
        killed(lambda: scanned(repository, index, room), after=0.01 + dice.random() * lasts * 0.8 * (number > 0))
        for number in range(rounds)
    )
    found = scanned(repository, index, room)
    assert kills
    assert (found.history.points, found.inventory.is_as_expected) == (whole.history.points, True)
    assert (found.objects, found.unread) == (whole.objects, 0)
    with sqlite3.connect(index) as connection:
        rows, keys = connection.execute("SELECT count(*), count(DISTINCT key) FROM object").fetchone()
        points = connection.execute("SELECT count(*) FROM restore_point").fetchone()[0]
    assert (rows, keys, points) == (whole.objects, whole.objects, 5)
    told = [e.facts["sequence"] for e in room.audit.entries() if e.act is Act.RECOVERY_SCANNED]
    assert told == list(range(len(told)))
    assert digests(repository) == before


def days(folder: Path) -> None:
    """Two states of a table; in the second a few rows differ."""
    for day in range(2):
        (folder / str(day)).mkdir(parents=True)
        lines = ["id,name,value"]
        lines += [f"{n},name{n % 7},{n * 3 if day and n % 997 == 0 else n}" for n in range(8_000)]
        (folder / str(day) / "lab.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.long
def test_a_comparison_killed_at_any_moment_harms_nothing_and_is_made_again(tmp_path: Path) -> None:
    rounds = 20
    days(tmp_path / "days")
    before, dice = digests(tmp_path / "days"), random.Random(rounds)

    def compared(name: str) -> Any:
        out = tmp_path / name
        out.mkdir()
        command = ["recover", "compare", str(tmp_path / "days" / "0"), str(tmp_path / "days" / "1"), "--json"]
        command += ["--key", "lab=id", "--rows", str(out / "rows"), "--patch", str(out / "patch")]
        return json.loads(CliRunner().invoke(app, command).output)

    started = time.process_time()
    whole = compared("whole")
    lasts = time.process_time() - started
    kills = sum(
        killed(lambda n=n: compared(f"killed{n}"), after=0.01 + dice.random() * lasts * 0.8 * (n > 0))
        for n in range(rounds)
    )
    again = compared("again")
    assert kills
    assert (again["ledger"], again["divergences"]) == (whole["ledger"], whole["divergences"])
    assert again["restored_root"] == whole["restored_root"]
    assert digests(tmp_path / "days") == before
