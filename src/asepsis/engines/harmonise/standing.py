"""Where the records of a run stand once they are settled: how many are of each kind, in each state, and what is said.

Counted once, from the tables themselves: the books are closed with it, and nothing is looked for where there is none.
"""

# ruff: noqa: S608 - the SQL is written here from checked names and quoted literals; no data enters it

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import duckdb

from asepsis.engines.harmonise.guard import guarded
from asepsis.harmonise.extraction import landed_table
from asepsis.harmonise.mapping import Mapping
from asepsis.harmonise.said import Kind, reasons_in
from asepsis.harmonise.staging import settled_table

_DATA: Final = "data"


class Landed(NamedTuple):
    """So many records of a file that were landed as one kind."""

    entry: str
    file_id: int
    kind: str
    records: int


class Settled(NamedTuple):
    """So many data records of a file in one state of which the same is said."""

    entry: str
    file_id: int
    state: str
    said: str
    records: int


class Standing(NamedTuple):
    """All records of a run."""

    landed: tuple[Landed, ...]
    settled: tuple[Settled, ...]

    def of_kind(self, kind: str) -> tuple[str, ...]:
        """The entries that have records of a kind."""
        return tuple(dict.fromkeys(item.entry for item in self.landed if item.kind == kind))

    def in_state(self, state: str) -> tuple[str, ...]:
        """The entries that have records in a state."""
        return self._of(lambda item: item.state == state)

    def with_refused_fields(self) -> tuple[str, ...]:
        """The entries that have accepted records of which a single field was refused."""
        return self._of(lambda item: item.state == "accepted" and bool(reasons_in(item.said, Kind.FIELD_REFUSED)))

    def _of(self, condition: Callable[[Settled], bool]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(item.entry for item in self.settled if condition(item)))


def standing_of(connection: duckdb.DuckDBPyConnection, mapping: Mapping) -> Standing:
    """Count the records of every entry."""
    landed: list[Landed] = []
    settled: list[Settled] = []
    with guarded("books"):
        for entry in mapping.files:
            kinds = f"SELECT file_id, kind, count(*) FROM {landed_table(entry)} GROUP BY ALL"
            found = [Landed(entry, *row) for row in connection.execute(kinds).fetchall()]
            landed += found
            if any(item.kind == _DATA for item in found):
                states = f"SELECT file_id, state, said, count(*) FROM {settled_table(entry)} GROUP BY ALL"
                settled += [Settled(entry, *row) for row in connection.execute(states).fetchall()]
    return Standing(tuple(landed), tuple(settled))
