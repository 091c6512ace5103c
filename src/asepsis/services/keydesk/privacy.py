"""What noisy answers cost the persons of the owner's datasets: reserved, then counted with the grant, never refunded.

The loss is durable before a key leaves, so no noise is drawn for a question that was not paid for at every owner's
desk; what fails afterwards stays paid. It is counted per dataset under *all* contracts, so that neither an amendment
nor another contract starts from nothing. The same job of the same run is counted once: the memory of releases
keeps its answer, so there is no second one to pay for.
"""

from __future__ import annotations

from dataclasses import dataclass

from asepsis.domain.analysis import AnalysisKind, Job
from asepsis.domain.contract import Contract
from asepsis.domain.datasets import Holding
from asepsis.domain.names import Digest
from asepsis.domain.privacy import Account, Spending
from asepsis.sealing.agreement import Agreement
from asepsis.services.keydesk.office import Office
from asepsis.services.keydesk.ports import DeskRecords


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """The account of one dataset after a job, and what has to be counted for it; nothing, if it was counted before."""

    account: Account
    spending: Spending | None


def paid(
    office: Office, records: DeskRecords, job: Job, *, agreement: Agreement, job_digest: Digest
) -> tuple[Paid, ...]:
    """What a job costs each of the owner's datasets, with the bounds that it buys, if all of them can pay.

    Raises PrivacyExhausted.
    """
    privacy = agreement.contract.privacy
    if privacy is None or job.analysis.kind is not AnalysisKind.QUERY:
        return ()
    found = []
    for dataset in sorted(_own_datasets(office, agreement.contract) & {item.dataset for item in job.inputs}):
        account = Account(dataset=dataset, limit=privacy.budget, spent=records.spent(dataset))
        wanted = Spending(
            owner=office.owner,
            dataset=dataset,
            run=job.run,
            job=job_digest,
            contract=agreement.digest,
            loss=privacy.cost(buys=job.analysis.buys_bounds),
        )
        if records.is_spent(wanted):
            found.append(Paid(account=account, spending=None))
        else:
            found.append(Paid(account=account.after(wanted.loss, owner=office.owner), spending=wanted))
    return tuple(found)


def accounts(office: Office, records: DeskRecords, contract: Contract) -> tuple[Account, ...]:
    """The accounts of the owner's datasets under the limits of a contract; none where it has no clause ``dp``."""
    if contract.privacy is None:
        return ()
    return tuple(
        Account(dataset=dataset, limit=contract.privacy.budget, spent=records.spent(dataset))
        for dataset in sorted(_own_datasets(office, contract))
    )


def _own_datasets(office: Office, contract: Contract) -> set[str]:
    owned = contract.datasets_of(office.owner)
    return {dataset.name for dataset in owned if dataset.holds is Holding.CLINICAL}
