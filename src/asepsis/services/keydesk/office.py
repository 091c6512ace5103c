"""What all parts of a key desk share: whose it is, its keys, memory, clock, and how it writes its own ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import PartyId
from asepsis.errors import AsepsisError
from asepsis.errors.desk import RequestMalformed
from asepsis.ports import Appraise, Clock, Randomness
from asepsis.services.keydesk.ports import DeskRecords, DeskState, KeyStore

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """One owner's desk without its verbs."""

    owner: PartyId
    state: DeskState
    keys: KeyStore
    appraise: Appraise
    clock: Clock
    randomness: Randomness

    def now(self) -> datetime:
        """The time, in UTC."""
        return self.clock().astimezone(UTC)

    def entry(self, act: Act, *, subject: str, facts: Mapping[str, str | int] | None = None) -> LedgerEntry:
        """An entry of the desk's own ledger."""
        return LedgerEntry(at=self.now(), actor=self.owner, act=act, subject=subject, facts=facts or {})

    def write(self, records: DeskRecords, act: Act, *, subject: str, **facts: str | int) -> None:
        """Append one entry, in the transaction of what it tells."""
        records.append([self.entry(act, subject=subject, facts=facts)])

    def read(self, part: str, reader: Callable[[], T]) -> T:
        """Read a part of a request; whatever is wrong with it, nothing of it is repeated in the error."""
        try:
            return reader()
        except AsepsisError:
            raise RequestMalformed(part=part, owner=self.owner) from None
