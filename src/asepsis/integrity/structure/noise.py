"""Blocks whose byte values are spread as evenly as those of encrypted data.

A block is half as long as the smallest piece that ransomware encrypts at once (4 KB), so that wherever such a piece
begins
it fills a block. Counting bits comes first, since it is fast: of 16,384 random bits half are set, give or take 64.
Blocks that pass are
tested by chi-square over the byte values, which is the best of many measures (Davies et al., Entropy 24(10):1503,
2022).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

BLOCK: Final = 2048
MOST_COUNTED: Final = 64
_BITS: Final = BLOCK * 8
_BITS_OFF: Final = 6 * 64
# Chi-square over 256 values has mean 255 and standard deviation 22.6 for noise; text, tables and code lie in the
# thousands and beyond.
_AT_LEAST, _AT_MOST = 130.0, 400.0
_SMALLEST_SAMPLE: Final = 512


def chi_square(sample: bytes) -> float:
    """Pearson's chi-square of the byte values of a sample against equal shares (255 degrees of freedom)."""
    expected = len(sample) / 256
    counts = np.bincount(np.frombuffer(sample, dtype=np.uint8), minlength=256)
    return float(((counts - expected) ** 2).sum() / expected)


def is_noise(sample: bytes) -> bool:
    """Whether the byte values of a sample are spread as evenly as those of encrypted data."""
    return len(sample) >= _SMALLEST_SAMPLE and _AT_LEAST <= chi_square(sample) <= _AT_MOST


def has_noise(piece: bytes) -> bool:
    """Whether a whole block of a piece is noise."""
    return _noise_in(piece, 1) > 0


class NoiseCount:
    """Counts the blocks of noise that pass, up to a number above which more would say no more."""

    def __init__(self) -> None:
        self.blocks = 0

    def watch(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Pass pieces on, counting."""
        for piece in pieces:
            if self.blocks < MOST_COUNTED:
                self.blocks += _noise_in(piece, MOST_COUNTED - self.blocks)
            yield piece


def _noise_in(piece: bytes, at_most: int) -> int:
    whole = len(piece) // BLOCK
    if not whole:
        return 0
    words = np.frombuffer(piece, dtype=np.uint64, count=whole * BLOCK // 8).reshape(whole, -1)
    bits = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
    found = 0
    for block in np.flatnonzero(np.abs(bits - _BITS // 2) <= _BITS_OFF):
        found += is_noise(piece[block * BLOCK : (block + 1) * BLOCK])
        if found >= at_most:
            break
    return found
