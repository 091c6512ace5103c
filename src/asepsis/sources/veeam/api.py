"""The REST API of Veeam Backup & Replication: version, token, pages and refusals.

Source: Veeam REST API reference, versions 1.2-rev1 to 1.3-rev2. Tested against a stub server of ours that answers as
the published OpenAPI documents say, never against a live server. Texts of the server are dropped: they may quote names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, Final

from asepsis.errors.source import (
    LimitExceededError,
    NotARepositoryError,
    RequestRefusedError,
    SourceUnavailableError,
    ToolMissingError,
    UnsupportedFormatError,
    WrongPasswordError,
)
from asepsis.sources.limits import DEFAULT, Limits

VERSIONS: Final = ("1.3-rev2", "1.3-rev1", "1.3-rev0", "1.2-rev1")  # newest first
_PAGE: Final = 200
_SECONDS: Final = 60.0
_OK: Final = frozenset({200, 201})
_UNAUTHORISED: Final = 401
_FAILED: Final = 500
_REFUSALS: Final = frozenset(
    {
        "AccessDenied",
        "ExpiredToken",
        "InvalidToken",
        "InvalidURI",
        "MethodNotAllowed",
        "NotFound",
        "NotImplemented",
        "ServiceUnavailable",
        "UnexpectedContent",
    }
)


class Api:
    """One server, one account. The password stays in this object and goes nowhere but to the token address."""

    def __init__(
        self, address: str, *, user: str, password: str, limits: Limits = DEFAULT, transport: Any = None
    ) -> None:
        self._http = _library()
        self._address = address
        self._user = user
        self._password = password
        self._limits = limits
        self._tokens: dict[str, Any] = {}
        self._client = self._http.Client(
            base_url=address, timeout=_SECONDS, follow_redirects=False, trust_env=False, transport=transport
        )
        self.version = ""

    def sign_in(self) -> None:
        """Find the newest version that both sides know, and ask for a token.

        Raises:
            NotARepositoryError: the server knows none of them.
            WrongPasswordError: it does not accept user and password.
        """
        self.version = next((version for version in VERSIONS if self._knows(version)), "")
        if not self.version:
            raise NotARepositoryError(uri=self._address, tool="Veeam Backup & Replication")
        self._token({"grant_type": "password", "username": self._user, "password": self._password})

    def close(self) -> None:
        """Give the token back and close the connection."""
        try:
            if self._tokens:
                self._send("POST", "/api/oauth2/logout")
        except (RequestRefusedError, SourceUnavailableError):
            pass  # the token ends by itself within minutes
        finally:
            self._client.close()

    def get(self, path: str, **query: str | int) -> dict[str, Any]:
        """One document."""
        return self._call("GET", path, params=query)

    def post(self, path: str, document: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a document and take the answer."""
        return self._call("POST", path, json=None if document is None else dict(document))

    def pages(self, path: str, **query: str | int) -> Iterator[dict[str, Any]]:
        """Every item of a list, page by page.

        Raises:
            LimitExceededError: there are more than the limit of entries.
        """
        skip = 0
        while True:
            page = self.get(path, skip=skip, limit=_PAGE, **query)
            items, pagination = page.get("data"), page.get("pagination")
            if not isinstance(items, list) or not isinstance(pagination, dict):
                raise UnsupportedFormatError(name="the answer of the server")
            yield from (item for item in items if isinstance(item, dict))
            skip += len(items)
            if skip > self._limits.archive_entries:
                raise LimitExceededError(name=path, limit=self._limits.archive_entries, unit="items")
            if not items or skip >= int(pagination.get("total", 0)):
                return

    def _call(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        """Call; when the token has ended meanwhile, renew it and call once more."""
        try:
            return self._send(method, path, **content)
        except WrongPasswordError:
            self._renew()
            return self._send(method, path, **content)

    def _renew(self) -> None:
        try:
            self._token({"grant_type": "refresh_token", "refresh_token": str(self._tokens.get("refresh_token"))})
        except (WrongPasswordError, RequestRefusedError):
            self._token({"grant_type": "password", "username": self._user, "password": self._password})

    def _token(self, form: dict[str, str]) -> None:
        self._tokens = {}
        answer = self._send("POST", "/api/oauth2/token", data=form)
        if not isinstance(answer.get("access_token"), str):
            raise UnsupportedFormatError(name="the answer of the server")
        self._tokens = answer

    def _send(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        headers = {"x-api-version": self.version}
        if self._tokens:
            headers["Authorization"] = f"Bearer {self._tokens['access_token']}"
        try:
            with self._client.stream(method, path, headers=headers, **content) as answer:
                body = self._body(answer)
                status = answer.status_code
        except self._http.HTTPError:
            raise SourceUnavailableError(name=self._address) from None
        if status in _OK:
            return body
        if status == _UNAUTHORISED:
            raise WrongPasswordError(uri=self._address)
        if status >= _FAILED:
            raise SourceUnavailableError(name=self._address)
        code = body.get("errorCode")
        raise RequestRefusedError(reason=code if code in _REFUSALS else "UnknownError", status=status)

    def _body(self, answer: Any) -> dict[str, Any]:
        parts, size = [], 0
        for piece in answer.iter_bytes():
            parts.append(piece)
            size += len(piece)
            if size > self._limits.metadata_bytes:
                raise LimitExceededError(name="an answer", limit=self._limits.metadata_bytes, unit="bytes")
        try:
            found = json.loads(b"".join(parts) or b"{}")
        except (ValueError, RecursionError):
            raise UnsupportedFormatError(name="the answer of the server") from None
        return found if isinstance(found, dict) else {}

    def _knows(self, version: str) -> bool:
        try:
            with self._client.stream("GET", f"/swagger/v{version}/swagger.json") as answer:
                return bool(answer.status_code in _OK)
        except self._http.HTTPError:
            raise SourceUnavailableError(name=self._address) from None


def _library() -> ModuleType:
    try:
        import httpx2  # noqa: PLC0415  an extra, and only needed here
    except ImportError:
        raise ToolMissingError(tool="httpx2 (pip install asepsis[veeam])") from None
    return httpx2
