"""Best-first clustering of weighted pairs, for any number of owners.

Invariants: an owner that lists each person once has at most one record in a cluster; no cluster holds a pair that
contradicts (fewer bits than ``CONTRADICTION``), so that a chain of good pairs cannot tie two persons together; a
record whose best partners at one such owner are nearly equal gets none of them. Best first, then by node number:
the result does not depend on the order of the pairs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log2
from typing import Final

CONTRADICTION: Final = -3.0
"""Bits below which a pair must not be in one cluster."""
TIE: Final = 1.0
"""Bits within which two partners are a tie."""
CLEAR: Final = -1.5
"""Bits that suffice for a pair that is the best of both its records and ``AHEAD`` of all rivals."""
AHEAD: Final = 3.0

_SURE: Final = 6.0
_MOST_GAIN: Final = 4.0

Edge = tuple[int, int, float]
"""Two nodes and the bits for their being one person."""


@dataclass(slots=True, kw_only=True)
class Partition:
    """The clusters as they grow. Nodes that no edge names are alone."""

    cluster_of: dict[int, int] = field(default_factory=dict)
    members: dict[int, list[int]] = field(default_factory=dict)
    joined: list[Edge] = field(default_factory=list)
    """The edges that joined two clusters; components of those above a weight are the clusters at that weight."""
    refused: dict[str, int] = field(default_factory=lambda: {"duplicate_free": 0, "contradiction": 0, "tie": 0})

    def of(self, node: int) -> list[int]:
        """All nodes of the cluster of ``node``."""
        return self.members.get(self.cluster_of.get(node, node), [node])

    def join(self, edge: Edge) -> None:
        """Make one cluster of two."""
        large, small = sorted((self.of(edge[0]), self.of(edge[1])), key=len, reverse=True)
        name = self.cluster_of.get(large[0], large[0])
        self.members.pop(self.cluster_of.get(small[0], small[0]), None)
        self.members[name] = [*large, *small]
        self.cluster_of.update(dict.fromkeys([*small, *large], name))
        self.joined.append(edge)

    def at(self, weight: float) -> dict[int, int]:
        """The cluster of every linked node when only joins of at least ``weight`` bits count."""
        finer = Partition()
        for edge in self.joined:
            if edge[2] >= weight:
                finer.join(edge)
        return finer.cluster_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptable:
    """The edges that may be links, and for which of them nothing else comes near."""

    edges: list[Edge]
    clear: frozenset[tuple[int, int]]
    gain: float
    """Bits that being clear is worth: how much more often it is true of sure pairs than of poor ones."""


def acceptable(edges: Iterable[Edge], *, owners: Sequence[int], free: frozenset[int], threshold: float) -> Acceptable:
    """The edges that may be links: at least ``threshold`` bits; less where they are clear and both owners in ``free``.

    ``owners`` gives the owner of each node; an edge inside an owner in ``free`` is no link. An edge is clear where it
    is ``AHEAD`` bits ahead of every other edge of its two nodes to the same owners.
    """
    kept = [edge for edge in edges if owners[edge[0]] != owners[edge[1]] or owners[edge[0]] not in free]
    best = _best(kept, owners)
    clear = {edge[:2] for edge in kept if _is_clear(edge, owners, free, best)}
    least = min(CLEAR, threshold)
    found = [edge for edge in kept if edge[2] >= (least if edge[:2] in clear else threshold)]
    sure, poor = [1, 2], [1, 2]
    for edge in kept:
        if edge[2] >= _SURE or edge[2] < CONTRADICTION:
            count = sure if edge[2] >= _SURE else poor
            count[0] += edge[:2] in clear
            count[1] += 1
    gain = log2(sure[0] / sure[1]) - log2(poor[0] / poor[1])
    return Acceptable(edges=found, clear=frozenset(clear), gain=max(0.0, min(_MOST_GAIN, gain)))


def _best(edges: Iterable[Edge], owners: Sequence[int]) -> dict[tuple[int, int], list[float]]:
    """The two best weights of every node to every owner."""
    best: dict[tuple[int, int], list[float]] = {}
    for left, right, weight in edges:
        for key in ((left, owners[right]), (right, owners[left])):
            top = best.get(key)
            if top is None:
                best[key] = [weight, float("-inf")]
            elif weight > top[0]:
                top[0], top[1] = weight, top[0]
            elif weight > top[1]:
                top[1] = weight
    return best


def _is_clear(
    edge: Edge, owners: Sequence[int], free: frozenset[int], best: Mapping[tuple[int, int], Sequence[float]]
) -> bool:
    left, right, weight = edge
    if owners[left] == owners[right] or owners[left] not in free or owners[right] not in free:
        return False
    return min(_lead(weight, best[left, owners[right]]), _lead(weight, best[right, owners[left]])) >= AHEAD


def _lead(weight: float, top: Sequence[float]) -> float:
    """By how many bits an edge is ahead of the best other one; negative where it is not the best."""
    return weight - (top[1] if weight >= top[0] else top[0])


def cluster_pairs(
    edges: Sequence[Edge],
    *,
    owners: Sequence[int],
    free: frozenset[int],
    weights: Mapping[tuple[int, int], float],
) -> Partition:
    """Join the acceptable ``edges`` best first. ``weights`` has the bits of pairs (smaller node first) known at all."""
    partition = Partition()
    ordered = sorted(edges, key=lambda edge: (-edge[2], edge[0], edge[1]))
    rivals: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for left, right, weight in ordered:
        rivals[left].append((right, weight))
        rivals[right].append((left, weight))
    for edge in ordered:
        left, right, _ = edge
        if len(rivals[left]) == len(rivals[right]) == 1:
            partition.join(edge)
            continue
        if partition.cluster_of.get(left, left) == partition.cluster_of.get(right, right):
            continue
        reason = _refusal(partition, edge, owners, free, weights)
        if reason is None and _is_tied(partition, edge, owners, free, rivals):
            reason = "tie"
        if reason is None:
            partition.join(edge)
        else:
            partition.refused[reason] += 1
    return partition


def _is_tied(
    partition: Partition,
    edge: Edge,
    owners: Sequence[int],
    free: frozenset[int],
    rivals: Mapping[int, Sequence[tuple[int, float]]],
) -> bool:
    """Whether one of the records has another partner at the same owner, nearly as good and still without one."""
    for here, there in ((edge[0], edge[1]), (edge[1], edge[0])):
        if owners[there] not in free:
            continue
        for other, weight in rivals[here]:
            is_near = other != there and owners[other] == owners[there] and abs(edge[2] - weight) < TIE
            if is_near and owners[here] not in {owners[node] for node in partition.of(other)}:
                return True
    return False


def _refusal(
    partition: Partition,
    edge: Edge,
    owners: Sequence[int],
    free: frozenset[int],
    weights: Mapping[tuple[int, int], float],
) -> str | None:
    lefts, rights = partition.of(edge[0]), partition.of(edge[1])
    if {owners[node] for node in lefts} & {owners[node] for node in rights} & free:
        return "duplicate_free"
    for left in lefts:
        for right in rights:
            if weights.get((min(left, right), max(left, right)), 0.0) < CONTRADICTION:
                return "contradiction"
    return None
