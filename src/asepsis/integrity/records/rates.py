"""What is usual for a count, from the counts of earlier days: caps, drips, one-sidedness, and shifts of means.

Many looks are taken each day, so that what is rare in one look is ordinary in some look. What looks at many groups or
moments shares a small number of false alarms over a horizon among all its looks (Bonferroni, with an equal share for
each family of looks), and what varies more than chance explains is allowed so much more.

Sources: Poisson tails by direct summation; CUSUM: E. S. Page, Biometrika 41 (1954), 100-115; two Poisson rates compared
through the binomial that the total leaves: J. Przyborowski and H. Wilenski, Biometrika 31 (1940), 313-323; its tail:
W. Feller, An Introduction to Probability Theory and Its Applications I (1968), section VI.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, median
from typing import Final

TAIL: Final = 1e-6
"""A count is unusual when one like it or larger is expected less than once in a million looks."""

ENOUGH_DAYS: Final = 5
"""Fewer earlier comparisons than this tell nothing about what is usual."""

HORIZON_DAYS: Final = 60
"""The time over which false alarms are counted."""

FALSE_ALARMS: Final = 0.1
"""So many are expected over the horizon, at most, of all drips together, and of all shifted means together."""

_MARGIN: Final = 1.25
_DEVIATIONS: Final = 5.0
_DRIP_DAYS: Final = 15
_ONE_IN_TWENTY: Final = 1.645


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


def drips(history: Sequence[float], now: float, *, families: int = 1) -> bool:
    """Whether counts have crept up since some moment in the later half of the history; ``families`` tables are watched.

    As in a one-sided CUSUM, the moment is the one that speaks most for a change. How much it says is judged exactly: if
    the rate had stayed, the later counts would be a binomial part of all, whatever the rate is.
    """
    if len(history) < _DRIP_DAYS:
        return False
    counts = [*history, now]
    latest = len(counts) // 2
    level = FALSE_ALARMS / (HORIZON_DAYS * families * latest)
    dispersion = _dispersion(counts[:-latest])
    since, before = 0.0, sum(counts)
    for days in range(1, latest + 1):
        since, before = since + counts[-days], before - counts[-days]
        is_high = now * (len(counts) - days) > before
        share = days / len(counts)
        if is_high and _binomial_tail(since / dispersion, (since + before) / dispersion, share) < level:
            return True
    return False


def shift_limit(past: Sequence[float], *, groups: int, families: int) -> float:
    """The greatest shift of a mean, in standard errors, that is still usual where the largest of ``groups`` is taken.

    ``past`` are those of earlier days: where their median lies above that of as many normal variables, errors are
    larger than they seem, and so is the limit. ``families`` such questions are asked each day.
    """
    level = FALSE_ALARMS / (HORIZON_DAYS * families * groups)
    expected = NormalDist().inv_cdf((1 + 0.5 ** (1 / groups)) / 2)
    inflation = max(1.0, median(map(abs, past)) / expected) if past else 1.0
    return inflation * NormalDist().inv_cdf(1 - level / 2)


def one_sided(up: int, down: int, *, usual: float = 0.5) -> bool:
    """Whether updates go one way too often to be corrections; ``usual`` is the share that goes up on other days.

    Hoeffding's bound on the binomial tail, so that no table is needed.
    """
    total = up + down
    if not total:
        return False
    excess = abs(up / total - usual)
    return math.exp(-2 * total * excess * excess) < TAIL


def _dispersion(counts: Sequence[float]) -> float:
    """The variance over the mean; one, as of Poisson counts, where chance may make as much of it."""
    mean, freedom = sum(counts) / len(counts), len(counts) - 1
    ratio = sum((count - mean) ** 2 for count in counts) / freedom / mean if mean else 1.0
    return ratio if ratio > 1 + _ONE_IN_TWENTY * math.sqrt(2 / freedom) else 1.0


def _binomial_tail(successes: float, trials: float, share: float) -> float:
    """A bound on P(X >= successes), above the mean: its first term, and a geometric series for the rest."""
    if successes <= share * trials:
        return 1.0
    failures = trials - successes
    ways = math.lgamma(trials + 1) - math.lgamma(successes + 1) - math.lgamma(failures + 1)
    first = math.exp(ways + successes * math.log(share) + failures * math.log1p(-share))
    return first / (1 - failures / (successes + 1) * share / (1 - share))
