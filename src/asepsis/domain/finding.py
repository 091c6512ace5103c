"""Findings: what a check says about an analysis or its output; an assessment is all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from asepsis.domain.documents import Document, Fields


class Severity(StrEnum):
    """What follows from a finding, mildest first (SACRO: pass, review, fail)."""

    PASS = "pass"  # noqa: S105 - a verdict, not a secret
    REVIEW = "review"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check's word: a stable code, a sentence in plain words and, where there is one, what would pass.

    ``place`` is the part of the analysis text that the finding is about, as (line, column) counted from 1.
    Neither text ever carries a value from the data or a literal compared with a protected column.
    """

    code: str
    severity: Severity
    reason: str
    advice: str = ""
    place: tuple[int, int] | None = None

    def to_document(self) -> Document:
        """The document form; :func:`read_finding` reads it."""
        document: Document = {
            "code": self.code,
            "severity": self.severity.value,
            "reason": self.reason,
            "advice": self.advice,
        }
        if self.place is not None:
            document["line"], document["column"] = self.place
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """All findings about one analysis or output, and the policy profile that they were made under."""

    profile: str
    findings: tuple[Finding, ...]

    @property
    def severity(self) -> Severity:
        """The gravest severity among the findings."""
        order = list(Severity)
        return max((finding.severity for finding in self.findings), key=order.index, default=Severity.PASS)

    def to_document(self) -> Document:
        """The document form; :func:`read_assessment` reads it."""
        return {"profile": self.profile, "findings": [finding.to_document() for finding in self.findings]}


def read_finding(value: object) -> Finding:
    """Read one finding. Raises DocumentMalformed."""
    fields = Fields(value, document="finding")
    place = (fields.integer("line"), fields.integer("column")) if fields.has("line") else None
    finding = Finding(
        code=fields.text("code"),
        severity=fields.choice("severity", Severity),
        reason=fields.text("reason"),
        advice=fields.text("advice", default=""),
        place=place,
    )
    fields.close()
    return finding


def read_assessment(value: object) -> Assessment:
    """Read an assessment. Raises DocumentMalformed."""
    fields = Fields(value, document="assessment")
    assessment = Assessment(
        profile=fields.text("profile"),
        findings=tuple(read_finding(item) for item in fields.items("findings")),
    )
    fields.close()
    return assessment
