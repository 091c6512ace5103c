"""What differential privacy computes: sums of bounded contributions of persons, in whole numbers of a fixed unit.

A vector has one number per cell. It is the sum, over persons, of a vector that depends on the records of that person
alone and whose Euclidean length is at most ``norm`` in units of 2^-bits; so another person more or less changes it by
at most that much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from asepsis.domain.cells import Condition, Ordering, Output
from asepsis.domain.release import Cell

Keys = tuple[Cell, ...]

FINEST: Final = 20
"""The most bits of a step."""

_STEPS: Final = 31

PRESENCE_BITS: Final = 4
"""A person's presence in a cell counts 2^-4 at least, or nothing at all; so it counts in a bounded number of cells."""


class VectorKind(StrEnum):
    """What a vector counts."""

    PERSONS = "persons"
    RECORDS = "records"
    TOTAL = "total"


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorSpec:
    """One vector: a person's part of it is no longer than ``norm`` whole units, each of 2^``bits`` steps.

    Where ``unbought``, ``norm`` is the greatest of the lengths that can be bought, and none is bought yet.
    ``coarse`` drops persons from cells in which they would hardly count, so that nobody counts in more than a known
    number of cells.
    """

    kind: VectorKind
    norm: int
    bits: int
    unbought: bool = False
    coarse: bool = False

    @property
    def entry_steps(self) -> int:
        """The steps that one unit of an entry counts for: totals are in steps already."""
        return 1 if self.kind is VectorKind.TOTAL else 1 << self.bits

    @property
    def most_entry(self) -> int:
        """The most that a person has in one cell, before the length of the whole is bounded."""
        match self.kind:
            case VectorKind.PERSONS:
                return 1
            case VectorKind.RECORDS:
                return self.norm
            case VectorKind.TOTAL:
                return self.norm << self.bits

    def resized(self, norm: int) -> VectorSpec:
        """The same vector with another norm, in the finest steps that it allows."""
        return VectorSpec(kind=self.kind, norm=norm, bits=finest(norm), coarse=self.coarse)


def finest(norm: int) -> int:
    """The finest steps that keep the square of a person's part within 62 bits."""
    return min(FINEST, _STEPS - norm.bit_length())


def offered(most: int) -> tuple[int, ...]:
    """The lengths that can be bought: two for each doubling, up to ``most``."""
    sizes = {size << power for power in range(most.bit_length()) for size in (1, 3)}
    return (*sorted(size for size in sizes if size < most), most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Where a quantile comes from: the ``branch`` whose last key is the number of a bin of ``width``.

    Its bins begin with the number ``first``; ``level`` is that of the quantile.
    """

    branch: int
    first: int
    width: int
    level: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureSource:
    """A measure as a vector, as the quotient of two, or as the spread of three; all numbers are places of vectors.

    With ``squares``, ``total`` and ``squares`` are of values less a public one, and the measure is their variance, or
    the square ``root`` of it.
    """

    total: int
    count: int | None = None
    squares: int | None = None
    root: bool = False
    histogram: Histogram | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateBranch:
    """One grouped result. ``domains`` are the public values of its keys; None where one of them has no public list.

    A ``hidden`` branch shows no rows: quantiles of others are made of it.
    ``presence`` is the place of the vector of persons that decides which cells are shown; None where all are.
    """

    vectors: tuple[VectorSpec, ...]
    measures: tuple[MeasureSource, ...]
    outputs: tuple[Output, ...]
    domains: tuple[tuple[Cell, ...], ...] | None
    presence: int | None
    having: Condition | None = None
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateShape:
    """How the rows that are shown follow from noisy vectors; order and limit see noisy values only."""

    columns: tuple[str, ...]
    branches: tuple[PrivateBranch, ...]
    order: tuple[Ordering, ...] = ()
    limit: int | None = None

    @property
    def vectors(self) -> int:
        """How many vectors the loss of a question is shared by."""
        return sum(len(branch.vectors) for branch in self.branches)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateLengths:
    """By branch and vector, how many persons have a part of which length.

    One number for each length that is :func:`offered`: the persons whose part is longer than the length before, and
    no longer than this one; the last counts the still longer ones too. So every person counts in one at most.
    Vectors whose length is not bought have none.
    """

    branches: tuple[tuple[tuple[int, ...], ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateSums:
    """The exact vectors of every branch, by cell."""

    branches: tuple[Mapping[Keys, tuple[int, ...]], ...]
