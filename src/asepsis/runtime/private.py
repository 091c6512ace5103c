"""Answers with noise: only for what every owner's desk has counted, and once for each question.

The noisy answer goes into the memory of releases before it leaves, so that the same question never gets another
sample: neither now nor after a crash.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from asepsis.disclosure.dp.bounds import bought, buy_norms, unbought
from asepsis.disclosure.dp.noise import Bits
from asepsis.disclosure.dp.release import release_noisy, remaining
from asepsis.disclosure.gate import Assessed
from asepsis.disclosure.memory import Memory
from asepsis.disclosure.profiles import profile_named
from asepsis.disclosure.releasing import Asking, assess_noisy
from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.attestation import read_grant
from asepsis.domain.datasets import Holding
from asepsis.domain.privacy import Account, Loss, Privacy
from asepsis.errors.contract import ContractForbids
from asepsis.errors.runtime import GrantNotTrusted
from asepsis.runtime.data import open_room
from asepsis.runtime.order import Order
from asepsis.runtime.vault import Vault
from asepsis.sql.identity import skeleton
from asepsis.sql.plan import QueryPlan
from asepsis.sql.private import PrivatePlan, plan_private, with_norms

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
    cost = privacy.cost(buys=order.job.analysis.buys_bounds)
    found: dict[str, Account] = {}
    for owner in order.contract.owners:
        grant = by_owner.get(owner.id)
        counted = {} if grant is None else {account.dataset: account for account in grant.accounts}
        datasets = {one.name for one in order.contract.datasets_of(owner.id) if one.holds is Holding.CLINICAL} & asked
        if set(counted) != datasets or not all(_is_paid(account, privacy, cost) for account in counted.values()):
            raise GrantNotTrusted(owner=owner.id, what="it does not say that the noisy answer was counted")
        found |= {f"{owner.id}/{dataset}": account for dataset, account in counted.items()}
    return found


def answer_noisy(
    order: Order, vault: Vault, plan: QueryPlan, *, memory: Memory, asking: Asking, accounts: Accounts
) -> tuple[Assessed, Memory]:
    """Compute, add noise and remember. Raises ContractForbids for what has no private form, and engine errors."""
    privacy, private = _private(order, plan)
    bits = Bits(secrets.token_bytes)

    def compute() -> Assessed:
        bounded, bounds = private, None
        with open_room(order, vault) as data:
            if unbought(private.shape):
                norms = buy_norms(data.room.lengths(private), private.shape, privacy, bits=bits)
                bounded, bounds = with_norms(private, norms), bought(private.shape, norms)
            sums = data.room.vectors(bounded)
        words = (*plan.notes, remaining(accounts))
        return release_noisy(sums, bounded.shape, privacy, bits=bits, words=words, bounds=bounds)

    rules = profile_named(order.contract.profile)
    return assess_noisy(compute, rules, memory=memory, asking=asking, skeleton=skeleton(plan.groupings))


def _private(order: Order, plan: QueryPlan) -> tuple[Privacy, PrivatePlan]:
    contract, buys = order.contract, order.job.analysis.buys_bounds
    if contract.privacy is not None:
        private = plan_private(plan, contract.privacy, contract.catalogue, buys=buys).plan
        if private is not None:
            return contract.privacy, private
    raise ContractForbids(contract=contract.name, what="a query that cannot be answered with noise")


def _is_paid(account: Account, privacy: Privacy, cost: Loss) -> bool:
    return account.limit == privacy.budget and account.spent.micro_rho >= cost.micro_rho and account.holds
