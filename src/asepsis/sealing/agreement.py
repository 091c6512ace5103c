"""The agreement: a contract's text with the signatures of all its parties, or of all owners' desks.

An amendment that only narrows needs the will of one owner. The desks of all owners compare it with the version that
they have, each for itself, and sign with a purpose of its own that it narrows; then nobody else needs to sign.

The room, every key desk and the runtime verify it themselves with this one function, so that none of them has
to believe another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from asepsis.domain.contract import Contract
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.names import Digest, PartyId
from asepsis.domain.parties import Role
from asepsis.errors.contract import ContractNotSigned
from asepsis.errors.sealing import SignatureInvalid
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.signing import Purpose, verify


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A contract that binds all its parties, and the digest that everything else refers to."""

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


def verify_signature(contract: Contract, *, party: PartyId, signature: bytes) -> Purpose:
    """Check one party's signature, and say what it is for: the contract, or an amendment that only narrows.

    Raises:
        ContractNotSigned: the party did not sign this text so.
        UnknownParty: the contract does not name it.
    """
    return _verify(contract, party=party, payload=contract_payload(contract), signature=signature)


def verify_agreement(document: object, signatures: Mapping[PartyId, bytes]) -> Agreement:
    """Read a contract and check that every party signed exactly this text, or every owner's desk that it narrows.

    Raises:
        DocumentMalformed: the text is no contract.
        ContractNotSigned: a signature is missing or is not over this text.
    """
    contract = read_contract(document)
    payload = contract_payload(contract)
    purposes, missing = {}, []
    for party in contract.parties:
        try:
            purposes[party.id] = _verify(
                contract, party=party.id, payload=payload, signature=signatures.get(party.id, b"")
            )
        except ContractNotSigned as error:
            missing.append(error)
    if missing and any(purposes.get(owner.id) is not Purpose.AMENDMENT for owner in contract.owners):
        raise missing[0] from None
    return Agreement(contract=contract, digest=Digest(hashlib.sha256(payload).hexdigest()))


def _verify(contract: Contract, *, party: PartyId, payload: bytes, signature: bytes) -> Purpose:
    signer = contract.party(party)
    narrows = contract.amends is not None and Role.OWNER in signer.roles
    for purpose in (Purpose.CONTRACT, Purpose.AMENDMENT) if narrows else (Purpose.CONTRACT,):
        with suppress(SignatureInvalid):
            verify(signer.signing_key, purpose=purpose, payload=payload, signature=signature)
            return purpose
    raise ContractNotSigned(contract=contract.name, party=party)
