"""What stands before every request and behind every answer, whichever door serves it.

A request must name a loopback address as its host, so that no foreign page can reach the room through a browser
(DNS rebinding); every answer carries the security headers; what nobody caught becomes a problem without its text.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asepsis.api.problems import problem_response
from asepsis.errors import AsepsisError
from asepsis.errors.server import HostNotNamed
from asepsis.logs import get_logger
from asepsis.wire.problem import HEADERS

_HEADERS: Final = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
_OWN: Final = frozenset(name for name, _ in _HEADERS)

log = get_logger()


class Guard:
    """The outermost layer of the server."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; nothing but HTTP is served."""
        if scope["type"] != "http":
            return
        answer = _Answer(send)
        try:
            if not is_loopback_host(_host(scope)):
                await problem_response(HostNotNamed())(scope, receive, answer)
                return
            await self._inner(scope, receive, answer)
        except Exception as error:  # noqa: BLE001 - its text may quote data, so only its class is kept
            log.failed("http.failed", error)
            if not answer.started:
                await problem_response(AsepsisError())(scope, receive, answer)


class _Answer:
    """Adds the headers to an answer as it begins."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            kept = [(name, value) for name, value in message.get("headers", []) if name.lower() not in _OWN]
            message = {**message, "headers": [*kept, *_HEADERS]}
        await self._send(message)


def is_loopback_host(host: str) -> bool:
    """Whether a Host header (RFC 9110, section 7.2), with or without a port, names this machine only."""
    name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _host(scope: Scope) -> str:
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    return str(hosts[0].decode("latin-1")) if len(hosts) == 1 else ""
