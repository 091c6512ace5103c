"""What all parts of a key desk share: whose it is, its keys, memory, clock, and how it writes its own ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from asepsis.domain.desk_rules import DeskRules
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import PartyId
from asepsis.errors import AsepsisError
from asepsis.errors.desk import DeskClockBehind, RequestMalformed
from asepsis.ports import Appraise, Clock, Randomness
from asepsis.services.keydesk.ports import DeskRecords, DeskState, KeyStore

T = TypeVar("T")

CLOCK_STEP: Final = timedelta(seconds=2)
"""How far a clock may be set back without anybody asking why: time servers correct machines in small steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """One owner's desk without its verbs."""

    owner: PartyId
    state: DeskState
    keys: KeyStore
    appraise: Appraise
    clock: Clock
    randomness: Randomness
    rules: DeskRules = field(default_factory=DeskRules)

    def now(self) -> datetime:
        """The time, in UTC."""
        return self.clock().astimezone(UTC)

    @contextmanager
    def acting(self) -> Iterator[DeskRecords]:
        """One transaction of an act, if the clock can be believed; the owner's switch alone does without.

        Nonces, leases and contracts end by this clock, so that one who sets it back could use them again. A
        refusal is recorded under the last time that the desk was sure of.

        Raises:
            DeskClockBehind: the desk has an entry from later than now.
        """
        with self.state.writing() as records:
            latest = records.latest()
            if latest is None or self.now() >= latest - CLOCK_STEP:
                yield records
                return
            facts = {"code": DeskClockBehind.code}
            records.append(
                [LedgerEntry(at=latest, actor=self.owner, act=Act.CLOCK_REFUSED, subject="desk", facts=facts)]
            )
        raise DeskClockBehind(owner=self.owner)

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
