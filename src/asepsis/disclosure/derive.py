"""Values, conditions and order derived from protected values only."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from asepsis.domain.cells import (
    AllOf,
    AnyOf,
    ArithmeticOutput,
    ColumnOutput,
    Comparing,
    Condition,
    ConstantOutput,
    KeyOutput,
    MarginOutput,
    MeasureKind,
    MeasureOutput,
    MeasureSpec,
    Negation,
    Operator,
    Output,
    Relation,
    RoundedOutput,
)
from asepsis.domain.release import Cell, CellAction


@dataclass(slots=True, kw_only=True)
class ProtectedRow:
    """One row of a branch after protection: its keys, its protected measures, and the outputs made of them."""

    keys: tuple[Cell, ...]
    measures: tuple[int | float | None, ...]
    cells: tuple[Cell, ...] = ()


def value_of(output: Output, row: ProtectedRow) -> Cell:  # noqa: PLR0911 - one arm per node of a closed union
    """The value of an output in a protected row."""
    match output:
        case KeyOutput():
            return _label(output, row.keys[output.index])
        case MeasureOutput():
            return row.measures[output.index]
        case ConstantOutput():
            return output.value
        case MarginOutput():
            return None
        case ColumnOutput():
            return row.cells[output.index]
        case RoundedOutput():
            value = value_of(output.argument, row)
            return round(value, output.digits) if isinstance(value, int | float) else None
        case ArithmeticOutput():
            return _arithmetic(output.operator, value_of(output.left, row), value_of(output.right, row))


def action_of(output: Output, value: Cell, measures: tuple[MeasureSpec, ...]) -> CellAction:
    """What protection did to a cell."""
    if isinstance(output, MarginOutput):
        return CellAction.MARGIN
    if isinstance(output, KeyOutput | ConstantOutput):
        return CellAction.SHOWN
    if value is None:
        return CellAction.SUPPRESSED
    counted = isinstance(output, MeasureOutput) and measures[output.index].kind is not MeasureKind.SUM
    return CellAction.ROUNDED if counted else CellAction.DERIVED


def holds(condition: Condition, row: ProtectedRow) -> bool | None:
    """Whether a condition holds in a protected row, in three-valued logic."""
    match condition:
        case Comparing():
            return _compare(condition.relation, value_of(condition.left, row), value_of(condition.right, row))
        case Negation():
            inner = holds(condition.item, row)
            return None if inner is None else not inner
        case AllOf():
            return _all([holds(item, row) for item in condition.items])
        case AnyOf():
            inverted = _all([None if (one := holds(item, row)) is None else not one for item in condition.items])
            return None if inverted is None else not inverted


def rank(value: Cell, *, descending: bool) -> tuple[bool, float, tuple[int, ...]]:
    """A sort key for one cell: numbers by value, texts by characters, missing values last."""
    sign = -1 if descending else 1
    if isinstance(value, str):
        return (False, 0.0, (*(sign * ord(character) for character in value), 0 if sign > 0 else 1))
    return (value is None, 0.0 if value is None else sign * float(value), ())


def _label(output: KeyOutput, code: Cell) -> Cell:
    if output.labels is None:
        return code
    return output.labels[code] if isinstance(code, int) and 0 <= code < len(output.labels) else None


def _all(items: list[bool | None]) -> bool | None:
    if any(item is False for item in items):
        return False
    return None if any(item is None for item in items) else True


def _arithmetic(operator: Operator, left: Cell, right: Cell) -> Cell:
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        return None
    try:
        value = _OPERATIONS[operator](left, right)
    except (ZeroDivisionError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def _compare(relation: Relation, left: Cell, right: Cell) -> bool | None:
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    if not numbers and not (isinstance(left, str) and isinstance(right, str)):
        return None
    return _RELATIONS[relation](left, right)


_OPERATIONS: Final[dict[Operator, Callable[[float, float], float]]] = {
    Operator.ADD: lambda left, right: left + right,
    Operator.SUBTRACT: lambda left, right: left - right,
    Operator.MULTIPLY: lambda left, right: left * right,
    Operator.DIVIDE: lambda left, right: left / right,
}
_RELATIONS: Final[dict[Relation, Callable[..., bool]]] = {
    Relation.EQUAL: lambda left, right: left == right,
    Relation.UNEQUAL: lambda left, right: left != right,
    Relation.LESS: lambda left, right: left < right,
    Relation.AT_MOST: lambda left, right: left <= right,
    Relation.MORE: lambda left, right: left > right,
    Relation.AT_LEAST: lambda left, right: left >= right,
}
