"""``asepsis serve`` refuses what would expose the room; ``asepsis doctor`` tells every problem with a hint."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from served_room import Served, act, make_room
from typer.testing import CliRunner

import asepsis
from asepsis.bootstrap.room import create_room, open_room
from asepsis.cli import server
from asepsis.domain.ledger import Act
from asepsis.engines import runtime_process
from asepsis.engines.confinement.report import Ring

MEASUREMENT_OF_OTHERS = "0" * 64

app = typer.Typer()
app.command("serve")(server.serve)
app.command("doctor")(server.doctor)


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


def examine(room: Path | None = None) -> tuple[int, dict[str, dict[str, object]]]:
    code, output = run("doctor", "--json", *([] if room is None else ["--room", str(room)]))
    document = json.loads(output)
    assert document["ok"] == all(check["ok"] for check in document["checks"])
    assert code == (0 if document["ok"] else 8)
    assert all(bool(check["hint"]) != check["ok"] for check in document["checks"])
    return code, {check["check"]: check for check in document["checks"]}


def problems(checks: dict[str, dict[str, object]]) -> dict[str, object]:
    """What was found to be wrong, but for the space that a test machine happens to have."""
    return {name: check["found"] for name, check in checks.items() if not check["ok"] and name != "disk"}


@pytest.fixture(scope="module")
def _installed() -> None:
    """The runtime runs isolated, so it is found only where this very Asepsis is installed."""
    command = [sys.executable, "-I", "-c", "import asepsis; print(asepsis.__file__)"]
    found = subprocess.run(command, env={}, cwd="/", capture_output=True, text=True, check=False).stdout.strip()
    if found != asepsis.__file__:
        pytest.skip("this Asepsis is not the one that is installed into this Python")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "127.0.0.1.example.org", ""])  # noqa: S104
def test_an_address_that_others_can_reach_is_refused(served: Served, host: str) -> None:
    code, output = run("serve", "--room", str(served.room.folder), "--host", host)
    assert code == 3
    assert "server.address_not_loopback" in output
    assert "no login yet" in output


def test_a_port_that_is_taken_is_told(served: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, output = run("serve", "--room", str(served.room.folder), "--port", port)
    assert code == 8
    assert "server.port_unavailable" in output


def test_a_folder_that_is_no_room_is_not_served(tmp_path: Path) -> None:
    code, output = run("serve", "--room", str(tmp_path), "--port", "0")
    assert code == 4
    assert "room.missing" in output


def test_the_doctor_finds_a_healthy_room(served: Served) -> None:
    _, checks = examine(served.room.folder)
    assert {"python", "libraries", "evidence", "memory files", "room", "ledger"} <= {
        name for name, check in checks.items() if check["ok"]
    }
    assert "NON-CONFIDENTIAL" in str(checks["evidence"]["found"])
    assert "cosigned by northgate, riverside" in str(checks["ledger"]["found"])


@pytest.mark.usefixtures("_installed")
def test_a_room_whose_contract_names_this_program_is_all_well(served: Served) -> None:
    _, checks = examine(served.room.folder)
    assert problems(checks) == {}
    assert "refuses an empty order" in str(checks["runtime"]["found"])
    assert "is named by the contract" in str(checks["program"]["found"])


@pytest.mark.usefixtures("_installed")
def test_a_program_that_the_contract_does_not_name_is_a_problem(tmp_path: Path) -> None:
    room = make_room(tmp_path / "room", runtime={"level": 0, "measurements": [MEASUREMENT_OF_OTHERS]})
    code, checks = examine(room.folder)
    assert code == 8
    assert "not named" in str(checks["program"]["found"])


@pytest.mark.usefixtures("_installed")
def test_without_a_room_the_machine_alone_is_examined() -> None:
    _, checks = examine()
    assert problems(checks) == {}
    machine = {"python", "libraries", "evidence", "memory files", "runtime", "confinement", "disk", "program"}
    assert checks.keys() == machine


def test_a_room_that_is_none_is_a_problem_of_the_room_only(tmp_path: Path) -> None:
    code, checks = examine(tmp_path)
    assert code == 8
    assert str(checks["room"]["found"]).startswith("room.missing")
    assert checks["memory files"]["ok"]


def test_a_room_without_a_contract_is_told(tmp_path: Path) -> None:
    room = create_room(tmp_path / "room", origin="room.example")
    _, checks = examine(room.folder)
    assert checks["room"]["ok"]
    assert str(checks["ledger"]["found"]).startswith("contract.none")


def test_a_ledger_that_an_owner_did_not_cosign_is_a_problem(tmp_path: Path) -> None:
    room = make_room(tmp_path / "room")
    note = room.audit.checkpoint()
    bare = "\n".join(line for line in note.split("\n") if not line.startswith("— riverside"))
    with room.state.noting() as tables:
        tables.put_checkpoint(int(note.split("\n")[1]), note=bare)
    _, checks = examine(room.folder)
    assert str(checks["ledger"]["found"]).startswith("ledger.quorum_missing")


def test_a_ledger_that_is_not_what_was_cosigned_is_a_problem(tmp_path: Path) -> None:
    room = make_room(tmp_path / "room")
    note = room.audit.checkpoint()
    document = room.contracts.papers().contract
    room.state.close()
    for file in (room.folder / "host").glob("room.db*"):
        file.unlink()
    rewritten = open_room(room.folder)
    rewritten.contracts.propose(document)
    while rewritten.state.ledger().size() < int(note.split("\n")[1]):
        with rewritten.state.acting(act(Act.CONTRACT_PROPOSED, rewritten.host, "rare-diseases")):
            pass
    with rewritten.state.noting() as tables:
        tables.put_checkpoint(int(note.split("\n")[1]), note=note)
    _, checks = examine(rewritten.folder)
    assert str(checks["ledger"]["found"]).startswith("ledger.checkpoint_refused")


def test_the_doctor_says_what_is_missing_around_a_runtime_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine is as it is; the outer ring is left away."""
    monkeypatch.setattr(runtime_process, "best_ring", lambda *_: Ring.NOTHING)
    line = server._line(server._attempt("confinement", server._confinement))
    assert line.startswith("ok")
    assert "WITHOUT" in line
    assert "bubblewrap" in line.partition("hint:")[2]


def test_the_doctors_text_gives_a_hint_under_each_problem(tmp_path: Path) -> None:
    code, output = run("doctor", "--room", str(tmp_path))
    assert code == 8
    assert output.count("PROBLEM") == output.count("hint: ")
