"""Ranges of persons that are computed one after the other, so that memory does not grow with the room.

Tables are clustered by person, so a range of persons is a range of rows: the engine reads those only. Ranges are
cut by rows of the largest table that a question reads, and grow while few person-cells come out of them. Every
measure adds up over disjoint ranges, and together they are all persons: cutting decides about time and memory only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from asepsis.sql.plan import Grouping, TableScan
from asepsis.sql.references import parts_of

DEFAULT_ROWS: Final = 368_640
"""Rows of a range to begin with: three row groups of DuckDB, whose person-cells fit into a cache."""

MOST_GROWTH: Final = 16
"""The most times that a range may be longer than that."""

_CROWDED: Final = 4
"""A person with the rows of so many ranges or more is not looked at row by row."""

Range = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clustering:
    """A table in the order of its persons: its number of rows, and the person of every so many-th of them."""

    rows: int
    starts: tuple[int, ...]


@dataclass(slots=True, kw_only=True)
class Pace:
    """Walks over all persons from the ``first`` to the ``last``; ``cuts`` are where ranges may begin.

    ``crowded`` are persons with far more rows than a range.
    """

    first: int
    last: int
    cuts: tuple[int, ...]
    rows: int
    steps: int = 1
    crowded: frozenset[int] = frozenset()

    def ranges(self) -> Iterator[Range | None]:
        """The ranges in their order; None for everybody at once, where that is all there is."""
        low = self.first
        while low <= self.last:
            following = bisect_right(self.cuts, low) + self.steps - 1
            high = self.cuts[following] - 1 if following < len(self.cuts) else self.last
            yield None if (low, high) == (self.first, self.last) else (low, high)
            low = high + 1

    def is_crowded(self, part: Range | None) -> bool:
        """Whether a range has a person with far more rows than a range should have: such a person begins one."""
        return (self.first if part is None else part[0]) in self.crowded

    def told(self, person_cells: int) -> None:
        """Adapt the next range to the person-cells of the last one: about as many as the rows of a first range."""
        fitting = self.steps * self.rows // max(1, person_cells)
        self.steps = max(1, min(fitting, MOST_GROWTH))


def tables_of(value: object) -> frozenset[str]:
    """The tables of persons that a grouping reads, at any depth."""
    return frozenset(part.table for part in parts_of(value) if isinstance(part, TableScan))


def pace(grouping: Grouping, tables: dict[str, Clustering], persons: Range | None, *, rows: int) -> Pace:
    """How to walk over the persons of a room for one question."""
    first, last = persons or (0, 0)
    read = [tables[name] for name in tables_of(grouping.rows) | tables_of(grouping.keys) if name in tables]
    largest = max(read, key=lambda table: table.rows, default=Clustering(rows=0, starts=()))
    cuts = tuple(sorted({start for start in largest.starts if first < start <= last}))
    crowded = frozenset(start for start, times in Counter(largest.starts).items() if times >= _CROWDED)
    return Pace(first=first, last=last, cuts=cuts, rows=rows, crowded=crowded)
