"""Pairs of places that hold the same key, block by block of equal size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from asepsis.linkage.stretches import Places, starts


def distinct(keys: Places) -> Places:
    """The keys in ascending order, each once; sorts ``keys`` themselves, which is faster than hashing them."""
    keys.sort()
    return keys[starts(keys)]


class Blocks:
    """Places grouped by a key: the blocks of two places and more."""

    def __init__(self, keys: npt.NDArray[np.uint64]) -> None:
        """Group the places 0, 1, ... by their ``keys``."""
        self._order = np.argsort(keys)
        first = starts(keys[self._order])
        sizes = np.diff(np.append(first, len(keys)))
        several = sizes > 1
        self._starts, self._sizes = first[several], sizes[several]

    def by_size(self) -> list[tuple[int, int]]:
        """How many blocks there are of each size, smallest first."""
        sizes, counts = np.unique(self._sizes, return_counts=True)
        return list(zip(sizes.tolist(), counts.tolist(), strict=True))

    def pairs(self, largest: int) -> Iterator[tuple[Places, Places]]:
        """All pairs of places inside blocks of at most ``largest``, each once."""
        for size, _ in self.by_size():
            if size > largest:
                return
            places = self._order[self._starts[self._sizes == size][:, None] + np.arange(size)]
            first, second = np.triu_indices(size, 1)
            yield places[:, first].ravel(), places[:, second].ravel()
