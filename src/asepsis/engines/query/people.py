"""The persons behind cells, by stable tokens: gathered range by range, so that memory holds their numbers only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from asepsis.disclosure.contributors import WHOLE, Population
from asepsis.engines.query.answers import Raw, cell_keys
from asepsis.engines.query.splits import Splits
from asepsis.sql.identity import Identities, plain_keys
from asepsis.sql.plan import EVERYTHING, Grouping, Predicate

Links = NDArray[np.int64]


def tokens(links: Links, persons: Links, owners: Sequence[str]) -> tuple[Links, NDArray[np.uint64]]:
    """The room's persons in ascending order, and a stable token for each: owner's salt plus the owner's own number.

    ``owners`` names the owner of every row. A person known to several owners has the token of the first by name.
    Tokens of two owners coincide with a probability of about (persons of both) / 2**64 only.
    """
    salts = {owner: int.from_bytes(hashlib.sha256(owner.encode()).digest()[:8]) for owner in set(owners)}
    ranks = {owner: rank for rank, owner in enumerate(sorted(salts))}
    rank = np.array([ranks[owner] for owner in owners], np.int64)
    order = np.lexsort((persons, rank, links))
    first = order[np.unique(links[order], return_index=True)[1]] if len(order) else order
    salt = np.array([salts[owner] for owner in sorted(salts)], np.uint64)
    named = salt[rank[first]] + persons[first].astype(np.uint64) if len(first) else np.zeros(0, np.uint64)
    return links[first], named


def populations_of(grouping: Grouping) -> tuple[tuple[Predicate, tuple[int, ...]], ...]:
    """The distinct conditions of the measures of a grouping, each with its measures."""
    if not grouping.measures:
        return ((EVERYTHING, (WHOLE,)),)
    found: dict[Predicate, list[int]] = {}
    for place, measure in enumerate(grouping.measures):
        found.setdefault(measure.where, []).append(place)
    return tuple((where, tuple(places)) for where, places in found.items())


@dataclass(slots=True, kw_only=True)
class Gathering:
    """The persons of the cells of one grouping, while ranges come in; ``splits`` where links count some in parts."""

    grouping: Grouping
    known: Links
    splits: Splits | None = None
    parts: dict[tuple[Raw, int], list[NDArray[np.uint32]]] = field(default_factory=dict)

    def add(self, table: pa.Table) -> None:
        """Take the persons of one range."""
        keys = len(self.grouping.keys)
        rows = list(zip(*(table.column(place).to_pylist() for place in range(keys)), strict=True))
        rows = rows if keys else [()] * table.num_rows
        for place in range(table.num_columns - keys):
            lists = table.column(keys + place).combine_chunks()
            offsets = lists.offsets.to_numpy() if len(lists) else np.zeros(1, np.int32)
            links = lists.values.to_numpy(zero_copy_only=False) if len(lists) else np.zeros(0, np.int64)
            found = self._places(links)
            for number, key in enumerate(rows):
                part = found[offsets[number] : offsets[number + 1]]
                if len(part):
                    self.parts.setdefault((key, place), []).append(part.copy())

    def _places(self, links: Links) -> NDArray[np.uint32]:
        """The places of persons; their numbers follow each other where no link map says otherwise."""
        if len(self.known) and int(self.known[-1]) - int(self.known[0]) == len(self.known) - 1:
            following: NDArray[np.uint32] = (links - self.known[0]).astype(np.uint32)
            return following
        return np.searchsorted(self.known, links).astype(np.uint32)

    def sizes(self) -> dict[Raw, int]:
        """The cells by their keys, with the most persons behind any of their measures."""
        found: dict[Raw, int] = {}
        for (key, _), parts in self.parts.items():
            found[key] = max(found.get(key, 0), sum(map(len, parts)))
        return found

    def populations(self, branch: int, *, least: int, effects: dict[Raw, int] | None) -> Iterable[Population]:
        """The populations of at least ``least`` persons, in the order of their cells.

        What a cell counts in parts is as little as the persons that they are parts of.
        """
        plain = plain_keys(self.grouping)
        wheres = populations_of(self.grouping)
        named = [Identities(self.grouping, where) for where, _ in wheres]
        for key, place in sorted(self.parts, key=lambda part: (part[1], repr(part[0]))):
            places = np.concatenate(self.parts[key, place])
            if len(places) < least:
                continue
            _, measures = wheres[place]
            effect = None if effects is None else effects.get(key, 0)
            if self.splits is not None:
                places, wholes = self.splits.slots(places)
                effect = effect if wholes == len(places) else min(wholes, wholes if effect is None else effect)
            yield Population(
                branch=branch,
                keys=cell_keys(key),
                measures=measures,
                places=places,
                identity=named[place].of(key),  # type: ignore[arg-type]
                plain=plain,
                effect=effect,
            )
