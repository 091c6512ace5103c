"""An owner's key desk across the network: HTTPS with certificates on both sides, TLS 1.3, the desk's own one pinned.

Every call is one request on a connection of its own; nothing is repeated, because a nonce counts once. What the desk
refuses comes back as the same error class that it raised; anything else is an unreachable or untrusted desk.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from asepsis.domain.attestation import NONCE_LENGTH, Grant, read_grant
from asepsis.domain.documents import Document, Fields
from asepsis.domain.epoch import (
    COMMITMENT_LENGTH,
    SIGNATURE_LENGTH,
    Commitment,
    EpochName,
    SealedShares,
    ShowRequest,
    read_shares,
)
from asepsis.domain.keydesk import (
    CosignRequest,
    GrantRequest,
    MemoryDeposit,
    NarrowRequest,
    PublicKeys,
    ShareDeposit,
)
from asepsis.domain.names import PartyId
from asepsis.errors import AsepsisError, error_of
from asepsis.errors.contract import DocumentMalformed
from asepsis.errors.desk import DeskAnswerMalformed, DeskUnreachable
from asepsis.sealing.erasure import SignedErasure, read_signed_erasure

T = TypeVar("T")

PATIENCE_SECONDS: Final = 30
LARGEST_ANSWER: Final = 8 << 20
"""Bytes; a grant has a few sealed keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskAddress:
    """Where a desk answers, the SHA-256 of its certificate, and the room's own certificate and key (PEM files)."""

    host: str
    port: int
    pin: str
    certificate: Path
    key: Path
    authority: Path


class RemoteDesk:
    """The room's side of a key desk's protocol."""

    def __init__(self, owner: PartyId, address: DeskAddress) -> None:
        """Load the certificates. Raises DeskUnreachable where they cannot be used."""
        self.owner = owner
        self._address = address
        try:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._context.minimum_version = ssl.TLSVersion.TLSv1_3
            self._context.load_verify_locations(address.authority)
            self._context.load_cert_chain(address.certificate, address.key)
        except OSError:
            raise DeskUnreachable(owner=owner) from None

    def public(self) -> PublicKeys:
        """The owner's public keys."""
        return self._ask("public", {}, _read_public)

    def nonce(self) -> bytes:
        """A single-use nonce for evidence."""
        return self._ask("nonce", {}, lambda fields: fields.octets("nonce", length=NONCE_LENGTH))

    def grant(self, request: GrantRequest) -> Grant:
        """The data keys of one run, sealed to its runtime; raises what the desk raises."""
        return self._ask("grant", request.to_document(), lambda fields: read_grant(fields.anything("grant")))

    def deposit_share(self, deposit: ShareDeposit) -> bytes:
        """Leave a link map's key share in keeping; returns the owner's endorsement of its manifest."""
        return self._ask("deposit", deposit.to_document(), lambda fields: fields.octets("endorsement", length=64))

    def remember(self, deposit: MemoryDeposit) -> bytes:
        """Tell a new version of the memory of releases; returns the owner's receipt."""
        return self._ask("remember", deposit.to_document(), lambda fields: fields.octets("receipt", length=64))

    def narrow(self, request: NarrowRequest) -> bytes:
        """The owner's signature that an amendment which another owner signed only narrows."""
        return self._ask("narrow", request.to_document(), lambda fields: fields.octets("signature", length=64))

    def commit(self, epoch: EpochName) -> Commitment:
        """The owner's commitment to a share of the link key of an epoch."""
        return self._ask("commit", epoch.to_document(), _read_commitment)

    def show(self, request: ShowRequest) -> SealedShares:
        """The owner's share, sealed to each other owner."""
        return self._ask("show", request.to_document(), lambda fields: read_shares(fields.anything("shares")))

    def close(self, epoch: EpochName) -> Sequence[SignedErasure]:
        """Destroy the owner's share and the key of the tokens."""
        return self._ask("close", epoch.to_document(), _read_erasures)

    def seen_size(self) -> int:
        """The size of the ledger that the desk cosigned last."""
        return self._ask("seen", {}, lambda fields: fields.integer("size"))

    def cosign(self, note: str, *, proof: Sequence[bytes], room_key: str | None = None) -> str:
        """The cosignature line for a checkpoint."""
        request = CosignRequest(note=note, proof=proof, room_key=room_key)
        return self._ask("cosign", request.to_document(), lambda fields: fields.text("line"))

    def _ask(self, verb: str, document: Document, read: Callable[[Fields], T]) -> T:
        status, content = self._post(verb, json.dumps(document, separators=(",", ":")).encode())
        try:
            fields = Fields(json.loads(content), document="answer")
            if status != http.client.OK:
                raise self._refusal(fields)
            answer = read(fields)
            fields.close()
        except (ValueError, RecursionError, DocumentMalformed):
            raise DeskAnswerMalformed(owner=self.owner) from None
        return answer

    def _post(self, verb: str, body: bytes) -> tuple[int, bytes]:
        address = self._address
        connection = http.client.HTTPSConnection(
            address.host, address.port, timeout=PATIENCE_SECONDS, context=self._context
        )
        try:
            connection.connect()
            self._check_pin(connection.sock)
            connection.request("POST", f"/v1/{verb}", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read(LARGEST_ANSWER)
        except (OSError, http.client.HTTPException):
            raise DeskUnreachable(owner=self.owner) from None
        finally:
            connection.close()

    def _check_pin(self, connection: object) -> None:
        shown = connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLSocket) else None
        if shown is None or not hmac.compare_digest(hashlib.sha256(shown).hexdigest(), self._address.pin):
            raise DeskUnreachable(owner=self.owner)

    def _refusal(self, fields: Fields) -> AsepsisError:
        """The desk's error as the class that it names."""
        known = error_of(fields.text("code"))
        names = fields.anything("names")
        try:
            error = known(**{str(key): str(value) for key, value in names.items()} if isinstance(names, dict) else {})
        except (KeyError, TypeError):
            return DeskAnswerMalformed(owner=self.owner)
        return error


def _read_commitment(fields: Fields) -> Commitment:
    return Commitment(
        value=fields.octets("value", length=COMMITMENT_LENGTH),
        signature=fields.octets("signature", length=SIGNATURE_LENGTH),
    )


def _read_erasures(fields: Fields) -> tuple[SignedErasure, ...]:
    return tuple(read_signed_erasure(item) for item in fields.items("erasures"))


def _read_public(fields: Fields) -> PublicKeys:
    return PublicKeys(signing=fields.octets("signing", length=32), sealing=fields.octets("sealing", length=32))
