"""The agreement: a contract's text with the signatures of all its parties.

The room, every key desk and the runtime verify it themselves with this one function, so that none of them has
to believe another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from asepsis.domain.contract import Contract, read_contract
from asepsis.domain.names import Digest, PartyId
from asepsis.errors.contract import ContractNotSigned
from asepsis.errors.sealing import SignatureInvalid
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.signing import Purpose, verify


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A contract that all its parties signed, and the digest that everything else refers to."""

    contract: Contract
    digest: Digest

    @property
    def lineage(self) -> Digest:
        """The first version of the contract, to which its memory of releases, quotas and budgets belong."""
        return lineage_of(self.contract, digest=self.digest)


def lineage_of(contract: Contract, *, digest: Digest) -> Digest:
    """The lineage that a contract names, or begins. Owners' desks check at signing that it names the right one."""
    return digest if contract.amends is None else contract.amends.lineage


def contract_payload(contract: Contract) -> bytes:
    """The bytes that every party signs (RFC 8785 canonical form)."""
    return canonical(contract.to_document())


def contract_digest(contract: Contract) -> Digest:
    """What approvals, jobs, grants and ledger entries name."""
    return digest(contract.to_document())


def verify_signature(contract: Contract, *, party: PartyId, signature: bytes) -> None:
    """Check one party's signature. Raises ContractNotSigned, or UnknownParty."""
    _verify(contract, party=party, payload=contract_payload(contract), signature=signature)


def verify_agreement(document: object, signatures: Mapping[PartyId, bytes]) -> Agreement:
    """Read a contract and check that every party signed exactly this text.

    Raises:
        DocumentMalformed: the text is no contract.
        ContractNotSigned: a signature is missing or is not over this text.
    """
    contract = read_contract(document)
    payload = contract_payload(contract)
    for party in contract.parties:
        _verify(contract, party=party.id, payload=payload, signature=signatures.get(party.id, b""))
    return Agreement(contract=contract, digest=Digest(hashlib.sha256(payload).hexdigest()))


def _verify(contract: Contract, *, party: PartyId, payload: bytes, signature: bytes) -> None:
    key = contract.party(party).signing_key
    try:
        verify(key, purpose=Purpose.CONTRACT, payload=payload, signature=signature)
    except SignatureInvalid:
        raise ContractNotSigned(contract=contract.name, party=party) from None
