"""From the rows of a private plan to its vectors, and to the lengths of persons' parts of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from asepsis.disclosure.dp.clipping import Numbers, PersonCells, bounded_sums, person_cells, persons_of_lengths
from asepsis.domain.private import VectorSpec
from asepsis.engines.query.codes import coded
from asepsis.sql.private import PrivateGrouping
from asepsis.sql.private_duckdb import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The rows of some persons: those of a range, or all. ``reduced`` says whether they are one per person and cell."""

    private: PrivateGrouping
    table: pa.Table
    reduced: bool

    def sums(self) -> pa.Table:
        """The cells: their keys, then one whole number for each vector."""
        places = self._person_cells()
        rows = np.full(int(places.cells.max(initial=-1)) + 1, -1)
        rows[places.cells] = places.rows
        found = np.flatnonzero(rows >= 0)
        named = [column.take(pa.array(rows[found])) for column in self.table.columns[1 : self._keys + 1]]
        sums = bounded_sums(places, self._specs, cells=len(rows), settled=self.private.settled)
        columns = [*named, *(pa.array(each[found]) for each in sums)]
        return pa.Table.from_arrays(columns, names=[f"c{place}" for place in range(len(columns))])

    def lengths(self) -> tuple[tuple[int, ...], ...]:
        """For every vector that has no norm yet, the persons of each length."""
        return tuple(tuple(each.tolist()) for each in persons_of_lengths(self._person_cells(), self._specs))

    @property
    def _keys(self) -> int:
        return len(self.private.grouping.keys)

    @property
    def _specs(self) -> list[VectorSpec]:
        return [vector.spec for vector in self.private.vectors]

    def _person_cells(self) -> PersonCells:
        rows = self.table.num_rows
        parts: list[Numbers | None] = [None] * len(self.private.vectors)
        persons, cells = coded(self.table.columns[:1], rows), coded(self.table.columns[1 : self._keys + 1], rows)
        columns = self.table.columns[self._keys + 1 :]
        for place, column in zip(counted(self.private, reduced=self.reduced), columns, strict=True):
            parts[place] = column.combine_chunks().fill_null(0).to_numpy().astype(np.int64, copy=False)
        return person_cells(persons, cells, parts, self._specs)
