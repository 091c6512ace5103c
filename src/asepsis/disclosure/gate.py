"""The gate for cells: from sealed cells to a released table, with a word on everything that was done.

What the findings and notes say about a grouped result does not depend on the data, so that a group of a few
persons and a group of none look the same. Order, limit and conditions on groups see protected values only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from asepsis.disclosure.derive import ProtectedRow, action_of, holds, rank, value_of
from asepsis.disclosure.margins import Complemented, complemented
from asepsis.disclosure.profiles import Profile
from asepsis.disclosure.showing import Held, let_out, protected_measures
from asepsis.domain.cells import (
    BranchShape,
    CellRow,
    CellTable,
    MeasureKind,
    Shape,
)
from asepsis.domain.finding import Assessment, Finding, Severity
from asepsis.domain.release import Cell, CellAction, Released
from asepsis.domain.sealed import Sealed
from asepsis.errors.disclosure import WithheldError

WITHHELD: Final = "Groups that the rules do not let out are left out, whether they exist or not."
NOTHING_SHOWN: Final = Finding(
    code="disclosure.below_threshold",
    severity=Severity.REFUSE,
    reason="No part of this result can be shown under the rules.",
    advice="Ask about more persons: fewer conditions, or coarser groups.",
)
MARGINS_OPEN: Final = Finding(
    code="disclosure.margins_open",
    severity=Severity.REFUSE,
    reason="It could not be made sure that cells and margins together tell nothing of what is withheld.",
    advice="Ask for fewer groups, or for each grouping separately.",
)
_NOTHING_HELD: Final[Held] = MappingProxyType({})
_TOTALS: Final = frozenset(set(MeasureKind) - {MeasureKind.PERSONS})


class Outcome(StrEnum):
    """What came of an assessment."""

    RELEASED = "released"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessed:
    """The gate's answer: the protected table, or None where nothing can be shown, and all findings."""

    released: Released | None
    assessment: Assessment

    @property
    def outcome(self) -> Outcome:
        """Whether anything was released."""
        return Outcome.SUPPRESSED if self.released is None else Outcome.RELEASED

    def use(self) -> Released:
        """The protected table. Raises WithheldError where nothing was released."""
        if self.released is None:
            raise WithheldError
        return self.released


def assess(
    result: Sealed[CellTable],
    shape: Shape,
    profile: Profile,
    *,
    held: Held = _NOTHING_HELD,
    words: tuple[Finding, ...] = (),
    margins: Complemented | None = None,
) -> Assessed:
    """Judge the cells of an analysis and release what the profile allows.

    ``held`` are measures that other rules hold back, ``words`` those rules' findings; ``margins`` is what the margins
    of the table make necessary, if that is known already.
    """
    table = result.unseal()
    margins = complemented(table, shape, profile, held) if margins is None else margins
    if not margins.protected:
        findings = (*_findings(shape, profile, words), MARGINS_OPEN)
        return Assessed(released=None, assessment=Assessment(profile=profile.label, findings=findings))
    held = margins.held
    rows: list[tuple[tuple[Cell, ...], tuple[CellAction, ...], tuple[object, ...]]] = []
    for number, (branch, cells) in enumerate(zip(shape.branches, table.branches, strict=True)):
        for row in _protected(branch, cells, profile, held=(number, held)):
            actions = tuple(
                action_of(output, value, branch.measures)
                for output, value in zip(branch.outputs, row.cells, strict=True)
            )
            order = tuple(rank(value_of(key.output, row), descending=key.descending) for key in shape.order)
            rows.append((row.cells, actions, order))
    if shape.order:
        rows.sort(key=lambda row: row[2])
    rows = rows[: shape.limit] if shape.limit is not None else rows
    released = Released(
        columns=shape.columns,
        rows=tuple(cells for cells, _, _ in rows),
        actions=tuple(actions for _, actions, _ in rows),
        notes=(WITHHELD,) if any(branch.keys for branch in shape.branches) else (),
    )
    findings = _findings(shape, profile, words)
    findings = findings if rows else (*findings, NOTHING_SHOWN)
    assessment = Assessment(profile=profile.label, findings=findings)
    return Assessed(released=released if rows else None, assessment=assessment)


def _protected(
    branch: BranchShape, cells: tuple[CellRow, ...], profile: Profile, *, held: tuple[int, Held]
) -> list[ProtectedRow]:
    """The rows of a branch that can be shown, with their outputs."""
    shown: list[ProtectedRow] = []
    for cell in cells:
        number, by_cell = held
        places = by_cell.get((number, cell.keys), frozenset())
        measures = let_out(protected_measures(branch, cell, profile), places)
        if measures is None:
            continue
        row = ProtectedRow(keys=cell.keys, measures=measures)
        for output in branch.outputs:
            row.cells = (*row.cells, value_of(output, row))
        if branch.having is None or holds(branch.having, row):
            shown.append(row)
    return shown


def affiliation_rules(profile: Profile) -> dict[str, str]:
    """The rules on providers and sites, by code, if the profile has any."""
    asked = {
        "disclosure.providers": (profile.minimum_providers, "providers"),
        "disclosure.sites": (profile.minimum_sites, "sites"),
    }
    return {
        code: f"Nothing is shown unless at least {least} {name} stand behind it."
        for code, (least, name) in asked.items()
        if least
    }


def _findings(shape: Shape, profile: Profile, words: tuple[Finding, ...]) -> tuple[Finding, ...]:
    least = profile.threshold
    rounding = f"{profile.rounding.value} {profile.base}"
    rules = {
        "disclosure.threshold": f"Nothing is shown of fewer than {least} persons, or of all but so few.",
        "disclosure.rounded": f"Counts are rounded ({rounding}); other values are derived from them.",
    }
    if any(spec.kind in _TOTALS for branch in shape.branches for spec in branch.measures):
        rules["disclosure.dominance"] = "Totals and means that a few persons dominate are not shown."
    if profile.outside:
        reason = f"Nothing is shown unless {profile.outside} of its persons are unknown to each single owner."
        rules["disclosure.owners"] = reason
    if profile.noise:
        reason = f"Counts are moved by noise that follows from the question (standard deviation {profile.noise})."
        rules["disclosure.noise"] = reason
    rules |= affiliation_rules(profile)
    if shape.margins:
        reason = "Nothing is shown from which, by sums with margins, a withheld cell would follow too closely."
        rules["disclosure.margins"] = reason
    findings = [Finding(code=code, severity=Severity.PASS, reason=reason) for code, reason in rules.items()]
    return (*findings, *words)
