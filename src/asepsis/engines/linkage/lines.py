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
import pyarrow.compute as pc

from asepsis.domain.names import PartyId
from asepsis.linkage.token_fields import DOMAIN_OF, LISTS, NUMBER_OF, TOKENS
from asepsis.linkage.tokens import TokenTable

Ids = npt.NDArray[np.int32]
"""Numbers of values; 0 is missing."""
Flags = npt.NDArray[np.bool_]
EQUAL_ONLY: Final = tuple(
    name for name in TOKENS if name not in {*DOMAIN_OF, "given_three", "birth_sorted_days", "postal_three"}
)
"""Columns of which only equality is ever asked when pairs are compared; those three are for blocking alone."""
COMPARED: Final = (*EQUAL_ONLY, *(name for name in TOKENS if name in DOMAIN_OF))
"""Columns in which pairs are compared."""
MARKS: Final = ("is_initial", *LISTS)
"""What is only true or false of a line: its given name is an initial; it has several forms of a name."""
BYTES: Final = 4 * (len(TOKENS) + len(COMPARED) + 2 * len(LISTS) + 2)
"""Memory of one line, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forms:
    """All forms of a name: those of line ``n`` are ``values[starts[n]:starts[n + 1]]``; none where it has only one."""

    starts: npt.NDArray[np.int64]
    values: Ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """All lines: their node (a person of one owner), their values by column, and what each node is."""

    node: Ids
    columns: Mapping[str, Ids]
    rows: Ids
    """The columns ``COMPARED`` line by line, and last the bits of ``MARKS``: the values of one line lie together."""
    forms: Mapping[str, Forms]
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
    records = pa.concat_tables([tables[owner].records for owner in sorted(tables)])
    counts = [len(tables[owner].records) for owner in sorted(tables)]
    is_free = np.array([name in free for name in sorted(tables)], dtype=np.bool_)
    columns: dict[str, Ids] = {}
    forms: dict[str, Forms] = {}
    values: dict[str, pa.Array] = {}
    with ThreadPoolExecutor(threads) as pool:
        nodes = pool.submit(_nodes, records["person_id"].to_numpy(), np.cumsum([0, *counts]))
        numbered = pool.map(lambda domain: _of_domain(records, domain), _DOMAINS)
        for domain, (own_columns, own_forms, own_values) in zip(_DOMAINS, numbered, strict=True):
            columns |= own_columns
            forms |= own_forms
            values[domain] = own_values
    node, owner_of, person_of = nodes.result()
    several = [np.diff(forms[name].starts) > 0 for name in LISTS]
    return Lines(
        node=node,
        columns=columns,
        rows=_rows(columns, [records["is_initial"].to_numpy(), *several]),
        forms=forms,
        owner_of=owner_of,
        person_of=person_of,
        is_free=is_free[owner_of] if len(owner_of) else np.array([], dtype=np.bool_),
        values=values,
    )


def _rows(columns: Mapping[str, Ids], marks: Sequence[Flags]) -> Ids:
    rows = np.empty((len(marks[0]), len(COMPARED) + 1), dtype=np.int32)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        chunk = slice(start, start + _ROWS_AT_ONCE)
        for at, name in enumerate(COMPARED):
            rows[chunk, at] = columns[name][chunk]
        rows[chunk, -1] = sum(mark[chunk].astype(np.int32) << at for at, mark in enumerate(marks))
    return rows


_ROWS_AT_ONCE: Final = 1 << 12
"""As many as stay in the cache of a processor while column after column is written into them."""
_DOMAINS: Final = sorted(
    {DOMAIN_OF.get(name, name) for name in TOKENS},
    key=lambda domain: (-sum(DOMAIN_OF.get(name, name) == domain for name in TOKENS), domain not in NUMBER_OF, domain),
)
"""Those that take long first, so that no thread is left with a long one at the end."""


def _of_domain(records: pa.Table, domain: str) -> tuple[dict[str, Ids], dict[str, Forms], pa.Array]:
    """The columns and the forms of a domain, and its distinct values."""
    names = [name for name in TOKENS if DOMAIN_OF.get(name, name) == domain]
    lists = [name for name in LISTS if DOMAIN_OF[name] == domain]
    parts = [records[name].chunks for name in names]
    parts += [[part.flatten() for part in records[name].chunks] for name in lists]
    numbers, values = _numbered(parts)
    forms = {}
    for name, found in zip(lists, numbers[len(names) :], strict=True):
        lengths = pc.fill_null(pc.list_value_length(records[name]), 0).to_numpy()
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        forms[name] = Forms(starts=starts, values=found)
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


def _numbered(columns: Sequence[Sequence[pa.Array]]) -> tuple[list[Ids], pa.Array]:
    """The columns, each in parts, as numbers of their distinct values, counted from 1; and the distinct values."""
    encoded = pa.chunked_array([part for parts in columns for part in parts], pa.uint64()).dictionary_encode().chunks
    values = encoded[-1].dictionary if encoded else pa.array([], pa.uint64())
    numbers = np.concatenate([np.array([], np.int32), *(part.indices.fill_null(-1).to_numpy() for part in encoded)])
    numbers += 1
    return np.split(numbers, np.cumsum([sum(map(len, parts)) for parts in columns])[:-1]), values
