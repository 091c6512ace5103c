"""Conflict rules: what shows that two records are different persons, whatever else agrees.

They are checked against every member of a cluster before a record joins it, so that a chain of good pairs
cannot tie two different persons together.
"""

from __future__ import annotations

from asepsis.domain.linkage import Conflict
from asepsis.linkage.traits import Traits, births_equal, births_unlike, givens_unlike, ids_equal, ids_unlike


def conflict(left: Traits, right: Traits) -> Conflict | None:
    """The first reason why two records cannot be one person, or ``None``; symmetrical."""
    if births_unlike(left, right):
        if ids_unlike(left, right):
            return Conflict.IDS_AND_BIRTH
        if not (ids_equal(left, right) and not givens_unlike(left, right)):
            return Conflict.BIRTH
    if not givens_unlike(left, right):
        return None
    if left.sex is not None and right.sex is not None and left.sex != right.sex:
        return Conflict.SEX_AND_GIVEN
    return Conflict.TWINS if _may_be_twins(left, right) else None


def _may_be_twins(left: Traits, right: Traits) -> bool:
    """Same family name and birth date with unlike given names; a shared id clears only those who live apart."""
    if not (births_equal(left, right) and left.families & right.families):
        return False
    live_apart = left.address is not None and right.address is not None and left.address != right.address
    return not (ids_equal(left, right) and live_apart)
