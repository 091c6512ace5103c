"""The private form of a plan: which vectors it needs, how long a person's part of each may be, what is public.

Only contract and catalogue decide; no data are looked at. A measure for which nothing bounds a person's part is
refused.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from math import isqrt, prod
from typing import Final

from asepsis.domain.catalogue import Catalogue
from asepsis.domain.cells import MeasureKind, Relation
from asepsis.domain.finding import Finding
from asepsis.domain.privacy import LARGEST_NORM, Bound, Privacy
from asepsis.domain.private import Histogram, MeasureSource, PrivateBranch, PrivateShape, VectorKind, VectorSpec, finest
from asepsis.domain.release import Cell
from asepsis.sql.canonical import conjunction, digest, rows_of
from asepsis.sql.plan import (
    EVERYTHING,
    Bin,
    ColumnRef,
    Compare,
    Grouping,
    Literal,
    Measure,
    Member,
    Predicate,
    QueryPlan,
    Scalar,
)
from asepsis.sql.private_rows import PersonRows
from asepsis.sql.private_values import PublicValues
from asepsis.sql.refusals import RefusedError

MOST_CELLS: Final = 20_000
"""Public cells of one result: each gets noise of its own."""

MOST_BINS: Final = 256
"""Public bins of one quantile."""

MOST_FILTERED: Final = 64
"""Up to so many public values of a key are a condition on rows; of more, other groups are dropped at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """One vector over the cells of a grouping: of what, of which rows, and how a person's part of it is bounded.

    ``low`` and ``high`` bound one value of a total; what is added up is its distance from ``centre``, or the square of
    that where it is ``squared``.
    """

    spec: VectorSpec
    where: Predicate
    argument: Scalar | None = None
    low: int = 0
    high: int = 0
    centre: int = 0
    squared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateGrouping:
    """A grouping with its vectors.

    ``settled`` says that a person is in one cell only, whatever the data are; ``multiplied``, that there may be more
    joined rows than rows in the tables.
    """

    grouping: Grouping
    vectors: tuple[Vector, ...]
    settled: bool
    multiplied: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivatePlan:
    """A question that is answered with noise."""

    groupings: tuple[PrivateGrouping, ...]
    shape: PrivateShape


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPrivate:
    """The outcome: a private plan, or the findings that refuse it."""

    plan: PrivatePlan | None
    findings: tuple[Finding, ...] = ()


def question_of(plan: QueryPlan, *, buys: bool) -> str:
    """The identity of a question: with bounds that are bought it is another one, and gets another answer."""
    return digest(["bought", plan.digest]) if buys else plan.digest


def plan_private(plan: QueryPlan, privacy: Privacy, catalogue: Catalogue, *, buys: bool = False) -> PlannedPrivate:
    """The private form of a plan. Pure; never raises for what was asked.

    Where it ``buys`` bounds, they are unbought in the form, and :func:`with_norms` puts those in that were bought.
    """
    if buys and privacy.purchase is None:
        return PlannedPrivate(plan=None, findings=(RefusedError("sql.dp_unsold").finding(),))
    try:
        builders = [_Builder(grouping, privacy, catalogue, buys=buys) for grouping in plan.groupings]
        built = [builder.build() for builder in builders]
        hidden = [builder.binned(measure) for builder in builders for measure in builder.quantiles]
    except RefusedError as error:
        return PlannedPrivate(plan=None, findings=(error.finding(),))
    branches = tuple(
        dataclasses.replace(branch, outputs=shape.outputs, having=shape.having)
        for (_, branch), shape in zip(built, plan.shape.branches, strict=True)
    )
    counts = [len(builder.quantiles) for builder in builders]
    branches = (*_numbered(branches, counts), *(branch for _, branch in hidden))
    shape = PrivateShape(columns=plan.shape.columns, branches=branches, order=plan.shape.order, limit=plan.shape.limit)
    private = PrivatePlan(groupings=tuple(grouping for grouping, _ in (*built, *hidden)), shape=shape)
    if buys and not any(vector.unbought for branch in branches for vector in branch.vectors):
        return PlannedPrivate(plan=None, findings=(RefusedError("sql.dp_nothing_sold").finding(),))
    return PlannedPrivate(plan=private)


def _numbered(branches: tuple[PrivateBranch, ...], histograms: list[int]) -> tuple[PrivateBranch, ...]:
    """The branches, their histograms numbered as the hidden branches that follow: so many for each."""
    found, before = [], len(branches)
    for branch, count in zip(branches, histograms, strict=True):
        measures = tuple(_shifted(measure, before) for measure in branch.measures)
        found.append(dataclasses.replace(branch, measures=measures))
        before += count
    return tuple(found)


def _shifted(measure: MeasureSource, before: int) -> MeasureSource:
    if measure.histogram is None:
        return measure
    histogram = dataclasses.replace(measure.histogram, branch=measure.histogram.branch + before)
    return dataclasses.replace(measure, histogram=histogram)


def with_norms(plan: PrivatePlan, norms: tuple[tuple[int, ...], ...]) -> PrivatePlan:
    """The plan with the norm of every vector, by branch, and steps as fine as that allows."""
    shape = dataclasses.replace(
        plan.shape,
        branches=tuple(
            dataclasses.replace(branch, vectors=_resized(branch.vectors, sizes))
            for branch, sizes in zip(plan.shape.branches, norms, strict=True)
        ),
    )
    groupings = []
    for grouping, branch in zip(plan.groupings, shape.branches, strict=True):
        specs = zip(grouping.vectors, branch.vectors, strict=True)
        vectors = tuple(dataclasses.replace(vector, spec=spec) for vector, spec in specs)
        groupings.append(dataclasses.replace(grouping, vectors=vectors))
    return PrivatePlan(groupings=tuple(groupings), shape=shape)


def _resized(vectors: tuple[VectorSpec, ...], norms: tuple[int, ...]) -> tuple[VectorSpec, ...]:
    return tuple(vector.resized(norm) for vector, norm in zip(vectors, norms, strict=True))


class _Builder:
    """Collects the vectors of one grouping; equal ones are one."""

    def __init__(self, grouping: Grouping, privacy: Privacy, catalogue: Catalogue, *, buys: bool) -> None:
        self._grouping = grouping
        self._privacy = privacy
        self._most = privacy.purchase.most if buys and privacy.purchase is not None else None
        self._values = PublicValues(privacy=privacy, most=self._most or privacy.records)
        rows = PersonRows(grouping.rows, catalogue)
        self._settled = all(rows.share(key) for key in grouping.keys)
        self._single = rows.are_one()
        self._multiplied = rows.multiply()
        self._vectors: list[Vector] = []
        self.quantiles: list[Measure] = []

    def build(self) -> tuple[PrivateGrouping, PrivateBranch]:
        domains = self._domains()
        if domains is None and not self._privacy.question.pico_delta:
            raise RefusedError("sql.dp_groups")
        self._cells = 1 if self._settled else self._most or self._privacy.cells
        grouping = self._grouping
        if domains is not None and all(len(values) <= MOST_FILTERED for values in domains):
            grouping = _within(grouping, domains)
            self._cells = min(self._cells, _root_above(prod(len(values) for values in domains)))
        presence = self._presence(listed=domains is not None)
        measures = tuple(self._measure(measure) for measure in self._grouping.measures)
        vectors = tuple(self._vectors)
        branch = PrivateBranch(
            vectors=tuple(vector.spec for vector in vectors),
            measures=measures,
            outputs=(),
            domains=domains,
            presence=presence,
        )
        return self._private(grouping, vectors, settled=self._settled), branch

    def _private(self, grouping: Grouping, vectors: tuple[Vector, ...], *, settled: bool) -> PrivateGrouping:
        return PrivateGrouping(grouping=grouping, vectors=vectors, settled=settled, multiplied=self._multiplied)

    def _domains(self) -> tuple[tuple[Cell, ...], ...] | None:
        found: list[tuple[Cell, ...]] = []
        cells = 1
        for key in self._grouping.keys:
            values = self._values.domain(key, self._grouping.rows)
            if values is None:
                return None
            found.append(values)
            cells *= len(values)
        return tuple(found) if cells <= MOST_CELLS else None

    def _bound(self, measure: Measure) -> Bound | None:
        return None if measure.argument is None else self._values.bound(measure.argument, self._grouping.rows)

    def _presence(self, *, listed: bool) -> int | None:
        if listed and not self._privacy.least_persons:
            return None
        spec = dataclasses.replace(self._spec(VectorKind.PERSONS, self._cells), coarse=not listed)
        return self._add(Vector(spec=spec, where=EVERYTHING))

    def _measure(self, measure: Measure) -> MeasureSource:
        match measure.spec.kind:
            case MeasureKind.PERSONS:
                return MeasureSource(total=self._persons(measure.where))
            case MeasureKind.ROWS:
                return MeasureSource(total=self._records(measure.where))
            case MeasureKind.SUM:
                return MeasureSource(total=self._total(measure))
            case MeasureKind.MEAN:
                return MeasureSource(total=self._total(measure), count=self._records(rows_of(measure)))
            case MeasureKind.VARIANCE | MeasureKind.DEVIATION:
                return self._spread(measure)
            case MeasureKind.QUANTILE:
                return self._quantile(measure)

    def _quantile(self, measure: Measure) -> MeasureSource:
        """A quantile is made of a histogram, see :meth:`binned`; those of other levels of the same values share it."""
        level, measure = measure.level or 0.5, dataclasses.replace(measure, level=None)
        if measure not in self.quantiles:
            self.quantiles.append(measure)
        first, _, width = self._bins(measure)
        place = self.quantiles.index(measure)
        return MeasureSource(total=0, histogram=Histogram(branch=place, first=first, width=width, level=level))

    def _bins(self, measure: Measure) -> tuple[int, int, int]:
        """The first and last number of the bins of a quantile, and their width: registered, between public bounds."""
        width = measure.spec.resolution
        bound = self._bound(measure)
        if width is None or bound is None:
            raise RefusedError("sql.dp_quantile")
        return bound.low // width, bound.high // width, width

    def binned(self, measure: Measure) -> tuple[PrivateGrouping, PrivateBranch]:
        """The histogram of a quantile: records by group and bin. Values beyond the bounds are in no bin."""
        first, last, width = self._bins(measure)
        domains, argument = self._domains(), measure.argument
        if domains is None or argument is None:
            raise RefusedError("sql.dp_groups")
        bins = tuple(range(first, last + 1))
        if len(bins) > MOST_BINS or prod(len(values) for values in (*domains, bins)) > MOST_CELLS:
            raise RefusedError("sql.dp_quantile")
        within = (
            Compare(relation=Relation.AT_LEAST, left=argument, right=Literal(value=first * width)),
            Compare(relation=Relation.LESS, left=argument, right=Literal(value=(last + 1) * width)),
        )
        rows = self._grouping.rows
        rows = dataclasses.replace(rows, where=conjunction([rows.where, rows_of(measure), *within]))
        keys = (*self._grouping.keys, Bin(argument=argument, width=width, scaled=False))
        grouping = Grouping(rows=rows, keys=keys, measures=())
        if all(len(values) <= MOST_FILTERED for values in domains):
            grouping = _within(grouping, (*domains, bins))
        vector = Vector(spec=self._spec(VectorKind.RECORDS, self._most_records), where=EVERYTHING)
        branch = PrivateBranch(
            vectors=(vector.spec,), measures=(), outputs=(), domains=(*domains, bins), presence=None, hidden=True
        )
        return self._private(grouping, (vector,), settled=self._settled and self._single), branch

    def _spread(self, measure: Measure) -> MeasureSource:
        """Totals of distances from the middle of the bounds, and of their squares: the smallest numbers that do."""
        bound = self._bound(measure)
        if bound is None:
            raise RefusedError("sql.dp_bound")
        centre = (bound.low + bound.high) // 2
        far = max(1, bound.high - centre, centre - bound.low)
        total, squares = (
            self._add(
                Vector(
                    spec=self._spec(VectorKind.TOTAL, min(most * self._most_records, LARGEST_NORM)),
                    where=rows_of(measure),
                    argument=measure.argument,
                    low=bound.low,
                    high=bound.high,
                    centre=centre,
                    squared=squared,
                )
            )
            for most, squared in ((far, False), (far * far, True))
        )
        root = measure.spec.kind is MeasureKind.DEVIATION
        return MeasureSource(total=total, count=self._records(rows_of(measure)), squares=squares, root=root)

    def _persons(self, where: Predicate) -> int:
        for place, known in enumerate(self._vectors):
            if known.spec.kind is VectorKind.PERSONS and known.where == where:
                return place
        return self._add(Vector(spec=self._spec(VectorKind.PERSONS, self._cells), where=where))

    def _records(self, where: Predicate) -> int:
        return self._add(Vector(spec=self._spec(VectorKind.RECORDS, self._most_records), where=where))

    def _total(self, measure: Measure) -> int:
        bound = self._bound(measure)
        if bound is None and self._most is not None:
            bound = Bound(low=-LARGEST_NORM, high=LARGEST_NORM)
        if bound is None:
            raise RefusedError("sql.dp_bound")
        norm = min(max(1, abs(bound.low), abs(bound.high)) * self._most_records, LARGEST_NORM)
        if bound.norm is not None:
            norm = min(norm, bound.norm)
        return self._add(
            Vector(
                spec=self._spec(VectorKind.TOTAL, norm),
                where=rows_of(measure),
                argument=measure.argument,
                low=bound.low,
                high=bound.high,
            )
        )

    @property
    def _most_records(self) -> int:
        return 1 if self._single else self._most or self._privacy.records

    def _spec(self, kind: VectorKind, norm: int) -> VectorSpec:
        return VectorSpec(kind=kind, norm=norm, bits=finest(norm), unbought=self._most is not None and norm > 1)

    def _add(self, vector: Vector) -> int:
        if vector not in self._vectors:
            self._vectors.append(vector)
        return self._vectors.index(vector)


def _within(grouping: Grouping, domains: tuple[tuple[Cell, ...], ...]) -> Grouping:
    """The rows whose groups are listed, so that a person's other rows use up nothing of what is bounded."""
    listed = [
        Member(argument=key, values=tuple(value for value in values if isinstance(value, int | str)))
        for key, values in zip(grouping.keys, domains, strict=True)
        if isinstance(key, ColumnRef)
    ]
    where = conjunction([grouping.rows.where, *listed])
    return dataclasses.replace(grouping, rows=dataclasses.replace(grouping.rows, where=where))


def _root_above(cells: int) -> int:
    """The square root, rounded up: a person present in every one of so many cells."""
    return isqrt(cells - 1) + 1 if cells > 0 else 1
