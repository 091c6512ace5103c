"""The owner's key in OpenBao's or Vault's transit engine: not exportable, used there over HTTPS.

Transit encrypts with AES-256-GCM and takes the binding as associated data; shredding is ``min_decryption_version`` or
deletion of the key, at the vault. Source: OpenBao's documentation of the transit secrets engine. The standard library
speaks to it; only addresses that start with ``https`` are used, or loopback.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from asepsis.errors.keys import KekUnavailable
from asepsis.errors.sealing import KeyMalformed, KeyUnwrapRefused
from asepsis.sealing.keys import KEY_LENGTH

_BACKEND: Final = "OpenBao transit engine"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PATIENCE_SECONDS: Final = 10
_LARGEST: Final = 1 << 16
_REFUSED: Final = 400
_WRAP: Final = b"asepsis/wrap/1\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitKek:
    """A transit key, named by the vault's address, the engine's mount and the key's name."""

    address: str
    name: str
    token: str = field(repr=False)
    mount: str = "transit"
    authority: Path | None = None

    def create(self) -> None:
        """Make the key: AES-256-GCM, not exportable. Raises KekUnavailable."""
        status, _ = self._ask(f"keys/{self.name}", {"type": "aes256-gcm96", "exportable": False})
        if status >= _REFUSED:
            raise KekUnavailable(backend=_BACKEND)

    def wrap(self, dek: bytes, *, binding: bytes) -> bytes:
        """Wrap a data key of 32 bytes; the vault's own text. Raises KeyMalformed or KekUnavailable."""
        if len(dek) != KEY_LENGTH:
            raise KeyMalformed(role="data")
        status, answer = self._ask(f"encrypt/{self.name}", {"plaintext": _text(dek), **_bound(binding)})
        text = answer.get("ciphertext")
        if status >= _REFUSED or not isinstance(text, str):
            raise KekUnavailable(backend=_BACKEND)
        return text.encode()

    def unwrap(self, wrapped: bytes, *, binding: bytes) -> bytes:
        """Unwrap a data key. Raises KeyUnwrapRefused or KekUnavailable."""
        text = wrapped.decode("ascii", "replace")
        status, answer = self._ask(f"decrypt/{self.name}", {"ciphertext": text, **_bound(binding)})
        if status == _REFUSED:
            raise KeyUnwrapRefused
        plain = answer.get("plaintext")
        if status > _REFUSED or not isinstance(plain, str):
            raise KekUnavailable(backend=_BACKEND)
        return base64.b64decode(plain)

    def _ask(self, path: str, document: dict[str, object]) -> tuple[int, dict[str, object]]:
        if _NAME.fullmatch(self.name) is None or _NAME.fullmatch(self.mount) is None:
            raise KekUnavailable(backend=_BACKEND)
        connection = self._connection()
        try:
            headers = {"X-Vault-Token": self.token, "Content-Type": "application/json"}
            connection.request("POST", f"/v1/{self.mount}/{path}", json.dumps(document), headers)
            answer = connection.getresponse()
            content = answer.read(_LARGEST)
            data = json.loads(content).get("data") if content else {}
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            raise KekUnavailable(backend=_BACKEND) from None
        finally:
            connection.close()
        return answer.status, data if isinstance(data, dict) else {}

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.address)
        host = parts.hostname or ""
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=None if self.authority is None else str(self.authority))
            return http.client.HTTPSConnection(host, parts.port, timeout=_PATIENCE_SECONDS, context=context)
        if parts.scheme == "http" and _is_loopback(host):
            return http.client.HTTPConnection(host, parts.port, timeout=_PATIENCE_SECONDS)
        raise KekUnavailable(backend=_BACKEND)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _bound(binding: bytes) -> dict[str, object]:
    return {"associated_data": _text(_WRAP + binding)}


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
