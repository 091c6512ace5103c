"""Which further cells of a table with margins stay inside, so that sums do not give the withheld ones away.

The least costly choice is a mixed-integer program (HiGHS): for each demand of the attacker a copy of the cells that
meets it, in which hidden cells are free. Where that takes too long, cells are chosen one demand after the other by
linear programs. Either way the choice counts only after the attacker has tried again and learned nothing.
Source: Fischetti, Salazar-Gonzalez, Solving the cell suppression problem on tabular data with linear constraints,
Management Science 47 (2001), section 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from asepsis.disclosure.additive import Additive
from asepsis.disclosure.attacker import (
    EPSILON,
    Demand,
    Side,
    UnfinishedError,
    add_sums,
    demands,
    is_optimal,
    most_of,
    new_program,
    unmet,
)

DEFAULT_SECONDS: Final = 2.0
MOST_COLUMNS: Final = 60_000
"""Above this size no optimum is searched for."""

_AUDIT: Final = 4.0
"""Time of an audit, in times of a choice."""

_MOST_TRIALS: Final = 24
_Placed = tuple[int, Demand]
"""A demand and the place of its system."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The cells to hide; ``least`` says that no cheaper ones meet the demands that were found."""

    hidden: frozenset[int]
    least: bool


def complements(
    systems: Sequence[Additive],
    *,
    prices: Mapping[int, float],
    seconds: float = DEFAULT_SECONDS,
) -> Choice | None:
    """The cells among those with a price that are hidden, too; None where nothing protects the withheld ones.

    All systems are over the same cells, and a hidden cell is hidden in all of them.
    """
    try:
        return _chosen(systems, prices, seconds)
    except UnfinishedError:
        return None


def _chosen(systems: Sequence[Additive], prices: Mapping[int, float], seconds: float) -> Choice | None:
    found = [
        (place, demand) for place, system in enumerate(systems) for demand in demands(system, seconds=_AUDIT * seconds)
    ]
    if not found:
        return Choice(hidden=frozenset(), least=True)
    hidden = _least(systems, found, prices, seconds)
    if hidden is not None and not _unmet(systems, hidden, found, seconds):
        return Choice(hidden=hidden, least=True)
    hidden = frozenset()
    left: Sequence[_Placed] = found
    while left:
        more = _enough(systems, left, prices, hidden, seconds=seconds)
        if more is None or more == hidden:
            return None
        hidden = more
        left = _unmet(systems, hidden, found, seconds)
    return Choice(hidden=_without_needless(systems, hidden, found, prices, seconds=seconds), least=False)


def _without_needless(
    systems: Sequence[Additive],
    hidden: frozenset[int],
    found: Sequence[_Placed],
    prices: Mapping[int, float],
    *,
    seconds: float,
) -> frozenset[int]:
    """The cells without those that are not needed beside the others, the dearest first."""
    for cell in sorted(hidden, key=lambda one: (-prices[one], one))[:_MOST_TRIALS]:
        if not _unmet(systems, hidden - {cell}, found, seconds):
            hidden -= {cell}
    return hidden


def _unmet(
    systems: Sequence[Additive], hidden: frozenset[int], found: Sequence[_Placed], seconds: float
) -> list[_Placed]:
    """The attacker tries again."""
    left: list[_Placed] = []
    for number, system in enumerate(systems):
        own = [demand for place, demand in found if place == number]
        left += [(number, demand) for demand in unmet(system, hidden, own, seconds=_AUDIT * seconds)]
    return left


def _least(
    systems: Sequence[Additive], placed: Sequence[_Placed], prices: Mapping[int, float], seconds: float
) -> frozenset[int] | None:
    """The cheapest cells that meet all demands, or None where that is too much work."""
    if sum(systems[place].cells * (1 + (demand.side is Side.SPREAD)) for place, demand in placed) > MOST_COLUMNS:
        return None
    program = new_program(seconds)
    choosing = _Choosing(program, {cell: place for place, cell in enumerate(sorted(prices))})
    for cell in sorted(prices):
        program.addVar(0.0, 1.0)
        program.changeColCost(choosing.columns[cell], prices[cell])
        choosing.make_whole(choosing.columns[cell])
    for place, demand in placed:
        choosing.meet(systems[place], demand)
    program.run()
    if not is_optimal(program):
        return None
    values = program.getSolution().col_value
    return frozenset(cell for cell, column in choosing.columns.items() if values[column] > 1 / 2)


def _enough(
    systems: Sequence[Additive],
    placed: Sequence[_Placed],
    prices: Mapping[int, float],
    hidden: frozenset[int],
    *,
    seconds: float,
) -> frozenset[int] | None:
    """Some cells that meet the demands, one after the other; what is hidden already costs nothing more."""
    for place, demand in placed:
        system = systems[place]
        program = new_program(seconds)
        choosing = _Choosing(program, {})
        open_ = {cell: price for cell, price in prices.items() if cell not in hidden}
        moved = choosing.meet_by_moving(system, demand, open_, hidden)
        program.run()
        if not is_optimal(program):
            return None
        values = program.getSolution().col_value
        chosen = {cell for cell, columns in moved.items() if sum(values[column] for column in columns) > EPSILON}
        hidden |= chosen or {cell for cell in _above(system, demand.target.cell) if cell in open_}
    return hidden


def _above(system: Additive, cell: int) -> set[int]:
    """All margins that a cell is a part of."""
    found: set[int] = set()
    waiting = [cell]
    while waiting:
        part = waiting.pop()
        wholes = {one.whole for one in system.sums if part in one.parts} - found
        found |= wholes
        waiting += wholes
    return found


class _Choosing:
    """Copies of the cells in a program; ``columns`` are those of the cells that can be hidden."""

    def __init__(self, program: Any, columns: Mapping[int, int]) -> None:
        self._program = program
        self.columns = columns

    def make_whole(self, column: int) -> None:
        import highspy  # noqa: PLC0415 - heavy, and needed for tables with margins alone

        self._program.changeColIntegrality(column, highspy.HighsVarType.kInteger)

    def meet(self, system: Additive, demand: Demand) -> None:
        """A state of affairs that meets the demand, as far as cells are hidden."""
        for first in self._states(system, demand):
            most, floor = most_of(system), _floor(system)
            for cell, (low, high) in system.shown.items():
                if cell not in self.columns:
                    continue
                pair = np.array([first + cell, self.columns[cell]], np.int32)
                self._row(-self._program.getInfinity(), min(high, most), pair, [1.0, min(high, most) - most])
                self._row(low, self._program.getInfinity(), pair, [1.0, low - floor])

    def meet_by_moving(
        self, system: Additive, demand: Demand, prices: Mapping[int, float], hidden: frozenset[int]
    ) -> dict[int, list[int]]:
        """A state of affairs that meets the demand; by cell, the columns that say how far it left its bounds."""
        moved: dict[int, list[int]] = {}
        most, infinite = most_of(system), self._program.getInfinity()
        for first in self._states(system, demand, free=prices.keys() | hidden):
            for cell, (low, high) in system.shown.items():
                if cell not in prices:
                    continue
                column = self._program.getNumCol()
                for sign, lower, upper in ((-1.0, -infinite, min(high, most)), (1.0, low, infinite)):
                    self._program.addVar(0.0, infinite)
                    self._program.changeColCost(column, prices[cell])
                    self._row(lower, upper, np.array([first + cell, column], np.int32), [1.0, sign])
                    moved.setdefault(cell, []).append(column)
                    column += 1
        return moved

    def _states(self, system: Additive, demand: Demand, free: frozenset[int] | set[int] | None = None) -> list[int]:
        """The first columns of the copies that a demand needs: one, or two that lie apart."""
        cell = demand.target.cell
        free = frozenset(self.columns) if free is None else free
        if demand.side is not Side.SPREAD:
            first = self._copy(system, demand, free)
            high = demand.side is Side.HIGH
            least, greatest = (demand.bound, most_of(system)) if high else (_floor(system), demand.bound)
            self._program.changeColBounds(first + cell, least, greatest)
            return [first]
        states = [self._copy(system, demand, free), self._copy(system, demand, free)]
        if demand.empty:
            for state in states:
                self._program.changeColBounds(state + cell, _floor(system), demand.target.small)
        pair = np.array([state + cell for state in states], np.int32)
        self._row(demand.bound, self._program.getInfinity(), pair, [-1.0, 1.0])
        return states

    def _copy(self, system: Additive, demand: Demand, free: frozenset[int] | set[int]) -> int:
        first = int(self._program.getNumCol())
        most = most_of(system)
        low, high = np.full(system.cells, _floor(system)), np.full(system.cells, most)
        for cell, (least, greatest) in system.shown.items():
            if cell not in free:
                low[cell], high[cell] = least, min(greatest, most)
        for cell in demand.empty:
            low[cell] = high[cell] = 0.0
        self._program.addVars(system.cells, low, high)
        add_sums(self._program, system, first)
        if system.whole and not system.is_network:
            for column in range(first, first + system.cells):
                self.make_whole(column)
        return first

    def _row(self, low: float, high: float, columns: Any, values: list[float]) -> None:
        self._program.addRow(low, high, len(columns), columns, np.array(values))


def _floor(system: Additive) -> float:
    return -most_of(system) if system.signed else 0.0
