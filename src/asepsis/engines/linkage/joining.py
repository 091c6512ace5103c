"""Joins scored pairs into persons, best first; then once more with what the records that stayed alone have in common.

No key of blocking need find two records of one person of which little is known. So where few stay alone, every pair of
them is looked at; what is common among these pairs is estimated from them alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import log2
from typing import Final

import numpy as np
import numpy.typing as npt

from asepsis.engines.linkage.blocking import Pairs
from asepsis.engines.linkage.comparing import compare
from asepsis.engines.linkage.latent import Fitted
from asepsis.engines.linkage.lines import Ids, Lines
from asepsis.engines.linkage.near import Nearness
from asepsis.engines.linkage.scoring import LEAST, Scored, Weights, score
from asepsis.linkage.best_first import (
    ALONE,
    CLEAR,
    Acceptable,
    Edges,
    Numbers,
    Partition,
    acceptable,
    cluster_pairs,
    telling_from,
)
from asepsis.linkage.classes import CLASSES, LatentClass
from asepsis.linkage.stretches import starts

_LARGEST_COMPONENT: Final = 200
_LEAST_LATE: Final = -10.0
_MOST_RESIDUAL: Final = 3_000_000
"""Pairs that are looked at so; records that stayed alone in such numbers stay so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """How likely two nodes are one person, by the fitted model."""

    lines: Lines
    fitted: Fitted
    near: Nearness
    threads: int

    def edges(self, left: Ids, right: Ids, *, least: float) -> Edges:
        """The given pairs of nodes that have at least ``least`` bits."""
        i, j = self.lines.between(left, right)
        compared = compare(self.lines, i, j, near=self.near, threads=self.threads)
        is_late = np.zeros(len(i), dtype=np.bool_)
        scored = score(self.lines, compared, self.fitted, is_late=is_late, least=least, threads=self.threads)
        return _edges(self.lines, i[scored.place], j[scored.place], scored.weight)


def join_pairs(judge: Judge, pairs: Pairs, scored: Scored, *, threshold: float) -> tuple[Acceptable, Partition]:
    """The edges that may be links, and the persons that they make."""
    least = telling_from(is_free=judge.lines.is_free, threshold=threshold)
    kept = np.flatnonzero(scored.weight >= least)
    kept = kept[(scored.weight[kept] >= _LEAST_LATE) | ~pairs.is_late[scored.place[kept]]]
    place = scored.place[kept]
    edges = _edges(judge.lines, pairs.i[place], pairs.j[place], scored.weight[kept])
    found, partition = _joined(judge, edges, threshold)
    more = _residual(judge, pairs, partition)
    return _joined(judge, _and_more(judge, edges, more), threshold) if len(more) else (found, partition)


def _joined(judge: Judge, edges: Edges, threshold: float) -> tuple[Acceptable, Partition]:
    lines = judge.lines
    found = acceptable(edges, owners=lines.owner_of, is_free=lines.is_free, threshold=threshold)
    cross = np.array(list(_cross_pairs(found.edges)), dtype=np.int32).reshape(-1, 2)
    weights = {(left, right): weight for left, right, weight in judge.edges(cross[:, 0], cross[:, 1], least=-1000.0)}
    free = frozenset(np.unique(lines.owner_of[lines.is_free]).tolist())
    twice = threshold + _bits_of_one_list(judge.fitted)
    owners = lines.owner_of.tolist()
    return found, cluster_pairs(found.edges, owners=owners, free=free, weights=weights, twice=twice)


def _bits_of_one_list(fitted: Fitted) -> float:
    """By how many bits the odds of a match are lower between two records of one list than of two lists."""
    levels, shares = fitted.levels["list"], fitted.shares
    others = [sum(shares[name] * levels[name][at] for name in CLASSES if name != LatentClass.MATCH) for at in (0, 1)]
    two, one = levels[LatentClass.MATCH]
    return log2(two / one * others[1] / others[0])


def _residual(judge: Judge, pairs: Pairs, partition: Partition) -> Edges:
    """The pairs of nodes without a cluster that no early key found, as far as they may be links."""
    lines = judge.lines
    alone = np.flatnonzero(partition.clusters(nodes=len(lines.owner_of)) == ALONE).astype(np.int32)
    if len(alone) ** 2 / 2 > _MOST_RESIDUAL:
        return Edges.of(())
    one, two = np.triu_indices(len(alone), 1)
    left, right = alone[one], alone[two]
    may_be_one = (lines.owner_of[left] != lines.owner_of[right]) | ~lines.is_free[left]
    known = _codes(lines, lines.node[pairs.i[~pairs.is_late]], lines.node[pairs.j[~pairs.is_late]])
    is_new = may_be_one & ~np.isin(_codes(lines, left, right), known)
    edges = judge.edges(left[is_new], right[is_new], least=LEAST)
    share = judge.fitted.shares[LatentClass.MATCH]
    fitted_odds = log2(share / (1 - share))
    odds = _odds(np.exp2(edges.weight - fitted_odds), count=int(np.count_nonzero(is_new)))
    weight = edges.weight - fitted_odds + odds
    return Edges(left=edges.left, right=edges.right, weight=weight).where(weight >= CLEAR)


def _odds(ratios: Weights, *, count: int) -> float:
    """The log odds of a match among ``count`` pairs, in bits, from the likelihood ratios of those that may be one.

    Expectation and maximisation for the share of one of two known distributions; it starts at one match.
    """
    share = 1 / (count + 1)
    for _ in range(_ITERATIONS):
        share = (float(np.sum(share * ratios / (share * ratios + 1 - share))) + 1) / (count + 2)
    return log2(share / (1 - share))


_ITERATIONS: Final = 50


def _edges(lines: Lines, i: Ids, j: Ids, weight: Weights) -> Edges:
    """The pairs of nodes with the most bits of their lines, smaller node first."""
    return _most(_codes(lines, lines.node[i], lines.node[j]), weight, nodes=len(lines.owner_of))


def _and_more(judge: Judge, edges: Edges, more: Edges) -> Edges:
    lines, both = judge.lines, edges.plus(more)
    return _most(_codes(lines, both.left, both.right), both.weight, nodes=len(lines.owner_of))


def _most(codes: npt.NDArray[np.int64], weight: Weights, *, nodes: int) -> Edges:
    """Every pair once, with the most bits that it has."""
    order = np.argsort(codes)
    ordered = codes[order]
    first = starts(ordered)
    most = np.maximum.reduceat(weight[order], first) if len(first) else weight
    left, right = np.divmod(ordered[first], max(1, nodes))
    return Edges(left=left.astype(np.int32), right=right.astype(np.int32), weight=np.clip(most, -1000.0, 1000.0))


def _codes(lines: Lines, left: Numbers, right: Numbers) -> npt.NDArray[np.int64]:
    """One number for each pair of nodes, whichever way round."""
    return np.minimum(left, right).astype(np.int64) * len(lines.owner_of) + np.maximum(left, right)


def _cross_pairs(edges: Edges) -> Iterator[tuple[int, int]]:
    """All pairs inside the groups of three records or more that the edges connect."""
    whole = Partition()
    for edge in edges.where(~edges.alone()):
        if whole.cluster_of.get(edge[0], edge[0]) != whole.cluster_of.get(edge[1], edge[1]):
            whole.join(edge)
    for members in whole.members.values():
        if 2 < len(members) <= _LARGEST_COMPONENT:  # noqa: PLR2004 - two records have one pair
            yield from combinations(sorted(members), 2)
