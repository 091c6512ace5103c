"""What is usual for a count, from the counts of earlier days: caps, drips, one-sidedness, and shifts of a distribution.

Sources: Poisson and negative binomial tails by direct summation; CUSUM: E. S. Page, Biometrika 41 (1954), 100-115; the
population stability index: N. Siddiqi, Credit Risk Scorecards (2006), ch. 6.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

TAIL: Final = 1e-6
"""A count is unusual when one like it or larger is expected less than once in a million looks."""

ENOUGH_DAYS: Final = 5
"""Fewer earlier comparisons than this tell nothing about what is usual."""

_MARGIN: Final = 1.25
_DEVIATIONS: Final = 5.0
_DRIP_DAYS: Final = 15
_DRIP_LIMIT: Final = 12.0
_SMALLEST_SHARE: Final = 1e-4


def cap(history: Sequence[float]) -> float | None:
    """The greatest count that is still usual; ``None`` without enough history.

    The mean is taken with its own error; where earlier counts vary more than Poisson's, so much more is allowed; and
    what was seen before, with a quarter more, is always usual.
    """
    if len(history) < ENOUGH_DAYS:
        return None
    mean = sum(history) / len(history)
    variance = sum((count - mean) ** 2 for count in history) / (len(history) - 1)
    upper = mean + math.sqrt(mean / len(history)) + 1 / len(history)
    dispersion = max(1.0, variance / mean) if mean else 1.0
    spread = upper + _DEVIATIONS * math.sqrt(upper * dispersion) if dispersion > 1 else 0.0
    return max(float(poisson_cap(upper)), spread, _MARGIN * max(history) + 1)


def poisson_cap(mean: float, *, tail: float = TAIL) -> int:
    """The least count ``k`` with P(X > k) below ``tail`` for a Poisson variable."""
    if mean > 500:  # noqa: PLR2004 - the normal tail is near enough from here on
        return math.ceil(mean + 5 * math.sqrt(mean))
    term, k = math.exp(-mean), 0
    rest = 1.0 - term
    while rest > tail:
        k += 1
        term *= mean / k
        rest -= term
    return k


def drips(history: Sequence[float], now: float) -> bool:
    """Whether counts have crept up: a one-sided CUSUM over the later half and today, against the earlier half."""
    if len(history) < _DRIP_DAYS:
        return False
    half = len(history) // 2
    mean = (sum(history[:half]) + 1) / half
    deviation = math.sqrt(max(mean, sum((count - mean) ** 2 for count in history[:half]) / half))
    total = 0.0
    for count in [*history[half:], now]:
        total = max(0.0, total + (count - mean) / deviation - 0.5)
    return total > _DRIP_LIMIT and now > mean


def one_sided(up: int, down: int, *, usual: float = 0.5) -> bool:
    """Whether updates go one way too often to be corrections; ``usual`` is the share that goes up on other days.

    Hoeffding's bound on the binomial tail, so that no table is needed.
    """
    total = up + down
    if not total:
        return False
    excess = abs(up / total - usual)
    return math.exp(-2 * total * excess * excess) < TAIL


def stability_index(usual: Mapping[str, float], now: Mapping[str, float]) -> float:
    """How far shares moved: below 0.1 nothing, above 0.25 much. Both are counts by value."""
    before, after = sum(usual.values()) or 1.0, sum(now.values()) or 1.0
    index = 0.0
    for value in {*usual, *now}:
        old = max(usual.get(value, 0.0) / before, _SMALLEST_SHARE)
        new = max(now.get(value, 0.0) / after, _SMALLEST_SHARE)
        index += (new - old) * math.log(new / old)
    return index
