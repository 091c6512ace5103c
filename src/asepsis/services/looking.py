"""Looking into a source: find a restore point by what a person types, and judge its whole history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from asepsis.domain.integrity import HistoryVerdict, ObjectFacts
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Entry, RestorePoint
from asepsis.errors.source import RestorePointMissingError
from asepsis.integrity.last_clean import Listing, assess_history
from asepsis.integrity.observation import observe
from asepsis.ports import Source

LATEST: Final = "latest"
LAST_CLEAN: Final = "last-clean"


def find_point(source: Source, wanted: str) -> RestorePoint:
    """The restore point with that id, beginning of an id or label; 'latest' and 'last-clean' are names too.

    An id goes before a label, because whoever writes backups chooses labels.

    Raises RestorePointMissingError if there is none, or more than one.
    """
    points = source.restore_points()
    if wanted == LATEST and points:
        return points[-1]
    if wanted == LAST_CLEAN:
        clean = last_clean(source).last_clean
        points = [point for point in points if point.id == clean]
    else:
        by_id = [point for point in points if point.id.startswith(wanted)]
        points = by_id or [point for point in points if point.label == wanted]
    if len(points) != 1:
        raise RestorePointMissingError(point=wanted)
    return points[0]


def last_clean(source: Source, *, reading: Callable[[], object] = lambda: None) -> HistoryVerdict:
    """Verdicts on all restore points of a source, and the newest clean one; each different object is read once.

    ``reading`` is called before each object is read.
    """

    def look(point: RestorePointId, entry: Entry) -> ObjectFacts:
        reading()
        with source.open(point, entry.path) as stream:
            return observe(stream, size=entry.size)

    points = source.restore_points()
    return assess_history((Listing(point=point, entries=source.walk(point.id)) for point in points), look)
