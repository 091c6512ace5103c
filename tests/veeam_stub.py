"""A stateful server that answers as Veeam's OpenAPI documents say; no live Veeam server has been tested."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest

httpx2 = pytest.importorskip("httpx2", reason="httpx2 (the extra veeam) is not installed")


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
    is_stuck: bool = False
    loses: int = 0

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
        if self.loses:
            self.loses -= 1
            raise httpx2.ReadError("canary")
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
        if self.is_stuck:
            return refusal(400, "UnknownError")
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


@contextmanager
def serving(answering: Callable[[Any], Any]) -> Iterator[str]:
    """A stub as a server on loopback, for clients in other processes; its address."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length") or 0))
            url = f"http://{self.headers['host']}{self.path}"
            answer = answering(httpx2.Request(self.command, url, headers=dict(self.headers), content=content))
            with suppress(OSError):  # the client may be dead by now
                self.send_response(answer.status_code)
                self.send_header("content-length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

        do_GET = do_POST = answer  # noqa: N815  the library's names

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
