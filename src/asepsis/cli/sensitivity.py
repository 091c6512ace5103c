"""How the answers by links of several certainties look: each whole for programs, side by side for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from asepsis.cli.report import table
from asepsis.cli.results import answer_document, answer_status, findings_text
from asepsis.domain.release import CellAction

if TYPE_CHECKING:
    from asepsis.domain.release import Cell, Released
    from asepsis.services.sensitivity import CertainAnswer

_KEYS: Final = frozenset({CellAction.SHOWN, CellAction.MARGIN})
HELD: Final = (
    "A dot is a cell that is not shown by these links: it has few patients, or a few patients or nobody lie between it "
    "and a cell that was shown."
)


def certain_document(answers: Sequence[CertainAnswer]) -> dict[str, object]:
    """All answers as one JSON document, the contract's own links first."""
    return {"answers": [{"certainty": one.certainty, **answer_document(one.answer)} for one in answers]}


def certain_text(answers: Sequence[CertainAnswer]) -> str:
    """The releases, one table with a column for each certainty, and the findings that they have in common."""
    lines = [f"{one.certainty} %: {_release(one)}" for one in answers]
    shown = {one.certainty: one.answer.table for one in answers if one.answer.table is not None}
    if shown:
        lines += ["", side_by_side(shown, certainties=[one.certainty for one in answers]), f"note: {HELD}"]
    return "\n".join([*lines, "", findings_text(answers[0].answer.assessment)])


def side_by_side(shown: dict[int, Released], *, certainties: Sequence[int]) -> str:
    """One row for each group that any answer shows; the numbers of each answer stand in columns of their own."""
    first = next(iter(shown.values()))
    keys = [place for place in range(len(first.columns)) if _is_key(place, shown)]
    values = [place for place in range(len(first.columns)) if place not in keys]
    rows: dict[tuple[Cell, ...], dict[int, tuple[Cell, ...]]] = {}
    for certainty, released in shown.items():
        for row in released.rows:
            rows.setdefault(tuple(row[place] for place in keys), {})[certainty] = tuple(row[place] for place in values)
    nothing = (None,) * len(values)
    names = [first.columns[place] for place in keys]
    names += [f"{first.columns[place]} ({certainty} %)" for certainty in certainties for place in values]
    body = [[*key, *(cell for one in certainties for cell in found.get(one, nothing))] for key, found in rows.items()]
    return table(names, body)


def _is_key(place: int, shown: dict[int, Released]) -> bool:
    """Whether a column tells groups apart: nothing was ever done to a cell of it but to show it."""
    return all(row[place] in _KEYS for released in shown.values() for row in released.actions)


def _release(one: CertainAnswer) -> str:
    release = one.answer.release
    again = " (answered before: free of charge)" if one.answer.repeated else ""
    return answer_status(one.answer) if release is None else f"{release.id}, {release.status.value}{again}"
