"""Quantiles from noisy histograms over public bins.

The histogram was paid for; everything here follows from it. A value is told to the width of a bin. Where few records
stand behind it the interval is as wide as the bounds.
"""

from __future__ import annotations

import math

from asepsis.disclosure.dp.accounting import CONFIDENCE
from asepsis.domain.private import Histogram


def quantile_of(counts: list[float], histogram: Histogram, *, deviation: float) -> tuple[float | None, float | None]:
    """The quantile, as a multiple of the width, and the half of the interval that holds it 95 times of 100.

    ``counts`` are the noisy numbers of records of the bins, each with noise of ``deviation``. What is compared with
    zero is the number on or below a bin less ``level`` of all; its noise has a deviation of sqrt(j (1 - level)^2 +
    (k - j) level^2) times that of one of k bins, for j bins below, and at most sqrt(k) times.
    """
    whole = sum(counts)
    if whole < 1:
        return None, None
    target = histogram.level * whole
    place = _place(counts, target)
    below = min(len(counts), math.ceil(place))
    level = histogram.level
    factor = math.sqrt(below * (1 - level) ** 2 + (len(counts) - below) * level**2)
    off = CONFIDENCE * deviation * factor
    width = histogram.width
    least, most = _place(counts, target - off), _place(counts, target + off)
    value = math.floor(histogram.first + place + 0.5) * width
    return float(value), (max(place - least, most - place) + 0.5) * width


def _place(counts: list[float], target: float) -> float:
    """How many bins lie below a number of records; a fraction of the bin in which it is reached."""
    reached = 0.0
    for place, count in enumerate(counts):
        if reached + count >= target:
            return place + (min(1.0, max(0.0, (target - reached) / count)) if count > 0 else 0.0)
        reached += count
    return float(len(counts))
