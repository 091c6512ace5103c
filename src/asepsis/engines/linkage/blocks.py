"""Pairs of places that hold the same key, block by block of equal size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from asepsis.linkage.stretches import Places, starts

Hashes = npt.NDArray[np.uint64]
ODD: Final = np.uint64(0x9E3779B97F4A7C15)
"""The golden ratio: multiplied by it, numbers spread over the high bits (Knuth, TAOCP 3, section 6.4)."""
_WIDTH: Final = 64
_SLOTS: Final = 4


def distinct(keys: Places) -> Places:
    """The keys in ascending order, each once; sorts ``keys`` themselves, which is faster than hashing them."""
    keys.sort()
    return keys[starts(keys)]


def slot_bits(count: int) -> int:
    """The bits of the numbers of at least ``count`` slots."""
    return max(6, count.bit_length())


def slots(keys: Places | Hashes, *, bits: int) -> Places:
    """A slot for every key, among 2 to the power of ``bits``."""
    spread = keys.astype(np.uint64)
    spread *= ODD
    spread >>= np.uint64(_WIDTH - bits)
    return spread.view(np.int64)


def repeated(keys: Hashes) -> Places:
    """The places of the keys that occur more than once, and of a few others."""
    ordered = np.sort(keys)
    several = ordered[1:][ordered[1:] == ordered[:-1]]
    bits = slot_bits(len(several) * _SLOTS)
    taken = np.zeros(1 << bits, dtype=np.bool_)
    taken[slots(several, bits=bits)] = True
    return np.flatnonzero(taken.take(slots(keys, bits=bits), mode="clip"))


class Blocks:
    """Places grouped by a key: the blocks of two places and more."""

    def __init__(self, keys: Hashes) -> None:
        """Group the places 0, 1, ... by their ``keys``; those of a block ascend where the keys are small numbers."""
        self._order, ordered = _in_order(keys)
        first = starts(ordered)
        sizes = np.diff(np.append(first, len(keys)))
        several = np.flatnonzero(sizes > 1)
        several = several[np.argsort(sizes[several], kind="stable")]
        self._starts, self._sizes = first[several], sizes[several]

    def by_size(self) -> list[tuple[int, int]]:
        """How many blocks there are of each size, smallest first."""
        sizes, counts = np.unique(self._sizes, return_counts=True)
        return list(zip(sizes.tolist(), counts.tolist(), strict=True))

    def pairs(self, largest: int) -> Iterator[tuple[Places, Places]]:
        """All pairs of places inside blocks of at most ``largest``, each once."""
        end = 0
        for size, count in self.by_size():
            if size > largest:
                return
            begin, end = end, end + count
            members = self._order.take(self._starts[begin:end] + np.arange(size)[:, None], mode="clip")
            first, second = np.triu_indices(size, 1)
            yield members[first].ravel(), members[second].ravel()


def _in_order(keys: Hashes) -> tuple[Places, Hashes]:
    """The places in the order of their keys, and the keys in order.

    A small key is sorted with its place in the low bits, several times as fast as places are sorted by their keys.
    """
    bits = np.uint64(len(keys).bit_length())
    if int(keys.max(initial=0)) >> (_WIDTH - int(bits)):
        order = np.argsort(keys)
        return order, keys[order]
    packed = (keys << bits) | np.arange(len(keys), dtype=np.uint64)
    packed.sort()
    places = packed & ((np.uint64(1) << bits) - np.uint64(1))
    return places.view(np.int64), packed >> bits
