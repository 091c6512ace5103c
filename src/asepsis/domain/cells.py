"""What an aggregate analysis computes before the gate (cells), and what it shows after the gate (shape).

A :class:`Shape` says how the output columns follow from group keys and protected measures; it holds no data.
A :class:`CellTable` holds, per cell, the measures together with everything that is needed to judge them: how
many distinct persons stand behind each, and how much the largest of them contribute. It travels sealed only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from asepsis.domain.release import Cell


class MeasureKind(StrEnum):
    """What a measure measures."""

    PERSONS = "persons"
    """Distinct persons."""

    ROWS = "rows"
    """Records."""

    SUM = "sum"
    MEAN = "mean"
    VARIANCE = "variance"
    DEVIATION = "deviation"
    QUANTILE = "quantile"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureSpec:
    """One measure of a cell. ``partial`` says that only some of the cell's persons may stand behind it.

    ``resolution`` is the registered bin width of the measured column, which a quantile is rounded to.
    """

    kind: MeasureKind
    partial: bool = False
    resolution: int | None = None


class Operator(StrEnum):
    """Arithmetic on protected values."""

    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"


class Relation(StrEnum):
    """Comparison of values."""

    EQUAL = "="
    UNEQUAL = "<>"
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOutput:
    """The value of a group key; with ``labels``, the label that its code stands for."""

    index: int
    labels: tuple[Cell, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginOutput:
    """A group key in a margin: all its values together. It is missing like a missing value, and marked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureOutput:
    """The protected value of a measure."""

    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantOutput:
    """A constant that the author wrote."""

    value: Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class ArithmeticOutput:
    """A value derived from protected values only."""

    operator: Operator
    left: Output
    right: Output


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundedOutput:
    """A derived value rounded to ``digits`` decimals."""

    argument: Output
    digits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnOutput:
    """The value of another output column of the same row, for ordering."""

    index: int


Output = KeyOutput | MarginOutput | MeasureOutput | ConstantOutput | ArithmeticOutput | RoundedOutput | ColumnOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparing:
    """A comparison of protected values; unknown where one of them is missing."""

    relation: Relation
    left: Output
    right: Output


@dataclass(frozen=True, slots=True, kw_only=True)
class AllOf:
    """All conditions hold."""

    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    """At least one condition holds."""

    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Negation:
    """The condition does not hold."""

    item: Condition


Condition = Comparing | AllOf | AnyOf | Negation


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordering:
    """One key of the order of the rows, by protected values; missing values stand last."""

    output: Output
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchShape:
    """The shape of one grouped result; a result is one branch, or several one after the other."""

    keys: int
    measures: tuple[MeasureSpec, ...]
    outputs: tuple[Output, ...]
    having: Condition | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Margins:
    """Branches over the same rows that are one table with its margins.

    ``keys`` are, by branch, the places of its keys among all keys of the table; ``personal`` says of each of those
    whether it has one value for each person, so that persons add up over it.
    """

    branches: tuple[int, ...]
    keys: tuple[tuple[int, ...], ...]
    personal: tuple[bool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How the rows that are shown follow from cells. Having, order and limit see protected values only."""

    columns: tuple[str, ...]
    branches: tuple[BranchShape, ...]
    order: tuple[Ordering, ...] = ()
    limit: int | None = None
    margins: tuple[Margins, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the rules ask to be told of every cell.

    ``largest``: how many of the greatest persons of a total; ``providers`` and ``sites``: up to how many distinct ones
    are counted (0: not at all). ``effect``: up to how many persons the effect of a condition is counted (0: all).
    """

    largest: int = 2
    effect: int = 0
    providers: int = 0
    sites: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """The true measure of one cell and the persons behind it.

    ``persons`` counts distinct persons that contribute, ``rows`` their records, ``total`` the sum of the
    values, ``absolute`` the sum over persons of the absolute person totals, of which ``largest`` are the greatest, in
    descending order; ``squares`` is the sum of squared values. For a quantile ``total`` is the quantile, ``below``
    and ``above`` count the persons with a value on or below, and on or above, it. ``providers`` and ``sites`` are the
    distinct ones of the records behind it, at least; None where they were not counted. ``noise`` is added to its counts
    before they are rounded; None where there is none yet.
    """

    persons: int = 0
    rows: int = 0
    total: float = 0.0
    absolute: float = 0.0
    largest: tuple[float, ...] = ()
    squares: float = 0.0
    below: int = 0
    above: int = 0
    providers: int | None = None
    sites: int | None = None
    noise: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRow:
    """One cell. ``outside``: the least number of its persons that some one owner does not know; None with one owner.

    ``providers`` and ``sites`` are as in :class:`Contribution`, of all its records.
    """

    keys: tuple[Cell, ...]
    persons: int
    outside: int | None
    measures: tuple[Contribution, ...]
    providers: int | None = None
    sites: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CellTable:
    """The cells of every branch of a result."""

    branches: tuple[tuple[CellRow, ...], ...]
