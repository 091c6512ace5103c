"""The typed plan: all that an analysis can mean. What cannot be written down here cannot be run.

Plans are frozen values. Every relation carries the privacy unit; sources have numbers instead of names, so
that no word of the author's text is part of a plan except literals and validated output names.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from asepsis.domain.cells import MeasureSpec, Relation, Shape
from asepsis.domain.finding import Finding

Value = int | float | str | date

LISTED: Final = -2
"""Source number of the rows of the public look-up table of a :class:`Listed`."""


class DateField(StrEnum):
    """Calendar parts that may be taken of a date."""

    YEAR = "year"
    QUARTER = "quarter"
    MONTH = "month"
    WEEKDAY = "isodow"


class Period(StrEnum):
    """Calendar periods that a date may be reduced to."""

    YEAR = "year"
    QUARTER = "quarter"
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRef:
    """A column of a numbered source."""

    source: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRef:
    """The privacy unit of a numbered source."""

    source: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """A literal or parameter of the author; it reaches the engine as a bound value, never as text."""

    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class DatePart:
    """A calendar part of a date, as a whole number."""

    part: DateField
    argument: Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodStart:
    """The first day of the period that a date lies in."""

    period: Period
    argument: Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class DateShift:
    """A date some days later (or earlier)."""

    argument: Scalar
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DaysBetween:
    """Days from one date to another."""

    start: Scalar
    end: Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A whole number less another, such as a calendar year less the year of birth."""

    left: Scalar
    right: Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """The bin of a number, floor(argument / width); ``scaled`` gives its lower edge instead of its number."""

    argument: Scalar
    width: int
    scaled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The first value whose predicate holds; ``otherwise`` None means a missing value."""

    whens: tuple[tuple[Predicate, Scalar], ...]
    otherwise: Scalar | None


Scalar = ColumnRef | UnitRef | Literal | DatePart | PeriodStart | DateShift | DaysBetween | Difference | Bin | Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """A constant predicate."""

    value: bool


EVERYTHING: Final = Truth(value=True)
"""The condition that every row satisfies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """A comparison; unknown where a side is missing."""

    relation: Relation
    left: Scalar
    right: Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Membership in a list of literals."""

    argument: Scalar
    values: tuple[Value, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Membership in one column of a public look-up table, of its rows where a condition holds.

    Those rows are the source ``LISTED`` of the condition, which knows nothing of the rows around it.
    """

    argument: Scalar
    table: str
    column: str
    where: Predicate
    negated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Whether a value is missing; of a :class:`UnitRef`, whether an outer join found no partner."""

    argument: Scalar
    negated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class And:
    """All predicates hold; sorted, without repetition."""

    items: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Or:
    """One of the predicates holds; sorted, without repetition."""

    items: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exists:
    """The person of source ``outer`` also has a row in ``rows`` (of whose sources ``inner`` is one)."""

    rows: Rows
    inner: int
    outer: int
    negated: bool = False


Predicate = Truth | Compare | Member | Listed | Missing | And | Or | Exists


@dataclass(frozen=True, slots=True, kw_only=True)
class TableScan:
    """A table of the catalogue whose rows belong to persons."""

    table: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupScan:
    """A public look-up table, joined by its unique key."""

    table: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """Rows reduced to the person and some columns, named ``c0``, ``c1``, …."""

    rows: Rows
    columns: tuple[Scalar, ...]
    distinct: bool


class FeatureKind(StrEnum):
    """What may be computed over the rows of one person."""

    COUNT = "count"
    SUM = "sum"
    MEAN = "avg"
    FIRST = "min"
    LAST = "max"
    KINDS = "count distinct"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One value per person and key."""

    kind: FeatureKind
    argument: Scalar | None
    where: Predicate


@dataclass(frozen=True, slots=True, kw_only=True)
class PerPerson:
    """One row per person and keys: columns ``c0`` … are the keys, then the features.

    ``having`` may use the columns of the result, as columns of the source that the stage stands in.
    """

    rows: Rows
    keys: tuple[Scalar, ...]
    features: tuple[Feature, ...]
    having: Predicate


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """The rows of several projections, one after the other."""

    parts: tuple[Projection | PerPerson, ...]


Relational = TableScan | LookupScan | Projection | PerPerson | Appended


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A relation of a FROM clause. All sources but the first are joined on the person (look-ups: on their key).

    ``matches`` are the further conditions of an outer join; inner joins keep theirs in ``Rows.where``.
    """

    number: int
    relation: Relational
    outer: bool = False
    key: Scalar | None = None
    matches: Predicate = EVERYTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Joined and filtered rows. The first source is never the outer side of a join."""

    sources: tuple[Source, ...]
    where: Predicate


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A measure over the rows of a cell that satisfy ``where``; ``level`` is the level of a quantile."""

    spec: MeasureSpec
    argument: Scalar | None
    where: Predicate
    level: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """Cells by keys, with measures."""

    rows: Rows
    keys: tuple[Scalar, ...]
    measures: tuple[Measure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryPlan:
    """A question: its cells, and the shape in which protected cells are shown.

    ``notes`` tell the author what planning changed; they are no part of the question and of its digest.
    """

    groupings: tuple[Grouping, ...]
    shape: Shape
    digest: str
    notes: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """The persons of some rows. Their identities stay inside the runtime."""

    rows: Rows
    unit: int
    digest: str
