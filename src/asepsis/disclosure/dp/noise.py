"""Exact discrete Laplace and discrete Gaussian noise, in integers only.

Source: Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy" (NeurIPS 2020, arXiv 2004.00010),
algorithms 1 to 3. No floating-point number takes part, so the samples have exactly the distribution that the proof
of privacy is about (Mironov 2012 shows what happens otherwise). The time of a sample depends on the sample and on
public parameters, never on data.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

Bytes = Callable[[int], bytes]
"""A source of independent uniform bytes: so many at a time."""

_BLOCK: Final = 256
_EIGHT: Final = 8


class Bits:
    """Uniform integers out of uniform bytes; no bit is used twice."""

    __slots__ = ("_count", "_pool", "_source")

    def __init__(self, source: Bytes) -> None:
        self._source = source
        self._pool = 0
        self._count = 0

    def below(self, limit: int) -> int:
        """A uniform integer from 0 to ``limit`` - 1, by rejection."""
        width = (limit - 1).bit_length()
        while True:
            if self._count < width:
                self._refill(width)
            value = self._pool & ((1 << width) - 1)
            self._pool >>= width
            self._count -= width
            if value < limit:
                return value

    def _refill(self, width: int) -> None:
        size = max(_BLOCK, -(-width // _EIGHT))
        self._pool |= int.from_bytes(self._source(size), "little") << self._count
        self._count += _EIGHT * size


def discrete_laplace(bits: Bits, *, numerator: int, denominator: int = 1) -> int:
    """An integer x with probability proportional to exp(-abs(x) * denominator / numerator).

    Algorithm 2 of Canonne, Kamath and Steinke; the scale is ``numerator / denominator``, both positive.
    """
    below = bits.below
    while True:
        offset = below(numerator)
        if not _decayed(below, offset, numerator):
            continue
        steps = 0
        while _decayed(below, 1, 1):
            steps += 1
        size = (offset + numerator * steps) // denominator
        negative = below(2)
        if negative and not size:
            continue
        return -size if negative else size


def discrete_gaussian(bits: Bits, *, numerator: int, denominator: int = 1) -> int:
    """An integer x with probability proportional to exp(-x^2 / (2 s)), s = ``numerator / denominator`` > 0.

    Algorithm 3 of Canonne, Kamath and Steinke. ``s`` is the parameter that they call sigma squared; the variance is
    at most that. Added to a value that one person changes by at most D, it is D^2 / (2 s)-zCDP (their theorem 4).
    """
    below = bits.below
    scale = math.isqrt(numerator // denominator) + 1
    divisor = 2 * numerator * denominator * scale * scale
    while True:
        candidate = discrete_laplace(bits, numerator=scale)
        gap = abs(candidate) * scale * denominator - numerator
        if _decayed(below, gap * gap, divisor):
            return candidate


def _decayed(below: Callable[[int], int], numerator: int, denominator: int) -> bool:
    """True with probability exp(-numerator / denominator): algorithm 1."""
    while numerator > denominator:
        if not _decayed_little(below, 1, 1):
            return False
        numerator -= denominator
    return _decayed_little(below, numerator, denominator)


def _decayed_little(below: Callable[[int], int], numerator: int, denominator: int) -> bool:
    """The same for exponents up to 1: the number of successes in a row, each less likely, is even."""
    trials = 1
    while below(denominator * trials) < numerator:
        trials += 1
    return trials % 2 == 1
