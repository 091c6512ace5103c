"""Released tables and releases: the only outputs that any door of the product hands out.

``Released`` is made by ``disclosure.assess`` inside the runtime, or read back from a statistic whose signature
was verified; nothing else may construct it (a house test keeps it so).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from asepsis.domain.documents import Document, Fields
from asepsis.errors.contract import TransitionRefused

Cell = int | float | str | bool | None


class CellAction(StrEnum):
    """What protection did to one cell."""

    SHOWN = "shown"
    ROUNDED = "rounded"
    SUPPRESSED = "suppressed"
    DERIVED = "derived"
    NOISY = "noisy"
    """A number with noise, or one that follows from such numbers."""
    MARGIN = "margin"
    """A group key of a margin: it stands for all values together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A protected table. ``actions`` has the shape of ``rows``; suppressed cells are ``None``.

    ``within`` has that shape too where numbers are noisy, and is empty elsewhere: the number without noise is that
    near, 95 times of 100.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    actions: tuple[tuple[CellAction, ...], ...]
    notes: tuple[str, ...] = ()
    within: tuple[tuple[float | None, ...], ...] = ()

    def to_document(self) -> Document:
        """The document form; :func:`read_released` reads it."""
        within: Document = {"within": [list(row) for row in self.within]} if self.within else {}
        return {
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
            "actions": [[action.value for action in row] for row in self.actions],
            "notes": list(self.notes),
            **within,
        }


def read_released(value: object) -> Released:
    """Read a released table from a statistic whose signature has been verified. Raises DocumentMalformed."""
    fields = Fields(value, document="released table")
    columns = fields.texts("columns")
    rows = tuple(_read_row(row, fields) for row in fields.items("rows"))
    actions = tuple(_read_actions(row, fields) for row in fields.items("actions"))
    notes = tuple(str(note) for note in fields.items("notes"))
    within = tuple(_read_halves(row, fields) for row in fields.items("within")) if fields.has("within") else ()
    fields.close()
    if {len(row) for row in (*rows, *actions, *within)} - {len(columns)} or len(rows) != len(actions):
        raise fields.malformed("rows", "rows and actions need the shape of the columns")
    if within and len(within) != len(rows):
        raise fields.malformed("within", "it needs the shape of the rows")
    return Released(columns=columns, rows=rows, actions=actions, notes=notes, within=within)


def _read_row(row: object, fields: Fields) -> tuple[Cell, ...]:
    if not isinstance(row, list):
        raise fields.malformed("rows", "a list of lists is needed")
    cells: list[Cell] = []
    for cell in row:
        if cell is not None and not isinstance(cell, int | float | str | bool):
            raise fields.malformed("rows", "cells are numbers, texts, flags or null")
        cells.append(cell)
    return tuple(cells)


def _read_halves(row: object, fields: Fields) -> tuple[float | None, ...]:
    if not isinstance(row, list) or not all(half is None or _is_half(half) for half in row):
        raise fields.malformed("within", "a list of lists of numbers or null is needed")
    return tuple(None if half is None else float(half) for half in row)


def _is_half(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _read_actions(row: object, fields: Fields) -> tuple[CellAction, ...]:
    if not isinstance(row, list) or not set(map(str, row)) <= set(CellAction):
        raise fields.malformed("actions", "one of " + ", ".join(CellAction) + " per cell is needed")
    return tuple(CellAction(cell) for cell in row)


class ReleaseStatus(StrEnum):
    """The life of an output that asks to leave the room."""

    CHECKED = "checked"
    IN_REVIEW = "in review"
    RELEASED = "released"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


TRANSITIONS: Final[Mapping[ReleaseStatus, frozenset[ReleaseStatus]]] = {
    ReleaseStatus.CHECKED: frozenset({ReleaseStatus.IN_REVIEW, ReleaseStatus.RELEASED, ReleaseStatus.REFUSED}),
    ReleaseStatus.IN_REVIEW: frozenset({ReleaseStatus.RELEASED, ReleaseStatus.REFUSED, ReleaseStatus.WITHDRAWN}),
    ReleaseStatus.RELEASED: frozenset(),
    ReleaseStatus.REFUSED: frozenset(),
    ReleaseStatus.WITHDRAWN: frozenset(),
}


def move(status: ReleaseStatus, to: ReleaseStatus) -> ReleaseStatus:
    """The new status, if the transition table has that move. Raises TransitionRefused."""
    if to not in TRANSITIONS[status]:
        raise TransitionRefused(subject="release", current=status.value, wanted=to.value)
    return to
