"""Planning: what can be said about an analysis before it touches data, the same for the room and for its author."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asepsis.disclosure.dp.release import predicted
from asepsis.domain.analysis import Analysis, AnalysisKind, scalars
from asepsis.domain.contract import Contract
from asepsis.domain.finding import Assessment, Finding
from asepsis.domain.names import Digest
from asepsis.domain.privacy import Privacy
from asepsis.errors.contract import DocumentMalformed
from asepsis.methods.registry import plan_method
from asepsis.sealing.canonical import digest
from asepsis.sql.plan import QueryPlan
from asepsis.sql.planner import plan_cohort, plan_query
from asepsis.sql.private import plan_private, question_of
from asepsis.sql.refusals import RefusedError


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAnalysis:
    """Findings, the identity of the plan (equal questions have equal plans), and a version that would pass."""

    assessment: Assessment
    plan: Digest | None
    rewrite: str | None = None


def plan_analysis(analysis: Analysis, contract: Contract) -> PlannedAnalysis:
    """Plan a query, a method or a referral's cohort; never raises for what its text says."""
    if analysis.kind is AnalysisKind.METHOD:
        method = plan_method(analysis.body, analysis.arguments, contract.catalogue)
        return _planned(contract, method.findings, plan=method.digest)
    if analysis.kind is AnalysisKind.REFERRAL:
        cohort = plan_cohort(analysis.body, contract.catalogue)
        found = None if cohort.cohort is None else digest(analysis.to_document())
        return _planned(contract, cohort.findings, plan=found)
    query = plan_query(analysis.body, contract.catalogue, parameters=scalars(analysis.arguments))
    if query.plan is not None and contract.privacy is not None:
        return _private(contract, contract.privacy, query.plan, buys=analysis.buys_bounds)
    if analysis.buys_bounds and query.plan is not None:
        return _planned(contract, (RefusedError("sql.dp_unsold").finding(),), plan=None)
    plan = None if query.plan is None else Digest(query.plan.digest)
    return _planned(contract, query.findings, plan=plan, rewrite=query.rewrite)


def check_templates(contract: Contract) -> None:
    """Plan every template with arguments that it admits. Raises DocumentMalformed for one that could never be asked."""
    for template in contract.templates:
        samples = {parameter.name: parameter.sample for parameter in template.parameters}
        planned = plan_query(template.sql, contract.catalogue, parameters=samples)
        if planned.plan is None:
            codes = ", ".join(sorted({finding.code for finding in planned.findings}))
            place = f"analyses.templates.{template.name}.sql"
            raise DocumentMalformed(document="contract", place=place, problem=f"it would be refused: {codes}")


def _private(contract: Contract, privacy: Privacy, plan: QueryPlan, *, buys: bool) -> PlannedAnalysis:
    """What an answer with noise would cost and how far off it would be, or why there is none."""
    planned = plan_private(plan, privacy, contract.catalogue, buys=buys)
    if planned.plan is None:
        return _planned(contract, planned.findings, plan=None)
    findings = (*plan.notes, *predicted(planned.plan.shape, privacy, buys=buys))
    return _planned(contract, findings, plan=Digest(question_of(plan, buys=buys)))


def _planned(
    contract: Contract, findings: Sequence[Finding], *, plan: Digest | None, rewrite: str | None = None
) -> PlannedAnalysis:
    assessment = Assessment(profile=contract.profile, findings=tuple(findings))
    return PlannedAnalysis(assessment=assessment, plan=plan, rewrite=rewrite)
