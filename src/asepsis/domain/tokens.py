"""Access tokens: how a named person or service says who it is, for how long and for what.

A token is a secret that is shown once. What is kept is who it stands for and the SHA-256 of the secret, which has 256
random bits, so that a slow hash would add nothing (NIST SP 800-63B, section 5.1.2). The names of persons stay in
the room's database; the ledger knows tokens by their id.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from asepsis.domain.asking import Principal, PrincipalKind, Scope
from asepsis.domain.contract import Contract
from asepsis.domain.documents import Document, Fields, encode_time, read_name
from asepsis.domain.names import Digest, PartyId
from asepsis.domain.parties import Role
from asepsis.errors.access import TokenRefused, TokenUnfit
from asepsis.errors.contract import UnknownParty

LONGEST_DAYS: Final = 90
SECRET_BYTES: Final = 32
PREFIX: Final = "asepsis_"

_ID: Final = re.compile(r"token-[0-9a-f]{16}")
_FITTING: Final = frozenset({PrincipalKind.PERSON, PrincipalKind.SERVICE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Who a secret stands for: a person or service of a party, in some of the party's roles, for some deeds."""

    id: str
    holder: str
    kind: PrincipalKind
    party: PartyId
    roles: frozenset[Role]
    scopes: frozenset[Scope]
    made_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None

    def standing(self, now: datetime) -> str:
        """In one word: valid, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "valid" if now < self.expires_at else "expired"

    def principal(self, contract: Contract, *, now: datetime) -> Principal:
        """Who asks with this token now: in those of its roles that the contract gives to its party.

        Raises:
            TokenRefused: it expired or was revoked, or the contract does not name its party.
        """
        if self.standing(now) != "valid":
            raise TokenRefused
        try:
            given = contract.party(self.party).roles
        except UnknownParty:
            raise TokenRefused from None
        return Principal(kind=self.kind, id=self.holder, party=self.party, roles=self.roles & given, scopes=self.scopes)

    def to_document(self) -> Document:
        """The document form; :func:`read_token` reads it."""
        return {
            "id": self.id,
            "holder": self.holder,
            "kind": self.kind.value,
            "party": self.party,
            "roles": sorted(role.value for role in self.roles),
            "scopes": sorted(scope.value for scope in self.scopes),
            "made_at": encode_time(self.made_at),
            "expires_at": encode_time(self.expires_at),
            "revoked_at": None if self.revoked_at is None else encode_time(self.revoked_at),
        }


def read_token(document: object) -> Token:
    """Read the document form. Raises DocumentMalformed."""
    fields = Fields(document, document="token")
    revoked = fields.anything("revoked_at")
    token = Token(
        id=fields.text("id"),
        holder=fields.name("holder"),
        kind=PrincipalKind(fields.text("kind")),
        party=PartyId(fields.name("party")),
        roles=frozenset(Role(role) for role in fields.texts("roles", default=())),
        scopes=frozenset(Scope(scope) for scope in fields.texts("scopes", default=())),
        made_at=fields.time("made_at"),
        expires_at=fields.time("expires_at"),
        revoked_at=None if revoked is None else Fields({"at": revoked}, document="token").time("at"),
    )
    fields.close()
    return token


def check_fit(token: Token, contract: Contract) -> None:
    """Raise TokenUnfit or UnknownParty unless such a token may be made under the contract."""
    read_name(token.holder, what="holder")
    if token.kind not in _FITTING or not token.scopes or _ID.fullmatch(token.id) is None:
        raise TokenUnfit(problem="it needs a person or a service, and at least one scope")
    if not 0 < (token.expires_at - token.made_at).total_seconds() <= LONGEST_DAYS * 86_400:
        raise TokenUnfit(problem=f"it lasts from 1 to {LONGEST_DAYS} days")
    if not token.roles <= contract.party(token.party).roles:
        raise TokenUnfit(problem="it has a role that the contract does not give to its party")


def secret_digest(secret: str) -> Digest:
    """What is kept of a secret."""
    return Digest(hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest())
