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
    best: dict[tuple[int, int], list[float]] = {}
    kept = [edge for edge in edges if owners[edge[0]] != owners[edge[1]] or owners[edge[0]] not in free]
    for left, right, weight in kept:
        for key in ((left, owners[right]), (right, owners[left])):
            top = best.get(key)
            if top is None:
                best[key] = [weight, float("-inf")]
            elif weight > top[0]:
                top[0], top[1] = weight, top[0]
            elif weight > top[1]:
                top[1] = weight
    found, clear = [], set()
    tally = {True: [1, 2], False: [1, 2]}
    for edge in kept:
        left, right, weight = edge
        is_clear = (
            owners[left] != owners[right]
            and owners[left] in free
            and owners[right] in free
            and min(_lead(weight, best[left, owners[right]]), _lead(weight, best[right, owners[left]])) >= AHEAD
        )
        if is_clear:
            clear.add((left, right))
        if weight >= threshold or (is_clear and weight >= min(CLEAR, threshold)):
            found.append(edge)
        if weight >= _SURE or weight < CONTRADICTION:
            count = tally[weight >= _SURE]
            count[0] += is_clear
            count[1] += 1
    gain = log2((tally[True][0] / tally[True][1]) / (tally[False][0] / tally[False][1]))
    return Acceptable(edges=found, clear=frozenset(clear), gain=max(0.0, min(_MOST_GAIN, gain)))


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
    degree: dict[int, int] = defaultdict(int)
    for left, right, _ in ordered:
        degree[left] += 1
        degree[right] += 1
    tied = _tied(ordered, owners, free, degree)
    for edge in ordered:
        left, right, _ = edge
        if partition.cluster_of.get(left, left) == partition.cluster_of.get(right, right):
            continue
        reason = "tie" if (left, right) in tied else None
        if reason is None and not degree[left] == degree[right] == 1:
            reason = _refusal(partition, edge, owners, free, weights)
        if reason is None:
            partition.join(edge)
        else:
            partition.refused[reason] += 1
    return partition


def _tied(
    ordered: Sequence[Edge], owners: Sequence[int], free: frozenset[int], degree: Mapping[int, int]
) -> set[tuple[int, int]]:
    """The pairs of a record that has two nearly equal best partners at one owner that lists each person once."""
    partners: dict[tuple[int, int], list[Edge]] = defaultdict(list)
    for edge in ordered:
        for here, there in ((edge[0], edge[1]), (edge[1], edge[0])):
            if degree[here] > 1 and owners[there] in free:
                partners[here, owners[there]].append(edge)
    tied = set()
    for edges in partners.values():
        if len(edges) > 1 and edges[0][2] - edges[1][2] < TIE:
            tied |= {(left, right) for left, right, weight in edges if edges[0][2] - weight < TIE}
    return tied


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
