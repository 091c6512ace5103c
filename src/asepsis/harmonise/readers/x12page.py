"""What reading X12 remembers: loops with the segments that paths ask for, and records that are not yet given on."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from asepsis.harmonise.readers.batch import Batch, ends_of
from asepsis.harmonise.readers.record import RecordKind

Words = list[str]


class Loop:
    """A loop: the loop around it, and the segments in it that paths ask for, by the number of the path."""

    __slots__ = ("depth", "found", "heads", "name", "parent", "problem")

    def __init__(self, name: str, parent: Loop | None, problem: str | None = None) -> None:
        self.name = name
        self.parent = parent
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.problem: str | None = problem or (None if parent is None else parent.problem)
        self.found: dict[int, tuple[list[int], list[Words]]] = {}
        self.heads: dict[str, Words] = {}

    def keep(self, path: int, index: int, words: Words) -> None:
        """Remember a segment for a path."""
        places, segments = self.found.setdefault(path, ([], []))
        places.append(index)
        segments.append(words)

    def nearest(self, path: int, index: int) -> Words | None:
        """The segment for a path that is nearest to a record: at or before it, else after it in its own loop.

        Loops around it are asked from the inside out; what stands in them stands before this loop.
        """
        own = self.found.get(path)
        if own is not None:
            return own[1][max(bisect_right(own[0], index) - 1, 0)]
        loop = self.parent
        while loop is not None:
            around = loop.found.get(path)
            if around is not None:
                return around[1][-1]
            loop = loop.parent
        return None


@dataclass(slots=True)
class Page:
    """Records that are not yet given on, by their index among them; ``rows`` are the indexes of ``values``."""

    pieces: list[bytes] = field(default_factory=list)
    size: int = 0
    kinds: dict[int, RecordKind] = field(default_factory=dict)
    defects: dict[int, tuple[str, ...]] = field(default_factory=dict)
    rows: list[int] = field(default_factory=list)
    values: list[tuple[str | None, ...]] = field(default_factory=list)
    declared: int | None = None
    counted: int = 0

    def add(self, piece: bytes, kind: RecordKind = RecordKind.DATA, defect: str | None = None) -> int:
        """Add one record; returns its index."""
        index = len(self.pieces)
        self.pieces.append(piece)
        if kind is not RecordKind.DATA:
            self.kinds[index] = kind
        if defect is not None:
            self.defects[index] = (defect,)
        return index

    def mark(self, index: int, *defects: str) -> None:
        """Give a record defects; one of the format itself then becomes data that is set aside with its reasons."""
        if index >= 0 and defects:
            self.kinds.pop(index, None)
            self.defects[index] = (*self.defects.get(index, ()), *defects)

    def mark_rows(self, first: int, *defects: str) -> None:
        """Give defects to every row from an index on."""
        for index in self.rows[bisect_left(self.rows, first) :] if defects else ():
            self.mark(index, *defects)

    def declare(self, declared: str, counted: int) -> None:
        """Add what a transaction says it holds, and what it holds."""
        if declared.isdecimal() and len(declared) < len(str(1 << 31)):
            self.declared = (self.declared or 0) + int(declared)
        self.counted += counted

    def batch(self, names: Sequence[str], *, number: int, offset: int) -> Batch:
        """All records as one batch; ``names`` are the columns of the values."""
        columns: dict[str, list[str | None]] = {name: [None] * len(self.pieces) for name in names}
        for place, values in enumerate(zip(*self.values, strict=True)):
            column = columns[names[place]]
            for index, value in zip(self.rows, values, strict=True):
                column[index] = value
        return Batch(
            number=number,
            offset=offset,
            data=b"".join(self.pieces),
            ends=ends_of(map(len, self.pieces)),
            kinds=self.kinds,
            defects=self.defects,
            columns=columns,
            declared=self.declared,
            counted=self.counted,
        )
