"""The gate for a short list of named counts of persons, such as the quality report of a linkage."""

from __future__ import annotations

from collections.abc import Mapping

from asepsis.disclosure.gate import WITHHELD
from asepsis.disclosure.profiles import profile_named
from asepsis.domain.finding import Assessment, Finding, Severity
from asepsis.domain.release import CellAction, Released
from asepsis.domain.sealed import Sealed


def protect_counts(counts: Sealed[Mapping[str, int]], *, profile: str) -> tuple[Released, Assessment]:
    """A table (count, persons): each count rounded, and withheld below the threshold. Raises UnknownProfileError."""
    rules = profile_named(profile)
    values = {
        name: None if count < rules.threshold else rules.round_count(count) for name, count in counts.unseal().items()
    }
    released = Released(
        columns=("count", "persons"),
        rows=tuple((name, value) for name, value in values.items()),
        actions=tuple((CellAction.SHOWN, _action(value)) for value in values.values()),
        notes=(WITHHELD,),
    )
    finding = Finding(
        code="disclosure.rounded",
        severity=Severity.PASS,
        reason=f"Counts of fewer than {rules.threshold} persons are withheld, all others are rounded.",
    )
    return released, Assessment(profile=rules.label, findings=(finding,))


def _action(value: int | None) -> CellAction:
    return CellAction.SUPPRESSED if value is None else CellAction.ROUNDED
