"""Protection of one measure of one cell: may it be shown, and as what.

Order: threshold on the persons behind the measure, threshold on the persons of the cell that are *not* behind it,
dominance, then rounding. A sum is derived from the rounded mean and the rounded number of records, so that it is
never more exact than the count that is shown beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from asepsis.disclosure.profiles import Profile
from asepsis.domain.cells import CellRow, Contribution, MeasureKind, MeasureSpec

Protected = int | float | None


def protect(spec: MeasureSpec, contribution: Contribution, row: CellRow, profile: Profile) -> Protected:
    """The value of a measure as it may be shown, or None."""
    if contribution.persons < profile.threshold:
        return None
    if spec.partial and row.persons - contribution.persons < profile.threshold:
        return None
    if spec.kind in _DOMINATED and dominated(contribution, profile):
        return None
    if spec.kind is MeasureKind.QUANTILE:
        return _quantile(spec, contribution, profile)
    return _SHOWN[spec.kind](contribution, profile)


def dominated(contribution: Contribution, profile: Profile) -> bool:
    """Whether the largest contributors hold too much of a total, by (2, k) or by p %.

    Source: Hundepool et al., Handbook on Statistical Disclosure Control, 2nd ed., section 4.2.
    """
    rest = contribution.absolute - contribution.largest - contribution.second
    concentrated = contribution.largest + contribution.second > profile.share * contribution.absolute
    return concentrated or rest < profile.percent * contribution.largest


def significant(value: float, digits: int) -> float | None:
    """A number to some significant digits; None where it is not finite."""
    if not math.isfinite(value):
        return None
    if value == 0:
        return 0.0
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))


def _persons(contribution: Contribution, profile: Profile) -> Protected:
    return profile.round_count(contribution.persons)


def _rows(contribution: Contribution, profile: Profile) -> Protected:
    return profile.round_count(contribution.rows)


def _mean(contribution: Contribution, profile: Profile) -> Protected:
    return significant(contribution.total / contribution.rows, profile.digits)


def _sum(contribution: Contribution, profile: Profile) -> Protected:
    mean = significant(contribution.total / contribution.rows, profile.digits)
    return None if mean is None else significant(mean * profile.round_count(contribution.rows), profile.digits)


def _variance(contribution: Contribution, profile: Profile) -> Protected:
    if contribution.persons - 1 < profile.freedom:
        return None
    mean = contribution.total / contribution.rows
    spread = max(0.0, contribution.squares - contribution.rows * mean * mean)
    return significant(spread / (contribution.rows - 1), profile.digits)


def _deviation(contribution: Contribution, profile: Profile) -> Protected:
    variance = _variance(contribution, profile)
    return None if variance is None else significant(math.sqrt(variance), profile.digits)


def _quantile(spec: MeasureSpec, contribution: Contribution, profile: Profile) -> Protected:
    if min(contribution.below, contribution.above) < profile.threshold:
        return None
    value = significant(contribution.total, profile.digits - 1)
    if value is None or spec.resolution is None:
        return value
    return float(math.floor(contribution.total / spec.resolution + 0.5) * spec.resolution)


_DOMINATED: Final = frozenset(set(MeasureKind) - {MeasureKind.PERSONS, MeasureKind.QUANTILE})
_SHOWN: Final[dict[MeasureKind, Callable[[Contribution, Profile], Protected]]] = {
    MeasureKind.PERSONS: _persons,
    MeasureKind.ROWS: _rows,
    MeasureKind.SUM: _sum,
    MeasureKind.MEAN: _mean,
    MeasureKind.VARIANCE: _variance,
    MeasureKind.DEVIATION: _deviation,
}
