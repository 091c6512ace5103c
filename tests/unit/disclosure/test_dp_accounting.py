"""Losses add up, noise is as wide as they say, and a threshold fails no more often than agreed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.disclosure.dp.accounting import (
    epsilon,
    gaussian_delta,
    gaussian_epsilon,
    margin,
    reported,
    stated,
    threshold,
    variance,
)
from asepsis.domain.names import PartyId
from asepsis.domain.privacy import NOTHING, Account, Loss
from asepsis.domain.private import PRESENCE_BITS, VectorKind, VectorSpec
from asepsis.errors.desk import PrivacyExhausted

OWNER = PartyId("northgate")


def test_the_loss_of_one_and_ten_to_the_minus_seven_is_the_known_one() -> None:
    """0.020187 is the rho of (1, 1e-7), by OpenDP's and Google's accountants."""
    assert epsilon(20_187, delta=1e-7) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("micro_rho", [1, 500, 20_187, 10**6, 10**8])
@pytest.mark.parametrize("delta", [1e-12, 1e-7, 1e-3])
def test_epsilon_is_at_most_the_simple_conversion_and_at_least_the_truth(micro_rho: int, delta: float) -> None:
    """Bun and Steinke's bound from above; from below, the exact curve of one continuous Gaussian (Balle, Wang 2018)."""
    rho = micro_rho / 1e6
    found = epsilon(micro_rho, delta=delta)
    assert found <= rho + 2 * math.sqrt(rho * math.log(1 / delta)) + 1e-12
    step = math.sqrt(2 * rho)

    def normal(x: float) -> float:
        return math.erfc(-x / math.sqrt(2)) / 2

    truth = normal(step / 2 - found / step) - math.exp(min(700.0, found)) * normal(-step / 2 - found / step)
    assert truth <= delta * (1 + 1e-6)


@pytest.mark.parametrize(
    ("micro_rho", "delta", "epsilon"),
    [(1_000, 1e-7, 0.191216), (20_187, 1e-7, 0.936400), (400_000, 1e-6, 4.305841), (1_000_000, 5e-7, 7.487379)],
)
def test_statements_are_those_of_google_s_accountant(micro_rho: int, delta: float, epsilon: float) -> None:
    """By dp-accounting 0.6.0: numeric privacy-loss distributions of one Gaussian, and of ten that add up, alike."""
    limit = Loss(micro_rho=10**8, pico_delta=round(2 * delta * 10**12))
    found = stated(limit, Loss(micro_rho=micro_rho, pico_delta=0))
    assert found.epsilon == pytest.approx(epsilon, abs=2e-6)
    assert found.epsilon < found.by_zcdp


def test_a_hundred_and_a_thousand_questions_are_stated_as_tightly() -> None:
    """A hundred Gaussians of 50 deviations, a thousand of 100: 0.931778 and 1.519367 by the same library."""
    assert gaussian_epsilon(100 * 200, delta=1e-7) == pytest.approx(0.931778, abs=2e-5)
    assert gaussian_epsilon(1_000 * 50, delta=1e-7) == pytest.approx(1.519367, abs=2e-5)


@pytest.mark.parametrize("micro_rho", [1_000, 20_187, 400_000, 10**6])
def test_noise_in_whole_numbers_is_as_good_as_what_is_stated(micro_rho: int) -> None:
    """The exact delta of the discrete Gaussian (Canonne, Kamath, Steinke 2020, theorem 7), a change of 2^12 steps.

    That is 256 times coarser than the noise of a release.
    """
    change, epsilon = 1 << 12, gaussian_epsilon(micro_rho, delta=1e-7)
    square = change * change * 10**6 / (2 * micro_rho)
    reach = int(12 * math.sqrt(square)) + change
    steps = np.arange(-reach, reach + 1, dtype=float)
    chances = np.exp(-(steps**2) / (2 * square))
    chances /= chances.sum()
    middle = epsilon * square / change
    exact = chances[steps > middle - change / 2].sum() - math.exp(epsilon) * chances[steps > middle + change / 2].sum()
    assert exact == pytest.approx(1e-7, rel=1e-3)


@given(micro_rho=st.integers(1, 10**10), delta=st.sampled_from([1e-12, 1e-7, 1e-3]))
def test_the_statement_is_never_looser_than_the_accounts(micro_rho: int, delta: float) -> None:
    found = gaussian_epsilon(micro_rho, delta=delta)
    assert gaussian_delta(micro_rho, epsilon=found) <= delta
    assert found <= epsilon(micro_rho, delta=delta) * (1 + 1e-9)


def test_nothing_spent_is_nothing_lost() -> None:
    assert epsilon(0, delta=1e-7) == 0
    nothing = stated(Loss(micro_rho=1, pico_delta=2), NOTHING)
    assert (nothing.epsilon, nothing.by_zcdp) == (0, 0)


def test_what_is_reported_counts_the_thresholds_too() -> None:
    limit, spent = Loss(micro_rho=10**6, pico_delta=200_000), Loss(micro_rho=20_187, pico_delta=30_000)
    found, delta = reported(limit, spent)
    assert found == pytest.approx(1, abs=1e-4)
    assert delta == pytest.approx(1.3e-7)


@given(norm=st.integers(1, 1 << 20), bits=st.integers(0, 10), micro=st.integers(1, 10**9), shares=st.integers(1, 50))
def test_all_vectors_together_spend_exactly_the_loss(norm: int, bits: int, micro: int, shares: int) -> None:
    noise = variance(VectorSpec(kind=VectorKind.RECORDS, norm=norm, bits=bits), micro_rho=micro, shares=shares)
    each = ((norm << bits) ** 2 * noise.denominator, 2 * noise.numerator)
    assert shares * each[0] * 10**6 == micro * each[1]


def test_the_margin_is_in_the_unit_of_the_vector() -> None:
    one = VectorSpec(kind=VectorKind.PERSONS, norm=1, bits=20)
    assert margin(one, micro_rho=500_000, shares=1) == pytest.approx(1.959964)


def exceeded(least: int, noise_variance: float) -> float:
    """The probability that a discrete Gaussian is at least this."""
    reach = int(20 * math.sqrt(noise_variance)) + 60
    weights = np.exp(-(np.arange(-reach, reach + 1, dtype=float) ** 2) / (2 * noise_variance))
    return float(weights[max(0, least + reach) :].sum() / weights.sum())


@settings(deadline=None, max_examples=25)
@given(
    norm=st.integers(1, 6),
    bits=st.integers(4, 8),
    micro=st.integers(5_000, 2_000_000),
    delta=st.sampled_from([1e-9, 1e-6, 1e-3]),
)
def test_cells_of_one_person_pass_the_threshold_no_more_often_than_agreed(
    norm: int, bits: int, micro: int, delta: float
) -> None:
    """The sum over as many cells as a person can have, each holding the most that it can."""
    vector = VectorSpec(kind=VectorKind.PERSONS, norm=norm, bits=bits)
    noise = variance(vector, micro_rho=micro, shares=2)
    least = threshold(vector, noise, delta=delta)
    real = noise.numerator / noise.denominator
    for cells in {1, norm**2, (norm << PRESENCE_BITS) ** 2}:
        held = min(1.0, norm / math.sqrt(cells)) * (1 << bits)
        assert cells * exceeded(least - math.floor(held), real) <= delta
    bound = (norm << PRESENCE_BITS) ** 2 * exceeded(least - (1 << bits) - 4 - math.ceil(math.sqrt(real)), real)
    assert bound > delta  # it is not wastefully high either


def test_a_threshold_is_on_persons_and_spends_something() -> None:
    persons = VectorSpec(kind=VectorKind.PERSONS, norm=1, bits=20)
    noise = variance(persons, micro_rho=20_000, shares=1)
    with pytest.raises(ValueError, match="persons"):
        threshold(persons, noise, delta=0.0)
    with pytest.raises(ValueError, match="records"):
        threshold(VectorSpec(kind=VectorKind.RECORDS, norm=1, bits=20), noise, delta=1e-7)


@given(costs=st.lists(st.tuples(st.integers(1, 400), st.integers(0, 90)), max_size=30))
def test_an_account_never_exceeds_its_limit(costs: list[tuple[int, int]]) -> None:
    account = Account(dataset="north-clinical", limit=Loss(micro_rho=1_000, pico_delta=400), spent=NOTHING)
    for micro_rho, pico_delta in costs:
        loss = Loss(micro_rho=micro_rho, pico_delta=pico_delta)
        try:
            account = account.after(loss, owner=OWNER)
        except PrivacyExhausted:
            assert account.spent.micro_rho + micro_rho > 1_000 or account.spent.pico_delta + pico_delta > 200
        assert account.spent.micro_rho <= 1_000
        assert account.spent.pico_delta <= 200


def test_exactly_the_limit_can_be_spent() -> None:
    """Where sums are floating-point numbers, fifteen of sixteen equal questions are answered (OpenDP 0.16)."""
    account = Account(dataset="north-clinical", limit=Loss(micro_rho=16 * 62_500, pico_delta=2), spent=NOTHING)
    for _ in range(16):
        account = account.after(Loss(micro_rho=62_500, pico_delta=0), owner=OWNER)
    assert account.remaining.micro_rho == 0
