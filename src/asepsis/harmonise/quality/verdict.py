"""Verdicts: what became of each check. What could not be asked is never passed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from asepsis.harmonise.quality.checks import FACTS, Check

SEVERITIES: Final = ("fatal", "convention", "characterization")


class Status(StrEnum):
    """What became of a check."""

    FAILED = "failed"
    PASSED = "passed"
    NOT_APPLICABLE = "not_applicable"
    NOT_RUN = "not_run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A check with its verdict; ``violated`` of ``rows`` violate it, which are persons or codes for some kinds."""

    check: Check
    status: Status
    violated: int | None = None
    rows: int | None = None
    reason: str = ""

    @property
    def share(self) -> float:
        """Per cent of rows that violate the check."""
        return 100.0 * self.violated / self.rows if self.violated and self.rows else 0.0

    @property
    def weight(self) -> tuple[int, float, str]:
        """Sorts the worst first."""
        return SEVERITIES.index(FACTS[self.check.kind].severity), -self.share, self.check.id


def judged(check: Check, *, violated: int, rows: int) -> Result:
    """A check fails where the share of violating rows exceeds its threshold; without rows it does not apply."""
    if rows == 0:
        return not_applicable(check, "no row to look at")
    status = Status.FAILED if 100.0 * violated / rows > check.threshold else Status.PASSED
    return Result(check=check, status=status, violated=violated, rows=rows)


def not_applicable(check: Check, reason: str) -> Result:
    """There is nothing to look at."""
    return Result(check=check, status=Status.NOT_APPLICABLE, reason=reason)


def not_run(check: Check, reason: str) -> Result:
    """There is something to look at, and not what is needed to judge it."""
    return Result(check=check, status=Status.NOT_RUN, reason=reason)
