"""From a loss to noise, to a threshold, and to the (epsilon, delta) that people quote.

Sums of losses and the size of the noise are exact; what is reported or rounded is rounded against the room.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from asepsis.domain.documents import Document
from asepsis.domain.privacy import MICRO, PICO, Loss
from asepsis.domain.private import PRESENCE_BITS, PrivateShape, VectorKind, VectorSpec

_STEPS: Final = 60
CONFIDENCE: Final = 1.959964
"""Deviations of a Gaussian that hold 95 of 100 values on both sides."""

_FAR: Final = 36.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Variance:
    """The parameter of a discrete Gaussian, as a fraction, in squared steps."""

    numerator: int
    denominator: int

    @property
    def deviation(self) -> float:
        """Its square root."""
        return math.sqrt(self.numerator / self.denominator)


def variance(vector: VectorSpec, *, micro_rho: int, shares: int) -> Variance:
    """The noise of one of ``shares`` vectors that spend ``micro_rho`` together.

    A vector that one person changes by at most D in Euclidean length is D^2 / (2 s)-zCDP with discrete Gaussian
    noise of parameter s in every cell (Canonne, Kamath, Steinke 2020, theorem 14), so s = D^2 shares / (2 rho).
    """
    length = vector.norm << vector.bits
    return Variance(numerator=length * length * shares * MICRO, denominator=2 * micro_rho)


def multiplier(*, micro_rho: int, shares: int) -> float:
    """The deviation of the noise of one of ``shares`` vectors, for each unit of its norm."""
    return math.sqrt(shares * MICRO / (2 * micro_rho))


def margin(vector: VectorSpec, *, micro_rho: int, shares: int) -> float:
    """How far a noisy number of this vector is off, 95 times of 100, in its own unit."""
    return CONFIDENCE * variance(vector, micro_rho=micro_rho, shares=shares).deviation / (1 << vector.bits)


def epsilon(micro_rho: int, *, delta: float) -> float:
    """The least epsilon for which rho-zCDP is known to be (epsilon, delta)-differential privacy.

    Source: Canonne, Kamath, Steinke 2020, proposition 12 with Rényi divergences alpha rho: the infimum over
    alpha > 1 of alpha rho + log(1 - 1 / alpha) - (log delta + log alpha) / (alpha - 1), never below zero.
    """
    rho = micro_rho / MICRO
    if not rho:
        return 0.0
    if delta <= 0:
        return math.inf

    def bound(exponent: float) -> float:
        more = math.exp(exponent)  # alpha - 1
        return (1 + more) * rho + math.log(more / (1 + more)) - (math.log(delta) + math.log1p(more)) / more

    low, high = -10.0, 30.0
    for _ in range(_STEPS * 2):  # the bound has one valley
        third = (high - low) / 3
        if bound(low + third) < bound(high - third):
            high -= third
        else:
            low += third
    return max(0.0, bound((low + high) / 2))


def reported(limit: Loss, spent: Loss) -> tuple[float, float]:
    """(epsilon, delta) of what was spent: the delta of the thresholds, and half of the limit's for the conversion.

    Source: Bun, Steinke 2016, section 8 (a threshold that fails with probability d makes rho-zCDP d-approximate).
    """
    conversion = limit.pico_delta / 2 / PICO
    return epsilon(spent.micro_rho, delta=conversion), conversion + spent.pico_delta / PICO


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a loss means for every person: (``epsilon``, ``delta``), and the epsilon that zCDP alone would give."""

    epsilon: float
    delta: float
    by_zcdp: float

    def to_document(self) -> Document:
        """The document form."""
        return {"epsilon": round(self.epsilon, 6), "delta": self.delta, "by_zcdp": round(self.by_zcdp, 6)}


def stated(limit: Loss, spent: Loss) -> Statement:
    """The tighter statement about all that was spent, by the privacy-loss distribution of its mechanisms.

    Every charge is Gaussian noise in every number, so what n charges of rho_i tell together has the privacy-loss
    distribution of one Gaussian of the sum of the rho_i: losses of Gaussians are Gaussian and add up (Sommer, Meiser,
    Mohammadi, "Privacy Loss Classes", PoPETs 2019), for questions that depend on earlier answers, too (Smith, Thakurta,
    "Fully Adaptive Composition for Gaussian Differential Privacy", 2022). One person moves a vector by 2^20 steps or
    more, so the discrete noise and the continuous one differ by less than what is shown. The account itself is in rho,
    for which nothing is approximated.
    """
    by_zcdp, delta = reported(limit, spent)
    found = gaussian_epsilon(spent.micro_rho, delta=limit.pico_delta / 2 / PICO)
    return Statement(epsilon=min(by_zcdp, found), delta=delta, by_zcdp=by_zcdp)


def gaussian_epsilon(micro_rho: int, *, delta: float) -> float:
    """The least epsilon, rounded up, for which Gaussian noise that is rho-zCDP is (epsilon, delta)-private."""
    if not micro_rho:
        return 0.0
    if delta <= 0:
        return math.inf
    low, high = 0.0, 1.0
    while gaussian_delta(micro_rho, epsilon=high) > delta:
        low, high = high, 2 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if gaussian_delta(micro_rho, epsilon=middle) > delta:
            low = middle
        else:
            high = middle
    return high


def gaussian_delta(micro_rho: int, *, epsilon: float) -> float:
    """The least delta for which Gaussian noise that is rho-zCDP is (``epsilon``, delta)-private.

    Source: Balle, Wang, "Improving the Gaussian Mechanism for Differential Privacy" (ICML 2018), theorem 8:
    P[Z > e/m - m/2] - exp(e) P[Z > e/m + m/2], Z a standard Gaussian and m = sqrt(2 rho) the change in deviations.
    """
    change = math.sqrt(2 * micro_rho / MICRO)
    near, far = epsilon / change - change / 2, epsilon / change + change / 2
    return math.exp(_log_tail(near)) - math.exp(epsilon + _log_tail(far))


def threshold(vector: VectorSpec, noise: Variance, *, delta: float) -> int:
    """The least noisy presence, in steps, at which a cell that no public list names may be shown.

    Let x be a person whose records alone make t cells. The cells of x hold at most one whole unit each, and at least
    2^-PRESENCE_BITS, so t <= (norm 2^PRESENCE_BITS)^2. One of them is shown with a probability of at most
    t P[unit + X >= threshold], X the noise. As P[X >= m] <= P[Y >= m - 1] for the continuous Gaussian Y (Canonne,
    Kamath, Steinke 2020, proposition 25), unit + 1 + z sigma with P[Y >= z sigma] = delta / t makes that at most
    delta. A cell is shown from the threshold on, itself included; the unit that x adds is part of it. (OpenDP issue
    2922 is about a threshold that forgot this.) Compare Desfontaines et al., "Differentially private partition
    selection" (PoPETs 2022), and Gopi et al., "Differentially private set union" (ICML 2020), theorem 5.1.
    """
    if vector.kind is not VectorKind.PERSONS or not 0 < delta < 1:
        raise ValueError(vector.kind)
    cells = (vector.norm << PRESENCE_BITS) ** 2
    return (1 << vector.bits) + 1 + math.ceil(_tail(delta / cells) * noise.deviation * (1 + 1e-9)) + 1


def _log_tail(size: float) -> float:
    """The logarithm of the probability that a standard Gaussian exceeds ``size``; asymptotic where that underflows."""
    if size < _FAR:
        return math.log(math.erfc(size / math.sqrt(2)) / 2)
    return -size * size / 2 - math.log(size * math.sqrt(2 * math.pi)) - 1 / (size * size)


def shares_of(shape: PrivateShape) -> int:
    """In how many branches a threshold may fail."""
    return sum(branch.domains is None for branch in shape.branches)


def _tail(probability: float) -> float:
    """A z, rounded up, that a standard Gaussian exceeds with at most this probability."""
    low, high = 0.0, 40.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if math.erfc(middle / math.sqrt(2)) / 2 > probability:
            low = middle
        else:
            high = middle
    return high
