"""Quality of links without ground truth, from posteriors and from how often the keys of blocking agree.

Sources: the expected precision and recall of a calibrated model are means of its posteriors; Chao, Biometrics 43
(1987), pp. 783-791, for how many pairs no key found, from the pairs that one and two keys found.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log2
from typing import Final

import numpy as np
import numpy.typing as npt

from asepsis.domain.linkage import CalibrationBand

Numbers = npt.NDArray[np.float64]
Agreement = npt.NDArray[np.int8]
"""By link: 1 where two values agree, 0 where they do not, ``UNKNOWN`` where one is missing."""
UNKNOWN: Final = -1

BANDS: Final = (0.0, 0.5, 0.9, 0.99, 0.999, 1.0)
_MOST_BITS: Final = 1000.0
"""More are none in double precision."""


def posteriors(weights: Numbers) -> Numbers:
    """The probabilities of log odds in bits."""
    known: Numbers = 1 / (1 + np.exp2(-np.clip(weights, -_MOST_BITS, _MOST_BITS)))
    return known


def bits(probability: float) -> float:
    """The log odds of a probability below one, in bits."""
    return log2(probability / (1 - probability))


def expected_precision(linked: Numbers) -> float | None:
    """The mean posterior of the links; ``None`` without links."""
    return float(linked.mean()) if len(linked) else None


def expected_recall(linked: Numbers, *, all_expected: float, blocking: float | None) -> float | None:
    """True pairs linked among all that are expected: ``all_expected`` is the sum of the posteriors of candidates."""
    if all_expected <= 0:
        return None
    return min(1.0, float(linked.sum()) / all_expected) * (1.0 if blocking is None else blocking)


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


def calibration(linked: Numbers, agreement: Agreement) -> tuple[CalibrationBand, ...]:
    """Links by band of posterior; with how many their national ids agree, among those that have both."""
    band = np.searchsorted(BANDS, linked, side="right") - 1
    bands = []
    for at in np.unique(band).tolist():
        within = band == at
        bands.append(
            CalibrationBand(
                lowest=BANDS[at],
                highest=BANDS[min(at + 1, len(BANDS) - 1)],
                links=int(np.count_nonzero(within)),
                mean=float(linked[within].mean()),
                judged=int(np.count_nonzero(agreement[within] != UNKNOWN)),
                agreeing=int(np.count_nonzero(agreement[within] == 1)),
            )
        )
    return tuple(bands)
