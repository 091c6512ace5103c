"""The room's address book: where the desks of which owners answer, and by which certificate they are known.

One file per owner in one folder, beside the certificate of the room. It holds nothing secret and decides nothing: a
desk that is reached under a wrong address grants nothing, because the contract names the owner's keys.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from asepsis.desks.remote import DeskAddress, RemoteDesk
from asepsis.domain.documents import Fields
from asepsis.domain.names import PartyId
from asepsis.errors.contract import DocumentMalformed
from asepsis.errors.desk import DeskAddressMalformed
from asepsis.errors.room import FileUnreadable

_HOST: Final = re.compile(r"[A-Za-z0-9.:-]{1,253}")
_PIN: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The room's own certificate and key (PEM files)."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class AddressBook:
    """The addresses in one folder."""

    folder: Path
    certificate: Certificate

    def owners(self) -> tuple[PartyId, ...]:
        """Whose desks are in it."""
        return tuple(PartyId(path.stem) for path in sorted(self.folder.glob("*.json")))

    def desk(self, owner: PartyId) -> RemoteDesk:
        """The desk of an owner in the book. Raises DeskAddressMalformed, FileUnreadable or DeskUnreachable."""
        path = self.folder / f"{owner}.json"
        try:
            fields = Fields(json.loads(path.read_bytes()), document="desk")
            url, pin = fields.text("url"), fields.text("pin")
            fields.close()
        except OSError:
            raise FileUnreadable(path=str(path)) from None
        except (ValueError, DocumentMalformed):
            raise DeskAddressMalformed(owner=owner) from None
        return RemoteDesk(owner, self._address(owner, url, pin=pin, authority=self.folder / f"{owner}.pem"))

    def candidate(self, owner: PartyId, url: str, *, pin: str, authority: Path) -> RemoteDesk:
        """A desk that is not in the book yet. Raises DeskAddressMalformed or DeskUnreachable."""
        return RemoteDesk(owner, self._address(owner, url, pin=pin, authority=authority))

    def add(self, owner: PartyId, url: str, *, pin: str, authority: bytes) -> None:
        """Enter a desk, or a new address or certificate of it. Raises FileUnreadable."""
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            (self.folder / f"{owner}.pem").write_bytes(authority)
            draft = self.folder / f"{owner}.partial"
            draft.write_text(json.dumps({"url": url, "pin": pin}))
            draft.replace(self.folder / f"{owner}.json")
        except OSError:
            raise FileUnreadable(path=str(self.folder)) from None

    def remove(self, owner: PartyId) -> None:
        """Forget a desk's address."""
        (self.folder / f"{owner}.json").unlink(missing_ok=True)
        (self.folder / f"{owner}.pem").unlink(missing_ok=True)

    def _address(self, owner: PartyId, url: str, *, pin: str, authority: Path) -> DeskAddress:
        host, port = _parted(owner, url)
        if _PIN.fullmatch(pin) is None:
            raise DeskAddressMalformed(owner=owner)
        own = self.certificate
        return DeskAddress(host=host, port=port, pin=pin, certificate=own.certificate, key=own.key, authority=authority)


def _parted(owner: PartyId, url: str) -> tuple[str, int]:
    """Host and port of ``https://HOST:PORT``. Raises DeskAddressMalformed."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise DeskAddressMalformed(owner=owner) from None
    more = (parts.username, parts.password, parts.query, parts.fragment, parts.path.strip("/"))
    if parts.scheme != "https" or port is None or any(more) or _HOST.fullmatch(parts.hostname or "") is None:
        raise DeskAddressMalformed(owner=owner)
    return parts.hostname or "", port
