"""Answers with noise: only for what every owner's desk has counted, and once for each question.

The noisy answer goes into the memory of releases before it leaves, so that the same question never gets another
sample: neither now nor after a crash.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from asepsis.disclosure.dp.noise import Bits
from asepsis.disclosure.dp.release import release_noisy, remaining
from asepsis.disclosure.gate import Assessed
from asepsis.disclosure.memory import Memory
from asepsis.disclosure.profiles import profile_named
from asepsis.disclosure.releasing import Asking, assess_noisy
from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.attestation import read_grant
from asepsis.domain.contract import Contract, Holding
from asepsis.domain.privacy import Account, Privacy
from asepsis.errors.contract import ContractForbids
from asepsis.errors.runtime import GrantNotTrusted
from asepsis.runtime.data import open_room
from asepsis.runtime.order import Order
from asepsis.runtime.vault import Vault
from asepsis.sql.identity import skeleton
from asepsis.sql.plan import QueryPlan
from asepsis.sql.private import PrivatePlan, plan_private

Accounts = Mapping[str, Account]
"""What the datasets have paid, by owner and dataset."""


def paid_accounts(order: Order, grants: Sequence[object]) -> Accounts:
    """The accounts that the owners' verified grants carry; none where answers have no noise.

    Raises GrantNotTrusted where a desk did not count what the answer costs.
    """
    privacy = order.contract.privacy
    if privacy is None or order.job.analysis.kind is not AnalysisKind.QUERY:
        return {}
    by_owner = {grant.owner: grant for grant in map(read_grant, grants)}
    asked = {item.dataset for item in order.job.inputs}
    found: dict[str, Account] = {}
    for owner in order.contract.owners:
        grant = by_owner.get(owner.id)
        counted = {} if grant is None else {account.dataset: account for account in grant.accounts}
        datasets = {one.name for one in order.contract.datasets_of(owner.id) if one.holds is Holding.CLINICAL} & asked
        if set(counted) != datasets or not all(_is_paid(account, privacy) for account in counted.values()):
            raise GrantNotTrusted(owner=owner.id, what="it does not say that the noisy answer was counted")
        found |= {f"{owner.id}/{dataset}": account for dataset, account in counted.items()}
    return found


def answer_noisy(
    order: Order, vault: Vault, plan: QueryPlan, *, memory: Memory, asking: Asking, accounts: Accounts
) -> tuple[Assessed, Memory]:
    """Compute, add noise and remember. Raises ContractForbids for what has no private form, and engine errors."""
    contract = order.contract
    privacy, private = _private(contract, plan)

    def compute() -> Assessed:
        with open_room(order, vault) as data:
            sums = data.room.vectors(private)
        words = (*plan.notes, remaining(accounts))
        return release_noisy(sums, private.shape, privacy, bits=Bits(secrets.token_bytes), words=words)

    rules = profile_named(contract.profile)
    return assess_noisy(compute, rules, memory=memory, asking=asking, skeleton=skeleton(plan.groupings))


def _private(contract: Contract, plan: QueryPlan) -> tuple[Privacy, PrivatePlan]:
    if contract.privacy is not None:
        private = plan_private(plan, contract.privacy, contract.catalogue).plan
        if private is not None:
            return contract.privacy, private
    raise ContractForbids(contract=contract.name, what="a query that cannot be answered with noise")


def _is_paid(account: Account, privacy: Privacy) -> bool:
    return account.limit == privacy.budget and account.spent.micro_rho >= privacy.question.micro_rho and account.holds
