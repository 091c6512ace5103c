"""The work of a run: one function per kind of analysis, each from a verified order to a statistic.

What only one kind needs is imported for it: every run is a new process, which should begin at once.
"""

from __future__ import annotations

from datetime import datetime

from asepsis.disclosure.gate import Assessed
from asepsis.disclosure.memory import Memory
from asepsis.disclosure.profiles import profile_named
from asepsis.disclosure.releasing import Asking, Behind, assess_method, assess_with_memory, recall
from asepsis.domain.analysis import AnalysisKind, scalars
from asepsis.domain.finding import Finding, Severity
from asepsis.domain.linkage import GRADES
from asepsis.domain.names import Digest
from asepsis.domain.statistic import Statistic
from asepsis.errors.contract import ContractForbids
from asepsis.methods.registry import plan_method
from asepsis.runtime.data import open_room
from asepsis.runtime.order import Order
from asepsis.runtime.private import Accounts, answer_noisy
from asepsis.runtime.remembering import keep_memory, open_memory
from asepsis.runtime.vault import Vault
from asepsis.sealing.canonical import digest
from asepsis.sql.planner import plan_query
from asepsis.sql.private import question_of


def work(order: Order, vault: Vault, *, now: datetime, accounts: Accounts) -> Statistic:
    """Compute, protect, and describe the outcome. Raises the errors of engines, roots and containers."""
    kind = order.job.analysis.kind
    if kind is AnalysisKind.LINKAGE:
        from asepsis.runtime.linking import link_patients

        return link_patients(order, vault, now=now)
    if kind is AnalysisKind.REFERRAL:
        from asepsis.runtime.referring import refer

        return refer(order, vault)
    if kind is AnalysisKind.METHOD:
        return _method(order, vault)
    return _query(order, vault, accounts)


def _query(order: Order, vault: Vault, accounts: Accounts) -> Statistic:
    """Plan again from the text, here, where nobody can change the plan."""
    analysis = order.job.analysis
    planned = plan_query(analysis.body, order.contract.catalogue, parameters=scalars(analysis.arguments))
    if planned.plan is None:
        raise ContractForbids(contract=order.contract.name, what="a query that cannot be planned")
    plan, profile = planned.plan, profile_named(order.contract.profile)
    if order.job.analysis.buys_bounds and order.contract.privacy is None:
        raise ContractForbids(contract=order.contract.name, what="bounds that are bought")
    question = Digest(question_of(plan, buys=order.job.analysis.buys_bounds))
    memory, asking = open_memory(order, vault), _asking(order, question, notes=plan.notes)
    known = recall(memory, asking.question)
    if known is not None:
        return _remembered(order, vault, known, plan=question, memory=(memory, memory))
    if order.contract.privacy is not None:
        noisy, after = answer_noisy(order, vault, plan, memory=memory, asking=asking, accounts=accounts)
        return _remembered(order, vault, noisy, plan=question, memory=(memory, after))
    with open_room(order, vault) as data:
        cells, contributors = data.room.cells_and_contributors(plan, least=profile.threshold, needs=profile.needs)
    assessed, after = assess_with_memory(cells, contributors, plan.shape, profile, memory=memory, asking=asking)
    return _remembered(order, vault, assessed, plan=question, memory=(memory, after))


def _method(order: Order, vault: Vault) -> Statistic:
    analysis, contract = order.job.analysis, order.contract
    planned = plan_method(analysis.body, analysis.arguments, contract.catalogue)
    method, persons, profile = planned.method, planned.persons, profile_named(contract.profile)
    if method is None or persons is None or planned.digest is None:
        raise ContractForbids(contract=contract.name, what="a method that cannot be planned")
    memory, asking = open_memory(order, vault), _asking(order, planned.digest)

    def release() -> tuple[Assessed, Behind]:
        with open_room(order, vault) as data:
            behind = data.room.cells_and_contributors(persons, least=profile.threshold, needs=profile.needs)
            return method.release(data.room, planned.arguments, profile), behind

    assessed, after = assess_method(release, profile, memory=memory, asking=asking, skeleton=method.name)
    return _remembered(order, vault, assessed, plan=planned.digest, memory=(memory, after))


def _asking(order: Order, plan: Digest, *, notes: tuple[Finding, ...] = ()) -> Asking:
    """Who asks what of which data: equal plans on the same snapshots are one question.

    Stricter links make other data of the same snapshots, so that a cell is never taken for the same cell by others.
    """
    stricter = order.contract.linkage.beyond(order.job.analysis.certainty)
    by_links = {"certainty": stricter} if stricter else {}
    data = digest({"inputs": sorted(item.manifest for item in order.job.inputs), **by_links})
    question = digest({"plan": plan, "data": data})
    author, quotas = order.job.analysis.author, order.contract.quotas
    return Asking(author=author, question=question, data=data, notes=(*notes, *_linked(order)), quotas=quotas)


def _linked(order: Order) -> tuple[Finding, ...]:
    """How far the links behind an answer can be trusted."""
    if order.links is None:
        return ()
    terms, stated = order.contract.linkage, order.job.analysis.certainty
    reason = f"Patients of several owners count once, by links of grade {GRADES[terms.mode]} (mode {terms.mode})."
    if stated:
        reason += f" The analysis states links that are at least {stated} % sure."
    return (Finding(code="disclosure.linked", severity=Severity.PASS, reason=reason),)


def _remembered(
    order: Order, vault: Vault, assessed: Assessed, *, plan: Digest, memory: tuple[Memory, Memory]
) -> Statistic:
    before, after = memory
    return Statistic(
        run=order.job.run,
        contract=order.agreement.digest,
        job=order.job_digest,
        plan=plan,
        assessment=assessed.assessment,
        table=assessed.released,
        memory=keep_memory(order, vault, before=before, after=after),
    )
