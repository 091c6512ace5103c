"""How often each byte value occurs: one count gives the entropy, the share of EBCDIC and the number of controls."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
"""256 numbers: how often each byte value occurs."""

_TABLED: Final = 1 << 16
_NUMBERS: Final = np.arange(_TABLED + 1, dtype=np.float64)
_WEIGHTS: Final = _NUMBERS * np.log2(np.maximum(_NUMBERS, 1))
"""``n log2 n``, for as many as a sample has bytes."""


def count(sample: bytes) -> Counts:
    """How often each byte value occurs in a sample; counting more than some thousands at once is slow."""
    return np.bincount(np.frombuffer(sample, dtype=np.uint8), minlength=256)


def entropy(counts: Counts) -> float:
    """Shannon's over byte values, in bits per byte (C. E. Shannon, 1948); none of nothing is 0."""
    total = int(counts.sum())
    if not total:
        return 0.0
    weights = _WEIGHTS[counts] if total <= _TABLED else counts * np.log2(np.maximum(counts, 1))
    return round(float(np.log2(total) - weights.sum() / total), 3) + 0.0


def number_of(counts: Counts, values: npt.NDArray[np.intp]) -> int:
    """How many bytes have one of these values."""
    return int(counts[values].sum())


def values_of(values: bytes) -> npt.NDArray[np.intp]:
    """Byte values, as ``number_of`` takes them."""
    return np.unique(np.frombuffer(values, dtype=np.uint8)).astype(np.intp)
