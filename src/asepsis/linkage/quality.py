"""Quality of links without ground truth, from posteriors and from how often the keys of blocking agree.

Sources: the expected precision and recall of a calibrated model are means of its posteriors; Chao, Biometrics 43
(1987), pp. 783-791, for how many pairs no key found, from the pairs that one and two keys found.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from math import log2
from typing import Final

from asepsis.domain.linkage import CalibrationBand

BANDS: Final = (0.0, 0.5, 0.9, 0.99, 0.999, 1.0)


def posterior(weight: float) -> float:
    """The probability of ``weight`` bits of log odds."""
    if weight > 60:  # noqa: PLR2004 - 1 in double precision
        return 1.0
    return 0.0 if weight < -1000 else 1 / (1 + 2.0**-weight)  # noqa: PLR2004 - 0 in double precision


def bits(probability: float) -> float:
    """The log odds of a probability below one, in bits."""
    return log2(probability / (1 - probability))


def expected_precision(linked: Sequence[float]) -> float | None:
    """The mean posterior of the links; ``None`` without links."""
    return sum(linked) / len(linked) if linked else None


def expected_recall(linked: Sequence[float], *, all_expected: float, blocking: float | None) -> float | None:
    """True pairs linked among all that are expected: ``all_expected`` is the sum of the posteriors of candidates."""
    if all_expected <= 0:
        return None
    return min(1.0, sum(linked) / all_expected) * (1.0 if blocking is None else blocking)


def blocking_recall(found_by: Mapping[int, float]) -> float | None:
    """The share of true pairs that some key found; ``found_by`` has the expected true pairs by number of keys.

    Chao's lower bound of the unseen is f1 (f1 - 1) / (2 (f2 + 1)), with f1 and f2 the pairs found once and twice.
    """
    total = sum(found_by.values())
    if total <= 0:
        return None
    once, twice = found_by.get(1, 0.0), found_by.get(2, 0.0)
    unseen = max(0.0, once * (once - 1) / (2 * (twice + 1)))
    return total / (total + unseen)


def calibration(links: Sequence[tuple[float, bool | None]]) -> tuple[CalibrationBand, ...]:
    """Links by band of posterior; with each whether its national ids agree, ``None`` where one is missing."""
    bands = []
    grouped: list[list[tuple[float, bool | None]]] = [[] for _ in BANDS]
    for link in links:
        grouped[bisect_right(BANDS, link[0]) - 1].append(link)
    for at, group in enumerate(grouped):
        if group:
            judged = [agrees for _, agrees in group if agrees is not None]
            bands.append(
                CalibrationBand(
                    lowest=BANDS[at],
                    highest=BANDS[min(at + 1, len(BANDS) - 1)],
                    links=len(group),
                    mean=sum(p for p, _ in group) / len(group),
                    judged=len(judged),
                    agreeing=sum(judged),
                )
            )
    return tuple(bands)
