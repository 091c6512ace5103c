"""The gate for curves over time: cumulative counts are rounded first, and everything shown is derived from those.

Midpoint-6 on the cumulative numbers of events and of censored persons follows OpenSAFELY's Kaplan-Meier action
(https://github.com/opensafely-actions/kaplan-meier-function): every label stands for a band of six counts, so
that no step of a curve is the event of one known person. A curve is cut where too few persons are left at risk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from asepsis.disclosure.gate import NOTHING_SHOWN, WITHHELD, Assessed, affiliation_rules
from asepsis.disclosure.profiles import Profile
from asepsis.domain.finding import Assessment, Finding, Severity
from asepsis.domain.release import Cell, CellAction, Released
from asepsis.domain.sealed import Sealed

BAND: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happens on one day of follow-up: persons with the event, and persons whose follow-up ends."""

    day: int
    events: int
    censored: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The true course of one stratum, by day. ``outside``: least number of its persons unknown to some owner."""

    stratum: Cell
    steps: tuple[Step, ...]
    outside: int | None = None

    @property
    def persons(self) -> int:
        """All persons of the stratum."""
        return sum(step.events + step.censored for step in self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectedStep:
    """A day on which a protected cumulative count changes; ``at_risk`` counts before it."""

    day: int
    at_risk: int
    events: int
    censored: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectedCurve:
    """A stratum after protection: rounded persons, and cumulative rounded counts by day.

    ``until`` is the day from which on too few are at risk; nothing of that day or later may be shown.
    """

    stratum: Cell
    persons: int
    steps: tuple[ProtectedStep, ...]
    until: int | None


Deriving = Callable[[ProtectedCurve], Sequence[tuple[int | float, ...]]]
"""Makes the rows of a curve (after its stratum) from protected counts alone."""


def midpoint(count: int) -> int:
    """The middle of the band of six that a count lies in: 1-6 is 3, 7-12 is 9; zero stays zero."""
    return max(0, -(-count // BAND) * BAND - BAND // 2)


def protected(curve: Curve, *, least: int) -> ProtectedCurve:
    """Round the cumulative counts of a curve, and cut it where fewer than ``least`` are at risk."""
    total = midpoint(curve.persons)
    steps: list[ProtectedStep] = []
    events = censored = 0
    shown = (0, 0)
    until: int | None = None
    for step in sorted(curve.steps, key=lambda step: step.day):
        events, censored = events + step.events, censored + step.censored
        rounded = (midpoint(events), midpoint(censored))
        if total - sum(rounded) < least:
            until = step.day
            break
        if rounded != shown:
            at_risk = total - sum(shown)
            steps.append(ProtectedStep(day=step.day, at_risk=at_risk, events=rounded[0], censored=rounded[1]))
        shown = rounded
    return ProtectedCurve(stratum=curve.stratum, persons=total, steps=tuple(steps), until=until)


def assess_curves(
    result: Sealed[tuple[Curve, ...]], profile: Profile, *, columns: tuple[str, ...], derive: Deriving
) -> Assessed:
    """Judge curves: a stratum below the threshold is left out like one that does not exist.

    ``columns`` are the stratum and what ``derive`` gives. The persons at risk never fall below the threshold.
    """
    rows: list[tuple[Cell, ...]] = []
    for curve in result.unseal():
        few = curve.persons < profile.threshold or (curve.outside is not None and curve.outside < profile.outside)
        if few or profile.noise:  # a curve has none, and would give away what noise hides
            continue
        safe = protected(curve, least=profile.threshold)
        if safe.persons < profile.threshold:
            continue
        rows += [(safe.stratum, *row) for row in derive(safe)]
    actions = (CellAction.SHOWN, CellAction.SHOWN, *(CellAction.DERIVED for _ in columns[2:]))
    released = Released(columns=columns, rows=tuple(rows), actions=tuple(actions for _ in rows), notes=(WITHHELD,))
    assessment = Assessment(profile=profile.label, findings=_findings(profile, shown=bool(rows)))
    return Assessed(released=released if rows else None, assessment=assessment)


def _findings(profile: Profile, *, shown: bool) -> tuple[Finding, ...]:
    least = profile.threshold
    texts = {
        "disclosure.threshold": f"No curve is shown of fewer than {least} persons, nor where fewer are left at risk.",
        "disclosure.midpoint": f"Cumulative counts stand for bands of {BAND}; all else is derived from them.",
    }
    texts |= affiliation_rules(profile)
    findings = [Finding(code=code, severity=Severity.PASS, reason=reason) for code, reason in texts.items()]
    return tuple(findings) if shown else (*findings, NOTHING_SHOWN)
