"""How often each byte value occurs: one count gives the entropy, the share of EBCDIC and the number of controls."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
"""256 numbers: how often each byte value occurs."""

Values = npt.NDArray[np.int64]
"""256 numbers: 1 for each byte value that is meant, 0 for all others."""

_SOME: Final = 4096


def count(sample: bytes) -> Counts:
    """How often each byte value occurs in a sample; counting more than some thousands at once is slow."""
    return np.bincount(np.frombuffer(sample, dtype=np.uint8), minlength=256)


def count_some(sample: bytes) -> Counts:
    """The same of some thousand bytes that lie evenly apart, at a distance that is no multiple of two."""
    return count(sample[:: len(sample) // _SOME | 1])


def entropy(counts: Counts) -> float:
    """Shannon's over byte values, in bits per byte (C. E. Shannon, 1948); none of nothing is 0."""
    total = int(np.add.reduce(counts))
    if not total:
        return 0.0
    weighted = float(counts.dot(np.log2(np.maximum(counts, 1))))
    return round(math.log2(total) - weighted / total, 3) + 0.0


def number_of(counts: Counts, values: Values) -> int:
    """How many bytes have one of these values."""
    return int(counts.dot(values))


def values_of(values: bytes) -> Values:
    """Byte values, as ``number_of`` takes them."""
    meant = np.zeros(256, dtype=np.int64)
    meant[np.frombuffer(values, dtype=np.uint8)] = 1
    return meant
