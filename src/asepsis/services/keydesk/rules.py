"""What a key desk asks the policies: may this author have it asked, reading this, and may this runtime have the keys.

The desk decides by the same policies as the room, from its own view of the contract, the inputs and the evidence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from asepsis.access.policies import ruling
from asepsis.domain.analysis import Analysis
from asepsis.domain.asking import Deed, Question, RuntimePrincipal, Subject, party_principal
from asepsis.domain.attestation import Evidence
from asepsis.domain.contract import Contract
from asepsis.domain.datasets import Holding
from asepsis.domain.names import RunId
from asepsis.domain.snapshot import Label
from asepsis.errors.attest import EvidenceUnconfined, LevelTooLow, MeasurementUnknown
from asepsis.errors.contract import UnknownParty
from asepsis.errors.desk import AnalysisNotAllowed, AuthorWithoutRole, HoldingRefused
from asepsis.services.access import asking_with, denied
from asepsis.services.keydesk.office import Office

LEVEL_FOR_REAL: Final = 2
"""What the policy ``real-data-at-level-2`` asks for, to be said in its refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The evidence for one run, and the level at which it was appraised."""

    run: RunId
    evidence: Evidence
    level: int


def check_asking(analysis: Analysis, contract: Contract, *, reads: frozenset[Holding]) -> None:
    """Ask the policies whether this author may have this run, on inputs that hold this.

    Raises:
        AuthorWithoutRole: the author is no party with a role that may ask for this kind.
        AnalysisNotAllowed: the contract does not allow this kind or this method.
        HoldingRefused: identifiers or tokens would meet what they may not.
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
        ("tokens-for-linkages-alone", Holding.TOKENS),
        ("no-clinical-data-in-linkages", Holding.CLINICAL),
    ):
        if policy in found.policies:
            raise HoldingRefused(analysis=kind, holding=holding.value)
    raise without


def check_runtime(office: Office, shown: Shown, *, contract: Contract, label: Label) -> None:
    """Ask the policies whether a runtime with such evidence gets the keys of this run.

    Raises:
        LevelTooLow, MeasurementUnknown, EvidenceUnconfined: a policy says no, and which one.
        AccessDenied: a policy says no that has no word of its own.
    """
    needed = max(contract.level, office.rules.minimum_level)
    question = Question(
        principal=RuntimePrincipal(level=shown.level, confined=shown.evidence.confined),
        deed=Deed.GRANT,
        subject=Subject(kind="Run", id=shown.run),
        context={
            "label": label.value,
            "level": needed,
            "trusted": office.rules.trusts(shown.evidence.measurement),
            "needs-confinement": office.rules.needs_confinement,
        },
    )
    found = ruling(question)
    if found.allowed:
        return
    if "real-data-at-level-2" in found.policies:
        raise LevelTooLow(level=shown.level, needed=LEVEL_FOR_REAL)
    if "level-of-the-contract" in found.policies:
        raise LevelTooLow(level=shown.level, needed=needed)
    if "only-code-that-the-owner-trusts" in found.policies:
        raise MeasurementUnknown
    if "no-keys-without-confinement" in found.policies:
        raise EvidenceUnconfined(owner=office.owner)
    raise denied(question, found)


def strictest(labels: Iterable[Label]) -> Label:
    """Real, if anything is real."""
    return Label.REAL if Label.REAL in set(labels) else Label.SYNTHETIC
