"""``kill -9`` at any moment of a scan of published disks: the next command leaves no mount, and finds nothing twice.

The server is a stub of ours in this process; commands are children that die before a request is handled, after it was
handled and before they know, or a while after they know.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from asepsis.bootstrap.estates import ScanRequest, scan_estate
from veeam_stub import Stub, httpx2, serving, uid

ROUNDS = [3, pytest.param(20, marks=pytest.mark.long)]


class Killer:
    """A stub that kills its client at one of the client's requests."""

    def __init__(self, stub: Stub) -> None:
        self.stub = stub
        self.requests = 0
        self.victim = 0
        self.at = (0, "")
        self.lock = Lock()

    def __call__(self, request: Any) -> Any:
        with self.lock:
            self.requests += 1
            number, when = self.at
            if self.victim and self.requests == number and when == "before":
                self.kill()
                return httpx2.Response(404)  # the request never arrived
            answer = self.stub(request)
            if self.victim and self.requests == number and when == "after":
                self.kill()
            return answer

    def kill(self) -> None:
        os.kill(self.victim, signal.SIGKILL)
        self.victim = 0


@pytest.fixture
def killer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Killer]:
    volume = tmp_path / "mounts" / "disk"
    for number in range(12):
        file = volume / f"ward{number % 3}" / f"labs{number}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"a;b\n" + b"%d;2\n" % number * 2_000)
    stub = Stub(volume=str(volume), points=2, polls=2)
    values = {"USER": "svc", "PASSWORD": "pw", "TARGET": "room", "CREDENTIALS": uid(77)}
    values |= {"MOUNT_ROOT": str(tmp_path / "mounts"), "JOURNAL": str(tmp_path / "journal")}
    for name, value in values.items():
        monkeypatch.setenv(f"ASEPSIS_VEEAM_{name}", value)
    return Killer(stub)


def scanned(address: str, index: Path) -> Any:
    return scan_estate(ScanRequest(uri=f"veeam:{address}", index=index), report=lambda _: None)


def in_child(killer: Killer, address: str, index: Path, *, at: tuple[int, str]) -> bool:
    """A scan in a child; whether it was killed."""
    killer.requests, killer.at = 0, at
    with killer.lock:  # no request is handled before it is known whom it would kill
        child = os.fork()
        if not child:
            killer.lock = Lock()
            try:
                scanned(address, index)
            finally:
                os._exit(0)
        killer.victim = child
    if at[1].startswith("later"):
        while killer.requests < at[0] and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.001)
        time.sleep(float(at[1].removeprefix("later ")))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    killer.victim = 0
    return os.WIFSIGNALED(status)


def files_in(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        str(path): (sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("rounds", ROUNDS)
def test_what_is_published_when_a_command_is_killed_is_taken_down_by_the_next_one(
    killer: Killer, tmp_path: Path, rounds: int
) -> None:
    dice, before = random.Random(rounds), files_in(tmp_path / "mounts")
    kills = sure = left = 0
    with serving(killer) as address:
        whole = scanned(address, tmp_path / "whole.db")
        asked = killer.requests
        publish = next(n for n, (r, _) in enumerate(killer.stub.seen, 1) if r.url.path.endswith("/publish"))
        for number in range(rounds):
            index = tmp_path / f"{number}.db"
            at = dice.randrange(1, asked + 1), dice.choice(["before", "after", f"later {dice.random() * 0.1}"])
            if not number:
                at = publish, "after"  # the server has it, and the client never heard of it
            kills += in_child(killer, address, index, at=at)
            sure += not at[1].startswith("later")  # a little later it may be done
            left += bool(killer.stub.mounts)
            found = scanned(address, index)
            assert killer.stub.mounts == {}, at
            assert found.history.points == whole.history.points
            assert found.inventory.is_as_expected
            with sqlite3.connect(index) as connection:
                rows = connection.execute("SELECT count(*), count(DISTINCT key) FROM object").fetchone()
            assert rows == (whole.objects, whole.objects)
    assert kills >= sure >= 1
    assert left >= 1
    assert files_in(tmp_path / "mounts") == before
