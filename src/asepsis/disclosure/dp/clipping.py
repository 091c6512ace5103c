"""What each person counts for, bounded: in whole numbers from the first row to the last sum.

Let v be the vector that one person has over the cells of a grouping: whole numbers (presence 0 or 1, records, totals
of values that were clipped to their public bounds and rounded to steps of 2^-bits), each clipped to L = norm 2^bits.
What is added up is v' with v'_j = trunc(v_j w), w = min(s, L (1 - 1e-9) / sqrt(N)), N = the sum of the v_j^2, where
s = 2^bits for counts and 1 for totals.

1. v' depends on the records of that person alone. Sums of 64-bit whole numbers are exact in whatever order rows are
   read: a row counts for L <= 2^31 at most, so no sum of fewer than 2^31 rows or persons leaves 63 bits, and neither
   does any sum of squares or products of halves (16 bits each) of entries. N, w and v' follow from those of this
   person by a fixed number of IEEE operations. So two data sets that differ by a person differ, cell by cell, by
   exactly that person's v', and by nothing else.
2. The length of v' is at most L. With u = 2^-53 and every operation rounded to nearest, N is computed within
   (1 +- 3u), for all of its terms are positive, sqrt(N) within (1 +- 3u), w within (1 + 5u) of L (1 - 1e-9) / sqrt(N)
   or below it, and v_j w within (1 + 7u); trunc only moves towards zero. So the length of v' is at most
   (1 + 7u) (1 - 1e-9) L sqrt(N) / sqrt(N) < L.
3. Where no person can be in two cells (``settled``), v has one entry, and the clipping of the entry alone keeps it
   within L.

Casacuberta et al., "Widespread Underestimation of Sensitivity in Differentially Private Libraries" (CCS 2022, arXiv
2207.10635), show what sums of floating-point numbers in data-dependent order do to the first step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from asepsis.domain.private import PRESENCE_BITS, VectorSpec, offered

Numbers = NDArray[np.int64]
Lengths = NDArray[np.float64]

SHRUNK: Final = 1 - 1e-9
_HALF: Final = 16
"""Bits of a half of an entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonCells:
    """One place for every person and cell, ordered by persons.

    ``rows`` are the first rows of the places, ``cells`` their cells, ``firsts`` the first place of each person,
    ``entries`` the entries of each vector before its length is bounded.
    """

    rows: Numbers
    cells: Numbers
    firsts: Numbers
    entries: tuple[Numbers, ...]


def person_cells(
    persons: Numbers, cells: Numbers, parts: Sequence[Numbers | None], specs: Sequence[VectorSpec]
) -> PersonCells:
    """Add up what rows count for, by person and cell.

    ``persons`` and ``cells`` number those of every row, from zero and below 2^31 each; ``parts`` has for each of the
    vectors what a row counts for, at most the length of the vector; None: every row counts for one.
    """
    keys = persons * (int(cells.max(initial=0)) + 1) + cells
    order = np.argsort(keys, kind="stable")
    starts = _firsts(keys[order])
    rows = np.diff(starts, append=len(order))
    sums = (rows if part is None else np.add.reduceat(part[order], starts) for part in parts)
    first_rows = order[starts]
    return PersonCells(
        rows=first_rows,
        cells=cells[first_rows],
        firsts=_firsts(persons[first_rows]),
        entries=tuple(
            np.clip(found, -spec.most_entry, spec.most_entry) for found, spec in zip(sums, specs, strict=True)
        ),
    )


def bounded_sums(found: PersonCells, specs: Sequence[VectorSpec], *, cells: int, settled: bool) -> list[Numbers]:
    """For every vector, the sums over all persons of their bounded parts, in each of so many cells."""
    places = np.diff(found.firsts, append=len(found.cells))
    vectors = []
    for entries, spec in zip(found.entries, specs, strict=True):
        parts = entries * spec.entry_steps
        if not settled:
            parts = entries * np.repeat(_weights(_squares(found, entries, spec), spec), places)
        sums = np.zeros(cells, np.int64)
        np.add.at(sums, found.cells, parts.astype(np.int64, copy=False))  # which rounds towards zero
        vectors.append(sums)
    return vectors


def persons_of_lengths(found: PersonCells, specs: Sequence[VectorSpec]) -> list[Numbers]:
    """For every vector without a norm yet, how many persons have a part of which length, see ``PrivateLengths``.

    A person's part has one length, so the person is in one place at most. Lengths are compared by their squares.
    """
    return [
        _counted(_squares(found, entries, spec), spec) if spec.unbought else np.zeros(0, np.int64)
        for entries, spec in zip(found.entries, specs, strict=True)
    ]


def _firsts(ordered: Numbers) -> Numbers:
    """The places at which another number begins."""
    return np.flatnonzero(np.concatenate((np.ones(min(len(ordered), 1), bool), ordered[1:] != ordered[:-1])))


def _squares(found: PersonCells, entries: Numbers, spec: VectorSpec) -> Lengths:
    """By person, the square of the length of a part."""
    if spec.most_entry >> _HALF == 0:
        return np.add.reduceat(entries * entries, found.firsts).astype(np.float64)
    sizes = np.abs(entries)
    high, low = sizes >> _HALF, sizes & ((1 << _HALF) - 1)
    products = ((high, high, 2 * _HALF), (high, low, _HALF + 1), (low, low, 0))
    sums = [
        np.add.reduceat(left * right, found.firsts).astype(np.float64) * 2.0**bits for left, right, bits in products
    ]
    return sums[0] + sums[1] + sums[2]


def _weights(squares: Lengths, spec: VectorSpec) -> Lengths:
    """What persons' entries are multiplied with, so that the whole is no longer than allowed."""
    length = (spec.norm << spec.bits) * SHRUNK
    weights = np.minimum(float(spec.entry_steps), length / np.sqrt(np.maximum(squares, 1.0)))
    if spec.coarse:
        weights[weights < float(1 << (spec.bits - PRESENCE_BITS))] = 0.0
    return weights


def _counted(squares: Lengths, spec: VectorSpec) -> Numbers:
    unit = (1 << spec.bits) // spec.entry_steps
    sizes = [float((size * unit) ** 2) for size in offered(spec.norm)]
    places = np.searchsorted(sizes, squares[squares > 0])
    return np.bincount(np.minimum(places, len(sizes) - 1), minlength=len(sizes))
