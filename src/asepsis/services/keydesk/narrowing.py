"""Amendments that only narrow: one owner signs, and the desk of every other owner confirms by itself what it compared.

A confirmation is a signature with a purpose of its own. It is made only over a version that another owner signed so,
that lets nothing more through than the newest version at this desk, and only if that one binds everybody and nobody
stopped it. From then on the desk grants under the narrower version alone, as if its owner had signed it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from asepsis.domain.contract import Amendment, Contract
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.keydesk import NarrowRequest
from asepsis.domain.ledger import Act
from asepsis.domain.names import PartyId
from asepsis.domain.narrowing import widened
from asepsis.domain.statements import require_not_stopped
from asepsis.errors.contract import AmendmentRefused, ContractNotInForce, ContractNotSigned, ContractSuperseded
from asepsis.errors.desk import ContractNotSignedHere, DeskStopped
from asepsis.sealing.agreement import contract_digest, contract_payload, verify_agreement, verify_signature
from asepsis.sealing.canonical import canonical
from asepsis.sealing.signing import Purpose
from asepsis.services.keydesk.consent import check_lineage, kept_contract, require_named
from asepsis.services.keydesk.office import Office
from asepsis.services.keydesk.ports import DeskRecords


def confirm(office: Office, request: NarrowRequest) -> bytes:
    """Confirm an amendment that another owner signed; confirming it again changes nothing.

    Raises:
        DeskStopped: the owner pulled the kill switch.
        RequestMalformed: the text is no contract.
        ContractNotSignedHere: the version that it amends was not signed here.
        ContractSuperseded: the version that it amends is not the newest one here.
        ContractNotSigned, ContractNotInForce: the version that it amends does not bind all, or was stopped.
        AmendmentRefused: it does not only narrow, or no other owner wants it.
        MemoryLeftBehind: there is a memory of releases over this owner's data that it does not name any more.
    """
    contract = office.read("contract", lambda: read_contract(request.contract))
    digest = contract_digest(contract)
    with office.acting() as records:
        if records.is_stopped():
            raise DeskStopped(owner=office.owner)
        before = _require_narrowing(office, records, contract, signatures=request.before)
        _require_wanted(office, contract, request.signatures)
        if not records.is_signed(digest):
            text = canonical(contract.to_document())
            records.add_contract(digest, lineage=before.lineage, text=text)
            office.write(records, Act.CONTRACT_NARROWED, subject=digest, contract=before.contract)
    return office.keys.sign(Purpose.AMENDMENT, contract_payload(contract))


def signature(office: Office, contract: Contract, *, before: Mapping[PartyId, bytes]) -> bytes:
    """The owner's own signature over a version that was just signed here: that it narrows, where it only narrows."""
    purpose = Purpose.CONTRACT
    if contract.amends is not None:
        not_alone = (AmendmentRefused, ContractNotInForce, ContractNotSigned, ContractSuperseded)
        with suppress(*not_alone), office.state.reading() as records:
            _require_narrowing(office, records, contract, signatures=before)
            purpose = Purpose.AMENDMENT
    return office.keys.sign(purpose, contract_payload(contract))


def _require_narrowing(
    office: Office, records: DeskRecords, contract: Contract, *, signatures: Mapping[PartyId, bytes]
) -> Amendment:
    """Compare a version with the newest one here; ``signatures`` are those under the version that it amends."""
    amends = contract.amends
    before = None if amends is None else kept_contract(records, amends.contract)
    if amends is None or before is None:  # until then nothing of the text is repeated, not even its name
        raise ContractNotSignedHere(owner=office.owner)
    wider = widened(contract, before=before)
    if wider:
        problem = f"it does more than narrow: {', '.join(wider)}"
        raise AmendmentRefused(contract=before.name, problem=problem)
    check_lineage(records, contract)
    if records.versions(amends.lineage)[-1] not in {amends.contract, contract_digest(contract)}:
        raise ContractSuperseded(contract=before.name)
    verify_agreement(before.to_document(), signatures)
    require_not_stopped(records.statements(amends.contract), contract=before)
    require_named(office, records, contract, lineage=amends.lineage)
    return amends


def _require_wanted(office: Office, contract: Contract, signatures: Mapping[PartyId, bytes]) -> None:
    """Some other owner signed that it narrows: a confirmation is never the first word."""
    for owner in contract.owners:
        with suppress(ContractNotSigned):
            if owner.id != office.owner and _purpose(contract, owner.id, signatures) is Purpose.AMENDMENT:
                return
    raise AmendmentRefused(contract=contract.name, problem="no other owner has signed that it narrows")


def _purpose(contract: Contract, owner: PartyId, signatures: Mapping[PartyId, bytes]) -> Purpose:
    return verify_signature(contract, party=owner, signature=signatures.get(owner, b""))
