"""Sets of persons, compact: a list of places where they are few, a bitmap where they are many.

Places count from zero in an order of persons that only ever grows, so that sets of different times compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.uint32]
Words = NDArray[np.uint64]
_WORD: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class People:
    """A set of persons: sorted ``places``, or ``words`` of 64 bits each (lowest bit first); the other one is None."""

    size: int
    places: Places | None = None
    words: Words | None = None

    def common(self, other: People) -> int:
        """How many persons are in both sets."""
        if self.words is not None and other.words is not None:
            least = min(len(self.words), len(other.words))
            return int(np.bitwise_count(self.words[:least] & other.words[:least]).sum())
        if self.places is None:
            return other.common(self)
        if other.words is not None:
            return int(_in_words(self.places, other.words).sum())
        return len(np.intersect1d(self.places, other.listed(), assume_unique=True))

    def apart(self, other: People) -> int:
        """How many persons are in exactly one of the two sets."""
        return self.size + other.size - 2 * self.common(other)

    def listed(self) -> Places:
        """The places of all persons, ascending."""
        if self.places is not None:
            return self.places
        words = self.words if self.words is not None else np.zeros(0, np.uint64)
        bits = np.unpackbits(words.view(np.uint8), bitorder="little")
        return np.flatnonzero(bits).astype(np.uint32)


def people(places: Places) -> People:
    """The set of the persons at these places, each named once, in whichever form is smaller."""
    ordered = np.sort(places)
    words = int(ordered[-1]) // _WORD + 1 if len(ordered) else 0
    if len(ordered) * 4 <= words * 8:
        return People(size=len(ordered), places=ordered)
    bits = np.zeros(words * _WORD, np.uint8)
    bits[ordered] = 1
    return People(size=len(ordered), words=np.packbits(bits, bitorder="little").view(np.uint64))


def _in_words(places: Places, words: Words) -> NDArray[np.bool_]:
    inside = places[places < len(words) * _WORD]
    return (words[inside // _WORD] >> (inside % _WORD).astype(np.uint64) & np.uint64(1)).astype(np.bool_)
