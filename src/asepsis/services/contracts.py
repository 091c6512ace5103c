"""Contracts: propose, sign, say where it stands, and stop it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from asepsis.disclosure.profiles import PROFILES
from asepsis.domain.amendment import check_amendment
from asepsis.domain.asking import Deed
from asepsis.domain.contract import Contract
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.contract_state import ContractState, ContractStatus
from asepsis.domain.documents import Document, encode_bytes
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.names import Digest, PartyId
from asepsis.domain.narrowing import widened
from asepsis.domain.statements import StatementKind, standing
from asepsis.errors.contract import (
    AmendmentRefused,
    ContractNotInForce,
    ContractNotSigned,
    ContractSuperseded,
    DocumentMalformed,
    NoContract,
)
from asepsis.methods.registry import METHODS
from asepsis.ports import Clock, RoomState
from asepsis.sealing.agreement import Agreement, contract_digest, lineage_of, verify_agreement, verify_signature
from asepsis.sealing.signing import Purpose
from asepsis.sealing.statement import SignedStatement, verify_statement
from asepsis.services.access import Access, about_contract


def read_proposal(document: object) -> Contract:
    """Read a contract and check that this version knows its profile and methods. Raises DocumentMalformed."""
    contract = read_contract(document)
    if not set(contract.profile.split("+")) <= PROFILES.keys():
        known = ", ".join(sorted(PROFILES))
        raise DocumentMalformed(document="contract", place="disclosure.profile", problem=f"one of {known} is needed")
    if set(contract.methods) - set(METHODS):
        known = ", ".join(sorted(METHODS))
        raise DocumentMalformed(document="contract", place="analyses.methods", problem=f"only {known} are known")
    if contract.templates:
        from asepsis.services.planning import check_templates  # noqa: PLC0415 - SQL takes long to import

        check_templates(contract)
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
        """Put a contract before all parties; the same text again changes nothing.

        From then on nothing runs under the one before, until all parties have signed the new one.

        Raises:
            DocumentMalformed: the text is no contract.
                AmendmentRefused: it amends a text that this room does not know, or what cannot be amended.
            ContractSuperseded: it was proposed before, and another one took its place.
        """
        contract = read_proposal(document)
        digest = contract_digest(contract)
        if not self._is_current(digest):
            self._check_place(contract, digest)
            entry = self._entry(Act.CONTRACT_PROPOSED, contract.name, self.host, contract=digest)
            with self.state.acting(entry) as tables:
                tables.put_contract(digest, document=contract.to_document())
        return self.status()

    def sign(self, party: PartyId, *, signature: bytes) -> ContractState:
        """Keep a party's signature over the proposed text. Raises ContractNotSigned or UnknownParty."""
        before = self.status()
        contract = before.contract
        self._require(party, Deed.SIGN_CONTRACT, contract)
        purpose = verify_signature(contract, party=party, signature=signature)
        if party in before.signed_by:
            return before
        mode = {"mode": purpose.value} if purpose is Purpose.AMENDMENT else {}
        entries = [self._entry(Act.CONTRACT_SIGNED, contract.name, party, contract=before.digest, **mode)]
        if _binds(contract, {**self.state.signatures(before.digest), party: signature}):
            act = Act.CONTRACT_IN_FORCE if contract.amends is None else Act.CONTRACT_AMENDED
            entries.append(self._entry(act, contract.name, self.host, contract=before.digest))
        with self.state.acting(*entries) as tables:
            tables.put_signature(before.digest, party=party, signature=signature)
        return self.status()

    def state_that(self, signed: SignedStatement) -> ContractState:
        """Keep a party's statement that suspends, resumes or ends the contract. Raises StatementNotTrusted."""
        agreement = self._signed_agreement()
        self._require(signed.statement.party, Deed.STOP_CONTRACT, agreement.contract)
        statement = verify_statement(signed, agreement)
        entry = self._entry(_ACTS[statement.kind], agreement.contract.name, statement.party, contract=agreement.digest)
        with self.state.acting(entry) as tables:
            tables.put_statement(agreement.digest, signed=signed)
        return self.status()

    def status(self) -> ContractState:
        """Where the contract stands. Raises NoContract."""
        digest, document = self.state.contract()
        contract = read_contract(document)
        signatures = self.state.signatures(digest)
        status = ContractStatus.PROPOSED
        if _binds(contract, signatures):
            status = standing(signed.statement for signed in self.state.statements(digest))
        return ContractState(
            contract=contract,
            digest=digest,
            signed_by=frozenset(signatures),
            status=status,
            narrows=self.widened(contract) == (),
        )

    def widened(self, contract: Contract) -> tuple[str, ...] | None:
        """The clauses by which an amendment does more than narrow; nothing for what amends no version of this room."""
        before = None if contract.amends is None else self.state.contracts().get(contract.amends.contract)
        return None if before is None else widened(contract, before=read_contract(before))

    def in_force(self) -> Agreement:
        """The agreement, if it is in force now. Raises ContractNotInForce, ContractExpired, ContractNotSigned."""
        self.status().require_in_force(self.clock())
        return self._signed_agreement()

    def amendment(self) -> Document:
        """The last contract that binds all, as the beginning of its next version, to be edited. Raises NoContract."""
        for digest, document in reversed(list(self.state.contracts().items())):
            contract = read_contract(document)
            if _binds(contract, self.state.signatures(digest)):
                amends = {"contract": digest, "lineage": lineage_of(contract, digest=digest)}
                return {**contract.to_document(), "amends": amends}
        raise NoContract

    def papers(self, digest: Digest | None = None) -> Papers:
        """A contract as the desks and the runtime verify it themselves: the newest, or an earlier one by its digest.

        Raises NoContract.
        """
        newest, document = self.state.contract()
        if digest is not None and digest != newest:
            document = self.state.contracts().get(digest, {})
        digest = digest or newest
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

    def _check_place(self, contract: Contract, digest: Digest) -> None:
        """A text that was not proposed before and, if it amends one, amends one of this room's."""
        known = self.state.contracts()
        if digest in known:
            raise ContractSuperseded(contract=contract.name)
        if contract.amends is None:
            return
        document = known.get(contract.amends.contract)
        if document is None:
            raise AmendmentRefused(contract=contract.name, problem="the room does not know the version that it names")
        before, named = read_contract(document), contract.amends.contract
        check_amendment(contract, before=before, digest=named, lineage=lineage_of(before, digest=named))

    def _require(self, party: PartyId, deed: Deed, contract: Contract) -> None:
        access = Access(self.state, self.clock, self.host)
        access.require(about_contract(access.party(contract, party, deed=deed), deed, contract))

    def _is_current(self, digest: str) -> bool:
        try:
            return self.state.contract()[0] == digest
        except NoContract:
            return False

    def _entry(self, act: Act, subject: str, actor: PartyId, **facts: str) -> LedgerEntry:
        return LedgerEntry(at=self.clock(), actor=actor, act=act, subject=subject, facts=facts)


def _binds(contract: Contract, signatures: Mapping[PartyId, bytes]) -> bool:
    """Whether the signatures are those that a contract takes: of all parties, or of all owners that it narrows.

    Of all parties' it is asked only whether they are there: whoever uses the contract verifies them.
    """
    if signatures.keys() >= {party.id for party in contract.parties}:
        return True
    try:
        verify_agreement(contract.to_document(), signatures)
    except ContractNotSigned:
        return False
    return True
