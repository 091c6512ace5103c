"""Who stands behind the cells of a result: what the memory of releases compares. It travels sealed only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from asepsis.disclosure.people import Places
from asepsis.domain.release import Cell

WHOLE: Final = -1
"""The place of the cell as a whole, where a cell has no measures."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Population:
    """The persons behind some measures of one cell.

    ``places`` are places in the tokens of the contributors; ``identity`` names the persons by logic alone (equal
    identities are the same persons). ``plain`` says that the cells of its table differ by values of plain columns
    only. ``effect`` is the least number of persons that any one tested condition of the question adds to, or takes
    from, the cell; None where there is none.
    """

    branch: int
    keys: tuple[Cell, ...]
    measures: tuple[int, ...]
    places: Places
    identity: str
    plain: bool
    effect: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contributors:
    """The populations of all cells at or above some size.

    ``tokens`` are stable 64-bit names of persons, the same in every run under a contract. ``skeleton`` names the
    question without its literals.
    """

    tokens: NDArray[np.uint64]
    populations: tuple[Population, ...]
    skeleton: str
