"""Counting the effect of tested conditions until it is enough: large cells are done after a few persons.

Whether an effect is enough is all that anybody asks, and it only grows from range to range. So a first short range of
persons settles most cells of most conditions, and later ranges are limited, for each condition, to
the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from asepsis.engines.query.answers import Raw, whole
from asepsis.engines.query.ranges import Pace, Range
from asepsis.sql.duckdb import OpenCells
from asepsis.sql.plan import Grouping

_FIRST: Final = 8
"""The first range is so many times shorter than others."""

_FEWEST: Final = 50_000
"""Persons of a range that is worth cutting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is still to be counted: the places of variants, and the cells in which any of them is open (None: all)."""

    places: tuple[int, ...]
    cells: OpenCells | None = None


@dataclass(slots=True, kw_only=True)
class Effects:
    """The effects of all tested conditions by cell, while ranges come in; without ``enough`` all are counted out.

    ``variants`` is the number of tested conditions.
    """

    grouping: Grouping
    variants: int
    relevant: frozenset[Raw]
    enough: int
    found: dict[Raw, list[int]] = field(default_factory=dict)

    def parts(self, walk: Pace, everybody: Range | None) -> Iterator[tuple[Range | None, Asked]]:
        """The ranges of persons to look at, with what is open there, until nothing is."""
        first = True
        for part in walk.ranges():
            for piece in self._pieces(part or everybody, part) if first and self.enough else (part,):
                asked = self._asked()
                if not asked.places:
                    return
                yield piece, asked
            first = False

    def add(self, rows: Iterable[Raw], asked: Asked) -> int:
        """Take the answer for one range: keys, persons, effects. The number of its person-cells."""
        keys, persons = len(self.grouping.keys), 0
        for row in rows:
            counted, *effects = whole(row[keys:])
            persons += counted
            known = self.found.setdefault(row[:keys], [0] * self.variants)
            for place, effect in zip(asked.places, effects, strict=True):
                known[place] += effect
        return persons

    def least(self) -> dict[Raw, int]:
        """By cell, the least of its effects."""
        return {key: min(effects) for key, effects in self.found.items()}

    def _asked(self) -> Asked:
        if not self.enough:
            return Asked(places=tuple(range(self.variants)))
        nothing = [0] * self.variants
        open_ = {cell: self._open(self.found.get(cell, nothing)) for cell in self.relevant}
        open_ = {cell: places for cell, places in open_.items() if places}
        places = tuple(sorted(set().union(*open_.values())))
        numbers = {place: number for number, place in enumerate(places)}
        masks = tuple(sum(1 << numbers[place] for place in found) for found in open_.values())
        return Asked(places=places, cells=self._cells(list(open_), masks))

    def _open(self, effects: list[int]) -> set[int]:
        return {place for place, effect in enumerate(effects) if effect < self.enough}

    def _cells(self, cells: list[Raw], masks: tuple[int, ...]) -> OpenCells | None:
        """The open cells as values that can be bound, if they can."""
        columns = tuple(zip(*cells, strict=True))
        literal = all(_is_bindable(column) for column in columns)
        if not cells or not literal or not self.found:
            return None
        return OpenCells(keys=columns, variants=masks)

    @staticmethod
    def _pieces(persons: Range | None, part: Range | None) -> tuple[Range | None, ...]:
        """A range as a short one and the rest."""
        if persons is None or persons[1] - persons[0] < _FEWEST:
            return (part,)
        middle = persons[0] + (persons[1] - persons[0]) // _FIRST
        return (persons[0], middle), (middle + 1, persons[1])


def _is_bindable(column: tuple[object, ...]) -> bool:
    kinds = {type(value) for value in column if value is not None}
    return len(kinds) == 1 and kinds <= {int, str, date}
