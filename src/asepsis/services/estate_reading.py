"""Reading what a scan needs: objects that nobody looked at, and known ones that new rules were never held against."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from asepsis.domain.estate import IndexedObject
from asepsis.domain.integrity import RuleHit
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Entry
from asepsis.errors import AsepsisError
from asepsis.integrity.reading import Pace, read_object
from asepsis.ports import ContentRules, Source

_SECONDS: Final = 1.0
"""What was read in about this time is kept at once."""
_PIECE: Final = 1 << 20

Places = Mapping[str, tuple[RestorePointId, Entry]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a scan is, in objects and bytes that were not known before."""

    objects: int
    of_objects: int
    bytes: int
    of_bytes: int


Report = Callable[[Progress], None]


@dataclass(slots=True)
class Batch:
    """What was read in about a second."""

    objects: list[IndexedObject] = field(default_factory=list)
    hunted: dict[str, tuple[RuleHit, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Reads objects of a source once, and holds the rules against them, if there are any."""

    source: Source
    pace: Pace
    rules: ContentRules | None

    def batches(self, fresh: Places, known: Places, report: Report) -> Iterator[Batch]:
        """Batches, so that a kill loses little and the index is not written for every object.

        Of ``known`` objects only what the rules say is wanted.
        """
        batch, started = Batch(), time.monotonic()
        total, done = [*fresh.items(), *known.items()], 0
        of_bytes = sum(entry.size for _, (_, entry) in total)
        for number, (key, (point, entry)) in enumerate(total, start=1):
            if key in fresh:
                self._look(batch, key, point, entry)
            else:
                self._hunt(batch, key, point, entry)
            done += entry.size
            report(Progress(objects=number, of_objects=len(total), bytes=done, of_bytes=of_bytes))
            if time.monotonic() - started >= _SECONDS:
                yield batch
                batch, started = Batch(), time.monotonic()
        if batch.objects or batch.hunted:
            yield batch

    def _look(self, batch: Batch, key: str, point: RestorePointId, entry: Entry) -> None:
        watch = None if self.rules is None else self.rules.watch()
        feed = (lambda _: None) if watch is None else watch.feed
        try:
            with self.source.open(point, entry.path) as stream:
                found = read_object(stream, key=key, size=entry.size, pace=self.pace, watch=feed)
            hits = () if watch is None else watch.hits()
        except AsepsisError as error:
            batch.objects.append(IndexedObject(key=key, size=entry.size, facts=None, fault=error.code))
            return
        batch.objects.append(found)
        if watch is not None:
            batch.hunted[key] = hits

    def _hunt(self, batch: Batch, key: str, point: RestorePointId, entry: Entry) -> None:
        """What cannot be read, or not in time, is tried again by the next scan."""
        if self.rules is None:
            return
        watch = self.rules.watch()
        try:
            with self.source.open(point, entry.path) as stream:
                while piece := stream.read(_PIECE):
                    watch.feed(piece)
                    self.pace(len(piece))
            batch.hunted[key] = watch.hits()
        except AsepsisError:
            return
