"""The gate for answers with noise: from exact vectors to a released table and the word on what was done.

Everything after the noise is computed from noisy numbers alone: means, conditions on groups, order, limit, and the
rounding of counts. What the findings say follows from the contract and the question.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final

from asepsis.disclosure.derive import ProtectedRow, holds, rank, value_of
from asepsis.disclosure.dp.accounting import (
    Statement,
    Variance,
    margin,
    reported,
    shares_of,
    stated,
    threshold,
    variance,
)
from asepsis.disclosure.dp.bounds import for_sale, unbought
from asepsis.disclosure.dp.intervals import half_of, half_of_output
from asepsis.disclosure.dp.noise import Bits, discrete_gaussian
from asepsis.disclosure.dp.quantiles import quantile_of
from asepsis.disclosure.gate import NOTHING_SHOWN, WITHHELD, Assessed
from asepsis.domain.cells import ConstantOutput, KeyOutput, MarginOutput, Output
from asepsis.domain.finding import Assessment, Finding, Severity
from asepsis.domain.privacy import MICRO, PICO, Account, Privacy
from asepsis.domain.private import (
    Histogram,
    Keys,
    MeasureSource,
    PrivateBranch,
    PrivateShape,
    PrivateSums,
    VectorKind,
    VectorSpec,
)
from asepsis.domain.release import Cell, CellAction, Released
from asepsis.domain.sealed import Sealed

_LEAST_SPREAD: Final = 2
_NAMES = {VectorKind.PERSONS: "persons", VectorKind.RECORDS: "records", VectorKind.TOTAL: "totals"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Noise:
    """The noise of one question."""

    bits: Bits
    micro_rho: int
    shares: int
    delta: float
    least: int

    def of(self, vector: VectorSpec) -> Variance:
        return variance(vector, micro_rho=self.micro_rho, shares=self.shares)

    def added(self, exact: int, noise: Variance) -> int:
        return exact + discrete_gaussian(self.bits, numerator=noise.numerator, denominator=noise.denominator)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Binned:
    """Noisy histograms by group."""

    counts: Mapping[Keys, list[float]]
    deviation: float

    def quantile(self, keys: Keys, histogram: Histogram) -> tuple[float | None, float | None]:
        return quantile_of(self.counts[keys], histogram, deviation=self.deviation)


def release_noisy(
    sums: Sealed[PrivateSums],
    shape: PrivateShape,
    privacy: Privacy,
    *,
    bits: Bits,
    words: tuple[Finding, ...] = (),
    bounds: Finding | None = None,
) -> Assessed:
    """Add noise to the vectors of a question and release what the clause lets out.

    Must be called once for a question that was paid for: every call is another answer. ``words`` are further findings;
    ``bounds`` says what was bought, if it was.
    """
    noise = _Noise(
        bits=bits,
        micro_rho=privacy.question.micro_rho,
        shares=shape.vectors,
        delta=privacy.question.pico_delta / PICO / max(1, shares_of(shape)),
        least=privacy.least_persons,
    )
    rows: list[tuple[_Row, tuple[CellAction, ...], tuple[object, ...]]] = []
    branches = list(zip(shape.branches, sums.unseal().branches, strict=True))
    binned = {
        place: _binned(branch, dict(exact), noise) for place, (branch, exact) in enumerate(branches) if branch.hidden
    }
    for branch, exact in branches:
        if branch.hidden:
            continue
        for row in _rows(branch, dict(exact), noise, binned):
            actions = tuple(_action(output, cell) for output, cell in zip(branch.outputs, row.cells, strict=True))
            order = tuple(rank(value_of(key.output, row), descending=key.descending) for key in shape.order)
            rows.append((row, actions, order))
    if shape.order:
        rows.sort(key=lambda row: row[2])
    rows = rows[: shape.limit] if shape.limit is not None else rows
    told = () if bounds is None else (bounds,)
    findings = (*predicted(shape, privacy, buys=bounds is not None), *told, *words)
    released = Released(
        columns=shape.columns,
        rows=tuple(row.cells for row, _, _ in rows),
        within=tuple(row.within for row, _, _ in rows),
        actions=tuple(actions for _, actions, _ in rows),
        notes=(WITHHELD,) if any(branch.presence is not None for branch in shape.branches) else (),
    )
    assessment = Assessment(profile=label(privacy), findings=findings if rows else (*findings, NOTHING_SHOWN))
    return Assessed(released=released if rows else None, assessment=assessment)


def label(privacy: Privacy) -> str:
    """What an assessment names as its rules."""
    return f"dp@1:{privacy.question.micro_rho}"


def predicted(shape: PrivateShape, privacy: Privacy, *, buys: bool = False) -> tuple[Finding, ...]:
    """What can be said before the question is asked: its cost, its error, and what is left out.

    Of a question that ``buys`` bounds, the error and the threshold follow from those, so they can be said when it has.
    """
    loss = privacy.cost(buys=buys)
    epsilon, delta = reported(privacy.budget, loss)
    cost = Finding(
        code="privacy.cost",
        severity=Severity.PASS,
        reason=(
            f"The question costs {loss.micro_rho} millionths of rho ({privacy.budget.micro_rho} in all "
            f"for a dataset); alone it is ({epsilon:.3g}, {delta:.1g})-differentially private for every person."
        ),
    )
    if privacy.purchase is not None and unbought(shape):
        return cost, for_sale(privacy.purchase)
    worst: dict[VectorKind, float] = {}
    for vector in (vector for branch in shape.branches for vector in branch.vectors):
        found = margin(vector, micro_rho=privacy.question.micro_rho, shares=shape.vectors)
        worst[vector.kind] = max(worst.get(vector.kind, 0.0), found)
    off = ", ".join(f"{_NAMES[kind]} within {value:.4g}" for kind, value in worst.items())
    error = Finding(
        code="privacy.error",
        severity=Severity.PASS,
        reason=f"The noise alone keeps 95 of 100 numbers so close: {off}. Clipping of persons with more comes on top.",
    )
    return (cost, error, *_left_out(shape, privacy))


def remaining(accounts: Mapping[str, Account]) -> Finding:
    """What is left at every owner's desk after this question, as their grants say; by owner and dataset."""
    parts = [f"{name} {account.remaining.micro_rho / MICRO:.6f}" for name, account in sorted(accounts.items())]
    most = max(accounts.values(), key=lambda account: account.spent.micro_rho, default=None)
    told = "" if most is None else _so_far(stated(most.limit, most.spent))
    reason = "Left of rho: " + ", ".join(parts) + "." + told
    return Finding(code="privacy.remaining", severity=Severity.PASS, reason=reason)


def _so_far(statement: Statement) -> str:
    """What all answers so far tell about a person together."""
    return f" All answers together so far are ({statement.epsilon:.3g}, {statement.delta:.1g})-differentially private."


def _left_out(shape: PrivateShape, privacy: Privacy) -> tuple[Finding, ...]:
    found = [least for branch in shape.branches if (least := _least(branch, shape, privacy)) is not None]
    if not found:
        return ()
    advice = ""
    if any(branch.domains is None for branch in shape.branches):
        advice = "Groups by columns whose public values the clause 'dp' lists are always shown."
    reason = f"Groups of fewer than {max(found):.0f} persons, noise included, are left out."
    return (Finding(code="privacy.threshold", severity=Severity.PASS, reason=reason, advice=advice),)


def _least(branch: PrivateBranch, shape: PrivateShape, privacy: Privacy) -> float | None:
    """The threshold of a branch, in persons."""
    if branch.presence is None:
        return None
    vector = branch.vectors[branch.presence]
    noise = variance(vector, micro_rho=privacy.question.micro_rho, shares=shape.vectors)
    delta = privacy.question.pico_delta / PICO / max(1, shares_of(shape))
    return _steps(branch, vector, noise, delta=delta, least=privacy.least_persons) / (1 << vector.bits)


def _steps(branch: PrivateBranch, vector: VectorSpec, noise: Variance, *, delta: float, least: int) -> int:
    floor = least << vector.bits
    return floor if branch.domains is not None else max(floor, threshold(vector, noise, delta=delta))


@dataclass(slots=True, kw_only=True)
class _Row(ProtectedRow):
    """A row with the halves of the intervals of its cells."""

    within: tuple[float | None, ...] = ()


def _binned(branch: PrivateBranch, exact: dict[Keys, tuple[int, ...]], noise: _Noise) -> _Binned:
    """The noisy histograms of a hidden branch, by the keys of the groups, in records."""
    (vector,) = branch.vectors
    size, unit = noise.of(vector), 1 << vector.bits
    counts: dict[Keys, list[float]] = {}
    for keys in _cells(branch, exact):
        counts.setdefault(keys[:-1], []).append(noise.added(exact.get(keys, (0,))[0], size) / unit)
    return _Binned(counts=counts, deviation=size.deviation / unit)


def _rows(
    branch: PrivateBranch, exact: dict[Keys, tuple[int, ...]], noise: _Noise, binned: Mapping[int, _Binned]
) -> Iterator[_Row]:
    """The rows of a branch that are shown: cells in an order that the data do not decide."""
    noises = [noise.of(vector) for vector in branch.vectors]
    nothing = (0,) * len(branch.vectors)
    for keys in _cells(branch, exact):
        noisy = [noise.added(value, size) for value, size in zip(exact.get(keys, nothing), noises, strict=True)]
        if not _is_shown(branch, noisy, noises, noise):
            continue
        told = [
            (_value(measure, noisy, branch.vectors), half_of(measure, noisy, branch.vectors, noises))
            if measure.histogram is None
            else binned[measure.histogram.branch].quantile(keys, measure.histogram)
            for measure in branch.measures
        ]
        row = _Row(keys=keys, measures=tuple(value for value, _ in told))
        for output in branch.outputs:
            row.cells = (*row.cells, value_of(output, row))
        halves = tuple(half for _, half in told)
        row.within = tuple(half_of_output(output, halves) for output in branch.outputs)
        if branch.having is None or holds(branch.having, row):
            yield row


def _cells(branch: PrivateBranch, exact: dict[Keys, tuple[int, ...]]) -> list[Keys]:
    if branch.domains is not None:
        return list(product(*branch.domains))
    return sorted(exact, key=lambda keys: [(key is None, type(key).__name__, key or 0) for key in keys])


def _is_shown(branch: PrivateBranch, noisy: list[int], noises: list[Variance], noise: _Noise) -> bool:
    if branch.presence is None:
        return True
    vector, size = branch.vectors[branch.presence], noises[branch.presence]
    return noisy[branch.presence] >= _steps(branch, vector, size, delta=noise.delta, least=noise.least)


def _value(measure: MeasureSource, noisy: list[int], vectors: tuple[VectorSpec, ...]) -> int | float | None:
    """A measure: counts are whole and not negative, a mean is the quotient of a noisy total and a noisy count."""
    total, spec = noisy[measure.total], vectors[measure.total]
    if measure.squares is not None and measure.count is not None:
        numbers = (
            noisy[place] / (1 << vectors[place].bits) for place in (measure.total, measure.squares, measure.count)
        )
        return _spread(*numbers, root=measure.root)
    if measure.count is not None:
        count, unit = noisy[measure.count], vectors[measure.count]
        least = 1 << unit.bits
        return (total / (1 << spec.bits)) / (count / least) if count >= least else None
    if spec.kind is VectorKind.TOTAL:
        return total / (1 << spec.bits)
    return max(0, (total + (1 << spec.bits >> 1)) >> spec.bits)


def _spread(total: float, squares: float, count: float, *, root: bool) -> float | None:
    """The variance of noisy sums of distances, of their squares and of their number; never below zero."""
    if count < _LEAST_SPREAD:
        return None
    variance = max(0.0, squares - total * total / count) / (count - 1)
    return math.sqrt(variance) if root else variance


def _action(output: Output, cell: Cell) -> CellAction:
    if isinstance(output, MarginOutput):
        return CellAction.MARGIN
    if isinstance(output, KeyOutput | ConstantOutput):
        return CellAction.SHOWN
    return CellAction.SUPPRESSED if cell is None else CellAction.NOISY
