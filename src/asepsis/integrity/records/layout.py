"""What a table is made of: its columns with types and roles, its key, and the columns that hold other tables' keys.

The layout is inferred (see ``roles``) or declared; nothing in the comparison depends on a name known beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Family(StrEnum):
    """What values of a column are, whatever their type is called; text that is always a number is a number."""

    INTEGER = "integer"
    NUMBER = "number"
    DATE = "date"
    TEXT = "text"
    OTHER = "other"


class Role(StrEnum):
    """What a column is for."""

    KEY = "key"
    PERSON = "person"
    REFERENCE = "reference"
    DATE = "date"
    CODE = "code"
    NUMBER = "number"
    TEXT = "text"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnFacts:
    """What one reading of a column shows: counts of rows, its distinct values (about), its mean length as text."""

    name: str
    type: str
    family: Family
    rows: int
    filled: int
    distinct: int
    length: float = 0.0
    spaced: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnLayout:
    """A column and its role; ``refers_to`` is a table whose key its values are."""

    name: str
    family: Family
    role: Role
    refers_to: str | None = None
    distinct: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLayout:
    """A table: its columns in order and its key (empty: rows are compared as a multiset).

    ``date`` is the date of the event that a row tells, by which its age is counted.
    """

    name: str
    columns: tuple[ColumnLayout, ...]
    key: tuple[str, ...] = ()
    date: str | None = None
    code: str | None = None

    @property
    def person(self) -> str | None:
        """The column that says whose row it is."""
        return next((column.name for column in self.columns if column.role is Role.PERSON), None)

    def column(self, name: str) -> ColumnLayout:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)

    def of_role(self, role: Role) -> tuple[ColumnLayout, ...]:
        """All columns of one role."""
        return tuple(column for column in self.columns if column.role is role)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layouts:
    """The layouts of all tables of a snapshot, by name, and the table that has one row per person."""

    tables: Mapping[str, TableLayout]
    persons: str | None = None


def family_of(type_name: str) -> Family:
    """The family of an engine's type."""
    name = type_name.upper()
    if name.startswith(("DATE", "TIMESTAMP")):
        return Family.DATE
    if name.startswith(("DOUBLE", "FLOAT", "DECIMAL", "REAL")):
        return Family.NUMBER
    if "INT" in name and "[" not in name and "(" not in name and not name.startswith("INTERVAL"):
        return Family.INTEGER
    return Family.TEXT if name == "VARCHAR" else Family.OTHER
