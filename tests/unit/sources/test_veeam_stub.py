"""The Veeam client against a stateful stub server of ours; no live Veeam server has been tested.

Where the published OpenAPI documents are at hand, every answer of the stub and every request of the client is
validated against them, so that the stub cannot agree with the client on something that Veeam never said.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest

from asepsis.domain.names import RestorePointId
from asepsis.domain.source import EntryType
from asepsis.errors import AsepsisError, Kind
from asepsis.sources.registry import open_source
from asepsis.sources.veeam.api import VERSIONS, Api
from asepsis.sources.veeam.publishing import Publishing, Target
from asepsis.sources.veeam.source import VeeamSettings, VeeamSource

httpx2 = pytest.importorskip("httpx2", reason="httpx2 (the extra veeam) is not installed")
jsonschema = pytest.importorskip("jsonschema")
SHARED = Path(os.environ.get("ASEPSIS_SHARED", Path(__file__).parents[4] / "shared"))
CREDENTIALS = str(uuid.UUID(int=77))


def uid(number: int) -> str:
    return str(uuid.UUID(int=number))


@dataclass
class Stub:
    """One server: knows which versions, tokens, sessions and mounts there are; time passes with every poll."""

    volume: str
    version: str = "1.3-rev2"
    points: int = 3
    polls: int = 2
    outcome: str = "Success"
    mount_state: str = "Mounted"
    token_calls: int = 1_000_000
    tokens: dict[str, int] = field(default_factory=dict)
    refreshes: set[str] = field(default_factory=set)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    mounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: list[tuple[Any, Any]] = field(default_factory=list)

    def __call__(self, request: Any) -> Any:
        answer = self.answer(request)
        self.seen.append((request, answer))
        return answer

    def answer(self, request: Any) -> Any:
        path = request.url.path
        if path.startswith("/swagger/"):
            return httpx2.Response(200 if path == f"/swagger/v{self.version}/swagger.json" else 404, json={})
        if request.headers.get("x-api-version") != self.version:
            return refusal(400, "UnexpectedContent")
        if path == "/api/oauth2/token":
            return self.token({k: v[0] for k, v in parse_qs(request.content.decode()).items()})
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.tokens.get(token, 0) <= 0:
            return refusal(401, "ExpiredToken")
        self.tokens[token] -= 1
        for method, pattern, handler in self.routes():
            match = re.fullmatch(pattern, path)
            if match and request.method == method:
                return handler(request, *match.groups())
        return refusal(404, "NotFound")

    def routes(self) -> list[tuple[str, str, Any]]:
        mounts = "/api/v1/dataIntegration"
        return [
            ("POST", "/api/oauth2/logout", lambda _: httpx2.Response(200, json={})),
            ("GET", "/api/v1/restorePoints", self.restore_points),
            ("POST", f"{mounts}/publish", self.publish),
            ("GET", "/api/v1/sessions/([^/]+)", self.session),
            ("GET", mounts, lambda request: page(request, list(self.mounts.values()))),
            ("GET", f"{mounts}/([^/]+)", self.mount),
            ("POST", f"{mounts}/([^/]+)/unpublish", self.unpublish),
        ]

    def token(self, form: dict[str, str]) -> Any:
        if form["grant_type"] == "password":
            good = (form["username"], form["password"]) == ("svc", "pw")
        else:
            good = form.get("refresh_token") in self.refreshes
            self.refreshes.discard(form.get("refresh_token", ""))
        if not good:
            return refusal(401, "AccessDenied")
        token, refresh = uuid.uuid4().hex, uuid.uuid4().hex
        self.tokens[token] = self.token_calls
        self.refreshes.add(refresh)
        times = {".issued": "2026-11-21T00:00:00Z", ".expires": "2026-11-21T00:15:00Z"}
        return httpx2.Response(
            200,
            json={"access_token": token, "token_type": "bearer", "refresh_token": refresh, "expires_in": 900, **times},
        )

    def restore_points(self, request: Any) -> Any:
        points = [
            {
                "id": uid(1000 + i),
                "name": "ehr-db01",
                "platformName": "VMware",
                "platformId": uid(9),
                "creationTime": f"2026-{1 + i // 28 % 12:02}-{1 + i % 28:02}T01:00:00+02:00",
                "backupId": uid(2),
                "type": "Increment",
                "allowedOperations": ["StartFlrRestore"],
                "malwareStatus": "Clean",
            }
            for i in range(self.points)
        ]
        return page(request, points)

    def publish(self, request: Any) -> Any:
        body = json.loads(request.content)
        old = self.version in {"1.2-rev1", "1.3-rev0"}
        needed = {"restorePointId", "type", "targetServerName"}
        needed.add("targetServerCredentialsId" if old else "credentialsStorageType")
        if needed - set(body):
            return refusal(400, "UnexpectedContent")
        session = {
            "id": str(uuid.uuid4()),
            "name": "ehr-db01",
            "jobId": uid(5),
            "sessionType": "PublishBackupContentViaMount",
            "creationTime": "2026-11-21T00:00:00Z",
            "state": "Working",
            "progressPercent": 0,
            "usn": 1,
        }
        self.sessions[session["id"]] = session | {"polls": 0}
        disk = {"diskId": "FA4D", "diskName": "ehr-flat.vmdk", "accessLink": "", "mountPoints": [self.volume]}
        mount = {
            "id": str(uuid.uuid4()),
            "initiatorName": "svc",
            "backupId": uid(2),
            "backupName": "EHR",
            "restorePointId": body["restorePointId"],
            "restorePointName": "ehr-db01",
            "mountState": "Mounting",
            "info": {"mode": "Fuse", "serverPort": 0, "serverIps": ["127.0.0.1"], "disks": [disk]},
        }
        self.mounts[mount["id"]] = mount
        return httpx2.Response(201, json=session)

    def session(self, _: Any, number: str) -> Any:
        session = self.sessions[number]
        session["polls"] += 1
        if session["polls"] >= self.polls:
            session["state"] = "Stopped"
            session["result"] = {"result": self.outcome, "message": "canary text", "isCanceled": False}
            for mount in self.mounts.values():
                mount["mountState"] = self.mount_state
        return httpx2.Response(200, json={k: v for k, v in session.items() if k != "polls"})

    def mount(self, _: Any, number: str) -> Any:
        found = self.mounts.get(number)
        return httpx2.Response(200, json=found) if found else refusal(404, "NotFound")

    def unpublish(self, _: Any, number: str) -> Any:
        if self.mounts.pop(number, None) is None:
            return refusal(404, "NotFound")
        return httpx2.Response(
            200,
            json={
                "id": str(uuid.uuid4()),
                "name": "x",
                "jobId": uid(5),
                "sessionType": "PublishBackupContentViaMount",
                "creationTime": "2026-11-21T00:00:00Z",
                "state": "Working",
                "usn": 2,
            },
        )


def refusal(status: int, code: str) -> Any:
    return httpx2.Response(status, json={"errorCode": code, "message": "canary text", "resourceId": ""})


def page(request: Any, items: list[dict[str, Any]]) -> Any:
    skip, limit = int(request.url.params.get("skip", 0)), int(request.url.params.get("limit", 200))
    part = items[skip : skip + limit]
    return httpx2.Response(
        200,
        json={"data": part, "pagination": {"total": len(items), "count": len(part), "skip": skip, "limit": limit}},
    )


class Time:
    """A clock that pausing moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def stub(tmp_path: Path) -> Stub:
    volume = tmp_path / "mounts" / "Veeam.Mount.FS" / "x-flat.vmdk_1"
    (volume / "data").mkdir(parents=True)
    (volume / "data" / "labs.csv").write_bytes(b"a;b\n1;2\n")
    (volume / "escape").symlink_to("/etc/passwd")
    return Stub(volume=str(volume))


def opened(stub: Stub, *, password: str = "pw", roots: tuple[str, ...] | None = None) -> VeeamSource:  # noqa: S107
    api = Api("https://vbr.test:9419", user="svc", password=password, transport=httpx2.MockTransport(stub))
    api.sign_in()
    target, time = Target(server="room", credentials=CREDENTIALS), Time()
    publishing = Publishing(api, target=target, seconds=60, pause=time.pause, clock=time)
    root = str(Path(stub.volume).parents[1])
    settings = VeeamSettings(user="svc", target=target, roots=roots or (root,))
    return VeeamSource("veeam:https://vbr.test:9419", api=api, publishing=publishing, settings=settings)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_restore_point_is_published_read_and_taken_down_in_every_version(stub: Stub, version: str) -> None:
    stub.version = version
    source = opened(stub)
    points = source.restore_points()
    assert points[0].taken_at.isoformat() == "2025-12-31T23:00:00+00:00"
    entries = {entry.path: entry for entry in source.walk(points[0].id)}
    assert list(entries) == sorted(entries)
    assert entries["/disk-001/volume-001/escape"].type is EntryType.LINK
    with source.open(points[0].id, "/disk-001/volume-001/data/labs.csv") as file:
        assert file.read() == b"a;b\n1;2\n"
        assert not file.writable()
    assert list(source.verify(points[0].id)) == []
    assert len(stub.mounts) == 1
    source.close()
    assert stub.mounts == {}
    check_against_documents(stub)


@cache
def document(version: str) -> dict[str, Any]:
    path = SHARED / "data" / "veeam_openapi" / f"vbr_rest_{version}.json.gz"
    if not path.exists():
        pytest.skip("Veeam's OpenAPI documents are not here: the exchange was tested, and not compared with them")
    found: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return found


def schema_of(node: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema; a parent's list of its children is dropped, each of them contains the parent."""
    if isinstance(node, list):
        return [schema_of(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return {"$ref": node["$ref"].replace("#/components/schemas/", "#/$defs/")}
    dropped = {"discriminator", "example", "oneOf" if "discriminator" in node else ""}
    found = {key: schema_of(value) for key, value in node.items() if key not in dropped}
    if node.get("nullable") and "type" in found:
        found["type"] = [found["type"], "null"]
    return found


def check_against_documents(stub: Stub) -> None:
    """Every answer, and every request with a body, is as the document of this version says."""
    spec = document(stub.version)
    defs = {name: schema_of(schema) for name, schema in spec["components"]["schemas"].items()}
    checked = 0
    for request, answer in stub.seen:
        if request.url.path.startswith("/swagger/"):
            continue
        path = next(p for p in spec["paths"] if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", p), request.url.path))
        operation = spec["paths"][path][request.method.lower()]
        content = operation["responses"][str(answer.status_code)].get("content", {}).get("application/json")
        if content:
            jsonschema.Draft7Validator({**schema_of(content["schema"]), "$defs": defs}).validate(answer.json())
            checked += 1
        if request.url.path.endswith("/publish"):
            body = {"$ref": "#/$defs/FUSELinuxMountSpec", "$defs": defs}
            jsonschema.Draft7Validator(body).validate(json.loads(request.content))
    assert checked >= 6


def test_250_restore_points_come_over_several_pages(stub: Stub) -> None:
    stub.points = 450
    source = opened(stub)
    assert len({point.id for point in source.restore_points()}) == 450
    source.close()


def test_a_wrong_password_is_denied_and_not_repeated(stub: Stub) -> None:
    with pytest.raises(AsepsisError) as caught:
        opened(stub, password="canary-password")
    assert caught.value.code == "source.wrong_password"
    assert "canary" not in str(caught.value.as_dict())


def test_a_token_that_ends_on_the_way_is_renewed(stub: Stub) -> None:
    stub.token_calls = 2
    source = opened(stub)
    assert list(source.walk(RestorePointId(uid(1000))))
    source.close()
    assert stub.mounts == {}


def test_a_token_that_cannot_be_refreshed_is_asked_for_again(stub: Stub) -> None:
    source = opened(stub)
    stub.tokens.clear()
    stub.refreshes.clear()
    assert len(source.restore_points()) == 3
    source.close()


@pytest.mark.parametrize(("outcome", "state"), [("Failed", "Mounting"), ("Success", "MountFailed")])
def test_what_was_not_published_is_taken_down_and_said(stub: Stub, outcome: str, state: str) -> None:
    stub.outcome, stub.mount_state = outcome, state
    source = opened(stub)
    with pytest.raises(AsepsisError) as caught:
        list(source.walk(RestorePointId(uid(1000))))
    assert caught.value.code == "source.publish_failed"
    assert "canary" not in str(caught.value.as_dict())
    assert stub.mounts == {}
    source.close()


def test_a_session_that_never_stops_is_given_up_and_taken_down(stub: Stub) -> None:
    stub.polls = 1_000_000
    source = opened(stub)
    with pytest.raises(AsepsisError) as caught:
        list(source.walk(RestorePointId(uid(1000))))
    assert caught.value.code == "source.tool_timed_out"
    assert stub.mounts == {}
    source.close()


def test_mounts_of_a_killed_program_are_reaped_and_others_are_left(stub: Stub) -> None:
    killed = opened(stub)
    list(killed.walk(RestorePointId(uid(1000))))
    killed._close.detach()
    stub.mounts["other"] = {"id": "other", "initiatorName": "someone"}
    source = opened(stub)
    list(source.walk(RestorePointId(uid(1001))))
    assert source.reap() == 1
    assert {mount["initiatorName"] for mount in stub.mounts.values()} == {"svc", "someone"}
    source.close()
    assert list(stub.mounts) == ["other"]
    killed._api._client.close()


PUBLISH_AND_WAIT = """
import sys, time
from asepsis.sources.veeam.publishing import Target
from asepsis.sources.veeam.source import VeeamSettings, VeeamSource
target = Target(server="room", credentials=sys.argv[2])
source = VeeamSource.sign_in(sys.argv[1], password="pw", settings=VeeamSettings(user="svc", target=target))
source._publishing.publish(source.restore_points()[0].id)
print("published", flush=True)
time.sleep(60)
"""


@pytest.fixture
def served(stub: Stub) -> Iterator[str]:
    """The stub as a server on loopback, for a client in another process."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length") or 0))
            url = f"http://{self.headers['host']}{self.path}"
            answer = stub(httpx2.Request(self.command, url, headers=dict(self.headers), content=content))
            self.send_response(answer.status_code)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = answer  # noqa: N815  the library's names

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_killed_process_published_is_told_and_taken_down(stub: Stub, served: str, version: str) -> None:
    """Killed between publish and unpublish (SIGKILL: nothing of its own can clean up)."""
    stub.version = version
    command = [sys.executable, "-c", PUBLISH_AND_WAIT, served, CREDENTIALS]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"published\n"
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL
    (left,) = stub.mounts
    source = opened(stub)
    assert [(r.code, r.object) for r in source.remarks()] == [("source.mount_left_behind", f"mount {left}")]
    assert source.reap() == 1
    assert stub.mounts == {}
    assert source.remarks() == []
    source.close()
    check_against_documents(stub)


def test_a_mount_outside_of_the_agreed_folders_is_refused(stub: Stub, tmp_path: Path) -> None:
    source = opened(stub, roots=(str(tmp_path / "elsewhere"),))
    with pytest.raises(AsepsisError) as caught:
        list(source.walk(RestorePointId(uid(1000))))
    assert caught.value.code == "source.hostile_path"
    source.close()
    assert stub.mounts == {}


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/", "source.not_a_file"),
        ("/disk-001", "source.not_a_file"),
        ("/disk-001/volume-001", "source.not_a_file"),
        ("/disk-001/volume-001/escape", "source.not_a_file"),
        ("/disk-002/volume-001/data", "source.path_missing"),
        ("/disk-001/volume-001/../../../secret", "source.path_missing"),
    ],
)
def test_what_is_no_file_of_a_volume_is_refused_by_name(stub: Stub, path: str, code: str) -> None:
    source = opened(stub)
    with pytest.raises(AsepsisError) as caught:
        source.open(RestorePointId(uid(1000)), path)
    assert caught.value.code == code
    source.close()


def test_an_unknown_restore_point_is_never_published(stub: Stub) -> None:
    source = opened(stub)
    with pytest.raises(AsepsisError) as caught:
        list(source.walk(RestorePointId("../x")))
    assert caught.value.code == "source.restore_point_missing"
    assert stub.mounts == {}
    source.close()


def test_a_server_of_no_known_version_is_refused(stub: Stub) -> None:
    stub.version = "9.9"
    with pytest.raises(AsepsisError) as caught:
        opened(stub)
    assert caught.value.code == "source.not_a_repository"


def test_a_server_that_does_not_answer_is_unavailable(stub: Stub) -> None:
    def nobody(_: Any) -> Any:
        raise httpx2.ConnectError("canary")

    api = Api("https://vbr.test", user="svc", password="pw", transport=httpx2.MockTransport(nobody))
    with pytest.raises(AsepsisError) as caught:
        api.sign_in()
    assert caught.value.kind is Kind.UNAVAILABLE
    assert "canary" not in str(caught.value.as_dict())


def test_settings_and_addresses_are_checked_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASEPSIS_VEEAM_PASSWORD", "pw")
    for name in ("USER", "TARGET", "CREDENTIALS"):
        with pytest.raises(AsepsisError) as caught:
            open_source("veeam:https://vbr.test")
        assert (caught.value.code, caught.value.names) == (
            "source.setting_missing",
            {"setting": f"ASEPSIS_VEEAM_{name}"},
        )
        monkeypatch.setenv(f"ASEPSIS_VEEAM_{name}", "x")
    with pytest.raises(AsepsisError) as caught:
        open_source("veeam:https://svc:pw@vbr.test")
    assert caught.value.code == "source.secret_in_address"
