"""One shape of every error, headers on every answer, and no way in for a foreign page."""

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served_room import CANARY, Served
from starlette.testclient import TestClient

from asepsis.api.guard import is_loopback_host
from asepsis.bootstrap.room import create_room
from asepsis.cli.server import application
from asepsis.errors.store import StoreUnavailable
from asepsis.store.room_state import SqlRoomState
from asepsis.wire.problem import HEADERS, PROBLEM_TYPE, Problem

BAD_REQUESTS = [
    ("/v1/nothing", 404, "http.address_unknown"),
    ("/v1", 404, "http.address_unknown"),
    ("/v1/", 404, "http.address_unknown"),
    ("/nothing", 404, "http.address_unknown"),
    ("/static/../app.py", 404, "http.address_unknown"),
    ("/static/%2e%2e%2fapp.py", 404, "http.address_unknown"),
    ("/static/macros.html", 404, "http.address_unknown"),
    (f"/v1/releases/{CANARY}", 422, "http.request_refused"),
    (f"/releases/{CANARY}", 404, "http.address_unknown"),
    ("/v1/releases/release-00000000000000ff", 404, "room.record_missing"),
    ("/releases/release-00000000000000ff", 404, "room.record_missing"),
    (f"/v1/ledger?start={CANARY}", 422, "http.request_refused"),
    ("/v1/ledger?limit=501", 422, "http.request_refused"),
    ("/v1/ledger?start=-1", 422, "http.request_refused"),
    (f"/ledger?page={CANARY}", 422, "http.request_refused"),
    ("/ledger?page=0", 422, "http.request_refused"),
    ("/ledger?page=\u0661", 422, "http.request_refused"),
]


@pytest.mark.parametrize(("address", "status", "code"), BAD_REQUESTS)
def test_every_error_is_a_problem_of_one_shape(client: TestClient, address: str, status: int, code: str) -> None:
    answer = client.get(address)
    problem = Problem.model_validate(answer.json())
    assert (answer.status_code, problem.status, problem.code) == (status, status, code)
    assert answer.headers["content-type"] == PROBLEM_TYPE
    assert problem.hint
    assert CANARY not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("address", ["/v1/releases", "/v1/contract", "/", "/ledger", "/healthz"])
def test_nothing_can_be_written(client: TestClient, method: str, address: str) -> None:
    answer = client.request(method, address, content=CANARY)
    assert (answer.status_code, answer.json()["code"]) == (405, "http.method_refused")
    assert CANARY not in answer.text


@pytest.mark.parametrize(
    "address", ["/", "/ledger", "/host", "/static/asepsis.css", "/v1/contract", "/v1/nothing", "/nothing", "/healthz"]
)
def test_every_answer_carries_the_security_headers(client: TestClient, address: str) -> None:
    headers = client.get(address).headers
    assert {name: headers[name] for name in HEADERS} == dict(HEADERS)
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; img-src 'self'")
    assert "unsafe" not in policy
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "", "[::2]", "10.0.0.1"]
)
@pytest.mark.parametrize("address", ["/", "/v1/contract", "/healthz"])
def test_a_page_of_another_name_cannot_reach_the_room(client: TestClient, address: str, host: str) -> None:
    answer = client.get(address, headers={"host": host})
    assert (answer.status_code, answer.json()["code"]) == (403, "http.host_not_named")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8765", "localhost:1", "LOCALHOST", "[::1]:8765", "[::1]"])
def test_loopback_names_are_served(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"host": host}).status_code == 200


@given(st.text())
def test_no_other_text_is_a_loopback_host(text: str) -> None:
    known = ("127.", "localhost", "[::1]", "[0:", "[127.", "[::ffff:127.")
    assert not is_loopback_host(text) or text.lower().startswith(known)


@pytest.fixture
def broken(client: TestClient) -> Iterator[TestClient]:
    """The room's state fails with an error that quotes the canary."""

    def fail(*_arguments: object) -> None:
        raise RuntimeError(CANARY)

    with (
        patch.object(SqlRoomState, "contract", fail),
        patch.object(SqlRoomState, "ledger", fail),
        patch.object(SqlRoomState, "releases", fail),
    ):
        yield client


@pytest.mark.parametrize("address", ["/", "/ledger", "/v1/contract", "/v1/ledger", "/v1/releases"])
@pytest.mark.parametrize("accept", ["text/html", "*/*"])
def test_an_unexpected_error_tells_nothing(
    broken: TestClient, address: str, accept: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = broken.get(address, headers={"accept": accept})
    assert (answer.status_code, "bug.unexpected" in answer.text) == (500, True)
    assert CANARY not in answer.text + str(answer.headers)
    assert CANARY not in caplog.text + "".join(capfd.readouterr())


def test_a_known_error_keeps_its_code_and_status(client: TestClient) -> None:
    def fail(*_arguments: object) -> None:
        raise StoreUnavailable(path="room.db")

    with patch.object(SqlRoomState, "releases", fail):
        assert client.get("/v1/releases").json()["code"] == StoreUnavailable.code
        assert client.get("/", headers={"accept": "text/html"}).status_code == StoreUnavailable.kind.http_status


def test_an_empty_room_says_what_is_missing(tmp_path: Path) -> None:
    empty = TestClient(application(create_room(tmp_path / "room", origin="room.example")), base_url="http://localhost")
    assert empty.get("/v1/contract").json()["code"] == "contract.none"
    assert empty.get("/v1/checkpoint").status_code == 404
    assert empty.get("/v1/ledger").json()["size"] == 0
    assert empty.get("/v1/snapshots").json() == []


def test_a_request_body_has_no_say(client: TestClient, served: Served) -> None:
    answer = client.request("GET", f"/v1/releases/{served.counts}", content=b"x" * 10_000)
    assert CANARY not in answer.text
