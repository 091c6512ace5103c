"""The providers and sites behind the records of a cell, counted on the person-cell relation beside the persons.

Every table of persons may say of its rows which provider or site they come from. A person stands for at most two of
them in a cell, the least and the greatest by an arbitrary order: so the count is never too high, it adds up over ranges
of persons like everything else, and nobody who is treated everywhere vouches for all. Where several tables are joined,
the one with the fewest counts. Where no table of a question says it, the persons' own records do.

What a condition on other rows, or a stage's feature, picks by provider or site is not seen in the rows that are
counted; a question with such a condition has none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from asepsis.domain.catalogue import Use
from asepsis.sql.plan import (
    Appended,
    ColumnRef,
    Exists,
    Feature,
    Grouping,
    PerPerson,
    Projection,
    Relational,
    Rows,
    Scalar,
    Source,
    TableScan,
)
from asepsis.sql.references import parts_of

COLUMNS: Mapping[Use, str] = {Use.PROVIDER: "provider_", Use.SITE: "site_"}
"""The columns of the room's tables that name provider and site, of all owners apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Affiliation:
    """One kind to count, up to ``least``.

    ``tables`` are the tables of persons that say it, with their columns; ``own`` is the one with a row for each person.
    """

    kind: Use
    least: int
    tables: Mapping[str, str]
    own: TableScan | None = None

    @property
    def column(self) -> str:
        """The column of the room's tables."""
        return COLUMNS[self.kind]

    def is_picked(self, grouping: Grouping) -> bool:
        """Whether a condition that is not one on the counted rows depends on it."""
        features = [part for part in parts_of(grouping) if isinstance(part, Exists | Feature)]
        named, arguments = self._named(grouping), [measure.argument for measure in grouping.measures]
        return any(
            isinstance(part, ColumnRef) and (part.source, part.name) in named
            for part in parts_of((*features, *arguments))
        )

    def _named(self, grouping: Grouping) -> set[tuple[int, str]]:
        """The columns, by source, that hold it or follow from it: those of tables, then of stages over them."""
        sources = [part for part in parts_of(grouping) if isinstance(part, Source)]
        found = {
            (source.number, self.tables[source.relation.table])
            for source in sources
            if isinstance(source.relation, TableScan) and source.relation.table in self.tables
        }
        before = -1
        while len(found) > before:
            before = len(found)
            for source in sources:
                found |= {
                    (source.number, f"c{place}")
                    for columns in _columns(source.relation)
                    for place, column in enumerate(columns)
                    if not found.isdisjoint(
                        (part.source, part.name) for part in parts_of(column) if isinstance(part, ColumnRef)
                    )
                }
        return found

    def of(self, relation: Relational) -> int:
        """How many tables of a relation say it: so many pairs of columns its rows carry."""
        match relation:
            case TableScan():
                return int(relation.table in self.tables)
            case Projection() | PerPerson():
                return self.of_rows(relation.rows)
            case Appended():
                return max(self.of(part) for part in relation.parts)
            case _:
                return 0

    def of_rows(self, rows: Rows) -> int:
        """How many tables of some rows say it."""
        return sum(self.of(source.relation) for source in rows.sources)

    def with_own(self, rows: Rows) -> Rows:
        """The rows, joined to the persons' own records where nothing else says it."""
        if self.of_rows(rows) or self.own is None:
            return rows
        number = 1 + max(part.number for part in parts_of(rows) if isinstance(part, Source))
        return dataclasses.replace(rows, sources=(*rows.sources, Source(number=number, relation=self.own, outer=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One list of distinct values in the answer: of a kind, one measure (None: all rows), one of the tables."""

    kind: Use
    measure: int | None
    leaf: int
    outer: bool
    """Whether rows without a partner in that table are as they should be."""


def affiliated(grouping: Grouping, affiliations: tuple[Affiliation, ...]) -> Grouping:
    """The grouping with the persons' own records joined where they are needed."""
    rows = grouping.rows
    for affiliation in affiliations:
        rows = affiliation.with_own(rows)
    return dataclasses.replace(grouping, rows=rows)


def slots(grouping: Grouping, affiliations: tuple[Affiliation, ...]) -> tuple[Slot, ...]:
    """The lists that the answer to an affiliated grouping has, in their order."""
    return tuple(
        Slot(kind=affiliation.kind, measure=measure, leaf=leaf, outer=outer)
        for affiliation in affiliations
        for measure in (None, *range(len(grouping.measures)))
        for leaf, outer in enumerate(_leaves(affiliation, grouping.rows))
    )


def _columns(relation: Relational) -> tuple[tuple[Scalar | Feature, ...], ...]:
    """The columns of a stage; of each of its parts."""
    match relation:
        case Projection():
            return (relation.columns,)
        case PerPerson():
            return ((*relation.keys, *relation.features),)
        case Appended():
            return tuple(columns for part in relation.parts for columns in _columns(part))
        case _:
            return ()


def _leaves(affiliation: Affiliation, rows: Rows) -> Iterator[bool]:
    for source in rows.sources:
        own = source.outer and source.relation == affiliation.own
        yield from [source.outer and not own] * affiliation.of(source.relation)
