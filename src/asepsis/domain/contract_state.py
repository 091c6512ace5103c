"""Where a contract stands: its states, the moves between them, and who still has to sign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from asepsis.domain.contract import Contract
from asepsis.domain.names import Digest, PartyId
from asepsis.domain.parties import Party
from asepsis.errors.contract import ContractNotInForce, TransitionRefused


class ContractStatus(StrEnum):
    """The life of a contract."""

    DRAFT = "draft"
    PROPOSED = "proposed"
    IN_FORCE = "in force"
    SUSPENDED = "suspended"
    ENDED = "ended"


TRANSITIONS: Final[Mapping[ContractStatus, frozenset[ContractStatus]]] = {
    ContractStatus.DRAFT: frozenset({ContractStatus.PROPOSED}),
    ContractStatus.PROPOSED: frozenset({ContractStatus.IN_FORCE, ContractStatus.ENDED}),
    ContractStatus.IN_FORCE: frozenset({ContractStatus.SUSPENDED, ContractStatus.ENDED}),
    ContractStatus.SUSPENDED: frozenset({ContractStatus.IN_FORCE, ContractStatus.ENDED}),
    ContractStatus.ENDED: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractState:
    """Where a contract stands: who signed, and whether somebody stopped it.

    ``narrows`` says that it only narrows the version before: then it waits for the owners' desks alone.
    """

    contract: Contract
    digest: Digest
    signed_by: frozenset[PartyId]
    status: ContractStatus
    narrows: bool = False

    @property
    def waiting_for(self) -> tuple[PartyId, ...]:
        """The parties whose signature is still missing."""
        if self.status is not ContractStatus.PROPOSED:
            return ()
        desks = _without(self.contract.owners, self.signed_by) if self.narrows else ()
        return desks or _without(self.contract.parties, self.signed_by)

    def require_in_force(self, now: datetime) -> None:
        """Raise unless everybody signed, nobody stopped it, and the time is right."""
        if self.status is not ContractStatus.IN_FORCE:
            raise ContractNotInForce(contract=self.contract.name, status=self.status.value)
        self.contract.require_time(now)


def _without(parties: tuple[Party, ...], signed_by: frozenset[PartyId]) -> tuple[PartyId, ...]:
    return tuple(party.id for party in parties if party.id not in signed_by)


def move(status: ContractStatus, to: ContractStatus) -> ContractStatus:
    """The new status, if the transition table has that move. Raises TransitionRefused."""
    if to not in TRANSITIONS[status]:
        raise TransitionRefused(subject="contract", current=status.value, wanted=to.value)
    return to
