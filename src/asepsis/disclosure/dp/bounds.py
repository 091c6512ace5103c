"""Bounds that are bought: the length at which persons are clipped, chosen from a noisy histogram of their lengths.

Every person is in one place of the histogram of a vector at most, so a person more or less changes it by 1 in
Euclidean length; discrete Gaussian noise of parameter s in every place makes it 1 / (2 s)-zCDP. The choice sees the
noisy histogram and public numbers only, and whatever follows from it costs nothing more. A histogram over growing
lengths is that of Wilson, Zhang, Lam, Desfontaines, Simmons-Marengo, Gipson, "Differentially Private SQL with Bounded
User Contribution" (PoPETs 2020, section 5.1.1), there with Laplace noise, over values; here persons are counted.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

from asepsis.disclosure.dp.accounting import Variance, multiplier, variance
from asepsis.disclosure.dp.noise import Bits, discrete_gaussian
from asepsis.domain.finding import Finding, Severity
from asepsis.domain.privacy import Privacy, Purchase
from asepsis.domain.private import (
    FINEST,
    PrivateBranch,
    PrivateLengths,
    PrivateShape,
    VectorKind,
    VectorSpec,
    offered,
)
from asepsis.domain.sealed import Sealed

Norms = tuple[tuple[int, ...], ...]
"""The norm of every vector, by branch."""

_PLACE: Final = VectorSpec(kind=VectorKind.PERSONS, norm=1, bits=FINEST)
"""A histogram: a person is one whole unit in one place of it."""

_CERTAIN: Final = 3.0
"""Sums of noise alone are taken for persons once in 700 times."""

_HALF_NORMAL: Final = math.sqrt(2 / math.pi)
_NAMES: Final = {VectorKind.PERSONS: "presence", VectorKind.RECORDS: "records", VectorKind.TOTAL: "totals"}


def unbought(shape: PrivateShape) -> int:
    """How many lengths a question buys: they share its price."""
    return sum(vector.unbought for branch in shape.branches for vector in branch.vectors)


def price_noise(purchase: Purchase, *, shares: int) -> Variance:
    """The noise in every place of one of ``shares`` histograms that spend the price together, in steps."""
    return variance(_PLACE, micro_rho=purchase.micro_rho, shares=shares)


def buy_norms(lengths: Sealed[PrivateLengths], shape: PrivateShape, privacy: Privacy, *, bits: Bits) -> Norms:
    """The norm of every vector; those without one get it from noisy histograms.

    Must be called once for a price that was paid: every call spends it again.
    """
    purchase = privacy.purchase
    if purchase is None:
        return tuple(tuple(vector.norm for vector in branch.vectors) for branch in shape.branches)
    noise = price_noise(purchase, shares=max(1, unbought(shape)))
    scale = multiplier(micro_rho=privacy.question.micro_rho, shares=shape.vectors)
    norms = []
    for branch, known in zip(shape.branches, lengths.unseal().branches, strict=True):
        clipped = most_clipped(branch, scale=scale)
        chosen = []
        for vector, counts in zip(branch.vectors, known, strict=True):
            if vector.unbought:
                noisy = [_noisy(count, noise, bits) for count in counts]
                chosen.append(chosen_length(noisy, offered(vector.norm), clipped=clipped, noise=noise))
            else:
                chosen.append(vector.norm)
        norms.append(tuple(chosen))
    return tuple(norms)


def most_clipped(branch: PrivateBranch, *, scale: float) -> float:
    """How many persons the best length clips, when all cells count alike.

    Over k cells, noise of deviation C ``scale`` costs k C ``scale`` sqrt(2 / pi) in expected absolute errors, and
    clipping at C costs a person of length N the difference N - C or more. The sum is least where k ``scale``
    sqrt(2 / pi) persons are longer than C (for one cell: Amin, Kulesza, Munoz Medina, Vassilvitskii, "Bounding User
    Contributions", ICML 2019). k is the number of public cells; 1 where there is no list.
    """
    cells = 1 if branch.domains is None else math.prod(len(values) for values in branch.domains)
    return cells * scale * _HALF_NORMAL


def chosen_length(noisy: list[int], sizes: tuple[int, ...], *, clipped: float, noise: Variance) -> int:
    """The least of ``sizes`` above which there are ``clipped`` persons or fewer, or no more than noise explains.

    ``noisy`` and ``noise`` are in steps.
    """
    longer, chosen = 0, sizes[-1]
    below = list(pairwise(sizes))[::-1]
    for places, ((smaller, _), count) in enumerate(zip(below, noisy[:0:-1], strict=True), start=1):
        longer += count
        if longer > max(clipped * (1 << FINEST), _CERTAIN * noise.deviation * math.sqrt(places)):
            break
        chosen = smaller
    return chosen


def bought(shape: PrivateShape, norms: Norms) -> Finding:
    """What was bought, in the words of a finding; ``shape`` is that before the purchase."""
    parts = [
        f"{_NAMES[vector.kind]} {norm}"
        for branch, sizes in zip(shape.branches, norms, strict=True)
        for vector, norm in zip(branch.vectors, sizes, strict=True)
        if vector.unbought
    ]
    return _word("Bought: nobody counts for more than so much, over all groups together: " + ", ".join(parts) + ".")


def for_sale(purchase: Purchase) -> Finding:
    """What is said of bounds before they are bought."""
    return _word(
        f"What one person counts for is found for {purchase.micro_rho} millionths of rho, at most {purchase.most} "
        "records; the expected error depends on it and is told with the answer."
    )


def _word(reason: str) -> Finding:
    return Finding(code="privacy.bounds", severity=Severity.PASS, reason=reason)


def _noisy(count: int, noise: Variance, bits: Bits) -> int:
    return (count << FINEST) + discrete_gaussian(bits, numerator=noise.numerator, denominator=noise.denominator)
