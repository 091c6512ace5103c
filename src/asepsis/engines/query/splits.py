"""Persons whom stricter links count in parts, named so that the memory of releases can compare cells across links.

Under stricter links one person may count as several. A cell with *k* parts of a person gets the person's first *k*
slots, whichever parts they are; the first slot has the person's own token. So two cells are as far apart as the
numbers of parts that they count, and not as the names of the parts: a cell by other links, of the same persons, is
near, whatever hospital a part is from.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asepsis.disclosure.people import Places

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Splits:
    """Which parts make up a person: by part the place of its person, the parts by person, and where each begins."""

    whole: Numbers
    parts: NDArray[np.uint32]
    start: Numbers

    def slots(self, places: Places) -> tuple[Places, int]:
        """The slots of a cell with the parts at these places, each named once, and how many persons they are."""
        whole = np.sort(self.whole[places])
        first = np.flatnonzero(np.diff(whole, prepend=-1))
        number = np.arange(len(whole)) - np.repeat(first, np.diff(first, append=len(whole)))
        return self.parts[self.start[whole] + number], len(first)


def split(
    parts: Numbers, wholes: Numbers, known: tuple[Numbers, NDArray[np.uint64]]
) -> tuple[Numbers, NDArray[np.uint64], Splits]:
    """The parts in ascending order with the tokens of their slots, and how to find the slots of a cell.

    ``parts`` and ``wholes`` are those of every row of the map; ``known`` are the persons, ascending, with their tokens.
    """
    ascending, row = np.unique(parts, return_index=True)
    whole = np.searchsorted(known[0], wholes[row])
    order = np.argsort(whole, kind="stable")
    start = np.searchsorted(whole[order], np.arange(len(known[0])))
    number = np.arange(len(order)) - start[whole[order]]
    tokens = np.empty(len(order), np.uint64)
    tokens[order] = known[1][whole[order]] + _salts(int(number.max(initial=0)))[number]
    return ascending, tokens, Splits(whole=whole, parts=order.astype(np.uint32), start=start)


def _salts(most: int) -> NDArray[np.uint64]:
    """What tells the slots of a person apart; nothing for the first, which bears the person's own token."""
    found = (hashlib.sha256(f"asepsis/part/{number}".encode()).digest() for number in range(1, most + 1))
    return np.array([0, *(int.from_bytes(salt[:8]) for salt in found)], np.uint64)
