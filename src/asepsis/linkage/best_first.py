"""Best-first clustering of weighted pairs, for any number of owners.

Invariants: an owner that lists each person once has at most one record in a cluster; clusters with a pair between them
that contradicts (fewer bits than ``CONTRADICTION``) become one only where all pairs between them together outweigh it,
so that a chain of good pairs does not tie two persons together; any other owner gets a second record into one only by a
pair with so many bits as that is rare; a record whose best partners at one such owner are
nearly equal gets none of them. Best first, then by node number: the result does not depend on the order of the pairs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, log2
from typing import Final

import numpy as np
import numpy.typing as npt

CONTRADICTION: Final = -3.0
"""Bits below which a pair contradicts."""
OUTWEIGHED: Final = 0.0
"""Bits that all pairs of two clusters must have together where one of them contradicts."""
TIE: Final = 1.0
"""Bits within which two partners are a tie."""
CLEAR: Final = -1.5
"""Bits that suffice for a pair that is the best of both its records and ``AHEAD`` of all rivals."""
AHEAD: Final = 3.0

_SURE: Final = 6.0
_MOST_GAIN: Final = 4.0

Numbers = npt.NDArray[np.int32] | npt.NDArray[np.uint8]
Clusters = npt.NDArray[np.int64]
"""By node the number of a node that names its cluster; ``ALONE`` for a node without one."""
ALONE: Final = -1
Flags = npt.NDArray[np.bool_]
Edge = tuple[int, int, float]
"""Two nodes and the bits for their being one person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """Pairs of nodes with the bits for their being one person; each pair once."""

    left: Numbers
    right: Numbers
    weight: npt.NDArray[np.float64]

    @classmethod
    def of(cls, edges: Iterable[Edge]) -> Edges:
        """The edges of a list."""
        listed = list(edges)
        left, right, weight = zip(*listed, strict=True) if listed else ((), (), ())
        return cls(left=np.array(left, np.int32), right=np.array(right, np.int32), weight=np.array(weight, np.float64))

    def __len__(self) -> int:
        """How many edges."""
        return len(self.left)

    def __iter__(self) -> Iterator[Edge]:
        """The edges one by one."""
        return zip(self.left.tolist(), self.right.tolist(), self.weight.tolist(), strict=True)

    def where(self, kept: Flags) -> Edges:
        """Those edges alone."""
        return Edges(left=self.left[kept], right=self.right[kept], weight=self.weight[kept])

    def plus(self, more: Edges) -> Edges:
        """These edges and others."""
        return Edges(
            left=np.concatenate([self.left, more.left]),
            right=np.concatenate([self.right, more.right]),
            weight=np.concatenate([self.weight, more.weight]),
        )

    def alone(self) -> Flags:
        """Which edges share no node with another."""
        counts = np.bincount(np.concatenate([self.left, self.right]))
        found: Flags = (counts[self.left] == 1) & (counts[self.right] == 1)
        return found


@dataclass(slots=True, kw_only=True)
class Partition:
    """The clusters as they grow. Nodes that no edge names are alone."""

    lone: Edges = field(default_factory=lambda: Edges.of(()))
    """The edges that are a cluster each: nearly all, so that they are never walked through one by one."""
    cluster_of: dict[int, int] = field(default_factory=dict)
    """By node, those of ``lone`` aside."""
    members: dict[int, list[int]] = field(default_factory=dict)
    """By cluster, those of ``lone`` aside."""
    joined: list[Edge] = field(default_factory=list)
    """The other edges that joined two clusters; components of those above a weight are the clusters at that weight."""
    refused: dict[str, int] = field(
        default_factory=lambda: {"duplicate_free": 0, "twice": 0, "contradiction": 0, "tie": 0}
    )

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

    def clusters(self, *, nodes: int) -> Clusters:
        """The cluster of each of ``nodes`` nodes."""
        return _by_node(self.lone, self.cluster_of, nodes)

    def at(self, weight: float, *, nodes: int) -> Clusters:
        """The cluster of each of ``nodes`` nodes when only joins of at least ``weight`` bits count."""
        cluster_of: dict[int, int] = {}
        members: dict[int, list[int]] = {}
        for left, right, bits in self.joined:
            if bits < weight:
                continue
            large, small = cluster_of.get(left, left), cluster_of.get(right, right)
            if len(members.get(large, ())) < len(members.get(small, ())):
                large, small = small, large
            moved = members.pop(small, [small])
            members.setdefault(large, [large]).extend(moved)
            cluster_of[large] = large
            for node in moved:
                cluster_of[node] = large
        return _by_node(self.lone.where(self.lone.weight >= weight), cluster_of, nodes)


def _by_node(lone: Edges, cluster_of: Mapping[int, int], nodes: int) -> Clusters:
    """The left node of each lone edge names its cluster."""
    found = np.full(nodes, ALONE, dtype=np.int64)
    found[lone.left] = found[lone.right] = lone.left
    found[np.fromiter(cluster_of, np.int64, len(cluster_of))] = [*cluster_of.values()]
    return found


def alone_as(clusters: Clusters, names: Clusters) -> Clusters:
    """The cluster of every node; for one without any what stands in ``names``."""
    return np.where(clusters == ALONE, names, clusters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptable:
    """The edges that may be links, and for which of them nothing else comes near."""

    edges: Edges
    is_clear: Flags
    gain: float
    """Bits that being clear is worth: how much more often it is true of sure pairs than of poor ones."""


def telling_from(*, is_free: Flags, threshold: float) -> float:
    """The bits below which an edge can neither be a link nor be anything to one, so that it need not be looked at.

    Where an owner lists each person once, every edge tells how often poor ones are clear. Elsewhere an edge is ranked
    by its lead over edges of at most ``AHEAD`` fewer bits, and the rank is worth no more than ``CLEAR`` takes away.
    """
    return -np.inf if np.any(is_free) else min(CONTRADICTION, threshold + CLEAR) - AHEAD


def acceptable(edges: Edges, *, owners: Numbers, is_free: Flags, threshold: float) -> Acceptable:
    """The edges that may be links: at least ``threshold`` bits; less where they are clear and both owners are free.

    ``owners`` gives the owner of each node, ``is_free`` whether it lists each person once; an edge inside such an owner
    is no link. An edge is clear where it leads by ``AHEAD`` bits over every other one of its nodes to the same owners.
    """
    inside = owners[edges.left] == owners[edges.right]
    is_kept = ~(inside & is_free[edges.left])
    kept, inside = edges.where(is_kept), inside[is_kept]
    lead = np.where(inside, 0.0, _leads(kept, owners))
    kept = _ranked(kept, lead, among=~inside, is_free=is_free[kept.left] & is_free[kept.right])
    is_clear = is_free[kept.left] & is_free[kept.right] & (lead >= AHEAD)
    is_found = kept.weight >= np.where(is_clear, min(CLEAR, threshold), threshold)
    sure, poor = kept.weight >= _SURE, kept.weight < CONTRADICTION
    gain = _share(is_clear, sure) - _share(is_clear, poor) if np.any(is_clear) else 0.0
    return Acceptable(edges=kept.where(is_found), is_clear=is_clear[is_found], gain=max(0.0, min(_MOST_GAIN, gain)))


def _ranked(edges: Edges, lead: npt.NDArray[np.float64], *, among: Flags, is_free: Flags) -> Edges:
    """The edges of two owners with more bits where they are clear, and with fewer where another edge is far better.

    How many, the run itself says: how much more often it is true of sure edges than of those that just fall short,
    which are taken for false. Where owners list persons often, sure edges have better ones too, and it is worth little.
    """
    sure = among & (edges.weight >= _SURE)
    short = among & (edges.weight < 0) & (edges.weight >= CONTRADICTION)
    bits = np.zeros(len(edges))
    for is_so, low, high in ((lead >= AHEAD) & ~is_free, 0.0, -CLEAR), (lead <= -AHEAD, -_MOST_GAIN, 0.0):
        bits[is_so] = min(high, max(low, _share(is_so, sure) - _share(is_so, short)))
    return Edges(left=edges.left, right=edges.right, weight=edges.weight + bits)


def _share(is_clear: Flags, among: Flags) -> float:
    """The logarithm of how often an edge is clear, of one more that is and one more that is not."""
    return log2((1 + int(np.count_nonzero(is_clear & among))) / (2 + int(np.count_nonzero(among))))


def _leads(edges: Edges, owners: Numbers) -> npt.NDArray[np.float64]:
    """By how many bits each edge leads over the best other one of its nodes; negative where it is not the best."""
    sides, count = _sides(edges, owners)
    best = np.full(count, -np.inf)
    for side in sides:
        np.maximum.at(best, side, edges.weight)
    second, bests = np.full(count, -np.inf), np.zeros(count, dtype=np.int64)
    for side in sides:
        is_best = edges.weight == best[side]
        bests += np.bincount(side[is_best], minlength=count)
        np.maximum.at(second, side[~is_best], edges.weight[~is_best])
    several = bests > 1
    second[several] = best[several]
    lead = np.full(len(edges), np.inf)
    for side in sides:
        rival = np.where(edges.weight == best[side], second[side], best[side])
        np.minimum(lead, edges.weight - rival, out=lead)
    return lead


def _sides(edges: Edges, owners: Numbers) -> tuple[list[npt.NDArray[np.int64]], int]:
    """For either node of each edge a number that the node has for the owner of the other; and how many there are."""
    many = int(owners.max(initial=0)) + 1
    ways = (edges.left, edges.right), (edges.right, edges.left)
    sides = [here.astype(np.int64) * many + owners[there] for here, there in ways]
    if len(owners) * many <= _SPARSE * len(edges):
        return sides, len(owners) * many
    found, number = np.unique(np.concatenate(sides), return_inverse=True)
    return np.split(number, 2), len(found)


_SPARSE: Final = 4
"""Numbers by edge that are a table of their own; more are counted out first."""


def cluster_pairs(
    edges: Edges,
    *,
    owners: Sequence[int],
    free: frozenset[int],
    weights: Mapping[tuple[int, int], float],
    twice: float = -inf,
) -> Partition:
    """Join the acceptable ``edges`` best first. ``weights`` has the bits of pairs (smaller node first) known at all.

    ``twice`` are the bits that a pair needs where by it an owner comes to hold a person twice; a pair inside that owner
    needs no more than others, for its own bits say how rare that is.
    """
    is_alone = edges.alone()
    partition = Partition(lone=edges.where(is_alone))
    ordered = sorted(edges.where(~is_alone), key=lambda edge: (-edge[2], edge[0], edge[1]))
    rivals: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for left, right, weight in ordered:
        rivals[left].append((right, weight))
        rivals[right].append((left, weight))
    for edge in ordered:
        left, right, _ = edge
        if partition.cluster_of.get(left, left) == partition.cluster_of.get(right, right):
            continue
        reason = _refusal(partition, edge, owners, free, weights, twice=twice)
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
    *,
    twice: float,
) -> str | None:
    lefts, rights = partition.of(edge[0]), partition.of(edge[1])
    doubled = {owners[node] for node in lefts} & {owners[node] for node in rights}
    if doubled & free:
        return "duplicate_free"
    if edge[2] < twice and doubled - ({owners[edge[0]]} & {owners[edge[1]]}):
        return "twice"
    across = [weights.get((min(left, right), max(left, right)), 0.0) for left in lefts for right in rights]
    if min(across) < CONTRADICTION and sum(across) < OUTWEIGHED:
        return "contradiction"
    return None
