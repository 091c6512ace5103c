"""How answers look: the protected table, what was done to it and why, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asepsis.cli.report import table

if TYPE_CHECKING:
    from asepsis.domain.explanation import Explanation
    from asepsis.domain.finding import Assessment
    from asepsis.domain.release import Released
    from asepsis.services.analyses import Answer

_ALL: Final = "(all)"


def answer_document(answer: Answer, *, explained: bool = False) -> dict[str, object]:
    """An answer as one JSON document, with an explanation of every cell if asked for."""
    release = answer.release
    document: dict[str, object] = {
        "status": answer_status(answer),
        "release": None if release is None else release.id,
        "repeated": answer.repeated,
        "rewrite": answer.rewrite,
        "findings": answer.assessment.to_document()["findings"],
        "table": None if answer.table is None else answer.table.to_document(),
    }
    if explained:
        explanation = _explanation(answer)
        document["explanation"] = None if explanation is None else explanation.to_document()
    return document


def _explanation(answer: Answer) -> Explanation | None:
    from asepsis.domain.explanation import explain

    return None if answer.table is None else explain(answer.table, answer.assessment)


def answer_status(answer: Answer) -> str:
    """One word for what became of an analysis."""
    return "refused" if answer.release is None else answer.release.status.value


def answer_text(answer: Answer, *, explained: bool = False) -> str:
    """An answer for people, with an explanation of every cell if asked for."""
    lines = []
    if answer.release is not None:
        again = ", answered before: the same release, free of charge" if answer.repeated else ""
        lines.append(f"{answer.release.id}: {answer.release.status.value}{again}")
    else:
        lines.append("refused")
    if answer.table is not None:
        lines += ["", released_text(answer.table)]
    explanation = _explanation(answer) if explained else None
    if explanation is not None:
        lines += ["", explanation_text(explanation)]
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
    marked = [
        [_ALL if action == "margin" else cell for cell, action in zip(row, actions, strict=True)]
        for row, actions in zip(released.rows, released.actions, strict=True)
    ]
    rows = [row for row in marked if whole or any(cell is not None for cell in row[1:])]
    body = _with_halves(released) if released.within else table(released.columns, rows)
    return "\n".join([body, *(f"note: {note}" for note in released.notes)])


def _with_halves(released: Released) -> str:
    """A table of noisy numbers: next to each, how near the number without noise is, 95 times of 100."""
    names: list[str] = []
    columns: list[list[object]] = []
    for place, name in enumerate(released.columns):
        actions = [row[place] for row in released.actions]
        cells = [row[place] for row in released.rows]
        names.append(name)
        columns.append([_ALL if done == "margin" else cell for cell, done in zip(cells, actions, strict=True)])
        halves: list[object] = [row[place] for row in released.within]
        if any(half is not None for half in halves):
            names.append("±")
            columns.append(halves)
    return table(names, list(zip(*columns, strict=True)))


def explanation_text(explanation: Explanation) -> str:
    """What was done to each cell, in the layout of the table, and what the words and codes mean."""
    from asepsis.domain.explanation import LEFT_OUT, MEANINGS

    lines = ["what was done to each cell:"]
    lines += [table(explanation.columns, [[action.value for action in row] for row in explanation.actions]), ""]
    for action, codes in explanation.why.items():
        because = f" ({', '.join(codes)})" if codes else ""
        lines.append(f"{action.value}: {MEANINGS[action]}{because}")
    if explanation.left_out:
        lines += [LEFT_OUT, f"The rules that can do so: {', '.join(explanation.left_out)}"]
    return "\n".join(lines)


def findings_text(assessment: Assessment) -> str:
    """All findings, one line each, with what would help."""
    lines = []
    for finding in assessment.findings:
        place = f" (line {finding.place[0]}, column {finding.place[1]})" if finding.place else ""
        lines.append(f"[{finding.severity.value}] {finding.code}{place}: {finding.reason}")
        if finding.advice:
            lines.append(f"    {finding.advice}")
    return "\n".join(lines)
