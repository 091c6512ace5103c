"""Whether anything may be done under a contract now, as one desk knows it.

An owner who signs an amendment withdraws the version before it in the same act: of one lineage, a desk grants under
the version alone that its owner signed last.
"""

from __future__ import annotations

from datetime import datetime

from asepsis.domain.statements import require_not_stopped
from asepsis.errors.contract import ContractSuperseded
from asepsis.errors.desk import DeskStopped
from asepsis.sealing.agreement import Agreement
from asepsis.services.keydesk.office import Office
from asepsis.services.keydesk.ports import DeskRecords


def require_going_on(office: Office, records: DeskRecords, agreement: Agreement, *, at: datetime) -> None:
    """Raise unless nothing was stopped: neither the desk by its owner, nor the contract by time, party or version."""
    if records.is_stopped():
        raise DeskStopped(owner=office.owner)
    if records.versions(agreement.lineage)[-1:] != [agreement.digest]:
        raise ContractSuperseded(contract=agreement.contract.name)
    agreement.contract.require_time(at)
    require_not_stopped(records.statements(agreement.digest), contract=agreement.contract)
