"""Tables with margins: which further cells stay inside, so that sums do not give the withheld ones away.

What is chosen follows from what each cell by itself would show, and from the labels that are shown: a group of a few
persons and a group of nobody lead to the same choice. Only a cell that is larger than a small one, and withheld for
another reason, is protected by what it is.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from types import MappingProxyType
from typing import Final

from asepsis.disclosure.additive import Additive, Sum, Target
from asepsis.disclosure.complements import complements
from asepsis.disclosure.contributors import WHOLE
from asepsis.disclosure.measures import Protected, significant
from asepsis.disclosure.profiles import Profile
from asepsis.disclosure.showing import Held, let_out, protected_measures
from asepsis.domain.cells import CellTable, Contribution, Margins, MeasureKind, Shape
from asepsis.domain.release import Cell

MOST_CELLS: Final = 600
"""Cells of a table with its margins, shown or not."""

Place = tuple[int, tuple[Cell, ...]]
"""A cell of a result: its branch and its keys."""

_Set = frozenset[int]
_Label = Cell | object
_Key = tuple[_Set, tuple[_Label, ...]]
_REST: Final = object()
"""Stands for all values of a group that no shown cell has."""

_TOTALS: Final = frozenset({MeasureKind.SUM, MeasureKind.MEAN})
_ADDED: Final = _TOTALS | {MeasureKind.PERSONS, MeasureKind.ROWS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Complemented:
    """What stays inside: ``held`` is all of it, ``hidden`` the cells that others need.

    ``protected`` is false where nothing would be enough.
    """

    held: Held
    hidden: frozenset[Place] = frozenset()
    protected: bool = True


def complemented(
    table: CellTable, shape: Shape, profile: Profile, held: Held, *, known: frozenset[Place] = frozenset()
) -> Complemented:
    """All that is held, with what the margins of the result make necessary.

    ``known`` are cells that were released before: hiding them again protects nothing. Nothing is known of margins with
    noise, so they are not protected.
    """
    more: dict[Place, frozenset[int]] = dict(held)
    if shape.margins and profile.noise:
        return Complemented(held=held, protected=False)
    hidden: frozenset[Place] = frozenset()
    for margins in shape.margins:
        found = _Family(table, shape, margins, profile, held).hidden(known)
        if found is None:
            return Complemented(held=MappingProxyType(more), protected=False)
        hidden |= found
    for place in hidden:
        more[place] = frozenset(range(len(shape.branches[place[0]].measures))) or frozenset({WHOLE})
    return Complemented(held=MappingProxyType(more), hidden=hidden)


class _Family:
    """One table with its margins. Its cells are all combinations of the labels that are shown, and of the rest."""

    def __init__(self, table: CellTable, shape: Shape, margins: Margins, profile: Profile, held: Held) -> None:
        self._profile = profile
        self._specs = shape.branches[margins.branches[0]].measures
        self._personal = margins.personal
        self._sets = {branch: frozenset(keys) for branch, keys in zip(margins.branches, margins.keys, strict=True)}
        self._rows = {
            (branch, row.keys): row for branch in margins.branches for row in table.branches[branch] if row.persons
        }
        self._out: dict[Place, tuple[Protected, ...]] = {}
        for place, row in self._rows.items():
            measures = let_out(protected_measures(shape.branches[place[0]], row, profile), held.get(place, frozenset()))
            if measures is not None:
                self._out[place] = measures
        self._labels = self._shown_labels()

    def hidden(self, known: frozenset[Place]) -> frozenset[Place] | None:
        """The shown cells that have to be hidden; None where they cannot be found, or are not enough."""
        kinds = {place for place, spec in enumerate(self._specs) if spec.kind in _ADDED}
        if not self._out or not kinds:
            return frozenset()
        cells = self._cells()
        if cells is None:
            return None
        numbers = {key: number for number, key in enumerate(cells)}
        contents: dict[int, list[Place]] = defaultdict(list)
        for place in self._rows:
            contents[numbers[self._key(place)]].append(place)
        shown = {numbers[self._key(place)]: place for place in self._out}
        asked = frozenset(number for key, number in numbers.items() if key[0] in set(self._sets.values()))
        systems = [
            self._system(measure, sums=self._sums(numbers, exact=self._specs[measure].kind is not MeasureKind.PERSONS),
                         shown=shown, contents=contents, asked=asked)
            for measure in sorted(kinds)
        ]  # fmt: skip
        prices = self._prices({cell: place for cell, place in shown.items() if place not in known})
        choice = complements(systems, prices=prices)
        return None if choice is None else frozenset(shown[cell] for cell in choice.hidden)

    # -- cells

    def _shown_labels(self) -> Mapping[int, tuple[_Label, ...]]:
        labels: dict[int, dict[_Label, None]] = {key: {} for key in range(len(self._personal))}
        for branch, keys in self._out:
            for key, label in zip(sorted(self._sets[branch]), keys, strict=True):
                labels[key][label] = None
        return {key: (*found, _REST) for key, found in labels.items()}

    def _key(self, place: Place) -> _Key:
        chosen = self._sets[place[0]]
        labels = zip(sorted(chosen), place[1], strict=True)
        return chosen, tuple(label if label in self._labels[key] else _REST for key, label in labels)

    def _closure(self) -> list[_Set]:
        """The groupings, and all that is common to several of them: their sums are known to be equal."""
        sets = set(self._sets.values())
        while True:
            more = {left & right for left, right in combinations(sets, 2)} - sets
            if not more:
                return sorted(sets, key=lambda one: (-len(one), sorted(one)))
            sets |= more

    def _cells(self) -> list[_Key] | None:
        """All cells, or None where they are too many."""
        sets = self._closure()
        if sum(math.prod(len(self._labels[key]) for key in one) for one in sets) > MOST_CELLS:
            return None
        return [(one, labels) for one in sets for labels in product(*(self._labels[key] for key in sorted(one)))]

    def _sums(self, numbers: Mapping[_Key, int], *, exact: bool) -> tuple[Sum, ...]:
        """Every cell of a grouping and its parts in the next finer ones."""
        sets = self._closure()
        found = []
        for fine in sets:
            for coarse in sets:
                between = (one for one in sets if coarse < one < fine)
                if not coarse < fine or any(between):
                    continue
                adds_up = exact or all(self._personal[key] for key in fine - coarse)
                found += [
                    Sum(whole=whole, parts=parts, exact=adds_up)
                    for whole, parts in _parts(numbers, fine, coarse).items()
                ]
        return tuple(found)

    # -- quantities

    def _system(
        self,
        measure: int,
        *,
        sums: tuple[Sum, ...],
        shown: Mapping[int, Place],
        contents: Mapping[int, list[Place]],
        asked: frozenset[int],
    ) -> Additive:
        kind = self._specs[measure].kind
        means = [abs(mean) for place in shown.values() if (mean := self._mean(place, measure))]
        unit = max(means, default=1.0) if kind in _TOTALS else 1.0
        bounds = self._total_bounds if kind in _TOTALS else self._count_bounds
        known = {
            cell: (low / unit, high / unit)
            for cell, place in shown.items()
            if self._out[place][measure] is not None
            for low, high in (bounds(place, measure),)
        }
        small = self._profile.threshold - 1
        value = _VALUES[kind]
        targets = []
        for cell in sorted(asked - known.keys()):
            inside = [self._rows[place].measures[measure] for place in contents.get(cell, ())]
            spread = max(
                (_spread(value(one) / unit, max(one.largest, default=0.0) / unit, small) for one in inside[:1]),
                default=0.0,
            )
            target = Target(
                cell=cell, high=self._profile.width, small=small, spread=spread if len(inside) == 1 else 0.0
            )
            targets.append(target)
        signed = kind in _TOTALS and any(
            row.measures[measure].total < 0 or row.measures[measure].absolute > row.measures[measure].total
            for row in self._rows.values()
        )
        cells = max((one.whole for one in sums), default=0)
        cells = max([cells, *(part for one in sums for part in one.parts), *asked]) + 1
        return Additive(
            cells=cells, sums=sums, shown=known, targets=tuple(targets), asked=asked,
            signed=signed, whole=kind not in _TOTALS,
        )  # fmt: skip

    def _count_bounds(self, place: Place, measure: int) -> tuple[float, float]:
        value = self._out[place][measure]
        return self._profile.bounds(value) if isinstance(value, int) else (0.0, math.inf)

    def _total_bounds(self, place: Place, measure: int) -> tuple[float, float]:
        """Bounds of a total from its mean, to the digits that are shown, and its rounded number of records."""
        mean = self._mean(place, measure)
        digits = self._profile.digits
        half = 10.0 ** (math.floor(math.log10(abs(mean))) - digits + 1) / 2 if mean else 0.0
        counts = self._profile.bounds(self._profile.round_count(self._rows[place].measures[measure].rows))
        corners = [count * edge for count in counts for edge in (mean - half, mean + half)]
        return min(corners), max(corners)

    def _mean(self, place: Place, measure: int) -> float:
        """The mean as it is shown, or as it follows from a sum that is shown."""
        contribution = self._rows[place].measures[measure]
        if self._out[place][measure] is None or not contribution.rows:
            return 0.0
        return significant(contribution.total / contribution.rows, self._profile.digits) or 0.0

    def _prices(self, places: Mapping[int, Place]) -> dict[int, float]:
        """One for each cell, and a little more for one of many persons: few cells first, then small ones."""
        persons = {cell: self._profile.round_count(self._rows[place].persons) for cell, place in places.items()}
        everybody = sum(persons.values()) + 1
        return {cell: 1 + count / everybody for cell, count in persons.items()}


def _parts(numbers: Mapping[_Key, int], fine: _Set, coarse: _Set) -> dict[int, tuple[int, ...]]:
    """The cells of a grouping by the cell of a coarser one that they belong to."""
    kept = [place for place, key in enumerate(sorted(fine)) if key in coarse]
    found: dict[int, tuple[int, ...]] = {}
    for (chosen, labels), number in numbers.items():
        if chosen == fine:
            whole = numbers[coarse, tuple(labels[place] for place in kept)]
            found[whole] = (*found.get(whole, ()), number)
    return found


def _spread(value: float, largest: float, small: float) -> float:
    """How far the bounds of a withheld cell have to lie apart, where it is not small; its largest person counts."""
    return max(small, largest) if abs(value) > small else 0.0


_VALUES: Final[Mapping[MeasureKind, Callable[[Contribution], float]]] = {
    MeasureKind.PERSONS: lambda one: one.persons,
    MeasureKind.ROWS: lambda one: one.rows,
    MeasureKind.SUM: lambda one: one.total,
    MeasureKind.MEAN: lambda one: one.total,
}
