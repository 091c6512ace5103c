"""Two desks as programs of their own, and a room that holds no owner's key: linked, asked, stopped and ended."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from asepsis.bootstrap.room import Room, open_room
from asepsis.cli.main import app
from asepsis.cli.story.agreement import LABORATORY, NORTHGATE
from asepsis.desks.remote import RemoteDesk
from asepsis.domain.analysis import Analysis, AnalysisKind
from asepsis.errors.desk import DeskStopped, DeskUnreachable
from simulator import COMMON, OWNERS, RARE, World

COMMAND = "from asepsis.cli.main import main; main()"
PATIENCE = 300
COUNT = "SELECT count(DISTINCT person_id) AS n FROM condition_occurrence WHERE condition_concept_id = "


def question(concept: int) -> Analysis:
    return Analysis(kind=AnalysisKind.QUERY, author=LABORATORY, body=f"{COUNT}{concept}", arguments={})


def asepsis(*arguments: str | Path, code: int = 0) -> dict[str, Any]:
    """Run a command with ``--json`` in this process and read what it prints."""
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert done.exit_code == code, done.output
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def serving(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A desk that answers; ended by its own process id."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "keydesk", "serve", "--at", str(home), "--log-level", "info", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate(timeout=PATIENCE)
        assert json.loads(line)["ready"] is True
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=PATIENCE)


def move_out(world: World) -> dict[str, Path]:
    """Every owner's home leaves the room's folder and becomes that of a program; returns the homes."""
    introduced = asepsis("keydesk", "introduce", world.folder / "room.pem", "--room", world.path)
    homes = {}
    for owner in OWNERS:
        homes[owner] = home = world.folder / "machines" / owner
        home.parent.mkdir(exist_ok=True)
        shutil.move(world.path / "parties" / owner, home)
        made = asepsis("keydesk", "init", "--as", owner, "--at", home, "--listen", f"127.0.0.1:{free_port()}")
        (world.folder / f"{owner}.json").write_text(json.dumps(made))
        pin = introduced["fingerprint"]
        assert asepsis("keydesk", "admit", introduced["certificate"], "--at", home, "--fingerprint", pin)["room"] == pin
    return homes


def connect(world: World, owner: str) -> dict[str, Any]:
    made = json.loads((world.folder / f"{owner}.json").read_text())
    known = ["--certificate", made["certificate"], "--fingerprint", made["fingerprint"]]
    return asepsis("keydesk", "connect", made["address"], "--as", owner, *known, "--room", world.path)


def test_a_room_without_any_owners_key_is_asked_through_two_desks(world: World) -> None:
    homes = move_out(world)
    with ExitStack() as desks:
        running = [desks.enter_context(serving(home)) for home in homes.values()]
        room = connected(world)
        assert room.analyses.ask(question(COMMON)).released
        assert world.verify_ledger() > 10
        asepsis("keydesk", "stop", "--as", NORTHGATE, "--at", homes[NORTHGATE])
        with pytest.raises(DeskStopped):
            room.analyses.ask(question(RARE))
        for process, number in zip(running, (signal.SIGTERM, signal.SIGINT), strict=True):
            process.send_signal(number)
            output, log = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, log
            assert json.loads(output)["ended"] is True
            check_log(log)
        with pytest.raises(DeskUnreachable):
            open_room(world.path).audit.checkpoint()


@pytest.mark.long
def test_patients_are_linked_through_two_desks(unlinked: World) -> None:
    homes = move_out(unlinked)
    with ExitStack() as desks:
        for home in homes.values():
            desks.enter_context(serving(home))
        room = connected(unlinked)
        room.linkage.link()
        assert room.analyses.ask(question(COMMON)).released


def connected(world: World) -> Room:
    """The room once both desks are connected: no key and no memory of an owner is in its folder."""
    for owner in OWNERS:
        assert connect(world, owner)["party"] == owner
    assert not [path for name in ("owner.kek", "desk.db") for path in world.path.rglob(name)]
    room = open_room(world.path)
    assert {type(desk) for desk in room.desks.values()} == {RemoteDesk}
    return room


def check_log(log: str) -> None:
    """Every line says which question, how it ended and how long it took, and nothing that was said."""
    lines = [json.loads(line) for line in log.splitlines()]
    assert {line["event"] for line in lines} <= {"desk.listening", "desk.answered", "desk.refused", "desk.ended"}
    assert {"nonce", "grant", "cosign", "seen"} <= {line.get("step") for line in lines}
    allowed = {"event", "level", "at", "party", "step", "code", "seconds", "port"}
    assert all(set(line) <= allowed for line in lines)


def test_a_desk_serves_nobody_before_a_room_is_admitted(tmp_path: Path) -> None:
    asepsis("keydesk", "init", "--as", "northgate", "--at", tmp_path / "desk", "--listen", "127.0.0.1:0")
    asepsis("keydesk", "serve", "--at", tmp_path / "desk", code=4)
    again = asepsis("keydesk", "init", "--as", "northgate", "--at", tmp_path / "desk", code=5)
    assert again["error"]["code"] == "desk.home_exists"


def test_a_room_is_admitted_by_its_fingerprint_alone(world: World) -> None:
    home = world.folder / "desk"
    asepsis("keydesk", "init", "--as", "northgate", "--at", home)
    introduced = asepsis("keydesk", "introduce", world.folder / "room.pem", "--room", world.path)
    wrong = "0" * 64
    refused = asepsis("keydesk", "admit", introduced["certificate"], "--at", home, "--fingerprint", wrong, code=7)
    assert refused["error"]["code"] == "keys.certificate_refused"
    loud = ":".join(introduced["fingerprint"].upper()[i : i + 2] for i in range(0, 64, 2))
    asepsis("keydesk", "admit", introduced["certificate"], "--at", home, "--fingerprint", loud)


def test_a_desk_with_other_keys_than_the_contract_names_is_not_connected(world: World) -> None:
    """The home is new: its keys are not those that all parties signed."""
    home = world.folder / "stranger"
    made = asepsis("keydesk", "init", "--as", NORTHGATE, "--at", home, "--listen", f"127.0.0.1:{free_port()}")
    introduced = asepsis("keydesk", "introduce", world.folder / "room.pem", "--room", world.path)
    asepsis("keydesk", "admit", introduced["certificate"], "--at", home, "--fingerprint", introduced["fingerprint"])
    known = ["--certificate", made["certificate"], "--fingerprint", made["fingerprint"]]
    with serving(home):
        refused = asepsis(
            "keydesk", "connect", made["address"], "--as", NORTHGATE, *known, "--room", world.path, code=7
        )
    assert refused["error"]["code"] == "desk.of_another"
    assert open_room(world.path).book.owners() == ()


def test_an_owner_whose_home_is_elsewhere_acts_in_the_room(world: World) -> None:
    """The variable names the home; the owner signs there, not at the folder that the room holds."""
    home = move_out(world)[NORTHGATE]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASEPSIS_HOME", str(home))
        room = open_room(world.path)
        assert room.home(NORTHGATE) == home
        document = room.state.contract()[1]
        assert len(room.sign_contract(NORTHGATE, document)) == 64
