"""A quantity that adds up over the cells of a table with margins: what is shown of it, and what must stay open.

Numbers are persons, records or totals. The cells are all that the table could have had, shown or not: nothing here
tells a cell of a few persons from one of nobody, except ``spread``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """A margin and its parts. Unless ``exact``, persons may be in several parts: the parts sum up to at least it."""

    whole: int
    parts: tuple[int, ...]
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A withheld cell. It must not become known that it is more than zero, nor that it is less than ``high``.

    This holds for cells of at most ``small``; of one that is certainly larger it need not be hidden that it is. A
    cell that is larger in truth has a ``spread``: the least distance of its bounds.
    """

    cell: int
    high: float
    small: float
    spread: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Additive:
    """One quantity: ``shown`` are the bounds that each shown cell gives away, by cell; all others are withheld.

    ``asked`` are the cells of the table; the others are margins that nobody asked for. ``signed`` says that values
    may be negative, ``whole`` that they are whole numbers.
    """

    cells: int
    sums: tuple[Sum, ...]
    shown: Mapping[int, tuple[float, float]]
    targets: tuple[Target, ...]
    asked: frozenset[int]
    signed: bool = False
    whole: bool = True

    @property
    def is_network(self) -> bool:
        """Whether linear programs over it have whole solutions: every cell stands in at most two sums.

        Source: total unimodularity of network matrices (Ahuja, Magnanti, Orlin, Network Flows, theorem 11.12).
        """
        seen = [0] * self.cells
        for one in self.sums:
            for cell in (one.whole, *one.parts):
                seen[cell] += 1
        return all(count <= _IN_A_NETWORK for count in seen) and all(one.exact for one in self.sums)


_IN_A_NETWORK = 2
