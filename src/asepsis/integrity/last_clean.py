"""The last clean restore point: every different object is looked at once, then all verdicts are bookkeeping.

The newest clean point wins, whatever lies before or behind it: damage that was undone later is no obstacle, and
a clean point after an incident is not excluded by the incident.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from asepsis.domain.integrity import HistoryVerdict, ObjectFacts, ObjectVerdict, RestorePointVerdict, Signal
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Entry, EntryType, RestorePoint, Verdict
from asepsis.errors import AsepsisError
from asepsis.integrity import formats
from asepsis.integrity.differences import is_changed
from asepsis.integrity.judgement import judge, unreadable
from asepsis.integrity.notes import OUR_NAMES, KnownNames

Look = Callable[[RestorePointId, Entry], ObjectFacts | str]
"""Reads one object, or tells the code of the error that reading gave; called once for each different object.

An ``AsepsisError`` makes the object unknown, as its code does.
"""

MASS: Final = 0.5
"""Share of the previous restore point's files that makes a change a mass change."""

STANDING: Final = frozenset(
    {"format.truncated", "format.record_count_wrong", "format.unreadable_json", "format.unreadable_xml"}
)
"""Reasons that a file may have had for ever: it was never well-formed."""

FEWEST: Final = 3
"""So many files at least: with fewer, half of them is no mass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A restore point with its entries; ``entries`` is walked once."""

    point: RestorePoint
    entries: Iterable[Entry]


def assess_history(listings: Iterable[Listing], look: Look, *, names: KnownNames = OUR_NAMES) -> HistoryVerdict:
    """Verdicts on all restore points, given oldest first, and the newest clean one.

    A point whose record is damaged, or whose entries cannot be walked, is unknown, not clean.
    """
    reading = _Reading(look)
    baseline = _Baseline(names=names)
    verdicts = [_assess(listing, baseline, reading) for listing in listings]
    clean = [verdict.point.id for verdict in verdicts if verdict.verdict is Verdict.CLEAN]
    return HistoryVerdict(
        points=tuple(verdicts),
        last_clean=clean[-1] if clean else None,
        objects_read=len(reading.known),
        bytes_read=reading.bytes_read,
    )


@dataclass(slots=True)
class _Baseline:
    """What later points are compared with: the files of the last clean point, the last clean facts of each path.

    Never a version under suspicion: damage that stays for several points would excuse itself. ``standing`` are the
    faults of structure that files had in the oldest point: they say nothing about what came later.
    """

    names: KnownNames
    entries: dict[str, Entry] = field(default_factory=dict)
    facts: dict[str, ObjectFacts] = field(default_factory=dict)
    standing: dict[str, frozenset[str]] = field(default_factory=dict)


class _Reading:
    """Facts by content; remembers refusals too, so that a damaged object is not read again and again."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self.known: dict[object, ObjectFacts | str] = {}
        self.bytes_read = 0

    def facts(self, point: RestorePointId, entry: Entry) -> ObjectFacts | str:
        """The facts, or the code of the error that reading gave."""
        key: object = entry.content_id or (entry.path, entry.size, entry.modified_at)
        if key not in self.known:
            self.known[key] = self._read(point, entry)
        return self.known[key]

    def _read(self, point: RestorePointId, entry: Entry) -> ObjectFacts | str:
        try:
            facts = self._look(point, entry)
        except AsepsisError as error:
            return error.code
        self.bytes_read += 0 if isinstance(facts, str) else entry.size
        return facts


def _assess(listing: Listing, baseline: _Baseline, reading: _Reading) -> RestorePointVerdict:
    """The verdict on one point; what is clean in it becomes the baseline of the next."""
    if listing.point.fault is not None:
        return _unknown(listing.point, code=listing.point.fault)
    try:
        entries = {entry.path: entry for entry in listing.entries if entry.type is EntryType.FILE}
    except AsepsisError as error:
        return _unknown(listing.point, code=error.code)
    origins = {path: _origin(path, entries, baseline.entries) for path in entries}
    objects = []
    for path, entry in entries.items():
        facts = reading.facts(listing.point.id, entry)
        objects.append(_judged(path, facts, baseline, was=origins[path]))
        if isinstance(facts, ObjectFacts) and objects[-1].verdict is Verdict.CLEAN:
            baseline.facts[path] = facts
    if not baseline.entries:
        baseline.standing = {item.path: frozenset(item.reasons) for item in objects if item.verdict is Verdict.SUSPECT}
    verdict = _point_verdict(listing.point, objects, _signals(entries, baseline.entries, origins, objects))
    if verdict.verdict is Verdict.CLEAN or not baseline.entries:
        baseline.entries = entries
    return verdict


def _judged(path: str, facts: ObjectFacts | str, baseline: _Baseline, *, was: str) -> ObjectVerdict:
    if isinstance(facts, str):
        return unreadable(path, code=facts)
    standing = baseline.standing.get(path, frozenset())
    return judge(path, facts, before=baseline.facts.get(was), standing=STANDING & standing, names=baseline.names)


def _origin(path: str, now: Mapping[str, Entry], before: Mapping[str, Entry]) -> str:
    """The path of the same file before: its own, or without an extension that was appended since."""
    stem = path.rpartition(".")[0]
    return stem if path not in before and stem in before and stem not in now else path


def _signals(
    now: Mapping[str, Entry], before: Mapping[str, Entry], origins: Mapping[str, str], objects: Sequence[ObjectVerdict]
) -> list[Signal]:
    enough = max(FEWEST, len(before) * MASS)
    changed = [path for path, was in origins.items() if was in before and is_changed(before[was], now[path])]
    gone = len(before.keys() - set(origins.values()))
    counts = {
        "signal.ransom_note": (sum("note.ransom" in item.reasons for item in objects), 1),
        "signal.mass_rename": (_appended(origins), enough),
        "signal.mass_rewrite": (len(changed), enough),
        "signal.mass_deletion": (gone if len(now) < len(before) * MASS else 0, enough),
        "signal.times_kept": (sum(_keeps_time(now[path], before[origins[path]]) for path in changed), FEWEST),
    }
    return [Signal(code=code, count=count) for code, (count, least) in counts.items() if count >= least]


def _appended(origins: Mapping[str, str]) -> int:
    """How many files carry the most frequent new, unknown extension behind the name they had."""
    extensions = Counter(
        formats.extension(path) for path, was in origins.items() if was != path and not formats.is_known_extension(path)
    )
    return max(extensions.values(), default=0)


def _keeps_time(now: Entry, before: Entry) -> bool:
    """Content that changed under an unchanged time: set back by hand, or by something worse."""
    is_other = now.content_id is not None and before.content_id is not None and now.content_id != before.content_id
    return is_other and now.modified_at is not None and now.modified_at == before.modified_at


def _point_verdict(
    point: RestorePoint, objects: Sequence[ObjectVerdict], signals: Sequence[Signal]
) -> RestorePointVerdict:
    counts = Counter(item.verdict for item in objects)
    return RestorePointVerdict(
        point=point,
        verdict=_worst(counts, {signal.code for signal in signals}),
        counts=dict(counts),
        objects=tuple(item for item in objects if item.verdict is not Verdict.CLEAN),
        signals=tuple(signals),
    )


def _worst(counts: Mapping[Verdict, int], signals: set[str]) -> Verdict:
    """A rewrite of most files is ordinary between distant points; renames and deletions of most are not."""
    if counts.get(Verdict.COMPROMISED):
        return Verdict.COMPROMISED
    if counts.get(Verdict.SUSPECT) or signals & {"signal.mass_rename", "signal.mass_deletion"}:
        return Verdict.SUSPECT
    return Verdict.UNKNOWN if counts.get(Verdict.UNKNOWN) else Verdict.CLEAN


def _unknown(point: RestorePoint, *, code: str) -> RestorePointVerdict:
    return RestorePointVerdict(point=point, verdict=Verdict.UNKNOWN, signals=(Signal(code=code, count=1),))
