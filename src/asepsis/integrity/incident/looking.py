"""What a scan or a comparison amounts to in an incident: restore points, codes and counts, and what was not looked at.

Paths inside a backup stay out of it: a file's name may be a patient's. The list of objects is what ``recover scan``
prints for those who work on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from asepsis.domain.estate import EstateScan
from asepsis.domain.incident import ESTATE, Finding
from asepsis.domain.incident_acts import Compared, Frozen, Looked, Point
from asepsis.domain.integrity import ObjectVerdict, RestorePointVerdict
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import RestorePoint, Verdict
from asepsis.integrity.judgement import UNKNOWING
from asepsis.integrity.records.values import Divergence, Severity

_SIGNALS: Final = {
    "signal.ransom_note": Verdict.COMPROMISED,
    "signal.mass_rename": Verdict.SUSPECT,
    "signal.mass_deletion": Verdict.SUSPECT,
}
_SEVERITY: Final = {
    Severity.SEVERE: Verdict.COMPROMISED,
    Severity.ALARM: Verdict.SUSPECT,
    Severity.NOTICE: Verdict.CLEAN,
}
_WORST_FIRST: Final = (Verdict.COMPROMISED, Verdict.SUSPECT, Verdict.UNKNOWN, Verdict.CLEAN)


def frozen(source: str, points: Sequence[RestorePoint], roots: Mapping[RestorePointId, str]) -> Frozen:
    """A source as it is when it is frozen."""
    listed = (Point(id=point.id, taken_at=point.taken_at, root=roots[point.id]) for point in points)
    return Frozen(source=source, points=tuple(listed))


def looked(source: str, scan: EstateScan, *, held: Frozen, rules: Mapping[str, str]) -> Looked:
    """A scan of a source that is held."""
    points = tuple(
        Point(id=one.point.id, taken_at=one.point.taken_at, root=scan.roots[one.point.id], verdict=one.verdict)
        for one in scan.history.points
    )
    found = [finding for one in scan.history.points for finding in _of_point(source, one)]
    found += sorted(_of_estate(source, scan, points=points, held=held), key=lambda one: (one.about, one.code))
    return Looked(
        source=source,
        points=points,
        last_clean=scan.history.last_clean or "",
        objects=scan.objects,
        unread=scan.unread,
        findings=tuple(found),
        rules={**rules, **_rules(scan)},
        unchecked=tuple(_unchecked(source, scan)),
    )


def compared(
    subject: str,
    divergences: Sequence[Divergence],
    *,
    verdict: Verdict,
    rules: Mapping[str, str],
    unchecked: Sequence[str],
) -> Compared:
    """A comparison of two states of the same tables."""
    found = {
        (one.table, one.code): Finding(
            source=subject, about=one.table, code=one.code, count=one.rows, verdict=_SEVERITY[one.severity]
        )
        for one in sorted(divergences, key=lambda one: one.severity)
    }
    return Compared(
        subject=subject,
        verdict=verdict,
        findings=tuple(found.values()),
        rules=rules,
        unchecked=tuple(f"{subject}: {text}" for text in dict.fromkeys(unchecked)),
    )


def _of_point(source: str, one: RestorePointVerdict) -> Iterator[Finding]:
    """What speaks against a restore point: by reason, with the number of objects and the worst verdict on them."""
    told = [(reason, item.verdict) for item in one.objects for reason in _reasons(item)]
    counts = Counter(reason for reason, _ in told)
    worst = {
        reason: min((verdict for known, verdict in told if known == reason), key=_WORST_FIRST.index)
        for reason in counts
    }
    signals = {signal.code: signal.count for signal in one.signals if signal.code not in counts}
    verdicts = worst | {code: _SIGNALS.get(code, Verdict.CLEAN) for code in signals}
    if one.verdict is not Verdict.CLEAN and set(verdicts.values()) == {Verdict.CLEAN}:
        verdicts |= dict.fromkeys(signals, one.verdict)  # the record of the restore point itself is damaged
    elif one.verdict is not Verdict.CLEAN and not verdicts:
        yield Finding(source=source, about=one.point.id, code="point.not_clean", count=1, verdict=one.verdict)
    for code, count in sorted({**counts, **signals}.items()):
        yield Finding(source=source, about=one.point.id, code=code, count=count, verdict=verdicts[code])


def _reasons(item: ObjectVerdict) -> tuple[str, ...]:
    """The reasons of a verdict; that an object could not be read is said by the code of the error."""
    return tuple(reason for reason in item.reasons if reason != UNKNOWING) or item.reasons


def _of_estate(source: str, scan: EstateScan, *, points: Sequence[Point], held: Frozen) -> set[Finding]:
    """What happened to restore points since an earlier scan, or since the freeze."""
    now = {point.id: point.root for point in points}
    since: dict[str, set[str]] = {
        "vanished": {*scan.inventory.vanished, *(point.id for point in held.points if point.id not in now)},
        "rewritten": {
            *scan.inventory.rewritten,
            *(point.id for point in held.points if now.get(point.id, point.root) != point.root),
        },
        "back_dated": {*scan.inventory.back_dated},
    }
    return {
        Finding(source=source, about=id_, code=f"{ESTATE}{what}", count=1, verdict=Verdict.SUSPECT)
        for what, ids in since.items()
        for id_ in ids
    }


def _rules(scan: EstateScan) -> dict[str, str]:
    """The versions of what was held against content and names beside our own code."""
    names = {"names": scan.names} if scan.names else {}
    yara = {} if scan.rules is None else {"yara": f"{scan.rules.engine} {scan.rules.rules} rules {scan.rules.digest}"}
    return names | yara


def _unchecked(source: str, scan: EstateScan) -> Iterator[str]:
    if scan.unread:
        yield f"{source}: {scan.unread} of {scan.objects} objects were not read"
    if scan.unparsed:
        yield f"{source}: of {scan.unparsed} objects only name and bytes were looked at, since their format is unknown"
    if scan.rules is None:
        yield f"{source}: no YARA rules were held against the objects"
    elif scan.unhunted:
        yield f"{source}: {scan.unhunted} of {scan.objects} objects were never held against the YARA rules"
    if scan.rules is not None and scan.rules.skipped:
        yield f"{source}: {scan.rules.skipped} YARA rules cannot be compiled and were not looked for"
