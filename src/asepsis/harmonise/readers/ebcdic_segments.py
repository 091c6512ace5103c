"""Files of several kinds of records: a field tells the kind, and each kind has one redefinition of the record.

The fields of a redefinition are filled in records of its kind only. A kind that has a parent repeats the fields of the
latest record of that parent, as long as no record of a kind above the parent came in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from asepsis.harmonise.readers.copybook import Layout, Span

UNKNOWN: Final = "segment_unknown"
ORPHAN: Final = "segment_orphan"

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """``field`` holds the id of a record, ``groups`` tell the group of each id, ``parents`` the id above an id."""

    field: str
    groups: Mapping[str, str]
    parents: Mapping[str, str]

    def above(self, name: str) -> tuple[str, ...]:
        """The ids above an id, the nearest first."""
        found: list[str] = []
        while (name := self.parents.get(name, "")) and name not in found:
            found.append(name)
        return tuple(found)

    def group(self, span: Span) -> str | None:
        """The group of a segment that a field is in, if any."""
        return self.group_of((*span.path, span.name))

    def group_of(self, path: tuple[str, ...]) -> str | None:
        """The innermost group of a segment on a path."""
        groups = set(self.groups.values())
        return next((name for name in reversed(path) if name in groups), None)

    def id_of(self, text: str | None) -> str | None:
        """The id that the text of the field tells, ``None`` where it has no group."""
        name = (text or "").strip(" \0")
        return name if name in self.groups else None


@dataclass(slots=True)
class Hierarchy:
    """What is carried from batch to batch: the latest record of every kind that has others below it."""

    segments: Segments
    layout: Layout
    _carried: dict[str, dict[str, str | None]] = field(default_factory=dict)

    def wanted(self, ids: list[str | None]) -> dict[str, Flags]:
        """For each group of a segment, in which records its fields are."""
        groups = {name: np.zeros(len(ids), np.bool_) for name in set(self.segments.groups.values())}
        for row, name in enumerate(ids):
            group = self.segments.groups.get(name or "")
            if group is not None:
                groups[group][row] = True
        return groups

    def fill(self, ids: list[str | None], columns: dict[str, Any]) -> list[int]:
        """Repeat the fields of parents in the records below them, and tell which records miss a parent."""
        latest = _Latest(self.segments, set(self._carried))
        for row, name in enumerate(ids):
            if name is not None:
                latest.see(row, name)
        self._repeat(latest.sources, columns)
        self._carry(latest.rows, columns)
        return latest.orphans

    def _repeat(self, sources: dict[str, list[tuple[int, int]]], columns: dict[str, Any]) -> None:
        for name, pairs in sources.items():
            if not pairs:
                continue
            rows, places = zip(*pairs, strict=True)
            carried = self._carried.get(name, {})
            for column in self._names(name):
                before = pa.array([carried.get(column)], pa.string())
                whole = pa.concat_arrays([before, columns[column]])
                take = np.arange(1, len(whole))
                take[list(rows)] = np.array(places) + 1
                columns[column] = pc.take(whole, pa.array(take))

    def _carry(self, latest: dict[str, int | None], columns: dict[str, Any]) -> None:
        for name, place in latest.items():
            if place is None:
                self._carried.pop(name, None)
            elif place >= 0:
                self._carried[name] = {column: columns[column][place].as_py() for column in self._names(name)}

    def _names(self, name: str) -> list[str]:
        group = self.segments.groups.get(name)
        return [span.name for span in self.layout.spans if self.segments.group(span) == group]


class _Latest:
    """The latest record of each kind with others below it: a row, -1 for one of an earlier batch, or none."""

    def __init__(self, segments: Segments, carried: set[str]) -> None:
        parents = set(segments.parents.values())
        self._above = {name: segments.above(name) for name in segments.groups}
        self.rows: dict[str, int | None] = {name: (-1 if name in carried else None) for name in parents}
        self.sources: dict[str, list[tuple[int, int]]] = {name: [] for name in parents}
        self.orphans: list[int] = []

    def see(self, row: int, name: str) -> None:
        """Go on to the next record."""
        places = [(above, self.rows[above]) for above in self._above[name]]
        for above, place in places:
            if place is not None:
                self.sources[above].append((row, place))
        if any(place is None for _, place in places):
            self.orphans.append(row)
        if name in self.rows:
            self.rows[name] = row
            for other in self.rows:
                if name in self._above[other]:
                    self.rows[other] = None
