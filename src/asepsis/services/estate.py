"""Scanning a source: each different object is read once, ever; verdicts are then queries.

A scan that was stopped at any point goes on where it was: what was read stands in the index. What could not be read is
tried again by the next scan, since a network may have been down.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from asepsis.domain.estate import NOT_READ, EstateScan, IndexedObject, IndexedPoint, compare_inventory
from asepsis.domain.integrity import HistoryVerdict, ObjectFacts
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Entry, EntryType, RestorePoint, Verdict
from asepsis.errors import AsepsisError
from asepsis.integrity.formats import UNKNOWN
from asepsis.integrity.last_clean import Listing, assess_history
from asepsis.integrity.reading import Pace, read_object
from asepsis.ports import Clock, ObjectIndex, Source

_SECONDS: Final = 1.0
"""What was read in about this time is kept at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a scan is, in objects and bytes that were not known before."""

    objects: int
    of_objects: int
    bytes: int
    of_bytes: int


Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """One source and the index of what was seen of it."""

    source: Source
    index: ObjectIndex
    clock: Clock
    pace: Pace = lambda _: None
    reads: bool = True
    """Whether objects that the index does not know are read; else they are unknown, and nothing is kept of them."""

    def scan(self, *, report: Report = lambda _: None) -> EstateScan:
        """Read what is new, judge everything, and compare the restore points with those seen before."""
        name = self.source.uri
        points = self.source.restore_points()
        listings = {point.id: self._entries(point) for point in points}
        wanted = _different(points, listings)
        known = {key: item for key, item in self.index.known(name).items() if item.facts is not None}
        fresh = {key: found for key, found in wanted.items() if key not in known}
        for batch in self._read(fresh, report):
            if self.reads:
                self.index.add(name, batch)
            known |= {item.key: item for item in batch}
        now = {point.id: self._indexed(point, listings[point.id]) for point in points}
        inventory = compare_inventory(self.index.points(name), now)
        if self.reads:
            self.index.add_points(name, list(now.values()))
        history = _judged(points, listings, known)
        return EstateScan(
            history=history,
            inventory=inventory,
            objects=len(wanted),
            new_objects=len(fresh),
            new_bytes=sum(entry.size for _, entry in fresh.values()),
            digests=_digests(history, listings, known),
            roots={point.id: point.entries for point in now.values()},
            unread=sum(known[key].facts is None for key in wanted),
            unparsed=sum(_is_unparsed(known[key]) for key in wanted),
        )

    def _entries(self, point: RestorePoint) -> list[Entry] | AsepsisError:
        if point.fault is not None:
            return []
        try:
            return list(self.source.walk(point.id))
        except AsepsisError as error:
            return error

    def _read(self, fresh: dict[str, tuple[RestorePointId, Entry]], report: Report) -> Iterator[list[IndexedObject]]:
        """Batches, so that a kill loses little and the index is not written for every object."""
        batch: list[IndexedObject] = []
        done, of_bytes, started = 0, sum(entry.size for _, entry in fresh.values()), time.monotonic()
        for number, (key, (point, entry)) in enumerate(fresh.items(), start=1):
            batch.append(self._object(key, point, entry))
            done += entry.size
            report(Progress(objects=number, of_objects=len(fresh), bytes=done, of_bytes=of_bytes))
            if time.monotonic() - started >= _SECONDS:
                yield batch
                batch, started = [], time.monotonic()
        if batch:
            yield batch

    def _object(self, key: str, point: RestorePointId, entry: Entry) -> IndexedObject:
        if not self.reads:
            return IndexedObject(key=key, size=entry.size, facts=None, fault=NOT_READ)
        try:
            with self.source.open(point, entry.path) as stream:
                return read_object(stream, key=key, size=entry.size, pace=self.pace)
        except AsepsisError as error:
            return IndexedObject(key=key, size=entry.size, facts=None, fault=error.code)

    def _indexed(self, point: RestorePoint, entries: list[Entry] | AsepsisError) -> IndexedPoint:
        listed = [entries.code] if isinstance(entries, AsepsisError) else [f"{e.path}\0{_key(e)}" for e in entries]
        digest = sha256("\n".join(listed).encode(errors="surrogateescape"))
        return IndexedPoint(id=point.id, taken_at=point.taken_at, first_seen=self.clock(), entries=digest.hexdigest())


def _is_unparsed(item: IndexedObject) -> bool:
    return item.facts is not None and item.facts.format == UNKNOWN


def _key(entry: Entry) -> str:
    """The content, where the source knows it; else what would change with it."""
    if entry.content_id is not None:
        return entry.content_id
    text = f"{entry.path}\0{entry.size}\0{entry.modified_at}"
    return "seen:" + sha256(text.encode(errors="surrogateescape")).hexdigest()


def _different(
    points: list[RestorePoint], listings: dict[RestorePointId, list[Entry] | AsepsisError]
) -> dict[str, tuple[RestorePointId, Entry]]:
    """Every different object, with a place where it can be read."""
    found: dict[str, tuple[RestorePointId, Entry]] = {}
    for point in points:
        listed = listings[point.id]
        for entry in listed if isinstance(listed, list) else []:
            if entry.type is EntryType.FILE:
                found.setdefault(_key(entry), (point.id, entry))
    return found


def _judged(
    points: list[RestorePoint],
    listings: dict[RestorePointId, list[Entry] | AsepsisError],
    known: dict[str, IndexedObject],
) -> HistoryVerdict:
    def entries(point: RestorePoint) -> Iterator[Entry]:
        listed = listings[point.id]
        if isinstance(listed, AsepsisError):
            raise listed
        yield from listed

    def look(_: RestorePointId, entry: Entry) -> ObjectFacts | str:
        found = known[_key(entry)]
        return found.facts if found.facts is not None else found.fault or ""

    return assess_history((Listing(point=point, entries=entries(point)) for point in points), look)


def _digests(
    history: HistoryVerdict,
    listings: dict[RestorePointId, list[Entry] | AsepsisError],
    known: dict[str, IndexedObject],
) -> dict[str, str]:
    found: dict[str, str] = {}
    for verdict in history.points:
        listed = listings[verdict.point.id]
        by_path = {entry.path: entry for entry in listed} if isinstance(listed, list) else {}
        for item in verdict.objects:
            digest = known[_key(by_path[item.path])].blake3 if item.path in by_path else None
            if digest is not None and item.verdict is not Verdict.CLEAN:
                found[item.path] = digest
    return found
