"""Bounds that are bought: paid for, chosen from noisy numbers only, and useful."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.disclosure.dp.accounting import Variance
from asepsis.disclosure.dp.bounds import buy_norms, chosen_length, most_clipped, price_noise, unbought
from asepsis.disclosure.dp.noise import Bits
from asepsis.disclosure.dp.release import predicted
from asepsis.domain.privacy import Loss, Privacy, Purchase
from asepsis.domain.private import (
    FINEST,
    MeasureSource,
    PrivateBranch,
    PrivateLengths,
    PrivateShape,
    VectorKind,
    VectorSpec,
    finest,
    offered,
)
from asepsis.domain.sealed import Sealed

PRIVACY = Privacy(
    budget=Loss(micro_rho=10**7, pico_delta=10**6),
    question=Loss(micro_rho=20_000, pico_delta=0),
    records=2,
    cells=2,
    purchase=Purchase(micro_rho=5_000, most=8),
)
SIZES = offered(8)
UNIT = 1 << FINEST
COARSE = 8
RECORDS = VectorSpec(kind=VectorKind.RECORDS, norm=8, bits=20, unbought=True)


def shape(*vectors: VectorSpec, cells: int = 1) -> PrivateShape:
    branch = PrivateBranch(
        vectors=vectors,
        measures=(MeasureSource(total=0),),
        outputs=(),
        domains=(tuple(range(cells)),),
        presence=None,
    )
    return PrivateShape(columns=("n",), branches=(branch,))


def bits(name: str) -> Bits:
    count = iter(range(10**9))
    return Bits(lambda size: hashlib.shake_256(f"{name}/{next(count)}".encode()).digest(size))


def bought(counts: tuple[int, ...], name: str, *, privacy: Privacy = PRIVACY, cells: int = 1) -> int:
    lengths = Sealed(PrivateLengths(branches=((counts,),)))
    return buy_norms(lengths, shape(RECORDS, cells=cells), privacy, bits=bits(name))[0][0]


@given(most=st.integers(2, 1 << 30))
def test_the_lengths_for_sale_grow_by_less_than_half_and_end_at_the_most(most: int) -> None:
    sizes = offered(most)
    assert (sizes[0], sizes[-1]) == (1, most)
    assert all(left < right <= 2 * left for left, right in pairwise(sizes))
    assert all((most << finest(most)) ** 2 < 1 << 62 for most in sizes)


@given(price=st.integers(1, 10**9), shares=st.integers(1, 40))
def test_the_histograms_of_a_question_spend_exactly_the_price(price: int, shares: int) -> None:
    """UNIT^2 / (2 s) each, in whole numbers of micro-rho."""
    noise = price_noise(Purchase(micro_rho=price, most=2), shares=shares)
    assert UNIT**2 * shares * noise.denominator * 10**6 == 2 * noise.numerator * price


def test_every_vector_that_has_no_norm_pays_its_share() -> None:
    three = shape(RECORDS, replace(RECORDS, norm=4), replace(RECORDS, unbought=False))
    assert unbought(three) == 2
    costs = [finding.reason for finding in predicted(three, PRIVACY, buys=True)]
    assert costs[0].startswith("The question costs 25000 millionths")
    assert "5000 millionths" in costs[1]
    assert predicted(three, PRIVACY)[0].reason.startswith("The question costs 20000 millionths")


def exact(counts: tuple[int, ...], *, privacy: Privacy = PRIVACY) -> dict[int, float]:
    """The probability of every choice, from the probabilities of the noise: a walk from the longest down.

    In steps of an eighth of a person instead of a millionth: the same but for what a chart could not show.
    """
    purchase = privacy.purchase
    assert purchase is not None
    noise = price_noise(purchase, shares=1)
    real = noise.numerator / noise.denominator / UNIT**2 * COARSE**2
    reach = int(14 * math.sqrt(real))
    steps = np.arange(-reach, reach + 1)
    pmf = np.exp(-(steps.astype(float) ** 2) / (2 * real))
    pmf /= pmf.sum()
    scale = math.sqrt(10**6 / (2 * privacy.question.micro_rho))
    clipped = most_clipped(shape(RECORDS).branches[0], scale=scale)
    found: dict[int, float] = {}
    sums, start = np.array([1.0]), 0  # of those who got so far: the noisy number of longer persons
    for place in range(1, len(SIZES)):
        sums, start = np.convolve(sums, pmf), start - reach + COARSE * counts[-place]
        values = start + np.arange(len(sums))
        stops = values > max(clipped * COARSE, 3 * math.sqrt(real * place))
        found[SIZES[-place]] = float(sums[stops].sum())
        sums = np.where(stops, 0.0, sums)
    found[1] = float(sums.sum())
    return found


NEAR = (40, 30, 20, 12, 8, 30)


def assert_likely(found: Counter[int], trials: int) -> None:
    """Chi-square against the exact chances of :func:`exact`."""
    expected = {size: chance * trials for size, chance in exact(NEAR).items()}
    likely = [size for size in expected if expected[size] >= 8]
    assert len(likely) >= 3
    statistic = sum((found[size] - expected[size]) ** 2 / expected[size] for size in likely)
    assert statistic < 30  # with at most five degrees of freedom: once in 70,000 streams, and these never change
    assert sum(found[size] for size in likely) >= trials - 30


def test_choices_have_exactly_the_distribution_that_the_accounting_is_about() -> None:
    """Chi-square over what is bought. Guard: without noise, or with half of it, one choice takes nearly all."""
    assert len(NEAR) == len(SIZES)
    trials = 3_000
    found = Counter(bought(NEAR, str(number)) for number in range(trials))
    assert_likely(found, trials)


@pytest.mark.parametrize("place", range(6))
def test_one_person_changes_the_chances_by_no_more_than_the_price_says(place: int) -> None:
    """Rényi divergences of what is bought, with and without a person of any length: at most alpha rho."""
    rho = 5_000 / 1e6
    other = tuple(count + (place == at) for at, count in enumerate(NEAR))
    for one, two in ((exact(NEAR), exact(other)), (exact(other), exact(NEAR))):
        for alpha in (1.5, 2.0, 8.0, 32.0):
            chances = [one[size] ** alpha * two[size] ** (1 - alpha) for size in one if one[size] > 1e-12]
            assert math.log(sum(chances)) / (alpha - 1) <= alpha * rho + 1e-9


def test_two_histograms_share_one_price() -> None:
    """Guard: at twice the price, and twice the cost, each of two is chosen like one alone. Half the noise shows."""
    question = Loss(micro_rho=2 * PRIVACY.question.micro_rho, pico_delta=0)
    twice = replace(PRIVACY, question=question, purchase=Purchase(micro_rho=10_000, most=8))
    lengths = Sealed(PrivateLengths(branches=((NEAR, NEAR),)))
    trials = 1_000
    pairs = [buy_norms(lengths, shape(RECORDS, RECORDS), twice, bits=bits(str(number)))[0] for number in range(trials)]
    for place in (0, 1):
        assert_likely(Counter(pair[place] for pair in pairs), trials)


@pytest.mark.parametrize(("counts", "size"), [((900, 0, 0, 0, 0, 0), 1), ((0, 0, 0, 900, 0, 0), 4), ((0,) * 6, 1)])
def test_what_is_bought_follows_most_persons(counts: tuple[int, ...], size: int) -> None:
    assert Counter(bought(counts, str(number)) for number in range(50)).most_common(1)[0][0] == size


def test_nobody_is_the_noise_of_empty_places() -> None:
    """Guard: without the allowance for noise, the first positive noise would buy the greatest length."""
    assert sum(bought((5_000, 0, 0, 0, 0, 0), str(number)) > 1 for number in range(200)) <= 6


def test_more_cells_clip_more_persons() -> None:
    """With many cells the noise of a long bound costs more than the few long persons are worth."""
    counts, noise = [5_000 * UNIT, 0, 0, 0, 0, 300 * UNIT], Variance(numerator=100 * UNIT**2, denominator=1)
    one, many = (most_clipped(shape(RECORDS, cells=cells).branches[0], scale=5.0) for cells in (1, 100))
    assert chosen_length(counts, SIZES, clipped=one, noise=noise) == 8
    assert chosen_length(counts, SIZES, clipped=many, noise=noise) == 1
