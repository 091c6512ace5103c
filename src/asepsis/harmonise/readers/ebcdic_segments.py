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

NO_ID: Final = -1
_EARLIER: Final = -1
_NONE: Final = -2
_SAME: Final = -3

Flags = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.int64]


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

    def ids(self, texts: pa.Array) -> Ids:
        """The place of every record's id among the groups, ``NO_ID`` where it is of no known kind."""
        places = {name: place for place, name in enumerate(self.segments.groups)}
        coded = texts.dictionary_encode()
        known = [places.get(self.segments.id_of(text) or "", NO_ID) for text in coded.dictionary.to_pylist()]
        found: Ids = np.array([*known, NO_ID])[coded.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)]
        return found

    def wanted(self, ids: Ids) -> dict[str, Flags]:
        """For each group of a segment, in which records its fields are."""
        groups = {name: np.zeros(len(ids), np.bool_) for name in set(self.segments.groups.values())}
        for place, group in enumerate(self.segments.groups.values()):
            groups[group] |= ids == place
        return groups

    def fill(self, ids: Ids, columns: dict[str, Any]) -> list[int]:
        """Repeat the fields of parents in the records below them, and tell which records miss a parent."""
        orphans = np.zeros(len(ids), np.bool_)
        names = sorted(set(self.segments.parents.values()))
        latest = {name: self._latest(name, ids) for name in names}
        for name, (places, _) in latest.items():
            below = [place for place, other in enumerate(self.segments.groups) if name in self.segments.above(other)]
            rows = np.flatnonzero(np.isin(ids, below))
            has_one = places[rows] != _NONE
            orphans[rows[~has_one]] = True
            self._repeat(name, rows[has_one], places[rows[has_one]], columns)
        for name, (_, last) in latest.items():
            self._carry(name, last, columns)
        return np.flatnonzero(orphans).tolist()

    def _latest(self, name: str, ids: Ids) -> tuple[Ids, int]:
        """For every record, and behind the last one, the latest one of a kind: a row, ``_EARLIER`` or ``_NONE``.

        A record of a kind above it ends what was before.
        """
        names = list(self.segments.groups)
        own = names.index(name) if name in names else NO_ID - 1
        ending = [place for place, other in enumerate(names) if other in self.segments.above(name)]
        rows = np.arange(len(ids))
        latest = np.where(ids == own, rows, np.where(np.isin(ids, ending), _NONE, _SAME))
        events = np.maximum.accumulate(np.where(latest == _SAME, -1, rows))
        before = _EARLIER if name in self._carried else _NONE
        after = np.where(events < 0, before, latest[events])
        return np.append(before, after[:-1]), int(after[-1])

    def _repeat(self, name: str, rows: Ids, sources: Ids, columns: dict[str, Any]) -> None:
        if not len(rows):
            return
        carried = self._carried.get(name, {})
        take: pa.Array | None = None
        for column in self._names(name):
            before = pa.array([carried.get(column)], pa.string())
            whole = pa.concat_arrays([before, columns[column]])
            if take is None:
                places = np.arange(1, len(whole))
                places[rows] = sources + 1
                take = pa.array(places)
            columns[column] = pc.take(whole, take)

    def _carry(self, name: str, place: int, columns: dict[str, Any]) -> None:
        if place == _NONE:
            self._carried.pop(name, None)
        elif place >= 0:
            self._carried[name] = {column: columns[column][place].as_py() for column in self._names(name)}

    def _names(self, name: str) -> list[str]:
        group = self.segments.groups.get(name)
        return [span.name for span in self.layout.spans if self.segments.group(span) == group]
