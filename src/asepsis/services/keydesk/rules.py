"""What a key desk asks the policies: may this author have it asked, reading this, and may this runtime have the keys.

The desk decides by the same policies as the room, from its own view of the contract, the inputs and the evidence.
"""

from __future__ import annotations

from collections.abc import Iterable

from asepsis.access.policies import ruling
from asepsis.domain.analysis import Analysis, Job
from asepsis.domain.asking import Deed, Question, RuntimePrincipal, Subject, party_principal
from asepsis.domain.attestation import Appraisal
from asepsis.domain.contract import Contract, Holding
from asepsis.domain.snapshot import Label
from asepsis.errors.attest import LevelTooLow
from asepsis.errors.contract import UnknownParty
from asepsis.errors.desk import AnalysisNotAllowed, AuthorWithoutRole, HoldingRefused
from asepsis.services.access import asking_with, denied

LEVEL_FOR_REAL = 2
"""What the policy ``real-data-at-level-2`` asks for, to be said in its refusal."""


def check_asking(analysis: Analysis, contract: Contract, *, reads: frozenset[Holding]) -> None:
    """Ask the policies whether this author may have this run, on inputs that hold this.

    Raises:
        AuthorWithoutRole: the author is no party with a role that may ask for this kind.
        AnalysisNotAllowed: the contract does not allow this kind or this method.
        HoldingRefused: identifiers and clinical data would meet.
    """
    kind = analysis.kind.value
    without = AuthorWithoutRole(contract=contract.name, analysis=kind)
    try:
        author = party_principal(contract, analysis.author)
    except UnknownParty:
        raise without from None
    found = ruling(asking_with(author, analysis, contract, reads=reads))
    if found.allowed:
        return
    if "only-what-was-agreed" in found.policies:
        raise AnalysisNotAllowed(contract=contract.name, analysis=kind)
    for policy, holding in (
        ("no-identifiers-in-analyses", Holding.IDENTITY),
        ("no-clinical-data-in-linkages", Holding.CLINICAL),
    ):
        if policy in found.policies:
            raise HoldingRefused(analysis=kind, holding=holding.value)
    raise without


def check_runtime(appraisal: Appraisal, job: Job, *, contract: Contract, label: Label) -> None:
    """Ask the policies whether a runtime with such evidence gets the keys of this run. Raises LevelTooLow.

    Raises AccessDenied where a policy says no that has no word of its own.
    """
    question = Question(
        principal=RuntimePrincipal(level=appraisal.level),
        deed=Deed.GRANT,
        subject=Subject(kind="Run", id=job.run),
        context={"label": label.value, "level": contract.level},
    )
    found = ruling(question)
    if found.allowed:
        return
    if {"level-of-the-contract", "real-data-at-level-2"} & set(found.policies):
        needed = LEVEL_FOR_REAL if "real-data-at-level-2" in found.policies else contract.level
        raise LevelTooLow(level=appraisal.level, needed=needed)
    raise denied(question, found)


def strictest(labels: Iterable[Label]) -> Label:
    """Real, if anything is real."""
    return Label.REAL if Label.REAL in set(labels) else Label.SYNTHETIC
