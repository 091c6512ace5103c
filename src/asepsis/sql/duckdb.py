"""The plan as DuckDB SQL. Every literal is a bound parameter; every name comes from the catalogue or is a number.

A grouping is computed in two phases: first one row per person and cell, then the cells. So fan-out of joins cannot
multiply persons, thresholds count persons, and the contribution of the largest persons is known. Both phases add
up over disjoint ranges of persons.
"""

# ruff: noqa: S608 - every word of the text comes from the catalogue or is a number

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from asepsis.domain.cells import MeasureKind
from asepsis.sql.affiliations import Affiliation, Slot, affiliated, slots
from asepsis.sql.canonical import disjunction, flatten_and, rows_of
from asepsis.sql.dialects import DUCKDB, Dialect
from asepsis.sql.plan import (
    LISTED,
    And,
    Appended,
    Bin,
    Choice,
    Cohort,
    ColumnRef,
    Compare,
    DatePart,
    DateShift,
    DaysBetween,
    Difference,
    Exists,
    Feature,
    FeatureKind,
    Grouping,
    Listed,
    Literal,
    LookupScan,
    Measure,
    Member,
    Missing,
    Or,
    PeriodStart,
    PerPerson,
    Predicate,
    Projection,
    Relational,
    Rows,
    Scalar,
    Source,
    TableScan,
    Truth,
    UnitRef,
    Value,
)

UNIT: Final = "unit_"
"""The column of the person's key in every relation that is not a table."""

Bound = Value | tuple[Value | None, ...]
"""A value, or a list of values, that is bound to a statement."""

OWNERS: Final = "owner_"
"""The column with one bit per owner that knows the row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """Generated SQL and the values that are bound to it."""

    text: str
    parameters: Mapping[str, Bound]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """What is counted of every cell: persons outside each of so many owners, the ``largest`` persons, affiliations."""

    owners: int = 1
    largest: int = 2
    affiliations: tuple[Affiliation, ...] = ()


ALONE: Final = Counting()
"""A room of one owner, under rules that need no more."""


@dataclass(slots=True, kw_only=True)
class _Printer:
    dialect: Dialect = DUCKDB
    affiliations: tuple[Affiliation, ...] = ()
    """What is counted besides persons: stages carry it along."""

    persons: tuple[int, int] | None = None
    """The range of persons that all rows are limited to."""
    parameters: dict[str, Bound] = field(default_factory=dict)
    units: dict[int, str] = field(default_factory=dict)
    ends: str = ""

    def bind(self, value: Bound) -> str:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"{self.dialect.marker}{name}"

    # -- scalars

    def scalar(self, value: Scalar) -> str:  # noqa: C901, PLR0911 - one arm per node of a closed union
        match value:
            case ColumnRef():
                return self.column(value.source, value.name)
            case UnitRef():
                return self.unit(value.source)
            case Literal():
                return self.literal(value.value)
            case DatePart():
                part = self.dialect.date_parts.get(value.part.value, value.part.value)
                return f"date_part('{part}', {self.scalar(value.argument)})"
            case PeriodStart():
                argument = self.scalar(value.argument)
                return self.dialect.period_start.format(period=value.period.value, value=argument)
            case DateShift():
                argument, days = self.scalar(value.argument), f"CAST({self.bind(value.days)} AS INTEGER)"
                return self.dialect.date_shift.format(value=argument, days=days)
            case DaysBetween():
                start, end = self.scalar(value.start), self.scalar(value.end)
                return self.dialect.days_between.format(start=start, end=end)
            case Difference():
                return f"({self.scalar(value.left)} - {self.scalar(value.right)})"
            case Bin():
                return self.bin(value)
            case Choice():
                whens = " ".join(f"WHEN {self.predicate(when)} THEN {self.scalar(then)}" for when, then in value.whens)
                otherwise = "NULL" if value.otherwise is None else self.scalar(value.otherwise)
                return f"CASE {whens} ELSE {otherwise} END"

    def literal(self, value: Value) -> str:
        return f"CAST({self.bind(value)} AS {self.dialect.types[type(value)]})"

    def bin(self, value: Bin) -> str:
        width = f"CAST({self.bind(value.width)} AS BIGINT)"
        floor = self.dialect.floor.format(value=self.scalar(value.argument), width=width)
        return f"({floor} * {width})" if value.scaled else floor

    @staticmethod
    def alias(source: int) -> str:
        return "listed" if source == LISTED else f"t{source}"

    def column(self, source: int, name: str) -> str:
        return f"{self.alias(source)}.{self.dialect.named(name)}"

    def unit(self, source: int) -> str:
        return self.column(source, self.units[source])

    # -- predicates

    def predicate(self, value: Predicate) -> str:  # noqa: C901, PLR0911 - one arm per node of a closed union
        match value:
            case Truth():
                return "TRUE" if value.value else "FALSE"
            case Compare():
                return f"({self.scalar(value.left)} {value.relation.value} {self.scalar(value.right)})"
            case Member():
                values = ", ".join(self.literal(item) for item in value.values)
                return f"({self.scalar(value.argument)} {'NOT ' if value.negated else ''}IN ({values}))"
            case Listed():
                return self.listed(value)
            case Missing():
                return f"({self.scalar(value.argument)} IS {'NOT ' if value.negated else ''}NULL)"
            case And():
                return "(" + " AND ".join(self.predicate(item) for item in value.items) + ")"
            case Or():
                return "(" + " OR ".join(self.predicate(item) for item in value.items) + ")"
            case Exists():
                return self.exists(value)

    def listed(self, value: Listed) -> str:
        """Membership in a public list: the list is computed once, whatever the rows around it are."""
        argument, alias = self.scalar(value.argument), self.alias(LISTED)
        where = "" if value.where == Truth(value=True) else f" WHERE {self.predicate(value.where)}"
        table = self.dialect.named(value.table)
        body = f"SELECT {self.column(LISTED, value.column)} FROM {table} AS {alias}{where}"
        return f"({argument} {'NOT ' if value.negated else ''}IN ({body}))"

    def exists(self, value: Exists) -> str:
        body = self.rows(value.rows, tie=(value.inner, value.outer))
        return f"({'NOT ' if value.negated else ''}EXISTS (SELECT 1 {body}))"

    # -- relations

    def rows(self, rows: Rows, *, tie: tuple[int, int] | None = None, nested: bool = False) -> str:
        """FROM and WHERE of some rows.

        ``tie`` equates the persons of a source inside and one outside. Every row that is not ``nested`` is limited
        to the range of persons; the engine carries that into nested ones.
        """
        first, *others = rows.sources
        parts = [f"FROM {self.source(first)}"]
        parts += [self.join(source, first) for source in others]
        conditions = [] if rows.where == Truth(value=True) else [self.predicate(rows.where)]
        if tie is not None:
            conditions.append(f"{self.unit(tie[0])} = {self.unit(tie[1])}")
        if not nested:
            conditions += [self.within(source) for source in inner_sources(rows) if self.persons is not None]
        return " ".join(parts) + (" WHERE " + " AND ".join(conditions) if conditions else "")

    def within(self, source: Source) -> str:
        """That the person of a source is one of the range."""
        if not self.ends and self.persons is not None:
            self.ends = " AND ".join(f"CAST({self.bind(end)} AS BIGINT)" for end in self.persons)
        return f"{self.unit(source.number)} BETWEEN {self.ends}"

    def join(self, source: Source, first: Source) -> str:
        printed = self.source(source)
        kind = "LEFT JOIN" if source.outer else "JOIN"
        if source.key is not None and isinstance(source.relation, LookupScan):
            condition = f"{self.column(source.number, source.relation.key)} = {self.scalar(source.key)}"
        else:
            condition = f"{self.unit(source.number)} = {self.unit(first.number)}"
            if source.outer and self.persons is not None:
                condition += f" AND {self.within(source)}"
        if source.matches != Truth(value=True):
            condition += f" AND {self.predicate(source.matches)}"
        return f"{kind} {printed} ON {condition}"

    def source(self, source: Source) -> str:
        relation = source.relation
        self.units[source.number] = relation.unit if isinstance(relation, TableScan) else UNIT
        printed = self.relation(relation)
        if isinstance(relation, PerPerson) and relation.having != Truth(value=True):
            alias = self.alias(source.number)
            printed = f"(SELECT * FROM {printed} AS {alias} WHERE {self.predicate(relation.having)})"
        return f"{printed} AS {self.alias(source.number)}"

    def relation(self, relation: Relational) -> str:
        match relation:
            case TableScan() | LookupScan():
                return self.dialect.named(relation.table)
            case Projection():
                return f"({self.projection(relation)})"
            case PerPerson():
                return f"({self.stage(relation)})"
            case Appended():
                return "(" + " UNION ALL ".join(self.part(part, relation) for part in relation.parts) + ")"

    def part(self, part: Projection | PerPerson, whole: Appended) -> str:
        return self.projection(part, whole) if isinstance(part, Projection) else self.stage(part, whole)

    def projection(self, relation: Projection, whole: Appended | None = None) -> str:
        body = self.rows(relation.rows, nested=True)
        columns = [f"{self.scalar(column)} AS c{place}" for place, column in enumerate(relation.columns)]
        owners = self.owners(relation.rows)
        if not relation.distinct:
            carried = self.carried(relation, whole or relation, low="{0}", high="{0}")
            chosen = [f"{self.person(relation.rows)} AS {UNIT}", f"{owners} AS {OWNERS}", *columns, *carried]
            return f"SELECT {', '.join(chosen)} {body}"
        chosen = [f"{self.person(relation.rows)} AS {UNIT}", f"bit_or({owners}) AS {OWNERS}", *columns]
        chosen += self.carried(relation, whole or relation)
        return f"SELECT {', '.join(chosen)} {body} GROUP BY ALL"

    def carried(
        self, part: Projection | PerPerson, whole: Relational, *, low: str = "min({0})", high: str = "max({0})"
    ) -> list[str]:
        """The pairs of columns that carry affiliations out of a stage; all parts of one relation have as many."""
        found: list[str] = []
        for affiliation in self.affiliations:
            pairs = list(self.pairs(affiliation, part.rows))
            pairs += [("CAST(NULL AS BIGINT)",) * 2] * (affiliation.of(whole) - len(pairs))
            for leaf, (least, greatest) in enumerate(pairs):
                name = f"{affiliation.column}{leaf}"
                found += [f"{low.format(least)} AS {name}_low", f"{high.format(greatest)} AS {name}_high"]
        return found

    def pairs(self, affiliation: Affiliation, rows: Rows) -> Iterator[tuple[str, str]]:
        """For every table that says it, the least and the greatest affiliation of a joined row."""
        for source in rows.sources:
            name = f"{self.alias(source.number)}.{affiliation.column}"
            for leaf in range(affiliation.of(source.relation)):
                nested = not isinstance(source.relation, TableScan)
                yield (f"{name}{leaf}_low", f"{name}{leaf}_high") if nested else (name, name)

    def stage(self, relation: PerPerson, whole: Appended | None = None) -> str:
        body = self.rows(relation.rows, nested=True)
        keys = [f"{self.scalar(key)} AS c{place}" for place, key in enumerate(relation.keys)]
        features = [
            f"{self.feature(feature)} AS c{len(keys) + place}" for place, feature in enumerate(relation.features)
        ]
        person = self.person(relation.rows)
        groups = ", ".join([person, *(self.scalar(key) for key in relation.keys)])
        groups = "ALL" if keys else groups
        owners = f"bit_or({self.owners(relation.rows)}) AS {OWNERS}"
        columns = [f"{person} AS {UNIT}", owners, *keys, *features, *self.carried(relation, whole or relation)]
        return f"SELECT {', '.join(columns)} {body} GROUP BY {groups}"

    def feature(self, feature: Feature) -> str:
        argument = "*" if feature.argument is None else self.scalar(feature.argument)
        if feature.kind is FeatureKind.KINDS:
            call = f"count(DISTINCT {argument})"
        elif feature.kind in {FeatureKind.SUM, FeatureKind.MEAN}:
            call = f"{feature.kind.value}(CAST({argument} AS DOUBLE))"
        else:
            call = f"{feature.kind.value}({argument})"
        return call + self.filter(feature.where)

    def filter(self, where: Predicate) -> str:
        return "" if where == Truth(value=True) else f" FILTER (WHERE {self.predicate(where)})"

    def person(self, rows: Rows) -> str:
        return self.unit(rows.sources[0].number)

    def owners(self, rows: Rows) -> str:
        """The owners that know a joined row: those of any of its sources."""
        bits = []
        for source in rows.sources:
            if isinstance(source.relation, LookupScan):
                continue
            name = f"{self.alias(source.number)}.{OWNERS}"
            bits.append(f"coalesce({name}, 0)" if source.outer else name)
        return " | ".join(bits)


def inner_sources(rows: Rows) -> tuple[Source, ...]:
    """The sources that every row has, all about the same person."""
    return tuple(source for source in rows.sources if not source.outer and source.key is None)


def cells_sql(
    grouping: Grouping,
    *,
    counting: Counting = ALONE,
    persons: tuple[int, int] | None = None,
    populations: tuple[Predicate, ...] = (),
    dialect: Dialect = DUCKDB,
) -> Generated:
    """The cells of a grouping: keys, persons, persons outside each owner, then six columns per measure.

    ``persons`` limits the work to a range of persons (both ends included). After the measures come the lists of
    ``affiliations.slots``. For each of the ``populations`` a list of the persons with a row where it holds comes last:
    the persons behind the cells from the same person-cells.
    """
    owners, known = counting.owners, grouping.rows
    grouping = affiliated(grouping, counting.affiliations)
    printer = _Printer(dialect=dialect, persons=persons, affiliations=counting.affiliations)
    inner, body = _person_cells(printer, grouping)
    inner += [f"bit_or({printer.owners(known)}) AS {OWNERS}"] if owners > 1 else []
    outer = [*_keys(grouping), "count(*) AS persons"]
    outer += [f"count(*) FILTER (WHERE ({OWNERS} & {1 << owner}) = 0)" for owner in range(owners)] if owners > 1 else []
    for place, measure in enumerate(grouping.measures):
        inner += _person_columns(printer, measure, place)
        outer += _cell_columns(dialect, measure, place, largest=counting.largest)
    for slot in slots(grouping, counting.affiliations):
        columns, found = _slot_columns(printer, grouping, slot)
        inner += columns
        outer.append(found)
    for place, where in enumerate(populations):
        condition = "" if where == Truth(value=True) else f" FILTER (WHERE b{place})"
        inner += [f"bool_or({printer.predicate(where)}) AS b{place}"] if condition else []
        outer.append(f"{dialect.gathered.format(value=UNIT)}{condition} AS l{place}")
    return _grouped(printer, grouping, inner, body, outer)


def _slot_columns(printer: _Printer, grouping: Grouping, slot: Slot) -> tuple[list[str], str]:
    """A person's least and greatest affiliation, and the distinct ones of a cell."""
    (affiliation,) = (one for one in printer.affiliations if one.kind is slot.kind)
    pair = list(printer.pairs(affiliation, grouping.rows))[slot.leaf]
    where = "" if slot.measure is None else printer.filter(rows_of(grouping.measures[slot.measure]))
    name = f"{affiliation.column}{'' if slot.measure is None else slot.measure}_{slot.leaf}"
    inner = [f"min({pair[0]}){where} AS {name}_low", f"max({pair[1]}){where} AS {name}_high"]
    distinct = printer.dialect.distinct.format(low=f"{name}_low", high=f"{name}_high", count=affiliation.least)
    return inner, f"{distinct} AS {name}_found"


def _keys(grouping: Grouping) -> list[str]:
    return [f"k{place}" for place in range(len(grouping.keys))]


def _person_cells(printer: _Printer, grouping: Grouping) -> tuple[list[str], str]:
    """The columns of the person-cells of a grouping, the person and the keys, and the rows that they come from."""
    body = printer.rows(grouping.rows)
    columns = [f"{printer.person(grouping.rows)} AS {UNIT}"]
    columns += [f"{printer.scalar(key)} AS {name}" for name, key in zip(_keys(grouping), grouping.keys, strict=True)]
    return columns, body


def _grouped(printer: _Printer, grouping: Grouping, inner: list[str], body: str, outer: list[str]) -> Generated:
    """First one row per person and cell, then the cells."""
    text = f"SELECT {', '.join(outer)} FROM (SELECT {', '.join(inner)} {body} GROUP BY ALL) AS person_cell"
    text += f" GROUP BY {', '.join(_keys(grouping))}" if grouping.keys else ""
    return Generated(text=text, parameters=printer.parameters)


def _person_columns(printer: _Printer, measure: Measure, place: int) -> list[str]:
    """What a person contributes to a cell."""
    where = printer.filter(measure.where)
    if measure.spec.kind is MeasureKind.PERSONS:
        return [f"count(*){where} AS n{place}"] if where else []
    if measure.argument is None:
        return [f"count(*){where} AS n{place}"]
    value = f"CAST({printer.scalar(measure.argument)} AS DOUBLE)"
    columns = [f"count({value}){where} AS n{place}", f"sum({value}){where} AS s{place}"]
    if measure.spec.kind in {MeasureKind.VARIANCE, MeasureKind.DEVIATION}:
        columns.append(f"sum({value} * {value}){where} AS q{place}")
    return columns


def _cell_columns(dialect: Dialect, measure: Measure, place: int, *, largest: int) -> list[str]:
    """Persons, rows, total, absolute, the largest, squares: the fields of a contribution, in this order."""
    kind = measure.spec.kind
    if kind is MeasureKind.PERSONS:
        persons = "count(*)" if measure.where == Truth(value=True) else f"count(nullif(n{place}, 0))"
        return [persons, "0", "0", "0", "NULL", "0"]
    everybody = kind is MeasureKind.ROWS and measure.where == Truth(value=True)
    persons = "count(*)" if everybody else f"count(nullif(n{place}, 0))"
    rows = f"CAST(sum(n{place}) AS BIGINT)"
    if kind is MeasureKind.ROWS:
        return [persons, rows, rows, rows, dialect.largest.format(value=f"n{place}", count=largest), "0"]
    squares = f"sum(q{place})" if kind in {MeasureKind.VARIANCE, MeasureKind.DEVIATION} else "0"
    top = dialect.largest.format(value=f"abs(s{place})", count=largest)
    return [persons, rows, f"sum(s{place})", f"sum(abs(s{place}))", top, squares]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCells:
    """The cells that are looked at: for each key a column of values, and one number each with a bit per variant.

    A variant is counted for the cells with its bit; other counts mean nothing.
    """

    keys: tuple[tuple[Value | None, ...], ...]
    variants: tuple[int, ...]


def effects_sql(
    grouping: Grouping,
    variants: tuple[Predicate, ...],
    *,
    persons: tuple[int, int] | None = None,
    cells: OpenCells | None = None,
    dialect: Dialect = DUCKDB,
) -> Generated:
    """How many persons each variant of the condition adds to, or takes from, every cell, or some (on DuckDB only).

    Keys, persons with any such row, then a count for each variant. One pass for all variants: rows that satisfy the
    condition or any variant, reduced to persons and cells, with one bit for each of them. What conditions have in
    common is tested once.
    """
    where = grouping.rows.where
    wider = dataclasses.replace(grouping.rows, where=disjunction((where, *variants)))
    printer = _Printer(dialect=dialect, persons=persons)
    inner, body = _person_cells(printer, dataclasses.replace(grouping, rows=wider))
    parts = [flatten_and(item) for item in (where, *variants)]
    atoms = {part: f"a{place}" for place, part in enumerate(dict.fromkeys(part for item in parts for part in item))}
    tested = [f"{printer.predicate(part)} AS {name}" for part, name in atoms.items()]
    bits = " | ".join(
        f"CASE WHEN {' AND '.join(atoms[part] for part in item) or 'TRUE'} THEN {1 << place} ELSE 0 END"
        for place, item in enumerate(parts)
    )
    body = f"FROM (SELECT {', '.join([*inner, *tested])} {body}) AS tested_row"
    inner = [UNIT, *_keys(grouping)]
    if cells is not None:
        body = f"FROM (SELECT {', '.join([*inner, f'{bits} AS row_bits'])} {body}) AS person_row"
        body += f" {_only(printer, cells)}"
        bits = "row_bits"
    inner = [*inner, f"bit_or({bits}) AS bits"]
    # Exactly one of the two bits is set.
    apart = [f"(bits & {1 | 1 << place}) IN (1, {1 << place})" for place in range(1, len(variants) + 1)]
    counts = [f"count(*) FILTER (WHERE {condition}) AS n{place}" for place, condition in enumerate(apart)]
    outer = [*_keys(grouping), "count(*) AS persons", *counts]
    return _grouped(printer, grouping, inner, body, outer)


def _only(printer: _Printer, cells: OpenCells) -> str:
    """Joins rows to the cells that are looked at, and keeps those that matter for a variant that is counted there."""
    named = []
    for place, column in enumerate(cells.keys):
        kind = printer.dialect.types[next(type(value) for value in column if value is not None)]
        named.append(f"unnest(CAST({printer.bind(column)} AS {kind}[])) AS o{place}")
    named.append(f"unnest(CAST({printer.bind(cells.variants)} AS BIGINT[])) AS counted")
    tie = " AND ".join(f"k{place} IS NOT DISTINCT FROM o{place}" for place in range(len(cells.keys))) or "TRUE"
    return f"JOIN (SELECT {', '.join(named)}) AS open_cells ON {tie} WHERE (row_bits & (2 * counted | 1)) <> 0"


def quantile_sql(grouping: Grouping, place: int, *, dialect: Dialect = DUCKDB) -> Generated:
    """A quantile measure: keys, its value, and the persons with a value on or below, and on or above, it."""
    measure = grouping.measures[place]
    if measure.argument is None or measure.level is None:
        raise ValueError(place)
    printer = _Printer(dialect=dialect)
    columns, body = _person_cells(printer, grouping)
    columns.append(f"CAST({printer.scalar(measure.argument)} AS DOUBLE) AS v")
    columns.append(f"{printer.predicate(measure.where)} AS chosen")
    keys = ", ".join(_keys(grouping))
    quantile = dialect.quantile.format(value="v", level=f"CAST({printer.bind(measure.level)} AS DOUBLE)")
    chosen = f"SELECT * FROM (SELECT {', '.join(columns)} {body}) AS person_rows WHERE chosen AND v IS NOT NULL"
    partition = f"PARTITION BY {keys}" if keys else ""
    ranked = f"SELECT *, {quantile} OVER ({partition}) AS q FROM ({chosen}) AS chosen_rows"
    measures = [
        "any_value(q)",
        f"count(DISTINCT {UNIT}) FILTER (WHERE v <= q)",
        f"count(DISTINCT {UNIT}) FILTER (WHERE v >= q)",
    ]
    text = f"SELECT {', '.join([*_keys(grouping), *measures])} FROM ({ranked}) AS ranked_rows"
    return Generated(text=text + (f" GROUP BY {keys}" if keys else ""), parameters=printer.parameters)


def people_sql(cohort: Cohort, *, dialect: Dialect = DUCKDB) -> Generated:
    """The distinct persons of a cohort, for a referral."""
    printer = _Printer(dialect=dialect)
    body = printer.rows(cohort.rows)
    text = f"SELECT DISTINCT {printer.unit(cohort.unit)} AS {UNIT} {body}"
    return Generated(text=text, parameters=printer.parameters)
