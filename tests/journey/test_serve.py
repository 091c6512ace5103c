"""The real server in a process of its own: started, read from, and ended by its own process id."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from asepsis.bootstrap.room import Room, create_room
from asepsis.domain.names import PartyId

COMMAND = "from asepsis.cli.main import main; main()"
PATIENCE = 300


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """A room with two owners and no contract yet."""
    made = create_room(tmp_path_factory.mktemp("journey") / "room", origin="room.example/journey")
    for owner in ("northgate", "riverside"):
        made.enrol(PartyId(owner), owner=True)
    made.audit.checkpoint()
    return made


@pytest.fixture
def server(room: Room) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A running server and its port."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "serve", "--room", str(room.folder), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://127.0.0.1:" in line, process.communicate(timeout=PATIENCE)
        yield process, int(line.partition("http://127.0.0.1:")[2].partition("/")[0])
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=PATIENCE)


def get(port: int, address: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", address, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def test_the_room_is_read_in_a_browser_and_the_server_ends_when_told(
    server: tuple[subprocess.Popen[str], int], room: Room
) -> None:
    process, port = server
    size = room.state.ledger().size()
    for address in ("/", "/ledger", "/host"):
        answer, body = get(port, address, Accept="text/html")
        assert answer.status == 200
        assert room.origin in body.decode()
        assert "<script" not in body.decode()
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "server" not in answer.headers
    assert json.loads(get(port, "/healthz")[1])["status"] == "ok"
    assert json.loads(get(port, "/v1/contract")[1])["code"] == "contract.none"
    assert get(port, "/", Host="evil.example")[0].status == 403
    assert room.state.ledger().size() == size
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "ended" in output
    assert errors == ""


def test_a_server_that_is_terminated_ends_too(server: tuple[subprocess.Popen[str], int]) -> None:
    process, port = server
    assert get(port, "/v1/ledger")[0].status == 200
    process.terminate()
    process.communicate(timeout=PATIENCE)
    assert process.returncode in {0, -signal.SIGTERM}
