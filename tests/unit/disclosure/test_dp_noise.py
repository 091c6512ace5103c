"""Noise has exactly the distribution that the proof of privacy is about."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from asepsis.disclosure.dp.noise import Bits, discrete_gaussian, discrete_laplace

DRAWS = 12_000
OPENDP = """
import json, sys
import opendp.prelude as dp
dp.enable_features("contrib")
scale, count = float(sys.argv[1]), int(sys.argv[2])
space = dp.vector_domain(dp.atom_domain(T=int)), dp.l2_distance(T=float)
print(json.dumps(dp.m.make_gaussian(*space, scale=scale)([0] * count)))
"""


class Stream:
    """Bytes that look random and are the same in every run."""

    def __init__(self, name: str) -> None:
        self._name = name.encode()
        self._count = 0

    def __call__(self, size: int) -> bytes:
        self._count += 1
        return hashlib.shake_256(self._name + self._count.to_bytes(8)).digest(size)


def chi_square(sample: Sequence[int], probability: Callable[[int], float], *, reach: int) -> tuple[float, int]:
    """The statistic and its degrees of freedom; values beyond ``reach``, and rare ones, are one cell."""
    seen = Counter(sample)
    cells = [value for value in range(-reach, reach + 1) if probability(value) * len(sample) >= 8]
    expected = [probability(value) * len(sample) for value in cells]
    observed = [float(seen[value]) for value in cells]
    rest = len(sample) - sum(expected)
    if rest >= 8:
        expected.append(rest)
        observed.append(len(sample) - sum(observed))
    return sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True)), len(expected) - 1


def assert_fits(statistic: float, freedom: int) -> None:
    """A correct sampler fails this once in some hundred thousand streams, and these streams never change."""
    assert statistic < freedom + 4.5 * math.sqrt(2 * freedom) + 6, (statistic, freedom)


def gaussian(variance: float) -> Callable[[int], float]:
    total = sum(math.exp(-x * x / (2 * variance)) for x in range(-2000, 2001))
    return lambda x: math.exp(-x * x / (2 * variance)) / total


def laplace(scale: float) -> Callable[[int], float]:
    total = sum(math.exp(-abs(x) / scale) for x in range(-4000, 4001))
    return lambda x: math.exp(-abs(x) / scale) / total


@pytest.mark.parametrize(("numerator", "denominator"), [(1, 4), (1, 1), (7, 2), (100, 1), (123_456, 1_000)])
def test_the_discrete_gaussian_fits_its_probabilities(numerator: int, denominator: int) -> None:
    bits = Bits(Stream(f"gaussian {numerator}/{denominator}"))
    sample = [discrete_gaussian(bits, numerator=numerator, denominator=denominator) for _ in range(DRAWS)]
    assert_fits(*chi_square(sample, gaussian(numerator / denominator), reach=80))


@pytest.mark.parametrize(("numerator", "denominator"), [(1, 3), (1, 1), (5, 2), (40, 1)])
def test_the_discrete_laplace_fits_its_probabilities(numerator: int, denominator: int) -> None:
    bits = Bits(Stream(f"laplace {numerator}/{denominator}"))
    sample = [discrete_laplace(bits, numerator=numerator, denominator=denominator) for _ in range(DRAWS)]
    assert_fits(*chi_square(sample, laplace(numerator / denominator), reach=200))


def test_a_wide_gaussian_has_the_width_that_was_asked_for() -> None:
    bits, variance = Bits(Stream("wide")), 10**18
    sample = [discrete_gaussian(bits, numerator=variance) for _ in range(4_000)]
    mean, spread = sum(sample) / len(sample), math.sqrt(sum(x * x for x in sample) / len(sample))
    assert abs(mean) < 4 * 10**9 / math.sqrt(4_000)
    assert 0.95 < spread / 10**9 < 1.05
    assert all(isinstance(value, int) for value in sample)
    assert len({value % 2 for value in sample}) == 2


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 255, 256, 257, 10**12])
def test_uniform_numbers_stay_below_their_limit(limit: int) -> None:
    bits = Bits(Stream(f"below {limit}"))
    sample = [bits.below(limit) for _ in range(600)]
    assert min(sample) >= 0
    assert max(sample) < limit
    assert limit > 10 or set(sample) == set(range(limit))


def test_no_bit_is_used_twice() -> None:
    used: list[bytes] = []

    def source(size: int) -> bytes:
        used.append(hashlib.shake_256(len(used).to_bytes(8)).digest(size))
        return used[-1]

    bits = Bits(source)
    drawn = [bits.below(1 << 16) for _ in range(500)]
    pool = int.from_bytes(b"".join(used), "little")
    assert drawn == [pool >> (16 * place) & 0xFFFF for place in range(500)]


@pytest.mark.parametrize("variance", [4, 900])
def test_opendp_draws_from_the_same_distribution(variance: int) -> None:
    """OpenDP as an oracle, in an environment of its own."""
    peers = [path for path in os.environ.get("ASEPSIS_DP_PEERS", "").split(os.pathsep) if path]
    pythons = [path for path in peers if not subprocess.run([path, "-c", "import opendp"], check=False).returncode]
    if not pythons:
        pytest.skip("ASEPSIS_DP_PEERS names no Python with OpenDP")
    run = subprocess.run(
        [pythons[0], "-c", OPENDP, str(math.sqrt(variance)), str(DRAWS)], capture_output=True, check=True, text=True
    )
    bits = Bits(Stream(f"oracle {variance}"))
    ours = Counter(discrete_gaussian(bits, numerator=variance) for _ in range(DRAWS))
    theirs = Counter(json.loads(run.stdout))
    cells = [value for value in set(ours) | set(theirs) if ours[value] + theirs[value] >= 16]
    statistic = sum((ours[value] - theirs[value]) ** 2 / (ours[value] + theirs[value]) for value in cells)
    assert_fits(statistic, len(cells))
