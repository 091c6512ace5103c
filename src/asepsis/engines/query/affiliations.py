"""Counting the providers and sites behind cells, from the distinct ones that come range by range."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import pyarrow as pa

from asepsis.domain.catalogue import Table, Use
from asepsis.domain.cells import CellRow, Needs
from asepsis.domain.release import Cell
from asepsis.engines.query.answers import Rows, cell_keys
from asepsis.sql.affiliations import Affiliation, Slot, affiliated, slots
from asepsis.sql.plan import Grouping, TableScan

_Keys = tuple[Cell, ...]
_ASKED: Final[dict[Use, Callable[[Needs], int]]] = {
    Use.PROVIDER: lambda needs: needs.providers,
    Use.SITE: lambda needs: needs.sites,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The distinct providers and sites of the cells of one grouping, while ranges come in.

    ``kinds`` are those that rules ask for, ``affiliations`` those of them that can be counted for this question.
    """

    kinds: frozenset[Use]
    affiliations: tuple[Affiliation, ...]
    slots: tuple[Slot, ...]
    found: dict[_Keys, list[set[int]]] = field(default_factory=dict)

    @classmethod
    def of(cls, grouping: Grouping, needs: Needs, tables: Iterable[Table]) -> Tally:
        """What is to be counted for a question over some tables of persons."""
        asked = {kind: most(needs) for kind, most in _ASKED.items() if most(needs)}
        every = tuple(_affiliation(kind, least, tuple(tables)) for kind, least in asked.items())
        affiliations = tuple(one for one in every if not one.is_picked(grouping))
        wider = affiliated(grouping, affiliations)
        return cls(kinds=frozenset(asked), affiliations=affiliations, slots=slots(wider, affiliations))

    def add(self, table: pa.Table) -> None:
        """Take the keys and the lists of one range."""
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True) if self.slots else ():
            keys = cell_keys(row[: len(row) - len(self.slots)])
            sets = self.found.setdefault(keys, [set() for _ in self.slots])
            for values, more in zip(sets, row[len(row) - len(self.slots) :], strict=True):
                values.update(more or ())

    def counted(self, cells: Rows) -> Rows:
        """The cells with what was counted of them."""
        return tuple(self._counted(cell) for cell in cells) if self.kinds else cells

    def _counted(self, cell: CellRow) -> CellRow:
        measures = tuple(
            replace(
                measure,
                providers=self._number(cell.keys, Use.PROVIDER, place),
                sites=self._number(cell.keys, Use.SITE, place),
            )
            for place, measure in enumerate(cell.measures)
        )
        return replace(
            cell,
            measures=measures,
            providers=self._number(cell.keys, Use.PROVIDER, None),
            sites=self._number(cell.keys, Use.SITE, None),
        )

    def _number(self, keys: _Keys, kind: Use, measure: int | None) -> int | None:
        """The fewest that any of the joined tables counts; an outer one without any partner counts nothing."""
        if kind not in self.kinds:
            return None
        sets = self.found.get(keys, [set()] * len(self.slots))
        chosen = [
            len(values)
            for slot, values in zip(self.slots, sets, strict=True)
            if (slot.kind, slot.measure) == (kind, measure) and (values or not slot.outer)
        ]
        return min(chosen, default=0)


def _affiliation(kind: Use, least: int, tables: tuple[Table, ...]) -> Affiliation:
    named = {table.name: column.name for table in tables if (column := table.affiliation(kind)) is not None}
    own = next((table for table in tables if table.one_per_person and table.name in named), None)
    scan = None if own is None or own.unit is None else TableScan(table=own.name, unit=own.unit.name)
    return Affiliation(kind=kind, least=least, tables=named, own=scan)
