"""Protection of one measure of one cell: may it be shown, and as what.

Order: threshold on the persons behind the measure, and on their providers and sites, threshold on the persons of the
cell that are *not* behind it, dominance, then rounding. A sum is derived from the rounded mean and the rounded number
of records, so that it is never more exact than the count that is shown beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import cache
from typing import Final

from asepsis.disclosure.profiles import Concentration, Profile
from asepsis.domain.cells import CellRow, Contribution, MeasureKind, MeasureSpec

Protected = int | float | None


def protect(spec: MeasureSpec, contribution: Contribution, row: CellRow, profile: Profile) -> Protected:
    """The value of a measure as it may be shown, or None."""
    if contribution.persons < profile.threshold or too_few_affiliations(contribution, profile):
        return None
    if profile.noise and contribution.noise is None:
        return None
    if spec.partial and row.persons - contribution.persons < profile.threshold:
        return None
    if spec.kind in _DOMINATED and dominated(contribution, profile):
        return None
    if spec.kind is MeasureKind.QUANTILE:
        return _quantile(spec, contribution, profile)
    return _SHOWN[spec.kind](contribution, profile)


def too_few_affiliations(counted: Contribution | CellRow, profile: Profile) -> bool:
    """Whether fewer providers or sites stand behind the records than the profile asks for, or it is not known."""
    providers, sites = counted.providers or 0, counted.sites or 0
    return providers < profile.minimum_providers or sites < profile.minimum_sites


def dominated(contribution: Contribution, profile: Profile) -> bool:
    """Whether the largest persons hold too much of a total, by one of the rules (n, k) or by p %.

    Computed in whole numbers, so that a person who holds exactly the share is told from one who holds more. Where fewer
    of the largest persons are known than a rule needs, they are all who count only if there are no others.
    Source: Hundepool et al., Handbook on Statistical Disclosure Control, 2nd ed., section 4.2.
    """
    numbers = (contribution.absolute, *contribution.largest)
    if not math.isfinite(sum(numbers)):
        return True
    whole, *largest = _whole(numbers)
    if any(_concentrated(rule, contribution, largest, whole) for rule in profile.concentrations):
        return True
    numerator, denominator = _decimal(profile.percent)
    rest = max(0, whole - sum(largest[:2]))  # an engine rounds totals
    return bool(largest) and denominator * rest < numerator * largest[0]


def _concentrated(rule: Concentration, contribution: Contribution, largest: list[int], whole: int) -> bool:
    if len(largest) < min(rule.persons, contribution.persons):
        return True
    numerator, denominator = _decimal(rule.share)
    return denominator * sum(largest[: rule.persons]) > numerator * whole


def _whole(numbers: Iterable[float]) -> list[int]:
    """Floating-point numbers as whole ones, all times the same power of two: nothing is rounded."""
    ratios = [number.as_integer_ratio() for number in numbers]
    common = max([denominator for _, denominator in ratios])
    return [numerator * (common // denominator) for numerator, denominator in ratios]


@cache
def _decimal(share: float) -> tuple[int, int]:
    """A share as the decimal fraction that it was written as: 0.9 is nine tenths."""
    return Decimal(repr(share)).as_integer_ratio()


def significant(value: float, digits: int) -> float | None:
    """A number to some significant digits; None where it is not finite."""
    if not math.isfinite(value):
        return None
    if value == 0:
        return 0.0
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))


def _persons(contribution: Contribution, profile: Profile) -> Protected:
    return profile.noisy_count(contribution.persons, contribution.noise)


def _rows(contribution: Contribution, profile: Profile) -> Protected:
    return profile.noisy_count(contribution.rows, contribution.noise)


def _mean(contribution: Contribution, profile: Profile) -> Protected:
    return significant(contribution.total / contribution.rows, profile.digits)


def _sum(contribution: Contribution, profile: Profile) -> Protected:
    mean = significant(contribution.total / contribution.rows, profile.digits)
    return (
        None
        if mean is None
        else significant(mean * profile.noisy_count(contribution.rows, contribution.noise), profile.digits)
    )


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
