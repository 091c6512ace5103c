"""Estimates the latent classes by expectation and maximisation over aggregated patterns of agreement.

A few thousand patterns stand for millions of pairs, so that one iteration is two products of small matrices.
Sources: Dempster, Laird and Rubin, JRSS B 39 (1977), pp. 1-38; maximum a posteriori under Dirichlet priors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from asepsis.linkage.classes import (
    CLASSES,
    MISSING,
    MOST_TWINS,
    PRIOR_FLOOR,
    PRIOR_SHARE,
    STARTING_SHARES,
    Comparison,
    LatentClass,
)

_ITERATIONS: Final = 300
_TOLERANCE: Final = 1e-8
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The estimated model: the share of each class, and the levels of each comparison by class."""

    shares: Mapping[str, float]
    levels: Mapping[str, Mapping[str, tuple[float, ...]]]
    iterations: int
    log_likelihoods: Matrix
    """Log of share times likelihood: patterns by classes."""


def fit(patterns: Sequence[Sequence[int]], counts: Sequence[int], *, comparisons: Sequence[Comparison]) -> Fitted:
    """Fit the classes to ``patterns`` (a level or ``MISSING`` per comparison) that occur ``counts`` times.

    A comparison that is missing from a pattern says nothing about it. The result depends on nothing random.
    """
    parts = _parts(_indicator(patterns, comparisons))
    weights = np.zeros(parts.shape[0] * parts.shape[1])
    weights[: len(counts)] = counts
    starts = np.cumsum([0, *(comparison.levels for comparison in comparisons)])
    seen = (parts.transpose(0, 2, 1) @ weights.reshape(*parts.shape[:2], 1)).sum(axis=0)[:, 0]
    believed = _believed(seen, comparisons, pairs=float(weights.sum()))
    sex = [comparison.name for comparison in comparisons].index("sex")
    is_sexless = all(pattern[sex] == MISSING for pattern in patterns)
    shares, theta = np.asarray(STARTING_SHARES, dtype=np.float64), _normalised(believed, starts)
    before, iterations, joint = -np.inf, 0, np.zeros((len(weights), len(CLASSES)))
    while iterations < _ITERATIONS:
        iterations += 1
        joint = (parts @ np.log(theta)).reshape(-1, len(CLASSES)) + np.log(shares)
        highest = joint.max(axis=1, keepdims=True, initial=-np.inf)
        part = np.exp(joint - highest)
        total = part.sum(axis=1, keepdims=True)
        likelihood = float((weights * (highest[:, 0] + np.log(total[:, 0]))).sum())
        expected = part / total * weights[:, None]
        if abs(likelihood - before) < _TOLERANCE * abs(likelihood):
            break
        before = likelihood
        shares = (expected.sum(axis=0) + 1) / (weights.sum() + len(CLASSES))
        if is_sexless:
            shares = _few_twins(shares)
        levels = parts.transpose(0, 2, 1) @ expected.reshape(*parts.shape[:2], len(CLASSES))
        theta = _normalised(levels.sum(axis=0) + believed, starts)
    return Fitted(
        shares=dict(zip(CLASSES, shares.tolist(), strict=True)),
        levels=_levels(theta, starts, comparisons),
        iterations=iterations,
        log_likelihoods=joint[: len(counts)],
    )


def weigh(fitted: Fitted, patterns: Sequence[Sequence[int]], *, comparisons: Sequence[Comparison]) -> Matrix:
    """Log of share times likelihood of patterns that the model was not fitted to: patterns by classes."""
    rows = [(fitted.levels[each.name], at) for each in comparisons for at in range(each.levels)]
    theta = np.array([[levels[name][at] for name in CLASSES] for levels, at in rows])
    shares = np.log([fitted.shares[name] for name in CLASSES])
    joint: Matrix = _indicator(patterns, comparisons) @ np.log(theta) + shares
    return joint


def _believed(seen: Matrix, comparisons: Sequence[Comparison], *, pairs: float) -> Matrix:
    """The pseudo-counts of each level by class, where ``pairs`` have the levels as often as ``seen``."""
    starts = np.cumsum([comparison.levels for comparison in comparisons])[:-1]
    strength = PRIOR_SHARE * pairs / len(CLASSES) + PRIOR_FLOOR
    counts = []
    for comparison, often in zip(comparisons, np.split(seen, starts), strict=True):
        if comparison.prior is not None:
            counts.append(strength * np.array([comparison.prior[name] for name in CLASSES]).T)
        else:
            share = (often + 1) / (often.sum() + len(often))
            counts.append(np.repeat(PRIOR_FLOOR * share[:, None], len(CLASSES), axis=1))
    return np.concatenate(counts)


def _few_twins(shares: Matrix) -> Matrix:
    match, twin = CLASSES.index(LatentClass.MATCH), CLASSES.index(LatentClass.TWIN)
    shares[twin] = min(shares[twin], MOST_TWINS * shares[match])
    scaled: Matrix = shares / shares.sum()
    return scaled


def _indicator(patterns: Sequence[Sequence[int]], comparisons: Sequence[Comparison]) -> Matrix:
    """One column per level of each comparison: 1 where the pattern has that level."""
    levels = np.asarray(patterns, dtype=np.int64).reshape(len(patterns), len(comparisons))
    parts: list[Any] = [
        levels[:, [at]] == np.arange(comparison.levels)[None, :] for at, comparison in enumerate(comparisons)
    ]
    return np.hstack(parts).astype(np.float64)


def _parts(indicator: Matrix) -> Matrix:
    """The rows in parts, filled up with zeros: products so small that no library spreads them over threads.

    A thread costs more than it saves here, and one that waits for the next product takes a processor from the others.
    """
    rows = max(1, _SMALL_PRODUCT // (indicator.shape[1] * len(CLASSES)))
    parts = np.zeros((-(-len(indicator) // rows), rows, indicator.shape[1]))
    parts.reshape(-1, indicator.shape[1])[: len(indicator)] = indicator
    return parts


_SMALL_PRODUCT: Final = 1 << 17
"""Multiplications."""


def _normalised(counts: Matrix, starts: npt.NDArray[np.int64]) -> Matrix:
    totals = np.add.reduceat(counts, starts[:-1], axis=0)
    normal: Matrix = counts / np.repeat(totals, np.diff(starts), axis=0)
    return normal


def _levels(
    theta: Matrix, starts: npt.NDArray[np.int64], comparisons: Sequence[Comparison]
) -> dict[str, dict[str, tuple[float, ...]]]:
    return {
        comparison.name: {
            name: tuple(theta[starts[at] : starts[at + 1], number].tolist()) for number, name in enumerate(CLASSES)
        }
        for at, comparison in enumerate(comparisons)
    }
