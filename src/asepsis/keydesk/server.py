"""The desk's door: HTTPS with certificates on both sides, TLS 1.3, for the one room whose certificate is pinned.

Only what a room may ask is here; what the owner does at their desk - sign, stop, approve, register - has no address.
Requests are bounded in length, number and time (see ``limits``). An answer is a document; a refusal is the error's
code and public names. What is logged is the question's name, the code of the answer and how long it took.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any, Final

from asepsis.domain.documents import Document, encode_bytes
from asepsis.domain.epoch import read_epoch_name, read_show_request, shares_document
from asepsis.domain.keydesk import (
    read_cosign_request,
    read_grant_request,
    read_memory_deposit,
    read_narrow_request,
    read_share_deposit,
)
from asepsis.domain.names import PartyId
from asepsis.errors import AsepsisError
from asepsis.errors.contract import DocumentMalformed
from asepsis.errors.desk import RequestMalformed, RoomNotPinned
from asepsis.keydesk.limits import Connections, Gate, Limits
from asepsis.logs import get_logger
from asepsis.ports import Desk

_OK: Final = 200

Verb = Callable[[Desk, object], Document]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where and as whom the desk answers, and the SHA-256 of the room's certificate, in hex."""

    host: str = "127.0.0.1"
    port: int = 0
    certificate: Path
    key: Path
    authority: Path
    room: str
    limits: Limits = field(default=Limits())


class DeskServer(ThreadingHTTPServer):
    """The server of one desk; ``serve_forever`` answers until ``shutdown``, ``drain`` waits for open answers."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, desk: Desk, owner: PartyId, door: Door) -> None:
        """Listen. Raises OSError where the address or the certificates cannot be used."""
        self.desk, self.owner, self.room, self.limits = desk, owner, door.room, door.limits
        self.gate = Gate(door.limits, owner=owner, clock=time.monotonic)
        self.connections = Connections(door.limits, clock=time.monotonic)
        if ":" in door.host:
            self.address_family = socket.AF_INET6
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(door.authority)
        context.load_cert_chain(door.certificate, door.key)
        super().__init__((door.host, door.port), _Conversation)
        # The handshake is made in the connection's own thread: a silent client keeps nobody else waiting.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def server_bind(self) -> None:
        """Bind, without asking any name service who this machine is."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection, or hang up where there are too many, before anything is read or computed."""
        if self.connections.take(request, str(client_address[0])):
            super().process_request(request, client_address)
        else:
            self.close_request(request)

    def close_request(self, request: Any) -> None:
        """A connection is over."""
        self.connections.leave(request)
        super().close_request(request)

    def service_actions(self) -> None:
        """Twice a second: hang up on whoever takes longer than a connection may last."""
        for connection in self.connections.overdue():
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def drain(self, seconds: float) -> bool:
        """Wait for the answers that are being made; says whether all were given in time."""
        return self.connections.wait(seconds)

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """A connection that broke is nobody's news; nothing of it is printed."""


class _Conversation(BaseHTTPRequestHandler):
    """One connection: one handshake, then requests."""

    server: DeskServer
    connection: ssl.SSLSocket
    server_version, sys_version = "asepsis-keydesk", ""

    def setup(self) -> None:
        """Shake hands within the time of a request."""
        self.request.settimeout(self.server.limits.patience)
        self.request.do_handshake()
        super().setup()

    def do_POST(self) -> None:
        """Answer one request."""
        began, refused = time.monotonic(), None
        try:
            with self.server.gate.passing(self._client()):
                self._check_room()
                document = self._answer()
        except AsepsisError as error:
            refused = error
        except Exception:  # noqa: BLE001 - whatever it says may quote a request, so only the fact leaves
            refused = AsepsisError()
        else:
            self._send(_OK, document)
        if refused is not None:
            self._send(refused.kind.http_status, {"code": refused.code, "names": dict(refused.names)})
        self._log(refused, seconds=time.monotonic() - began)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing of what the library would: it quotes the request."""

    def _log(self, refused: AsepsisError | None, *, seconds: float) -> None:
        """The question's name, the code and the time; never anything that the request said."""
        verb = self.path.removeprefix("/v1/")
        values: dict[str, str | float] = {
            "party": self.server.owner,
            "step": verb if verb in VERBS else "unknown",
            "seconds": round(seconds, 4),
        }
        if refused is None:
            get_logger().info("desk.answered", **values)
        else:
            get_logger().warning("desk.refused", code=refused.code, **values)

    def _client(self) -> str:
        """By what a client is known: the SHA-256 of its certificate."""
        return hashlib.sha256(self.connection.getpeercert(binary_form=True) or b"").hexdigest()

    def _check_room(self) -> None:
        if not hmac.compare_digest(self._client(), self.server.room):
            raise RoomNotPinned(owner=self.server.owner)

    def _answer(self) -> Document:
        owner = self.server.owner
        verb = VERBS.get(self.path.removeprefix("/v1/")) if self.path.startswith("/v1/") else None
        length = self.headers.get("Content-Length", "")
        if verb is None or not length.isdecimal() or not 0 < int(length) <= self.server.limits.request_bytes:
            raise RequestMalformed(part="address or length", owner=owner)
        try:
            document = json.loads(self.rfile.read(int(length)), object_pairs_hook=_once)
            return verb(self.server.desk, document)
        except (ValueError, RecursionError, DocumentMalformed):
            raise RequestMalformed(part="document", owner=owner) from None

    def _send(self, status: int, document: Mapping[str, object]) -> None:
        content = json.dumps(document, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A mapping without repeated keys: two readers must not see different things."""
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError
    return document


def _nothing(document: object) -> None:
    if document != {}:
        raise ValueError


def _nonce(desk: Desk, document: object) -> Document:
    _nothing(document)
    return {"nonce": encode_bytes(desk.nonce())}


def _grant(desk: Desk, document: object) -> Document:
    return {"grant": desk.grant(read_grant_request(document)).to_document()}


def _deposit(desk: Desk, document: object) -> Document:
    return {"endorsement": encode_bytes(desk.deposit_share(read_share_deposit(document)))}


def _remember(desk: Desk, document: object) -> Document:
    return {"receipt": encode_bytes(desk.remember(read_memory_deposit(document)))}


def _narrow(desk: Desk, document: object) -> Document:
    return {"signature": encode_bytes(desk.narrow(read_narrow_request(document)))}


def _commit(desk: Desk, document: object) -> Document:
    return desk.commit(read_epoch_name(document)).to_document()


def _show(desk: Desk, document: object) -> Document:
    return {"shares": shares_document(desk.show(read_show_request(document)))}


def _close(desk: Desk, document: object) -> Document:
    return {"erasures": [signed.to_document() for signed in desk.close(read_epoch_name(document))]}


def _cosign(desk: Desk, document: object) -> Document:
    request = read_cosign_request(document)
    return {"line": desk.cosign(request.note, proof=request.proof, room_key=request.room_key)}


def _seen(desk: Desk, document: object) -> Document:
    _nothing(document)
    return {"size": desk.seen_size()}


def _public(desk: Desk, document: object) -> Document:
    _nothing(document)
    keys = desk.public()
    return {"signing": encode_bytes(keys.signing), "sealing": encode_bytes(keys.sealing)}


VERBS: Final[Mapping[str, Verb]] = {
    "nonce": _nonce,
    "grant": _grant,
    "deposit": _deposit,
    "remember": _remember,
    "narrow": _narrow,
    "commit": _commit,
    "show": _show,
    "close": _close,
    "cosign": _cosign,
    "seen": _seen,
    "public": _public,
}
"""All that a room may ask."""
