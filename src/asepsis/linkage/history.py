"""Merges and splits between two link maps: what happened to every person when links were made again.

Link identifiers stay with their persons: an old identifier goes on to the new cluster that holds most of its
records, so that a result can be followed across runs; nothing in an identifier says whose it is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

Record = TypeVar("Record", bound=Hashable)
"""A record of an owner: owner and pseudonym."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """One new identifier that holds records of several old ones."""

    link: int
    before: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One old identifier whose records are now under several new ones."""

    link: int
    after: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Everything that changed; identifiers in ascending order."""

    merges: tuple[Merge, ...]
    splits: tuple[Split, ...]
    added: int
    """Records that the old map did not have."""
    removed: int


def stable_links(
    old: Mapping[Record, int], clusters: Mapping[Record, int], *, fresh: Callable[[], int]
) -> dict[Record, int]:
    """The new link map of ``clusters`` (any numbers that say who is together), with old identifiers kept.

    Each old identifier goes to at most one cluster, the one with most of its records, and each cluster takes at most
    one: that of most of its records, then the smallest. The others get ``fresh`` ones.
    """
    shared = Counter((old[record], cluster) for record, cluster in clusters.items() if record in old)
    kept: dict[int, int] = {}
    used = set()
    for (link, cluster), _ in sorted(shared.items(), key=lambda item: (-item[1], item[0])):
        if cluster not in kept and link not in used:
            kept[cluster] = link
            used.add(link)
    taken = set(old.values())
    for cluster in dict.fromkeys(clusters.values()):
        if cluster not in kept:
            kept[cluster] = _unused(fresh, taken)
    return {record: kept[cluster] for record, cluster in clusters.items()}


def compare_maps(old: Mapping[Record, int], new: Mapping[Record, int]) -> History:
    """The merges and splits from ``old`` to ``new``, over the records that both have."""
    after: defaultdict[int, set[int]] = defaultdict(set)
    before: defaultdict[int, set[int]] = defaultdict(set)
    for record in old.keys() & new.keys():
        after[old[record]].add(new[record])
        before[new[record]].add(old[record])
    return History(
        merges=tuple(Merge(link=link, before=tuple(sorted(b))) for link, b in sorted(before.items()) if len(b) > 1),
        splits=tuple(Split(link=link, after=tuple(sorted(a))) for link, a in sorted(after.items()) if len(a) > 1),
        added=len(new.keys() - old.keys()),
        removed=len(old.keys() - new.keys()),
    )


def _unused(fresh: Callable[[], int], taken: set[int]) -> int:
    number = fresh()
    while number in taken:
        number = fresh()
    taken.add(number)
    return number
