"""How answers look: the protected table, what was done to it and why, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asepsis.cli.report import table

if TYPE_CHECKING:
    from asepsis.domain.finding import Assessment
    from asepsis.domain.release import Released
    from asepsis.services.analyses import Answer


def answer_document(answer: Answer) -> dict[str, object]:
    """An answer as one JSON document."""
    release = answer.release
    return {
        "status": answer_status(answer),
        "release": None if release is None else release.id,
        "repeated": answer.repeated,
        "rewrite": answer.rewrite,
        "findings": answer.assessment.to_document()["findings"],
        "table": None if answer.table is None else answer.table.to_document(),
    }


def answer_status(answer: Answer) -> str:
    """One word for what became of an analysis."""
    return "refused" if answer.release is None else answer.release.status.value


def answer_text(answer: Answer) -> str:
    """An answer for people."""
    lines = []
    if answer.release is not None:
        again = ", answered before: the same release, free of charge" if answer.repeated else ""
        lines.append(f"{answer.release.id}: {answer.release.status.value}{again}")
    else:
        lines.append("refused")
    if answer.table is not None:
        lines += ["", released_text(answer.table)]
    lines += ["", findings_text(answer.assessment)]
    if answer.rewrite:
        lines += ["", "this would pass:", "  " + answer.rewrite]
    if answer.released and answer.release is not None:
        lines += ["", f"next: asepsis release get {answer.release.id}   (the evidence bundle)"]
    return "\n".join(lines)


def released_text(released: Released | None, *, whole: bool = True) -> str:
    """A protected table; suppressed cells are dots. Unless ``whole``, rows of which nothing is shown are left out."""
    if released is None:
        return "(nothing can be shown)"
    rows = [row for row in released.rows if whole or any(cell is not None for cell in row[1:])]
    body = table(released.columns, rows)
    return "\n".join([body, *(f"note: {note}" for note in released.notes)])


def findings_text(assessment: Assessment) -> str:
    """All findings, one line each, with what would help."""
    lines = []
    for finding in assessment.findings:
        place = f" (line {finding.place[0]}, column {finding.place[1]})" if finding.place else ""
        lines.append(f"[{finding.severity.value}] {finding.code}{place}: {finding.reason}")
        if finding.advice:
            lines.append(f"    {finding.advice}")
    return "\n".join(lines)
