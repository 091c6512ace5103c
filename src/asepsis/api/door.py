"""Who may come in: with tokens in the room a request shows one, and the policies decide; else this machine reads.

A room in which a token was ever made answers to nobody without one. The health check and the style of the pages are for
everybody. That the holder of a token is shown a release, or is refused something, is in the ledger before the answer:
once for each token and release or deed while the server runs, so that nobody can fill the ledger from here. A wrong
token is nobody's act.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from threading import Lock
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from asepsis.access.policies import ruling
from asepsis.api.problems import problem_response
from asepsis.bootstrap.room import Room, now
from asepsis.domain.asking import Deed, Question
from asepsis.domain.names import ReleaseId
from asepsis.domain.tokens import Token
from asepsis.errors import AsepsisError
from asepsis.errors.access import TokenNeeded, TokenRefused
from asepsis.services.access import Access, about_room, denied
from asepsis.services.tokens import Tokens

OPEN: Final = ("/healthz/", "/static/")
RELEASES: Final = ("/v1/releases/release-", "/releases/")

_UNKNOWN: Final = 401
_RELEASE: Final = re.compile(r"release-[0-9a-f]{16}")


class Door:
    """Stands before the API and the pages of one room."""

    def __init__(self, inner: ASGIApp, room: Room) -> None:
        self._inner, self._room = inner, room
        self._tokens = Tokens(room.state, now, secrets.token_bytes, room.host)
        self._noted: set[tuple[str, str]] = set()
        self._lock = Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer why not."""
        path = f"{scope['path']}/"
        if not path.startswith(OPEN):
            try:
                await run_in_threadpool(self._check, path, _authorization(scope))
            except (TokenNeeded, TokenRefused) as error:
                answer = problem_response(error, status=_UNKNOWN, headers={"WWW-Authenticate": _challenge(scope)})
                await answer(scope, receive, send)
                return
            except AsepsisError as error:
                await problem_response(error)(scope, receive, send)
                return
        await self._inner(scope, receive, send)

    def _check(self, path: str, shown: str | None) -> None:
        if not self._tokens.are_needed():
            return
        if shown is None:
            raise TokenNeeded
        contract = self._room.contracts.contract()
        token, principal = self._tokens.principal(_secret(shown), contract=contract)
        deed = Deed.READ_RELEASE if path.startswith(RELEASES) else Deed.READ
        self._require(about_room(principal, deed, contract, room=self._room.origin), token.id)
        named = _RELEASE.search(path)
        if deed is Deed.READ_RELEASE and named is not None:
            self._read(token, ReleaseId(named.group()))

    def _require(self, question: Question, token: str) -> None:
        """Raise AccessDenied where the policies refuse; the first time it is written down."""
        found = ruling(question)
        if found.allowed:
            return
        if self._is_first(token, question.deed.value):
            Access(self._room.state, now, self._room.host).require(question, facts={"token": token})
        raise denied(question, found)

    def _read(self, token: Token, release: ReleaseId) -> None:
        """Write down that a release is shown, if there is one. Raises RecordMissing."""
        self._room.state.release(release)
        if self._is_first(token.id, release):
            self._tokens.note_reading(token, release)

    def _is_first(self, token: str, what: str) -> bool:
        with self._lock:
            is_first = (token, what) not in self._noted
            self._noted.add((token, what))
        return is_first


def _authorization(scope: Scope) -> str | None:
    shown = [value for name, value in scope["headers"] if name == b"authorization"]
    return shown[0].decode("latin-1") if len(shown) == 1 else None


def _secret(shown: str) -> str:
    """The secret of ``Bearer SECRET`` (RFC 6750), or of ``Basic`` as its password (RFC 7617). Raises TokenRefused."""
    scheme, _, value = shown.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        raise TokenRefused
    try:
        return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        raise TokenRefused from None


def _challenge(scope: Scope) -> str:
    """What a browser understands asks for a password; programs are asked for a bearer token."""
    accepted = b",".join(value for name, value in scope["headers"] if name == b"accept")
    return 'Basic realm="asepsis", charset="UTF-8"' if b"text/html" in accepted else 'Bearer realm="asepsis"'
