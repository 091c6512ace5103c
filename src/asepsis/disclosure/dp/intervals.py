"""How far off a noisy number may be: the half of an interval that holds the number without noise 95 times of 100.

It follows from the size of the noise and from noisy numbers only, so it tells nothing more. What clipping takes away
is not in it.
"""

from __future__ import annotations

import math

from asepsis.disclosure.dp.accounting import CONFIDENCE, Variance
from asepsis.domain.cells import ArithmeticOutput, ConstantOutput, MeasureOutput, Operator, Output, RoundedOutput
from asepsis.domain.private import MeasureSource, VectorSpec

_DIGITS = 4


def half_of(
    measure: MeasureSource, noisy: list[int], vectors: tuple[VectorSpec, ...], noises: list[Variance]
) -> float | None:
    """The half of the interval of a measure, of quotients by first derivatives.

    Of T / N it is sqrt(t^2 + (T/N)^2 n^2) / N, with t and n for the deviations of the noise. Of a variance
    S / N - (T/N)^2 it is sqrt(s^2 + (2T/N)^2 t^2 + (2 (T/N)^2 - S/N)^2 n^2) / N; of its root that over twice the root.
    """
    wide = _units(measure.total, vectors, noises)
    if measure.count is None:
        return _confident(wide)
    count = noisy[measure.count] / (1 << vectors[measure.count].bits)
    if count < 1:
        return None
    mean = noisy[measure.total] / (1 << vectors[measure.total].bits) / count
    if measure.squares is not None:
        square = noisy[measure.squares] / (1 << vectors[measure.squares].bits) / count
        off = (
            _units(measure.squares, vectors, noises),
            2 * mean * wide,
            (2 * mean * mean - square) * _units(measure.count, vectors, noises),
        )
        spread = max(0.0, square - mean * mean)
        if not measure.root:
            return _confident(math.hypot(*off) / count)
        return _confident(math.hypot(*off) / count / (2 * math.sqrt(spread))) if spread else None
    return _confident(math.hypot(wide, mean * _units(measure.count, vectors, noises)) / count)


def half_of_output(output: Output, halves: tuple[float | None, ...]) -> float | None:
    """The half of the interval of an output, where it is a measure, or a measure and a constant."""
    match output:
        case MeasureOutput():
            return halves[output.index]
        case RoundedOutput():
            return half_of_output(output.argument, halves)
        case ArithmeticOutput(left=inner, right=ConstantOutput(value=int() | float() as constant)):
            half = half_of_output(inner, halves)
            return None if half is None else _scaled(half, output.operator, abs(constant))
        case _:
            return None


def _scaled(half: float, operator: Operator, constant: float) -> float | None:
    if operator in {Operator.ADD, Operator.SUBTRACT}:
        return half
    if operator is Operator.MULTIPLY:
        return _shortened(half * constant)
    return _shortened(half / constant) if constant else None


def _units(place: int, vectors: tuple[VectorSpec, ...], noises: list[Variance]) -> float:
    """The deviation of the noise of a vector, in its own unit."""
    return noises[place].deviation / (1 << vectors[place].bits)


def _confident(deviation: float) -> float:
    return _shortened(CONFIDENCE * deviation)


def _shortened(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
