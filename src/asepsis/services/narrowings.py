"""Amendments that only narrow: once an owner has signed one, the room asks every other owner's desk to confirm it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from asepsis.domain.contract import Amendment
from asepsis.domain.contract_state import ContractState, ContractStatus
from asepsis.domain.keydesk import NarrowRequest
from asepsis.domain.names import PartyId
from asepsis.domain.statements import require_not_stopped
from asepsis.ports import Desk, RoomState
from asepsis.services.contracts import Contracts


@dataclass(frozen=True, slots=True)
class Narrowings:
    """The room's side: it carries papers from desk to desk, and no desk believes it anything."""

    state: RoomState
    contracts: Contracts
    desks: Mapping[PartyId, Desk]

    def confirm(self) -> ContractState:
        """Let the desks that are at hand confirm the proposed version, if it only narrows and an owner has signed it.

        Asking again goes on where a desk did not answer.

        Raises:
            ContractNotInForce: the version that it amends was stopped.
            AsepsisError: what the desk raises that does not confirm.
        """
        state = self.contracts.status()
        amends, owners = state.contract.amends, {owner.id for owner in state.contract.owners}
        if amends is None or not state.narrows or state.status is not ContractStatus.PROPOSED:
            return state
        stopped = (signed.statement for signed in self.state.statements(amends.contract))
        require_not_stopped(stopped, contract=state.contract)
        for owner in state.waiting_for:
            if owner in owners & self.desks.keys() and state.signed_by & owners:
                signature = self.desks[owner].narrow(self._request(state, amends))
                self.contracts.sign(owner, signature=signature)
        return self.contracts.status()

    def _request(self, state: ContractState, amends: Amendment) -> NarrowRequest:
        return NarrowRequest(
            contract=state.contract.to_document(),
            signatures=self.state.signatures(state.digest),
            before=self.state.signatures(amends.contract),
        )
