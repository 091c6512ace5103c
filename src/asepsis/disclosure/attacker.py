"""What can be computed from the shown cells of a table with margins about those that are not shown.

The attacker knows all shown bounds and all sums, and minimises and maximises every withheld cell. In a second kind of
attack he believes that all other cells of a sum that were withheld by themselves are empty, as where one ward belongs
to one hospital only, and that this one is small. Then he may learn that it is not empty, but its number no more
closely than the rounding of a count tells.

Source: Hundepool et al., Handbook on Statistical Disclosure Control, 2nd ed., section 4.3.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from asepsis.disclosure.additive import Additive, Target

EPSILON: Final = 1e-6
_MOST_POINTS: Final = 1_000
_NOBODY: Final[frozenset[int]] = frozenset()


class UnfinishedError(Exception):
    """Time was up, the solver gave up, or the table contradicts itself; never leaves this package."""


class Side(StrEnum):
    """What is too narrow about a cell."""

    LOW = "low"
    HIGH = "high"
    SPREAD = "spread"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """A cell whose bounds are too narrow for somebody who believes that other cells are ``empty``.

    It has to be possible that its value is at most, or at least, ``bound``; of a spread, that the bounds lie this far
    apart.
    """

    target: Target
    empty: frozenset[int]
    side: Side
    bound: float


def demands(system: Additive, *, seconds: float) -> tuple[Demand, ...]:
    """All that the attacker learns too exactly.

    A belief that makes a cell larger than a small one is wrong, and left aside. To hide more cells makes all bounds
    wider, so that nothing else is ever demanded. Raises UnfinishedError where time is up before the end, or the
    table contradicts itself.
    """
    attacker = _Attacker(system, frozenset(), seconds)
    found = [demand for target in system.targets for demand in _of(attacker, target, _NOBODY)]
    for target in system.targets:
        for empty in _beliefs(system, target):
            found += _of(attacker, target, empty)
    return tuple(found)


def unmet(system: Additive, hidden: frozenset[int], found: Iterable[Demand], *, seconds: float) -> tuple[Demand, ...]:
    """The demands that are left where some cells are hidden, too. Raises UnfinishedError as :func:`demands`."""
    attacker = _Attacker(system, hidden, seconds)
    return tuple(demand for demand in found if not _is_met(attacker, demand))


def bounds(
    system: Additive, hidden: frozenset[int], cell: int, *, empty: frozenset[int] = _NOBODY, seconds: float = 10.0
) -> tuple[float, float] | None:
    """Least and greatest value that a cell can have; None where the belief contradicts what is shown."""
    return _Attacker(system, hidden, seconds).interval(cell, empty)


def _beliefs(system: Additive, target: Target) -> set[frozenset[int]]:
    """By sum that the cell is a part of: all its other parts that the rules withheld."""
    withheld = frozenset(system.asked - system.shown.keys())
    found = set()
    for one in system.sums:
        if target.cell in one.parts:
            found.add(withheld & frozenset(one.parts) - {target.cell})
    return found - {_NOBODY}


def _of(attacker: _Attacker, target: Target, empty: frozenset[int]) -> Iterable[Demand]:
    spread = target.spread if not empty else 0.0
    least, greatest = (target.small - target.high, target.small) if empty else (0.0, target.high)
    if not spread and attacker.has_seen(target.cell, empty, least, greatest):
        return
    low, high = _interval(attacker, target, empty)
    scale = EPSILON * max(1.0, target.high)
    if spread and high - low < spread - scale:
        yield Demand(target=target, empty=empty, side=Side.SPREAD, bound=spread)
    if low > target.small + scale:
        return
    if empty:
        if min(high, target.small) - low < target.high - scale:
            yield Demand(target=target, empty=empty, side=Side.SPREAD, bound=target.high)
        return
    if low > scale:
        yield Demand(target=target, empty=empty, side=Side.LOW, bound=0.0)
    if high < target.high - scale:
        yield Demand(target=target, empty=empty, side=Side.HIGH, bound=target.high)


def _is_met(attacker: _Attacker, demand: Demand) -> bool:
    low, high = _interval(attacker, demand.target, demand.empty)
    scale = EPSILON * max(1.0, demand.target.high)
    if demand.side is Side.SPREAD:
        high = min(high, demand.target.small) if demand.empty else high
        return high - low >= demand.bound - scale
    return low <= demand.bound + scale if demand.side is Side.LOW else high >= demand.bound - scale


def _interval(attacker: _Attacker, target: Target, empty: frozenset[int]) -> tuple[float, float]:
    """Bounds of a cell; a belief that contradicts what is shown gives bounds that demand nothing."""
    interval = attacker.interval(target.cell, empty)
    if interval is None and not empty:
        raise UnfinishedError
    return interval if interval is not None else (float("inf"), float("inf"))


def most_of(system: Additive) -> float:
    """More than any cell needs to be: all shown cells together, and all that must stay open."""
    shown = sum(max(abs(low), abs(high)) for low, high in system.shown.values() if high != float("inf"))
    return 1.0 + shown + sum(max(target.high, target.spread) for target in system.targets)


def add_sums(program: Any, system: Additive, first: int) -> None:
    """The sums of a system as rows of a program, over the columns from ``first`` on."""
    infinite = program.getInfinity()
    for one in system.sums:
        columns = np.array([first + one.whole, *(first + part for part in one.parts)], np.int32)
        signs = np.array([-1.0, *(1.0 for _ in one.parts)])
        program.addRow(0.0, 0.0 if one.exact else infinite, len(columns), columns, signs)
        if not one.exact:
            for part in one.parts:
                pair = np.array([first + one.whole, first + part], np.int32)
                program.addRow(0.0, infinite, 2, pair, np.array([1.0, -1.0]))


def new_program(seconds: float) -> Any:
    """An empty program of the solver, with its own clock and one thread."""
    import highspy  # noqa: PLC0415 - heavy, and needed for tables with margins alone

    program: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    program.setOptionValue("output_flag", False)  # noqa: FBT003 - the solver's interface
    program.setOptionValue("threads", 1)
    program.setOptionValue("random_seed", 0)
    program.setOptionValue("mip_rel_gap", 0.0)
    program.setOptionValue("mip_abs_gap", 1e-9)
    program.setOptionValue("time_limit", seconds)
    return program


def is_optimal(program: Any) -> bool:
    """Whether the last run of a program ended with an optimal solution."""
    import highspy  # noqa: PLC0415 - as above

    return bool(program.getModelStatus() == highspy.HighsModelStatus.kOptimal)


class _Attacker:
    """One program over the cells, solved again and again; points that it finds answer for other cells, too."""

    def __init__(self, system: Additive, hidden: frozenset[int], seconds: float) -> None:
        import highspy  # noqa: PLC0415 - as above

        self._statuses: Any = highspy.HighsModelStatus
        self._senses: Any = highspy.ObjSense
        self._seconds = seconds
        self._points: NDArray[np.float64] = np.empty((_MOST_POINTS, system.cells))
        self._found = 0
        self._program = new_program(seconds)
        most = most_of(system)
        self._low = np.full(system.cells, -most if system.signed else 0.0)
        self._high = np.full(system.cells, most)
        for cell, (low, high) in system.shown.items():
            if cell not in hidden:
                self._low[cell], self._high[cell] = low, min(high, most)
        self._program.addVars(system.cells, self._low, self._high)
        add_sums(self._program, system, 0)
        if system.whole and not system.is_network:
            columns = np.arange(system.cells, dtype=np.int32)
            self._program.changeColsIntegrality(
                system.cells, columns, np.full(system.cells, highspy.HighsVarType.kInteger)
            )

    def has_seen(self, cell: int, empty: frozenset[int], least: float, greatest: float) -> bool:
        """Whether two states of affairs were seen in which the cell has at most, and at least, these values."""
        points = self._points[: self._found]
        if empty:
            points = points[np.abs(points[:, sorted(empty)]).max(axis=1) <= EPSILON]
        values = points[:, cell]
        return bool((values <= least + EPSILON).any() and (values >= greatest - EPSILON).any())

    def interval(self, cell: int, empty: frozenset[int]) -> tuple[float, float] | None:
        """Least and greatest value of a cell, or None where there is no state of affairs at all."""
        for other in empty:
            self._program.changeColBounds(other, 0.0, 0.0)
        self._program.changeColCost(cell, 1.0)
        low = self._solve(self._senses.kMinimize, cell)
        high = None if low is None else self._solve(self._senses.kMaximize, cell)
        self._program.changeColCost(cell, 0.0)
        for other in empty:
            self._program.changeColBounds(other, self._low[other], self._high[other])
        return None if low is None or high is None else (low, high)

    def _solve(self, sense: Any, cell: int) -> float | None:
        if self._program.getRunTime() >= self._seconds:
            raise UnfinishedError
        self._program.changeObjectiveSense(sense)
        self._program.run()
        status = self._program.getModelStatus()
        if status == self._statuses.kOptimal:
            point = np.array(self._program.getSolution().col_value)
            if self._found < _MOST_POINTS:
                self._points[self._found] = point
                self._found += 1
            return float(point[cell])
        if status in {self._statuses.kInfeasible, self._statuses.kUnboundedOrInfeasible}:
            return None
        raise UnfinishedError
