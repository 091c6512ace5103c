"""The parts of a plan as SQL: scalars, predicates, relations and rows, in the words of a dialect.

Every literal is a bound parameter; every name comes from the catalogue or is a number.
"""

# ruff: noqa: S608 - every word of the text comes from the catalogue or is a number

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from asepsis.sql.affiliations import Affiliation
from asepsis.sql.dialects import DUCKDB, Dialect
from asepsis.sql.plan import (
    EVERYTHING,
    LISTED,
    And,
    Appended,
    Bin,
    Choice,
    ColumnRef,
    Compare,
    DatePart,
    DateShift,
    DaysBetween,
    Difference,
    Exists,
    Feature,
    FeatureKind,
    Listed,
    Literal,
    LookupScan,
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


@dataclass(slots=True, kw_only=True)
class Printer:
    """Prints the parts of one statement, and collects the values that are bound to it."""

    dialect: Dialect = DUCKDB
    affiliations: tuple[Affiliation, ...] = ()
    """What is counted besides persons: stages carry it along."""

    persons: tuple[int, int] | None = None
    """The range of persons that all rows are limited to."""
    parameters: dict[str, Bound] = field(default_factory=dict)
    units: dict[int, str] = field(default_factory=dict)
    ends: str = ""

    def bind(self, value: Bound) -> str:
        """The marker of a value that is bound to the statement."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"{self.dialect.marker}{name}"

    def scalar(self, value: Scalar) -> str:  # noqa: C901, PLR0911 - one arm per node of a closed union
        """A value of a row."""
        match value:
            case ColumnRef():
                return self._column(value.source, value.name)
            case UnitRef():
                return self.unit(value.source)
            case Literal():
                return self._literal(value.value)
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
                return self._bin(value)
            case Choice():
                whens = " ".join(f"WHEN {self.predicate(when)} THEN {self.scalar(then)}" for when, then in value.whens)
                otherwise = "NULL" if value.otherwise is None else self.scalar(value.otherwise)
                return f"CASE {whens} ELSE {otherwise} END"

    def predicate(self, value: Predicate) -> str:  # noqa: C901, PLR0911 - one arm per node of a closed union
        """A condition on a row."""
        match value:
            case Truth():
                return "TRUE" if value.value else "FALSE"
            case Compare():
                return f"({self.scalar(value.left)} {value.relation.value} {self.scalar(value.right)})"
            case Member():
                values = ", ".join(self._literal(item) for item in value.values)
                return f"({self.scalar(value.argument)} {'NOT ' if value.negated else ''}IN ({values}))"
            case Listed():
                return self._listed(value)
            case Missing():
                return f"({self.scalar(value.argument)} IS {'NOT ' if value.negated else ''}NULL)"
            case And():
                return "(" + " AND ".join(self.predicate(item) for item in value.items) + ")"
            case Or():
                return "(" + " OR ".join(self.predicate(item) for item in value.items) + ")"
            case Exists():
                return self._exists(value)

    def filter(self, where: Predicate) -> str:
        """The clause that limits an aggregate to some rows."""
        return "" if where == EVERYTHING else f" FILTER (WHERE {self.predicate(where)})"

    def rows(self, rows: Rows, *, tie: tuple[int, int] | None = None, nested: bool = False) -> str:
        """FROM and WHERE of some rows.

        ``tie`` equates the persons of a source inside and one outside. Every row that is not ``nested`` is limited
        to the range of persons; the engine carries that into nested ones.
        """
        first, *others = rows.sources
        parts = [f"FROM {self._source(first)}"]
        parts += [self._join(source, first) for source in others]
        conditions = [] if rows.where == EVERYTHING else [self.predicate(rows.where)]
        if tie is not None:
            conditions.append(f"{self.unit(tie[0])} = {self.unit(tie[1])}")
        if not nested:
            conditions += [self._within(source) for source in inner_sources(rows) if self.persons is not None]
        return " ".join(parts) + (" WHERE " + " AND ".join(conditions) if conditions else "")

    def unit(self, source: int) -> str:
        """The person's key in a source that is printed."""
        return self._column(source, self.units[source])

    def person(self, rows: Rows) -> str:
        """The person's key of a joined row."""
        return self.unit(rows.sources[0].number)

    def owners(self, rows: Rows) -> str:
        """The owners that know a joined row: those of any of its sources."""
        bits = []
        for source in rows.sources:
            if isinstance(source.relation, LookupScan):
                continue
            name = f"{self._alias(source.number)}.{OWNERS}"
            bits.append(f"coalesce({name}, 0)" if source.outer else name)
        return " | ".join(bits)

    def pairs(self, affiliation: Affiliation, rows: Rows) -> Iterator[tuple[str, str]]:
        """For every table that says it, the least and the greatest affiliation of a joined row."""
        for source in rows.sources:
            name = f"{self._alias(source.number)}.{affiliation.column}"
            for leaf in range(affiliation.of(source.relation)):
                nested = not isinstance(source.relation, TableScan)
                yield (f"{name}{leaf}_low", f"{name}{leaf}_high") if nested else (name, name)

    def _literal(self, value: Value) -> str:
        return f"CAST({self.bind(value)} AS {self.dialect.types[type(value)]})"

    def _bin(self, value: Bin) -> str:
        width = f"CAST({self.bind(value.width)} AS BIGINT)"
        floor = self.dialect.floor.format(value=self.scalar(value.argument), width=width)
        return f"({floor} * {width})" if value.scaled else floor

    def _listed(self, value: Listed) -> str:
        """Membership in a public list: the list is computed once, whatever the rows around it are."""
        argument, alias = self.scalar(value.argument), self._alias(LISTED)
        where = "" if value.where == EVERYTHING else f" WHERE {self.predicate(value.where)}"
        table = self.dialect.named(value.table)
        body = f"SELECT {self._column(LISTED, value.column)} FROM {table} AS {alias}{where}"
        return f"({argument} {'NOT ' if value.negated else ''}IN ({body}))"

    def _exists(self, value: Exists) -> str:
        body = self.rows(value.rows, tie=(value.inner, value.outer))
        return f"({'NOT ' if value.negated else ''}EXISTS (SELECT 1 {body}))"

    @staticmethod
    def _alias(source: int) -> str:
        return "listed" if source == LISTED else f"t{source}"

    def _column(self, source: int, name: str) -> str:
        return f"{self._alias(source)}.{self.dialect.named(name)}"

    def _within(self, source: Source) -> str:
        """That the person of a source is one of the range."""
        if not self.ends and self.persons is not None:
            self.ends = " AND ".join(f"CAST({self.bind(end)} AS BIGINT)" for end in self.persons)
        return f"{self.unit(source.number)} BETWEEN {self.ends}"

    def _join(self, source: Source, first: Source) -> str:
        printed = self._source(source)
        kind = "LEFT JOIN" if source.outer else "JOIN"
        if source.key is not None and isinstance(source.relation, LookupScan):
            condition = f"{self._column(source.number, source.relation.key)} = {self.scalar(source.key)}"
        else:
            condition = f"{self.unit(source.number)} = {self.unit(first.number)}"
            if source.outer and self.persons is not None:
                condition += f" AND {self._within(source)}"
        if source.matches != EVERYTHING:
            condition += f" AND {self.predicate(source.matches)}"
        return f"{kind} {printed} ON {condition}"

    def _source(self, source: Source) -> str:
        relation = source.relation
        self.units[source.number] = relation.unit if isinstance(relation, TableScan) else UNIT
        printed = self._relation(relation)
        if isinstance(relation, PerPerson) and relation.having != EVERYTHING:
            alias = self._alias(source.number)
            printed = f"(SELECT * FROM {printed} AS {alias} WHERE {self.predicate(relation.having)})"
        return f"{printed} AS {self._alias(source.number)}"

    def _relation(self, relation: Relational) -> str:
        match relation:
            case TableScan() | LookupScan():
                return self.dialect.named(relation.table)
            case Projection():
                return f"({self._projection(relation)})"
            case PerPerson():
                return f"({self._stage(relation)})"
            case Appended():
                return "(" + " UNION ALL ".join(self._part(part, relation) for part in relation.parts) + ")"

    def _part(self, part: Projection | PerPerson, whole: Appended) -> str:
        return self._projection(part, whole) if isinstance(part, Projection) else self._stage(part, whole)

    def _projection(self, relation: Projection, whole: Appended | None = None) -> str:
        body = self.rows(relation.rows, nested=True)
        columns = [f"{self.scalar(column)} AS c{place}" for place, column in enumerate(relation.columns)]
        owners = self.owners(relation.rows)
        if not relation.distinct:
            carried = self._carried(relation, whole or relation, low="{0}", high="{0}")
            chosen = [f"{self.person(relation.rows)} AS {UNIT}", f"{owners} AS {OWNERS}", *columns, *carried]
            return f"SELECT {', '.join(chosen)} {body}"
        chosen = [f"{self.person(relation.rows)} AS {UNIT}", f"bit_or({owners}) AS {OWNERS}", *columns]
        chosen += self._carried(relation, whole or relation)
        return f"SELECT {', '.join(chosen)} {body} GROUP BY ALL"

    def _carried(
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

    def _stage(self, relation: PerPerson, whole: Appended | None = None) -> str:
        body = self.rows(relation.rows, nested=True)
        keys = [f"{self.scalar(key)} AS c{place}" for place, key in enumerate(relation.keys)]
        features = [
            f"{self._feature(feature)} AS c{len(keys) + place}" for place, feature in enumerate(relation.features)
        ]
        person = self.person(relation.rows)
        groups = ", ".join([person, *(self.scalar(key) for key in relation.keys)])
        groups = "ALL" if keys else groups
        owners = f"bit_or({self.owners(relation.rows)}) AS {OWNERS}"
        columns = [f"{person} AS {UNIT}", owners, *keys, *features, *self._carried(relation, whole or relation)]
        return f"SELECT {', '.join(columns)} {body} GROUP BY {groups}"

    def _feature(self, feature: Feature) -> str:
        argument = "*" if feature.argument is None else self.scalar(feature.argument)
        if feature.kind is FeatureKind.KINDS:
            call = f"count(DISTINCT {argument})"
        elif feature.kind in {FeatureKind.SUM, FeatureKind.MEAN}:
            call = f"{feature.kind.value}(CAST({argument} AS DOUBLE))"
        else:
            call = f"{feature.kind.value}({argument})"
        return call + self.filter(feature.where)


def inner_sources(rows: Rows) -> tuple[Source, ...]:
    """The sources that every row has, all about the same person."""
    return tuple(source for source in rows.sources if not source.outer and source.key is None)
