"""Contracts: propose, sign, say where it stands, and stop it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from asepsis.disclosure.profiles import PROFILES
from asepsis.domain.contract import Contract, ContractState, ContractStatus, read_contract
from asepsis.domain.documents import Document, encode_bytes
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import PartyId
from asepsis.domain.statements import StatementKind, standing
from asepsis.errors.contract import ContractNotInForce, DocumentMalformed, NoContract
from asepsis.methods.registry import METHODS
from asepsis.ports import Clock, RoomState
from asepsis.sealing.agreement import Agreement, contract_digest, verify_agreement, verify_signature
from asepsis.sealing.statement import SignedStatement, verify_statement


def read_proposal(document: object) -> Contract:
    """Read a contract and check that this version knows its profile and methods. Raises DocumentMalformed."""
    contract = read_contract(document)
    if contract.profile not in PROFILES:
        known = ", ".join(sorted(PROFILES))
        raise DocumentMalformed(document="contract", place="disclosure.profile", problem=f"one of {known} is needed")
    if set(contract.methods) - set(METHODS):
        known = ", ".join(sorted(METHODS))
        raise DocumentMalformed(document="contract", place="analyses.methods", problem=f"only {known} are known")
    return contract


_ACTS = {
    StatementKind.SUSPEND: Act.CONTRACT_SUSPENDED,
    StatementKind.RESUME: Act.CONTRACT_RESUMED,
    StatementKind.END: Act.CONTRACT_ENDED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Papers:
    """A contract's text, the signatures under it, and the signed statements about it."""

    contract: Document
    signatures: Mapping[PartyId, bytes]
    statements: tuple[Document, ...]

    def to_document(self) -> Document:
        """The three as one document."""
        return {
            "contract": self.contract,
            "signatures": {party: encode_bytes(signature) for party, signature in self.signatures.items()},
            "statements": list(self.statements),
        }


@dataclass(frozen=True, slots=True)
class Contracts:
    """The use cases around the room's one contract."""

    state: RoomState
    clock: Clock
    host: PartyId

    def propose(self, document: object) -> ContractState:
        """Put a contract before all parties; the same text again changes nothing. Raises DocumentMalformed."""
        contract = read_proposal(document)
        digest = contract_digest(contract)
        if not self._is_current(digest):
            entry = self._entry(Act.CONTRACT_PROPOSED, contract.name, self.host, contract=digest)
            with self.state.acting(entry) as tables:
                tables.put_contract(digest, document=contract.to_document())
        return self.status()

    def sign(self, party: PartyId, *, signature: bytes) -> ContractState:
        """Keep a party's signature over the proposed text. Raises ContractNotSigned or UnknownParty."""
        before = self.status()
        contract = before.contract
        verify_signature(contract, party=party, signature=signature)
        if party in before.signed_by:
            return before
        entries = [self._entry(Act.CONTRACT_SIGNED, contract.name, party, contract=before.digest)]
        if before.waiting_for == (party,):
            entries.append(self._entry(Act.CONTRACT_IN_FORCE, contract.name, self.host, contract=before.digest))
        with self.state.acting(*entries) as tables:
            tables.put_signature(before.digest, party=party, signature=signature)
        return self.status()

    def state_that(self, signed: SignedStatement) -> ContractState:
        """Keep a party's statement that suspends, resumes or ends the contract. Raises StatementNotTrusted."""
        agreement = self._signed_agreement()
        statement = verify_statement(signed, agreement)
        entry = self._entry(_ACTS[statement.kind], agreement.contract.name, statement.party, contract=agreement.digest)
        with self.state.acting(entry) as tables:
            tables.put_statement(agreement.digest, signed=signed)
        return self.status()

    def status(self) -> ContractState:
        """Where the contract stands. Raises NoContract."""
        digest, document = self.state.contract()
        contract = read_contract(document)
        signed_by = frozenset(self.state.signatures(digest))
        if signed_by < {party.id for party in contract.parties}:
            status = ContractStatus.PROPOSED
        else:
            status = standing(signed.statement for signed in self.state.statements(digest))
        return ContractState(contract=contract, digest=digest, signed_by=signed_by, status=status)

    def in_force(self) -> Agreement:
        """The agreement, if it is in force now. Raises ContractNotInForce, ContractExpired, ContractNotSigned."""
        self.status().require_in_force(self.clock())
        return self._signed_agreement()

    def papers(self) -> Papers:
        """The contract as the desks and the runtime verify it themselves. Raises NoContract."""
        digest, document = self.state.contract()
        return Papers(
            contract=document,
            signatures=self.state.signatures(digest),
            statements=tuple(signed.to_document() for signed in self.state.statements(digest)),
        )

    def contract(self) -> Contract:
        """The contract's text, whatever its status. Raises NoContract."""
        return self.status().contract

    def _signed_agreement(self) -> Agreement:
        state = self.status()
        if state.waiting_for:
            raise ContractNotInForce(contract=state.contract.name, status=state.status.value)
        digest, document = self.state.contract()
        return verify_agreement(document, self.state.signatures(digest))

    def _is_current(self, digest: str) -> bool:
        try:
            return self.state.contract()[0] == digest
        except NoContract:
            return False

    def _entry(self, act: Act, subject: str, actor: PartyId, **facts: str) -> LedgerEntry:
        return LedgerEntry(at=self.clock(), actor=actor, act=act, subject=subject, facts=facts)
