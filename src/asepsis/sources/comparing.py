"""How two restore points of any source differ: by content ids where the source knows them, else by digests.

A digest is asked for only where it decides: two files of one path and size, or a vanished and a new file of one size.
Times decide nothing, because whoever changes a file can set its time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Protocol

from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Change, Entry, EntryType
from asepsis.integrity.differences import diff
from asepsis.sources.digests import Opens, digest_of


class Walks(Opens, Protocol):
    """What lists and opens entries."""

    def walk(self, point: RestorePointId) -> Iterable[Entry]:
        """Every entry."""

    def in_stored_order(self, point: RestorePointId, paths: Collection[str]) -> list[str]:
        """The paths in the order in which reading them costs least."""


def compared(
    source: Walks,
    older: RestorePointId,
    newer: RestorePointId,
    *,
    among: Collection[str] | None = None,
    known: Collection[str] = frozenset(),
) -> list[Change]:
    """All changes from ``older`` to ``newer``, ordered by path.

    ``among`` are the only paths that can differ, ``known`` those of files whose content certainly does.
    """
    if older == newer:
        return []
    before, after = _Side(source, older, among), _Side(source, newer, among)
    common = before.unknown().keys() & after.unknown().keys()
    undecided = {p for p in common if p not in known and before.entries[p].size == after.entries[p].size}
    for side, name in ((before, "older"), (after, "newer")):
        side.read(undecided)
        for path in common - undecided:
            side.name(path, name)
    gone = {path: entry for path, entry in before.unknown().items() if path not in after.entries}
    come = {path: entry for path, entry in after.unknown().items() if path not in before.entries}
    sizes = {entry.size for entry in gone.values()} & {entry.size for entry in come.values()} - {0}
    for side, entries in ((before, gone), (after, come)):
        side.read({path for path, entry in entries.items() if entry.size in sizes})
    return diff(before.entries.values(), after.entries.values())


class _Side:
    """The entries of one restore point; content ids are filled in as they become known."""

    def __init__(self, source: Walks, point: RestorePointId, among: Collection[str] | None) -> None:
        self._source = source
        self._point = point
        self.entries = {entry.path: entry for entry in source.walk(point) if among is None or entry.path in among}

    def unknown(self) -> dict[str, Entry]:
        """Files without a content id."""
        return {
            path: entry
            for path, entry in self.entries.items()
            if entry.type is EntryType.FILE and entry.content_id is None
        }

    def name(self, path: str, content_id: str) -> None:
        self.entries[path] = replace(self.entries[path], content_id=content_id)

    def read(self, paths: Collection[str]) -> None:
        for path in self._source.in_stored_order(self._point, paths):
            self.name(path, digest_of(self._source, self._point, path))
