"""What can be computed from all released counts together: bounds by linear programs (HiGHS).

The persons fall into classes by the released cells they belong to. Every released count bounds the sum of some
classes. An attacker who knows which classes exist can bound each of them; a class of a few persons whose bounds are
tighter than the rounding of a single count is disclosed. Source: Hundepool et al., Handbook on Statistical Disclosure
Control, 2nd ed., section 4.3.2 (intruder's feasibility interval); measured in ``benchmarks/bench_query.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from asepsis.disclosure.people import People

MOST_CELLS: Final = 12
"""Cells in one audit: one bit each in a person's signature, and so at most 4,096 classes."""

DEFAULT_SECONDS: Final = 2.0
_SLACK: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bounded:
    """A set of persons and what is known of its size."""

    persons: People
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The places of the cells that hold a disclosed class; ``finished`` is false when time was up before the end."""

    narrow: frozenset[int]
    finished: bool


def audit(cells: Sequence[Bounded], *, least: int, width: float, seconds: float = DEFAULT_SECONDS) -> Audit:
    """Bound every class of fewer than ``least`` persons; those known within less than ``width`` are disclosed.

    Every solution is a state of affairs that the attacker cannot exclude. So classes that were seen at values far
    enough apart are done with, and the remaining ones alone are bounded one by one.
    """
    signatures, counts = _classes(cells)
    sizes = dict(zip(signatures.tolist(), counts.tolist(), strict=True))
    small = np.flatnonzero(counts < least)
    open_ = small[[not _free(int(signatures[place]), sizes, len(cells), width + 1) for place in small]]
    if len(open_) == 0:
        return Audit(narrow=frozenset(), finished=True)
    solver = _Solver(cells, signatures, seconds)
    finished = True
    while len(open_):
        solver.look(open_)
        left = open_[solver.seen(open_) < width + 1]
        if len(left) == len(open_) or solver.late:
            break
        open_ = left
    narrow: set[int] = set()
    for target in open_[solver.seen(open_) < width + 1]:
        interval = solver.interval(int(target))
        if interval is None:
            finished = False
            break
        if interval[1] - interval[0] < width:
            narrow |= {place for place in range(len(cells)) if int(signatures[target]) >> place & 1}
    return Audit(narrow=frozenset(narrow), finished=finished)


def _classes(cells: Sequence[Bounded]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The signatures of the persons of all cells (bit by bit: in which cells), and the persons of each."""
    listed = [cell.persons.listed() for cell in cells]
    persons = max((int(places[-1]) + 1 for places in listed if len(places)), default=0)
    signature = np.zeros(persons, np.uint64)
    for place, places in enumerate(listed):
        signature[places] |= np.uint64(1 << place)
    found, counts = np.unique(signature[signature > 0], return_counts=True)
    return found, counts


def _free(signature: int, sizes: dict[int, int], cells: int, width: float) -> bool:
    """Whether persons can move between classes so that this one changes by ``width`` and no released count at all.

    One person in class S or cell i alone, and one in both, are for all counts the same as one in S without i and one
    in i: so S grows at the cost of two other classes, or shrinks for their benefit.
    """
    own = sizes[signature]
    for place in range(cells):
        bit = 1 << place
        if bit == signature or bit not in sizes:
            continue
        other = signature ^ bit
        if other not in sizes:
            continue
        if signature & bit:
            gain, loss = min(sizes[other], sizes[bit]), own
        else:
            gain, loss = sizes[other], min(own, sizes[bit])
        if gain + loss >= width:
            return True
    return False


class _Solver:
    """One linear program, solved again and again for other targets; the solver's own clock bounds the work."""

    def __init__(self, cells: Sequence[Bounded], signatures: NDArray[np.uint64], seconds: float) -> None:
        import highspy  # noqa: PLC0415 - heavy, and needed by audits alone

        self._seconds = seconds
        self._api: Any = highspy
        self._program: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        self._program.setOptionValue("output_flag", False)  # noqa: FBT003 - the solver's interface
        self._program.setOptionValue("threads", 1)
        self._program.setOptionValue("time_limit", seconds)
        self._program.setOptionValue("presolve", "off")
        classes = len(signatures)
        self._low: NDArray[np.float64] = np.full(classes, math.inf)
        self._high: NDArray[np.float64] = np.full(classes, -math.inf)
        self._program.addVars(classes, np.zeros(classes), np.full(classes, highspy.kHighsInf))
        for place, cell in enumerate(cells):
            members = np.flatnonzero(signatures >> np.uint64(place) & np.uint64(1)).astype(np.int32)
            high = highspy.kHighsInf if math.isinf(cell.high) else cell.high
            self._program.addRow(cell.low, high, len(members), members, np.ones(len(members)))

    @property
    def late(self) -> bool:
        """Whether time is up."""
        return bool(self._program.getRunTime() >= self._seconds)

    def seen(self, targets: NDArray[np.int64]) -> NDArray[np.float64]:
        """How far apart the sizes of classes were seen."""
        apart: NDArray[np.float64] = self._high[targets] - self._low[targets]
        return apart

    def look(self, targets: NDArray[np.int64]) -> None:
        """See two states of affairs in which the classes together are as small, and as large, as can be."""
        for target in targets:
            self._program.changeColCost(int(target), 1.0)
        self._solve(self._api.ObjSense.kMinimize)
        self._solve(self._api.ObjSense.kMaximize)
        for target in targets:
            self._program.changeColCost(int(target), 0.0)

    def interval(self, target: int) -> tuple[float, float] | None:
        """Least and greatest size of a class, or None when time is up."""
        self._program.changeColCost(target, 1.0)
        low = self._solve(self._api.ObjSense.kMinimize)
        high = self._solve(self._api.ObjSense.kMaximize)
        self._program.changeColCost(target, 0.0)
        if low is None or high is None:
            return None
        return math.ceil(low - _SLACK), math.inf if math.isinf(high) else math.floor(high + _SLACK)

    def _solve(self, sense: Any) -> float | None:
        if self.late:
            return None
        self._program.changeObjectiveSense(sense)
        self._program.run()
        status = self._program.getModelStatus()
        if status in {self._api.HighsModelStatus.kUnbounded, self._api.HighsModelStatus.kUnboundedOrInfeasible}:
            return math.inf
        if status != self._api.HighsModelStatus.kOptimal:
            return None
        values = np.array(self._program.getSolution().col_value)
        self._low, self._high = np.minimum(self._low, values), np.maximum(self._high, values)
        return float(self._program.getInfo().objective_function_value)
