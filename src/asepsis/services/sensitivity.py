"""Sensitivity: one question by links of every certainty that the contract lets analyses state.

Each answer is a release of its own: it is charged, counts against the quotas, and passes the memory of releases, which
sees questions about different data. The answer by the contract's own links comes first, since what is shown is never
taken back: a stricter one that differs by a few patients, or by nobody, is held.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from asepsis.domain.access import trusts
from asepsis.domain.analysis import Analysis
from asepsis.errors.contract import ContractForbids
from asepsis.services.analyses import Analyses, Answer
from asepsis.services.runs import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class CertainAnswer:
    """An answer by links that are at least so sure, in per cent."""

    certainty: int
    answer: Answer


def ask_at_each(
    analyses: Analyses, analysis: Analysis, *, progress: Progress = lambda _: None
) -> tuple[CertainAnswer, ...]:
    """Ask by the contract's own links, and by each stricter kind; equal questions are free, as ever.

    A question that is refused for its text is asked once. Raises ContractForbids where analyses may state nothing
    stricter, before anything runs, and what :meth:`Analyses.ask` raises.
    """
    contract = analyses.contracts.in_force().contract
    terms = contract.linkage
    each = [replace(analysis, certainty=certainty) for certainty in (terms.percent, *sorted(terms.stricter))]
    if len(each) == 1 or not all(trusts(one, contract) for one in each):
        raise ContractForbids(contract=contract.name, what="analyses by links of several certainties")
    answers: list[CertainAnswer] = []
    for one in each:
        answers.append(CertainAnswer(certainty=one.certainty, answer=analyses.ask(one, progress=progress)))
        if answers[-1].answer.release is None:
            break
    return tuple(answers)
