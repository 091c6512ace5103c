"""Whether anything may be done under a contract now, as one desk knows it."""

from __future__ import annotations

from datetime import datetime

from asepsis.domain.statements import require_not_stopped
from asepsis.errors.desk import DeskStopped
from asepsis.sealing.agreement import Agreement
from asepsis.services.keydesk.office import Office
from asepsis.services.keydesk.ports import DeskRecords


def require_going_on(office: Office, records: DeskRecords, agreement: Agreement, *, at: datetime) -> None:
    """Raise unless nothing has been stopped: neither the desk by its owner, nor the contract by time or a party."""
    if records.is_stopped():
        raise DeskStopped(owner=office.owner)
    agreement.contract.require_time(at)
    require_not_stopped(records.statements(agreement.digest), contract=agreement.contract)
