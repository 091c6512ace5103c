"""The work of a run: one function per kind of analysis, each from a verified order to a statistic."""

from __future__ import annotations

from datetime import datetime

from asepsis.disclosure.gate import Assessed, assess
from asepsis.disclosure.profiles import profile_named
from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.names import Digest
from asepsis.domain.statistic import Statistic
from asepsis.errors.contract import ContractForbids
from asepsis.methods.registry import plan_method
from asepsis.runtime.data import open_room
from asepsis.runtime.linking import link_patients
from asepsis.runtime.order import Order
from asepsis.runtime.referring import refer
from asepsis.runtime.vault import Vault
from asepsis.sql.planner import plan_query


def work(order: Order, vault: Vault, *, now: datetime) -> Statistic:
    """Compute, protect, and describe the outcome. Raises the errors of engines, roots and containers."""
    kind = order.job.analysis.kind
    if kind is AnalysisKind.LINKAGE:
        return link_patients(order, vault, now=now)
    if kind is AnalysisKind.REFERRAL:
        return refer(order, vault)
    if kind is AnalysisKind.METHOD:
        return _method(order, vault)
    return _query(order, vault)


def _query(order: Order, vault: Vault) -> Statistic:
    """Plan again from the text, here, where nobody can change the plan."""
    planned = plan_query(order.job.analysis.body, order.contract.catalogue)
    if planned.plan is None:
        raise ContractForbids(contract=order.contract.name, what="a query that cannot be planned")
    with open_room(order, vault) as data:
        cells = data.room.cells(planned.plan)
    assessed = assess(cells, planned.plan.shape, profile_named(order.contract.profile))
    return _statistic(order, assessed, plan=Digest(planned.plan.digest))


def _method(order: Order, vault: Vault) -> Statistic:
    analysis, contract = order.job.analysis, order.contract
    planned = plan_method(analysis.body, analysis.arguments, contract.catalogue)
    if planned.method is None or planned.digest is None:
        raise ContractForbids(contract=contract.name, what="a method that cannot be planned")
    with open_room(order, vault) as data:
        assessed = planned.method.release(data.room, planned.arguments, profile_named(contract.profile))
    return _statistic(order, assessed, plan=planned.digest)


def _statistic(order: Order, assessed: Assessed, *, plan: Digest) -> Statistic:
    return Statistic(
        run=order.job.run,
        contract=order.agreement.digest,
        job=order.job_digest,
        plan=plan,
        assessment=assessed.assessment,
        table=assessed.released,
    )
