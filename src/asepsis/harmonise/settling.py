"""How the records with one combination of answers are settled: the values of their fields first, then the records.

Texts of few values are kept as words of a type of their own: a record carries a number through the sort and not the
text. Invariant: a column of words has the same texts as without; free text is no word, since it is scrubbed later.
Words become texts again as clinical tables are written.
"""

# ruff: noqa: S608 - the SQL is written here from checked names and quoted literals; no data enters it

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from asepsis.harmonise.expressions import quote_name
from asepsis.harmonise.query import Query

FIRST: Final = "STRUCT(file_id INTEGER, rec_no BIGINT)"
"""The type of the accepted record that a record repeats."""
MOST_WORDS: Final = 1000
"""A type with more words would take memory that no limit knows of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """The statements for one combination of answers, which make the table ``part``.

    ``values`` selects, by name, the tables of values that ``query`` looks up; ``types`` are the wanted columns of it;
    ``texts`` those of them that may be words.
    """

    query: Query
    values: Mapping[str, str]
    types: Mapping[str, str]
    texts: Collection[str]
    part: str

    def look_up(self) -> tuple[str, ...]:
        """Make the tables of values."""
        return tuple(f"CREATE OR REPLACE TEMP TABLE {table} AS {sql}" for table, sql in self.values.items())

    def has_few(self) -> dict[str, str]:
        """For each table of values with texts, the question whether they are few enough for words."""
        tables = {self.query.nodes[name].table for name in self.texts}
        return {table: f"SELECT count(*) <= {MOST_WORDS} FROM {table}" for table in self.values if table in tables}

    def settle(self, few: Collection[str] = ()) -> tuple[str, ...]:
        """Settle the records; the texts of the tables with ``few`` values are words."""
        words = {name: self._words(number) for number, name in enumerate(self.texts) if self._table(name) in few}
        types = {**self.types, **words}
        columns = ", ".join(f"{quote_name(name)}::{types[name]} AS {quote_name(name)}" for name in types)
        settled = f"SELECT {columns}, NULL::{FIRST} AS first FROM ({self.query.sql})"
        return (
            *(statement for name, known_as in words.items() for statement in self._to_words(name, known_as)),
            f"CREATE OR REPLACE TABLE {self.part} AS {settled}",
            *(f"DROP TABLE {table}" for table in self.values),
        )

    def _table(self, name: str) -> str:
        return self.query.nodes[name].table

    def _words(self, number: int) -> str:
        return quote_name(f"words{number}_of_{self.part.strip(chr(34))}")

    def _to_words(self, name: str, known_as: str) -> Iterator[str]:
        """Make the type, sorted so that words are ordered as their texts, and let the column have it."""
        column, table = quote_name(name), self._table(name)
        yield f"DROP TYPE IF EXISTS {known_as}"
        yield f"CREATE TYPE {known_as} AS ENUM (SELECT DISTINCT coalesce({column}, '') FROM {table} ORDER BY 1)"
        yield f"ALTER TABLE {table} ALTER {column} TYPE {known_as}"
