"""Best-first clustering: the strictest rule joins first, and no union may bring two different persons together.

Invariants: a union is refused when any member of the one cluster conflicts with any member of the other, or
when it would give a cluster two records of one owner by a rule that is not strong; the result depends on the
set of records and pairs alone, not on their order. Ties inside a rule follow a keyed order of the records; a
tie between several partners at one owner is left unresolved at that rule and counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from asepsis.domain.linkage import Conflict, Grade
from asepsis.linkage.conflicts import conflict
from asepsis.linkage.traits import Traits

Node = int
"""One record of one owner, numbered; the number carries no meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What clustering needs of a node: its owner, its place in the keyed order and its traits.

    A node has several traits where its owner lists a person on several lines (a name before and after marriage).
    """

    owner: int
    order: bytes
    traits: tuple[Traits, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two nodes and the rules that join them, as bits: bit n is rule n."""

    left: Node
    right: Node
    rules: int


@dataclass(slots=True, kw_only=True)
class Clusters:
    """The partition as it grows, and what happened on the way."""

    members: Mapping[Node, Member]
    cluster_of: dict[Node, Node] = field(default_factory=dict)
    nodes: dict[Node, list[Node]] = field(default_factory=dict)
    linked: list[int] = field(default_factory=list)
    """Unions made, by rule."""
    ambiguous: list[int] = field(default_factory=list)
    refused: dict[tuple[Node, Node], Conflict] = field(default_factory=dict)
    """The pairs whose union was refused at least once."""

    def find(self, node: Node) -> Node:
        """The node that names the cluster of ``node``."""
        return self.cluster_of.get(node, node)

    def of(self, node: Node) -> list[Node]:
        """All nodes of the cluster of ``node``."""
        name = self.find(node)
        return self.nodes.get(name, [name])

    def owners(self, node: Node) -> set[int]:
        """The owners that have a record in the cluster of ``node``."""
        return {self.members[each].owner for each in self.of(node)}

    def join(self, left: Node, right: Node) -> None:
        """Make one cluster of two."""
        large, small = sorted((self.of(left), self.of(right)), key=len, reverse=True)
        name = self.find(large[0])
        self.nodes.pop(self.find(small[0]), None)
        self.nodes[name] = [*large, *small]
        self.cluster_of.update(dict.fromkeys([*small, name], name))


def cluster(members: Mapping[Node, Member], pairs: Iterable[Pair], *, grades: Sequence[Grade]) -> Clusters:
    """Join the nodes of ``pairs`` rule by rule; ``grades`` holds the grade of each rule, strictest first.

    Nodes that no pair names stay alone and need not be in ``members``.
    """
    clusters = Clusters(members=members, linked=[0] * len(grades), ambiguous=[0] * len(grades))
    ordered = sorted((_oriented(pair, members) for pair in pairs), key=lambda pair: _place(pair, members))
    for number, grade in enumerate(grades):
        found = [pair for pair in ordered if pair.rules >> number & 1]
        if grade is not Grade.STRONG:
            found = _unambiguous(clusters, found, number)
        for pair in found:
            _try(clusters, pair, number, grade)
    return clusters


def _oriented(pair: Pair, members: Mapping[Node, Member]) -> Pair:
    if members[pair.left].order <= members[pair.right].order:
        return pair
    return Pair(left=pair.right, right=pair.left, rules=pair.rules)


def _place(pair: Pair, members: Mapping[Node, Member]) -> tuple[bytes, bytes]:
    return members[pair.left].order, members[pair.right].order


def _try(clusters: Clusters, pair: Pair, number: int, grade: Grade) -> None:
    if _is_open(clusters, pair, grade):
        clusters.join(pair.left, pair.right)
        clusters.linked[number] += 1


def _is_open(clusters: Clusters, pair: Pair, grade: Grade) -> bool:
    """Whether the pair is in two clusters that may be joined; a refusal is noted."""
    if clusters.find(pair.left) == clusters.find(pair.right):
        return False
    reason = _refusal(clusters, pair, grade)
    if reason is not None:
        clusters.refused.setdefault((pair.left, pair.right), reason)
    return reason is None


def _refusal(clusters: Clusters, pair: Pair, grade: Grade) -> Conflict | None:
    for left in clusters.of(pair.left):
        for right in clusters.of(pair.right):
            reason = _nodes_conflict(clusters.members[left], clusters.members[right])
            if reason is not None:
                return reason
    if grade is not Grade.STRONG and clusters.owners(pair.left) & clusters.owners(pair.right):
        return Conflict.SAME_OWNER
    return None


def _nodes_conflict(left: Member, right: Member) -> Conflict | None:
    for one in left.traits:
        for other in right.traits:
            reason = conflict(one, other)
            if reason is not None:
                return reason
    return None


def _unambiguous(clusters: Clusters, pairs: Sequence[Pair], number: int) -> list[Pair]:
    """Drop the pairs of a cluster that this rule would join to several clusters of one owner: any choice is a guess."""
    open_pairs = [pair for pair in pairs if _is_open(clusters, pair, Grade.LOOSE)]
    partners: defaultdict[tuple[Node, int], set[Node]] = defaultdict(set)
    for pair in open_pairs:
        for here, there in ((pair.left, pair.right), (pair.right, pair.left)):
            for owner in clusters.owners(there):
                partners[clusters.find(here), owner].add(clusters.find(there))
    kept = [pair for pair in open_pairs if _is_only(clusters, partners, pair)]
    clusters.ambiguous[number] += len(open_pairs) - len(kept)
    return kept


def _is_only(clusters: Clusters, partners: Mapping[tuple[Node, int], set[Node]], pair: Pair) -> bool:
    return all(
        len(partners[clusters.find(here), owner]) == 1
        for here, there in ((pair.left, pair.right), (pair.right, pair.left))
        for owner in clusters.owners(there)
    )
