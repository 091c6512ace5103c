"""``kill -9`` at random moments across three programs: the room, an owner's desk behind mTLS, and the runtime.

Each round asks another question, kills one of the three while it is answered, starts again what is dead, and gives
the same command once more. Nothing that was acknowledged may be gone, nothing counted twice, no key without an intent.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.testing import CliRunner

from asepsis.cli.main import app
from asepsis.domain.names import PartyId
from asepsis.ledger.tree import Fold, leaf_hash
from simulator import COMMON, FEW, NOBODY, OWNERS, RARE, Nursery, World, draft, persons_with, sign

ROUNDS = 100
BUDGET = 10_000
PATIENCE = 300
LONGEST = 4.0
COMMAND = "from asepsis.cli.main import main; main()"
CONCEPTS = (COMMON, RARE, FEW, NOBODY)
VICTIMS = ("room", "desk", "runtime")

RUNTIME = b"asepsis.engines.confinement.inside"
"""What a runtime's process is started as: it confines itself and goes on as the runtime."""

SETTLED = {"released", "refused"}
DECIDED = {"release.released", "release.refused"}

Head = tuple[int, bytes]


def told(*arguments: str | Path) -> dict[str, str]:
    """Run a command with ``--json`` in this process."""
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert done.exit_code == 0, done.output
    found: dict[str, str] = json.loads(done.stdout)
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@dataclass
class Machines:
    """Two desks as programs in homes of their own, and the room between them."""

    world: World
    homes: dict[PartyId, Path] = field(default_factory=dict)
    desks: dict[PartyId, subprocess.Popen[str]] = field(default_factory=dict)

    def move_out(self) -> None:
        """Every owner's home leaves the room's folder; its desk answers across mTLS from now on."""
        room = self.world.path
        introduced = told("keydesk", "introduce", self.world.folder / "room.pem", "--room", room)
        for owner in OWNERS:
            self.homes[owner] = home = self.world.folder / "machines" / owner
            home.parent.mkdir(exist_ok=True)
            (room / "parties" / owner).rename(home)
            made = told("keydesk", "init", "--as", owner, "--at", home, "--listen", f"127.0.0.1:{free_port()}")
            pin = introduced["fingerprint"]
            told("keydesk", "admit", introduced["certificate"], "--at", home, "--fingerprint", pin)
            self.start(owner)
            known = ["--certificate", made["certificate"], "--fingerprint", made["fingerprint"]]
            told("keydesk", "connect", made["address"], "--as", owner, *known, "--room", room)

    def start(self, owner: PartyId) -> None:
        """Start a desk and wait until it answers."""
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "keydesk", "serve", "--at", str(self.homes[owner]), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ready"] is True
        self.desks[owner] = process

    def kill(self, owner: PartyId) -> None:
        """End a desk at once."""
        self.desks[owner].kill()
        self.desks[owner].communicate(timeout=PATIENCE)

    def restart(self) -> None:
        """Start every desk that is dead."""
        for owner, process in list(self.desks.items()):
            if process.poll() is not None:
                self.start(owner)


@contextmanager
def machines(world: World) -> Iterator[Machines]:
    """Desks that are ended afterwards, each by its own process id."""
    found = Machines(world)
    try:
        found.move_out()
        yield found
    finally:
        for owner in found.desks:
            found.kill(owner)


def runtimes_below(ancestor: int) -> list[int]:
    """The runtime processes among the descendants of a process."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    below = {ancestor}
    for _ in range(6):
        below |= {child for child, parent in parents.items() if parent in below}
    found = []
    for process in below - {ancestor}:
        with suppress(OSError):
            if RUNTIME in Path(f"/proc/{process}/cmdline").read_bytes():
                found.append(process)
    return found


def kill_a_runtime(nursery: int, delay: float, done: threading.Event, hit: list[int]) -> None:
    """Wait for a runtime below the nursery, then a little, and kill it if it is still there."""
    until = time.monotonic() + PATIENCE
    while not done.is_set() and time.monotonic() < until:
        for process in runtimes_below(nursery):
            time.sleep(delay)
            if process in runtimes_below(nursery):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
                    hit.append(process)
            return
        time.sleep(0.01)


def disturbed(machines: Machines, warm: Nursery, command: list[str], *, victim: str, chance: random.Random) -> bool:
    """Give a command and kill the victim while it runs; says whether that came before the command's end."""
    if victim == "room":
        return warm.run(command, kill_after=chance.uniform(0.0, LONGEST)).code == -signal.SIGKILL
    done = threading.Event()
    hit: list[int] = []
    if victim == "desk":
        killer = threading.Timer(chance.uniform(0.0, LONGEST), machines.kill, [chance.choice(OWNERS)])
    else:
        delay = chance.uniform(0.0, LONGEST / 4)
        killer = threading.Timer(0.0, kill_a_runtime, [warm._process.pid, delay, done, hit])
    killer.start()
    answer = warm.run(command)
    early = killer.is_alive() and victim == "desk"
    done.set()
    killer.join()
    return answer.code != 0 and not early if victim == "desk" else bool(hit)


def entries_of(database: Path) -> list[bytes]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT entry FROM ledger_entries ORDER BY position").fetchall()
    return [bytes(row[0]) for row in rows]


def grown(database: Path, before: Head) -> tuple[list[dict[str, str]], Head]:
    """The entries of a ledger, after its root over what was acknowledged before was computed anew."""
    entries, fold = entries_of(database), Fold()
    for entry in entries:
        if fold.size == before[0] and fold.size:
            assert fold.root() == before[1]
        fold.add(leaf_hash(entry))
    assert fold.size >= before[0]
    if fold.size == before[0]:
        assert fold.root() == before[1]
    return [json.loads(entry) for entry in entries], (fold.size, fold.root())


def check_desk(database: Path, before: Head, *, runs: int) -> Head:
    """Charges, grants and entries of a desk agree; every finished run was charged once."""
    entries, head = grown(database, before)
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        charges = [row[0] for row in connection.execute("SELECT run FROM charges")]
        grants = [row[0] for row in connection.execute("SELECT run FROM grants")]
    acts = [(entry["act"], entry["subject"]) for entry in entries]
    assert len(charges) == len(set(charges)) == runs
    assert sorted(charges) == sorted(subject for act, subject in acts if act == "budget.charged")
    intents: Counter[str] = Counter()
    for act, subject in acts:
        intents[subject] += act == "grant.intended"
        if act == "grant.given":
            assert intents[subject] > 0
            intents[subject] -= 1
    assert set(grants) == set(charges)
    return head


@pytest.mark.long
def test_a_hundred_kills_across_room_desk_and_runtime_lose_and_double_nothing(
    contributed_world: World, warm: Nursery, tmp_path: Path
) -> None:
    world = contributed_world.copy(tmp_path / "world")
    sign(world, draft(world, budgets=dict.fromkeys(OWNERS, BUDGET)))
    world.room().linkage.link()
    chance, rounds = random.Random(20), int(os.environ.get("ASEPSIS_KILL_ROUNDS", str(ROUNDS)))
    heads: dict[str, Head] = dict.fromkeys(["room", *OWNERS], (0, b""))
    killed: Counter[str] = Counter()
    with machines(world) as running:
        for number in range(rounds):
            victim = VICTIMS[number % len(VICTIMS)]
            sql = persons_with(CONCEPTS[number] if number < len(CONCEPTS) else 900_000_000 + number)
            command = [*world.query(sql), "--json"]
            killed[victim] += disturbed(running, warm, command, victim=victim, chance=chance)
            running.restart()
            answer = warm.run(command)
            assert answer.document()["status"] in SETTLED, (number, victim, answer)
            entries, heads["room"] = grown(world.database, heads["room"])
            runs = {entry["subject"] for entry in entries if entry["act"] == "run.finished"}
            releases = [entry["subject"] for entry in entries if entry["act"] in DECIDED]
            assert len(runs) == number + 2  # the linkage is a run too
            assert len(releases) == len(set(releases)) == number + 1
            for owner in OWNERS:
                heads[owner] = check_desk(running.homes[owner] / "desk.db", heads[owner], runs=number + 2)
        assert world.room().contracts.status().contract.parties
        assert told("ledger", "export", "--out", tmp_path / "ledger.jsonl", "--room", world.path)
        told("ledger", "verify", tmp_path / "ledger.jsonl", "--contract", world.contract_file)
    assert all(killed[victim] >= rounds // 12 for victim in VICTIMS), killed  # many kills met a command at work
