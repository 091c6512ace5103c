"""What was done to each cell of a released table, and why.

An explanation is made of the released table and the findings alone, so that it cannot tell more than they do: a row
that is missing may be small, empty, or withheld for the sake of another one, and the explanation names all rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from asepsis.domain.codes import CODES
from asepsis.domain.documents import Document
from asepsis.domain.finding import Assessment, Severity
from asepsis.domain.release import CellAction, Released

MEANINGS: Final[dict[CellAction, str]] = {
    CellAction.SHOWN: "a group's value or a constant of the question, as it is",
    CellAction.ROUNDED: "a count or a measure, rounded or shortened",
    CellAction.DERIVED: "computed from protected parts",
    CellAction.NOISY: "a number with noise, or computed from such numbers",
    CellAction.MARGIN: "stands for all values of the group together",
    CellAction.SUPPRESSED: "not shown; one of the rules holds it, and it is not said which",
}
LEFT_OUT: Final = "Rows may be missing. They may be of few persons, of nobody, or withheld for the sake of other cells."
_PROTECTING: Final = ("disclosure.noise", "disclosure.rounded", "disclosure.midpoint")
_NOISY: Final = ("privacy.cost", "privacy.error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The actions of all cells, and the codes of the rules behind each action; ``left_out`` are those of missing rows.

    ``rules`` are all codes with their meaning, and what helps.
    """

    profile: str
    columns: tuple[str, ...]
    actions: tuple[tuple[CellAction, ...], ...]
    why: dict[CellAction, tuple[str, ...]]
    left_out: tuple[str, ...]
    rules: dict[str, tuple[str, str]]

    def to_document(self) -> Document:
        """The explanation as data: for every cell its action and the codes of the rules behind it."""
        return {
            "profile": self.profile,
            "columns": list(self.columns),
            "cells": [
                [{"action": action.value, "why": list(self.why[action])} for action in row] for row in self.actions
            ],
            "actions": {action.value: MEANINGS[action] for action in self.why},
            "left_out": {"meaning": LEFT_OUT, "why": list(self.left_out)},
            "rules": {code: {"meaning": meaning, "helps": helps} for code, (meaning, helps) in self.rules.items()},
        }


def explain(released: Released, assessment: Assessment) -> Explanation:
    """Explain a released table by the findings that were made about it."""
    codes = [finding.code for finding in assessment.findings if finding.severity is not Severity.REFUSE]
    withholding = tuple(code for code in codes if code in CODES and CODES[code].withholds)
    protecting = tuple(code for code in codes if code in _PROTECTING)
    by_action: dict[CellAction, tuple[str, ...]] = {
        CellAction.SHOWN: (),
        CellAction.ROUNDED: protecting,
        CellAction.DERIVED: protecting,
        CellAction.NOISY: tuple(code for code in codes if code in _NOISY),
        CellAction.MARGIN: (),
        CellAction.SUPPRESSED: withholding,
    }
    used = dict.fromkeys(action for row in released.actions for action in row)
    return Explanation(
        profile=assessment.profile,
        columns=released.columns,
        actions=released.actions,
        why={action: by_action[action] for action in CellAction if action in used},
        left_out=withholding,
        rules={code: (CODES[code].meaning, CODES[code].helps) for code in codes if code in CODES},
    )
