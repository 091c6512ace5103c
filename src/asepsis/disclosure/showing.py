"""What the profile lets out of a single cell, before anything is said about other cells."""

from __future__ import annotations

from collections.abc import Mapping

from asepsis.disclosure.measures import Protected, protect, too_few_affiliations
from asepsis.disclosure.profiles import Profile
from asepsis.domain.cells import BranchShape, CellRow
from asepsis.domain.release import Cell

Held = Mapping[tuple[int, tuple[Cell, ...]], frozenset[int]]
"""By branch and keys of a cell, the places of its measures that stay inside; all of a cell without measures."""


def protected_measures(branch: BranchShape, cell: CellRow, profile: Profile) -> tuple[Protected, ...] | None:
    """The measures of one cell as the profile lets them out; None where the cell as a whole stays."""
    if not _may_show(cell, profile):
        return None
    pairs = zip(branch.measures, cell.measures, strict=True)
    measures = tuple(protect(spec, contribution, cell, profile) for spec, contribution in pairs)
    return None if branch.measures and all(measure is None for measure in measures) else measures


def let_out(measures: tuple[Protected, ...] | None, places: frozenset[int]) -> tuple[Protected, ...] | None:
    """The measures that nothing else holds back; None where nothing is left."""
    if measures is None or not places:
        return measures
    left = tuple(None if place in places else measure for place, measure in enumerate(measures))
    return None if all(measure is None for measure in left) else left


def _may_show(cell: CellRow, profile: Profile) -> bool:
    """The thresholds on persons, providers and sites, and the persons that each single owner does not know."""
    if cell.persons < profile.threshold or too_few_affiliations(cell, profile):
        return False
    return cell.outside is None or cell.outside >= profile.outside
