"""Estimated precision and recall at higher thresholds, from the posteriors of the links that were made.

Two means over nearly the same links would tell the posteriors of the few between them. So a threshold has a point only
where enough links lie between it and the one before; where fewer do, or none, there is no point.
"""

from __future__ import annotations

from typing import Final

from asepsis.domain.linkage import LinkEstimate
from asepsis.linkage.quality import Numbers, expected_precision, expected_recall

THRESHOLDS: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
FEWEST: Final = 30
"""Links of which a mean is said."""
_DIGITS: Final = 3


def threshold_curve(
    posteriors: Numbers, *, least: float, all_expected: float, blocking: float | None
) -> tuple[LinkEstimate, ...]:
    """The points from ``least``, the contract's own threshold, upwards; none where there are too few links.

    ``all_expected`` and ``blocking`` as for :func:`asepsis.linkage.quality.expected_recall`.
    """
    points: list[LinkEstimate] = []
    before: int | None = None
    for threshold in THRESHOLDS:
        linked = posteriors[posteriors >= threshold]
        is_apart = before is None or before - len(linked) >= FEWEST
        precision = expected_precision(linked)
        recall = expected_recall(linked, all_expected=all_expected, blocking=blocking)
        if threshold < least or len(linked) < FEWEST or not is_apart or precision is None or recall is None:
            continue
        before = len(linked)
        points.append(
            LinkEstimate(threshold=threshold, precision=round(precision, _DIGITS), recall=round(recall, _DIGITS))
        )
    return tuple(points)
