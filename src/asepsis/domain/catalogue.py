"""The catalogue of a contract: which tables and columns an analysis may name, and what it may do with each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from asepsis.domain.documents import Document, Fields


class Use(StrEnum):
    """What an analysis may do with a column. A column without a use cannot be named at all."""

    UNIT = "unit"
    """The privacy unit: joined and counted, never compared with a literal and never shown."""

    COMPARE = "compare"
    """Compared with literals."""

    GROUP = "group"
    """Used as a group of the result."""

    AGGREGATE = "aggregate"
    """Summed, averaged and the like."""

    DATE = "date"
    """Used through calendar parts, differences in days and registered bins."""

    PROVIDER = "provider"
    """Names the provider of a record: its distinct values are counted where a profile asks for several."""

    SITE = "site"
    """Names the site of a record, such as a practice or a ward: counted like providers."""


AFFILIATIONS: Final = (Use.PROVIDER, Use.SITE)
"""Uses that say what a record belongs to besides its person. They let nobody name the column."""


class ColumnType(StrEnum):
    """The type of a column as the analyses see it."""

    INTEGER = "integer"
    NUMBER = "number"
    DATE = "date"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of the catalogue; ``bin_width`` registers bins of that width, starting at zero."""

    name: str
    type: ColumnType
    uses: frozenset[Use]
    bin_width: int | None = None

    @property
    def named_uses(self) -> frozenset[Use]:
        """What an author may do with the column, who can name it only if there is any such use."""
        return self.uses - frozenset(AFFILIATIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of the catalogue with its columns.

    ``one_per_person`` says that the table describes persons, one row each; rows of a person whom two owners know
    are merged when the table is opened. ``key`` names the unique key of a public look-up table.
    """

    name: str
    columns: tuple[Column, ...]
    one_per_person: bool = False
    key: str | None = None

    def column(self, name: str) -> Column | None:
        """The column of that name, if the catalogue has it."""
        return next((column for column in self.columns if column.name == name), None)

    @property
    def unit(self) -> Column | None:
        """The column that carries the privacy unit; a table without one is a public look-up table."""
        return next((column for column in self.columns if Use.UNIT in column.uses), None)

    def affiliation(self, kind: Use) -> Column | None:
        """The column that names the provider or the site of each row, if the table has one."""
        return next((column for column in self.columns if kind in column.uses), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All tables that an analysis may name."""

    tables: tuple[Table, ...]

    def table(self, name: str) -> Table | None:
        """The table of that name, if the catalogue has it."""
        return next((table for table in self.tables if table.name == name), None)


def read_table(name: str, fields: Fields) -> Table:
    """Read one table of a contract's ``tables`` mapping."""
    columns = fields.each("columns", _read_column)
    key = fields.name("key") if fields.has("key") else None
    if key is not None and key not in {column.name for column in columns}:
        raise fields.malformed("key", "the key must be one of the columns")
    one_per_person = fields.flag("one_per_person", default=False)
    return Table(name=name, columns=columns, one_per_person=one_per_person, key=key)


def table_document(table: Table) -> Document:
    """The document that :func:`read_table` reads."""
    document: Document = {"columns": {column.name: _column_document(column) for column in table.columns}}
    if table.one_per_person:
        document["one_per_person"] = True
    if table.key is not None:
        document["key"] = table.key
    return document


def _read_column(name: str, fields: Fields) -> Column:
    uses = []
    for value in fields.texts("uses"):
        if value not in set(Use):
            raise fields.malformed("uses", "one of " + ", ".join(Use) + " is needed")
        uses.append(Use(value))
    width = fields.integer("bin_width", least=1) if fields.has("bin_width") else None
    return Column(name=name, type=fields.choice("type", ColumnType), uses=frozenset(uses), bin_width=width)


def _column_document(column: Column) -> Document:
    document: Document = {"type": column.type.value, "uses": sorted(use.value for use in column.uses)}
    if column.bin_width is not None:
        document["bin_width"] = column.bin_width
    return document
