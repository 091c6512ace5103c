"""Scanning a source: each different object is read once, ever; verdicts are then queries.

A scan that was stopped at any point goes on where it was: what was read stands in the index. What could not be read is
tried again by the next scan, since a network may have been down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from asepsis.domain.estate import NOT_READ, EstateScan, IndexedObject, IndexedPoint, Points, compare_inventory
from asepsis.domain.integrity import HistoryVerdict, ObjectFacts, RuleHit
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Entry, EntryType, RestorePoint, Verdict
from asepsis.errors import AsepsisError
from asepsis.integrity.composite import best_composite
from asepsis.integrity.formats import UNKNOWN
from asepsis.integrity.last_clean import Listing, assess_history
from asepsis.integrity.notes import OUR_NAMES, KnownNames
from asepsis.integrity.reading import CHECKS, Pace
from asepsis.ports import Clock, ContentRules, InventoryRecord, ObjectIndex, Source
from asepsis.services.estate_reading import Places, Progress, Reading, Report

__all__ = ["Estate", "Progress", "Report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """One source and the index of what was seen of it."""

    source: Source
    index: ObjectIndex
    clock: Clock
    pace: Pace = lambda _: None
    reads: bool = True
    """Whether objects that the index does not know are read; else they are unknown, and nothing is kept of them."""
    rules: ContentRules | None = None
    """Held against every object, once; without them, those that were used last count."""
    names: KnownNames = OUR_NAMES
    before: datetime | None = None
    """Points taken then or later have no part in the composite: somebody may have been inside by then."""
    record: InventoryRecord | None = None
    """The hospital's own record of the restore points; without it, the index's word is taken."""

    def scan(self, *, report: Report = lambda _: None) -> EstateScan:
        """Read what is new, judge everything, and compare the restore points with those seen before."""
        name = self.source.uri
        seen = self.index.points(name) if self.record is None else self.record.points(name)
        points = self.source.restore_points()
        listings = {point.id: self._entries(point) for point in points}
        keys = _Keys()
        wanted = _different(points, listings, keys)
        known = {key: item for key, item in self.index.known(name).items() if _is_current(item)}
        fresh = {key: found for key, found in wanted.items() if key not in known}
        hits = self._hits(name)
        hunted = {key: found for key, found in wanted.items() if key in known and self.rules and key not in hits}
        for objects, found in self._read(fresh, hunted, report):
            known |= objects
            hits |= found
        now = {point.id: self._indexed(point, listings[point.id], keys) for point in points}
        self._keep(name, now, seen)
        behind = _Behind(keys=keys, objects=known, hits=hits)
        history = _judged(points, listings, behind, self.names)
        return EstateScan(
            history=history,
            inventory=compare_inventory(seen, now),
            objects=len(wanted),
            new_objects=len(fresh),
            new_bytes=sum(entry.size for _, entry in fresh.values()),
            digests=_digests(history, listings, behind),
            roots={point.id: point.entries for point in now.values()},
            size=_size(wanted, lambda _: True),
            size_read=_size(wanted, lambda key: known[key].facts is not None),
            size_checked=_size(wanted, lambda key: _is_checked(known[key])),
            unread=sum(known[key].facts is None for key in wanted),
            unparsed=sum(_is_unparsed(known[key]) for key in wanted),
            composite=best_composite(history, _paths(listings), before=self.before),
            rules=next(iter(self.index.rule_sets()[-1:]), None),
            unhunted=sum(key not in hits for key in wanted),
            names=self.names.edition,
        )

    def _hits(self, name: str) -> dict[str, tuple[RuleHit, ...]]:
        """What the rules in use found in known objects."""
        if self.rules is not None and self.reads:
            self.index.use(self.rules.known_as)
        in_use = self.index.rule_sets()[-1:]
        return self.index.hunted(name, in_use[0].digest) if in_use else {}

    def _read(
        self, fresh: Places, hunted: Places, report: Report
    ) -> Iterator[tuple[dict[str, IndexedObject], dict[str, tuple[RuleHit, ...]]]]:
        if not self.reads:
            yield {key: _unread(key, entry) for key, (_, entry) in fresh.items()}, {}
            return
        rules = "" if self.rules is None else self.rules.known_as.digest
        reading = Reading(source=self.source, pace=self.pace, rules=self.rules)
        for batch in reading.batches(fresh, hunted, report):
            self.index.add(self.source.uri, batch.objects, hunted=batch.hunted, rules=rules)
            yield {item.key: item for item in batch.objects}, batch.hunted

    def _keep(self, name: str, now: Points, seen: Points) -> None:
        """Keep what was seen; the record wants only what is new, and the numbers of what judged it."""
        if not self.reads:
            return
        self.index.add_points(name, now.values())
        if self.record is not None:
            in_use = self.index.rule_sets()[-1:]
            self.record.add(
                name,
                [point for id_, point in now.items() if id_ not in seen],
                present=len(now),
                checks=CHECKS,
                rules=in_use[0].digest if in_use else "",
            )

    def _entries(self, point: RestorePoint) -> list[Entry] | AsepsisError:
        if point.fault is not None:
            return []
        try:
            return list(self.source.walk(point.id))
        except AsepsisError as error:
            return error

    def _indexed(self, point: RestorePoint, entries: list[Entry] | AsepsisError, keys: _Keys) -> IndexedPoint:
        listed = [entries.code] if isinstance(entries, AsepsisError) else [f"{e.path}\0{keys.of(e)}" for e in entries]
        digest = sha256("\n".join(listed).encode(errors="surrogateescape"))
        return IndexedPoint(id=point.id, taken_at=point.taken_at, first_seen=self.clock(), entries=digest.hexdigest())


def _paths(listings: dict[RestorePointId, list[Entry] | AsepsisError]) -> dict[RestorePointId, list[str]]:
    return {
        id_: [entry.path for entry in listed if entry.type is EntryType.FILE]
        for id_, listed in listings.items()
        if isinstance(listed, list)
    }


def _unread(key: str, entry: Entry) -> IndexedObject:
    return IndexedObject(key=key, size=entry.size, facts=None, fault=NOT_READ)


def _is_current(item: IndexedObject) -> bool:
    return item.facts is not None and item.checks == CHECKS


def _size(wanted: Places, counts: Callable[[str], bool]) -> int:
    return sum(entry.size for key, (_, entry) in wanted.items() if counts(key))


def _is_checked(item: IndexedObject) -> bool:
    return item.facts is not None and item.facts.is_checked


def _is_unparsed(item: IndexedObject) -> bool:
    return item.facts is not None and item.facts.format == UNKNOWN


class _Keys:
    """What objects are known by: the content, where the source knows it; else what would change with it."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int, datetime | None], str] = {}

    def of(self, entry: Entry) -> str:
        """The key of an entry, worked out once."""
        if entry.content_id is not None:
            return entry.content_id
        seen = entry.path, entry.size, entry.modified_at
        if seen not in self._found:
            text = f"{entry.path}\0{entry.size}\0{entry.modified_at}"
            self._found[seen] = "seen:" + sha256(text.encode(errors="surrogateescape")).hexdigest()
        return self._found[seen]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Behind:
    """What is known of the objects behind entries."""

    keys: _Keys
    objects: dict[str, IndexedObject]
    hits: dict[str, tuple[RuleHit, ...]]

    def object(self, entry: Entry) -> IndexedObject:
        return self.objects[self.keys.of(entry)]


def _different(
    points: list[RestorePoint], listings: dict[RestorePointId, list[Entry] | AsepsisError], keys: _Keys
) -> dict[str, tuple[RestorePointId, Entry]]:
    """Every different object, with a place where it can be read."""
    found: dict[str, tuple[RestorePointId, Entry]] = {}
    for point in points:
        listed = listings[point.id]
        for entry in listed if isinstance(listed, list) else []:
            if entry.type is EntryType.FILE:
                found.setdefault(keys.of(entry), (point.id, entry))
    return found


def _judged(
    points: list[RestorePoint],
    listings: dict[RestorePointId, list[Entry] | AsepsisError],
    behind: _Behind,
    names: KnownNames,
) -> HistoryVerdict:
    def entries(point: RestorePoint) -> Iterator[Entry]:
        listed = listings[point.id]
        if isinstance(listed, AsepsisError):
            raise listed
        yield from listed

    def look(_: RestorePointId, entry: Entry) -> ObjectFacts | str:
        found = behind.object(entry)
        if found.facts is None:
            return found.fault or ""
        matched = behind.hits.get(found.key)
        return replace(found.facts, hits=matched) if matched else found.facts

    return assess_history((Listing(point=point, entries=entries(point)) for point in points), look, names=names)


def _digests(
    history: HistoryVerdict,
    listings: dict[RestorePointId, list[Entry] | AsepsisError],
    behind: _Behind,
) -> dict[str, str]:
    found: dict[str, str] = {}
    for verdict in history.points:
        listed = listings[verdict.point.id]
        by_path = {entry.path: entry for entry in listed} if isinstance(listed, list) else {}
        for item in verdict.objects:
            digest = behind.object(by_path[item.path]).blake3 if item.path in by_path else None
            if digest is not None and item.verdict is not Verdict.CLEAN:
                found[item.path] = digest
    return found
