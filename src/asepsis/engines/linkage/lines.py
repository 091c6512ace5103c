"""The lines of all owners as columns of small numbers: what every step of a run reads.

A token becomes the number of its place among the distinct tokens of its domain, so that equal tokens have
equal numbers and nothing else of a token is kept; 0 is a missing value. Numbers of one domain may be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from asepsis.domain.names import PartyId
from asepsis.linkage.token_fields import DOMAIN_OF, LISTS, TOKENS
from asepsis.linkage.tokens import TokenTable

Ids = npt.NDArray[np.int32]
"""Numbers of values; 0 is missing."""
Flags = npt.NDArray[np.bool_]
EQUAL_ONLY: Final = tuple(name for name in TOKENS if name not in DOMAIN_OF)
"""Columns of which only equality is ever asked."""
BYTES: Final = 4 * (len(TOKENS) + len(EQUAL_ONLY) + 2 * len(LISTS) + 2)
"""Memory of one line, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forms:
    """All forms of a name: those of line ``n`` are ``values[starts[n]:starts[n + 1]]``; none where it has only one."""

    starts: npt.NDArray[np.int64]
    values: Ids
    is_several: Flags
    """By line: whether its name has more than one form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """All lines: their node (a person of one owner), their values by column, and what each node is."""

    node: Ids
    columns: Mapping[str, Ids]
    rows: Ids
    """The columns ``EQUAL_ONLY`` line by line: the values of one line lie together."""
    forms: Mapping[str, Forms]
    is_initial: Flags
    owner_of: npt.NDArray[np.uint8]
    """By node; owners are numbered in the order of their names."""
    person_of: npt.NDArray[np.int64]
    """By node."""
    is_free: Flags
    """By node: its owner lists each person once."""
    values: Mapping[str, pa.Array]
    """The distinct tokens of a domain: the one with number ``n`` is at place ``n - 1``."""

    def __len__(self) -> int:
        """How many lines."""
        return len(self.node)

    def nodes(self, owners: Sequence[PartyId]) -> pa.Table:
        """Owner and person of every node."""
        names = pa.array(owners, pa.string())
        return pa.table({"owner": names.take(pa.array(self.owner_of)), "person_id": self.person_of})

    def between(self, left: Ids, right: Ids) -> tuple[Ids, Ids]:
        """All pairs of a line of the left node and one of the right node, for pairs of nodes."""
        order = np.argsort(self.node, kind="stable").astype(np.int32)
        starts = np.searchsorted(self.node, np.arange(len(self.owner_of) + 1), sorter=order)
        lefts, rights = (np.diff(starts)[nodes] for nodes in (left, right))
        place = np.repeat(np.arange(len(left)), lefts * rights)
        nth = np.arange(len(place)) - np.repeat(np.cumsum(lefts * rights) - lefts * rights, lefts * rights)
        one, two = np.divmod(nth, rights[place])
        return order[starts[left[place]] + one], order[starts[right[place]] + two]


def load(tables: Mapping[PartyId, TokenTable], *, free: frozenset[PartyId], threads: int = 1) -> Lines:
    """The lines of comparable tables, owner by owner; the domains are numbered side by side on ``threads``."""
    records = pa.concat_tables([tables[owner].records for owner in sorted(tables)]).combine_chunks()
    counts = [len(tables[owner].records) for owner in sorted(tables)]
    owner = np.repeat(np.arange(len(counts), dtype=np.uint8), counts)
    node, owner_of, person_of = _nodes(records["person_id"].to_numpy(), np.cumsum([0, *counts]))
    is_free = np.array([name in free for name in sorted(tables)], dtype=np.bool_)
    columns: dict[str, Ids] = {}
    forms: dict[str, Forms] = {}
    values: dict[str, pa.Array] = {}
    domains = dict.fromkeys(DOMAIN_OF.get(name, name) for name in TOKENS)
    with ThreadPoolExecutor(threads) as pool:
        numbered = pool.map(lambda domain: _of_domain(records, domain), domains)
        for domain, (own_columns, own_forms, own_values) in zip(domains, numbered, strict=True):
            columns |= own_columns
            forms |= own_forms
            values[domain] = own_values
    return Lines(
        node=node,
        columns=columns,
        rows=np.stack([columns[name] for name in EQUAL_ONLY], axis=1),
        forms=forms,
        is_initial=_whole(records["is_initial"]).to_numpy(zero_copy_only=False),
        owner_of=owner_of,
        person_of=person_of,
        is_free=is_free[owner_of] if len(owner) else np.array([], dtype=np.bool_),
        values=values,
    )


def _of_domain(records: pa.Table, domain: str) -> tuple[dict[str, Ids], dict[str, Forms], pa.Array]:
    """The columns and the forms of a domain, and its distinct values."""
    names = [name for name in TOKENS if DOMAIN_OF.get(name, name) == domain]
    lists = [name for name in LISTS if DOMAIN_OF[name] == domain]
    flat = [_whole(records[name]) for name in names] + [_whole(records[name]).flatten() for name in lists]
    numbers, values = _numbered(flat)
    forms = {}
    for name, found in zip(lists, numbers[len(names) :], strict=True):
        lengths = _whole(records[name]).value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        forms[name] = Forms(starts=starts, values=found, is_several=lengths > 0)
    return dict(zip(names, numbers, strict=False)), forms, values


def _nodes(persons: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> tuple[Ids, Any, npt.NDArray[np.int64]]:
    """The node of each line; owner and person of each node."""
    node = np.empty(len(persons), dtype=np.int32)
    found: list[npt.NDArray[np.int64]] = []
    before = 0
    for start, end in pairwise(ends.tolist()):
        distinct, place = np.unique(persons[start:end], return_inverse=True)
        node[start:end] = place + before
        before += len(distinct)
        found.append(distinct)
    owners = np.repeat(np.arange(len(found), dtype=np.uint8), [len(each) for each in found])
    return node, owners, np.concatenate([np.array([], dtype=np.int64), *found])


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def _numbered(columns: Sequence[pa.Array]) -> tuple[list[Ids], pa.Array]:
    """The columns as numbers of their distinct values, counted from 1; and the distinct values."""
    encoded = pa.concat_arrays(columns).dictionary_encode()
    numbers = (encoded.indices.fill_null(-1).to_numpy() + 1).astype(np.int32, copy=False)
    return np.split(numbers, np.cumsum([len(column) for column in columns])[:-1]), encoded.dictionary
