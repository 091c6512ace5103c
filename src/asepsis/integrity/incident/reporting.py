"""What is told of an incident to a backup server: codes and counts of each restore point, nothing of its content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from asepsis.domain.incident import ESTATE
from asepsis.domain.incident_state import Incident
from asepsis.domain.source import Verdict

_TOLD = (Verdict.COMPROMISED, Verdict.SUSPECT)


@dataclass(frozen=True, slots=True, kw_only=True)
class MalwareReport:
    """A restore point of a source that is not clean; ``details`` is one line of codes and counts."""

    source: str
    restore_point: str
    detected_at: datetime
    is_infected: bool
    details: str


def malware_reports(incident: Incident) -> Iterator[MalwareReport]:
    """One report for each restore point against which something speaks; what is merely unknown is not reported."""
    for noted in incident.frozen:
        look = incident.scan(noted.deed.source)
        for point in () if look is None else look.deed.points:
            found = [
                finding
                for finding in (() if look is None else look.deed.findings)
                if finding.about == point.id and finding.verdict in _TOLD and not finding.code.startswith(ESTATE)
            ]
            if look is not None and found:
                codes = ", ".join(f"{finding.code} {finding.count}" for finding in found)
                yield MalwareReport(
                    source=noted.deed.source,
                    restore_point=point.id,
                    detected_at=look.at,
                    is_infected=any(finding.verdict is Verdict.COMPROMISED for finding in found),
                    details=f"{incident.id}: {codes}",
                )
