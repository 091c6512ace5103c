"""Tokens of a room: made once, kept as digests, looked up by every request, revoked at once.

Making and revoking are acts of the host in the ledger, by the token's id and party; no name of a person is in it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from datetime import timedelta

from asepsis.domain.asking import Deed, Principal, PrincipalKind, Scope
from asepsis.domain.contract import Contract
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import PartyId, ReleaseId
from asepsis.domain.parties import Role
from asepsis.domain.tokens import PREFIX, SECRET_BYTES, Token, check_fit, secret_digest
from asepsis.errors.access import TokenRefused
from asepsis.errors.room import RecordMissing
from asepsis.ports import Clock, Randomness, RoomState


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a token should stand for."""

    holder: str
    kind: PrincipalKind
    party: PartyId
    roles: frozenset[Role]
    scopes: frozenset[Scope]
    days: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """Make, list, revoke, and recognise."""

    state: RoomState
    clock: Clock
    randomness: Randomness
    host: PartyId

    def make(self, wanted: Wanted, *, contract: Contract) -> tuple[Token, str]:
        """A new token and its secret, which is kept nowhere. Raises TokenUnfit or UnknownParty."""
        now = self.clock()
        token = Token(
            id="token-" + self.randomness(8).hex(),
            holder=wanted.holder,
            kind=wanted.kind,
            party=wanted.party,
            roles=wanted.roles,
            scopes=wanted.scopes,
            made_at=now,
            expires_at=now + timedelta(days=wanted.days),
        )
        check_fit(token, contract)
        secret = PREFIX + base64.urlsafe_b64encode(self.randomness(SECRET_BYTES)).decode().rstrip("=")
        with self.state.acting(self._entry(Act.TOKEN_MADE, token)) as tables:
            tables.put_token(token, secret=secret_digest(secret))
        return token, secret

    def all(self) -> list[Token]:
        """All tokens that were ever made, oldest first."""
        return list(self.state.tokens().values())

    def revoke(self, token_id: str) -> Token:
        """Refuse a token from now on; revoking it again changes nothing. Raises RecordMissing."""
        for digest, token in self.state.tokens().items():
            if token.id != token_id:
                continue
            if token.revoked_at is not None:
                return token
            revoked = replace(token, revoked_at=self.clock())
            with self.state.acting(self._entry(Act.TOKEN_REVOKED, revoked)) as tables:
                tables.put_token(revoked, secret=digest)
            return revoked
        raise RecordMissing(subject="token", id=token_id)

    def are_needed(self) -> bool:
        """Whether a request must bring one: as soon as one was ever made, be it revoked since."""
        return bool(self.state.tokens())

    def principal(self, secret: str, *, contract: Contract) -> tuple[Token, Principal]:
        """Whom a secret stands for. Raises TokenRefused."""
        token = self.state.token(secret_digest(secret))
        if token is None:
            raise TokenRefused
        return token, token.principal(contract, now=self.clock())

    def note_reading(self, token: Token, release: ReleaseId) -> None:
        """Write down that the holder of a token is about to be shown a release."""
        facts = {"release": release, "token": token.id}
        entry = LedgerEntry(
            at=self.clock(), actor=token.party, act=Act.RELEASE_READ, subject=Deed.READ_RELEASE.value, facts=facts
        )
        with self.state.acting(entry):
            pass

    def _entry(self, act: Act, token: Token) -> LedgerEntry:
        facts = {"party": token.party, "expires": token.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")}
        return LedgerEntry(at=self.clock(), actor=self.host, act=act, subject=token.id, facts=facts)
