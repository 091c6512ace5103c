"""The verdicts on a history of restore points, as a document and as text."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Final

from asepsis.cli.report import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asepsis.domain.integrity import HistoryVerdict, RestorePointVerdict

_SHORT: Final = 16


def history_document(history: HistoryVerdict) -> dict[str, object]:
    """All restore points with their verdicts, signals and the objects that are not clean."""
    return {
        "last_clean": history.last_clean,
        "objects_read": history.objects_read,
        "bytes_read": history.bytes_read,
        "restore_points": [
            {
                "id": verdict.point.id,
                "taken_at": verdict.point.taken_at.isoformat(),
                "verdict": verdict.verdict.value,
                "signals": {signal.code: signal.count for signal in verdict.signals},
                "objects": [
                    {"path": item.path, "verdict": item.verdict.value, "reasons": list(item.reasons)}
                    for item in verdict.objects
                ],
            }
            for verdict in history.points
        ],
    }


def history_text(history: HistoryVerdict) -> str:
    """A table of restore points, and the last clean one."""
    rows = [
        [v.point.id[:16], v.point.taken_at.date().isoformat(), v.verdict.value, _evidence(v)] for v in history.points
    ]
    found = f"last clean: {history.last_clean[:16]}" if history.last_clean else "no restore point is clean"
    return "\n".join([table(["restore point", "taken", "verdict", "evidence"], rows), found])


def next_steps(history: HistoryVerdict, uri: str) -> list[str]:
    """The commands that a person would give now."""
    address, points = quote(uri), [verdict.point.id for verdict in history.points]
    if history.last_clean is None:
        return [f"asepsis recover scan {address} --composite FILE"]
    clean = _named(history.last_clean, points)
    later = points[points.index(history.last_clean) + 1 :]
    steps = [f"asepsis source diff {address} {clean} {_named(later[0], points)}"] if later else []
    return [*steps, f"asepsis source verify {address} --restore-point {clean}"]


def next_text(steps: list[str]) -> str:
    """The same, to be read."""
    return "\n".join(f"next: {step}" for step in steps)


def _named(point: str, points: Sequence[str]) -> str:
    """The beginning of an id, if no other begins so."""
    short = point[:_SHORT]
    return quote(short if sum(one.startswith(short) for one in points) == 1 else point)


def _evidence(verdict: RestorePointVerdict) -> str:
    signals = [f"{signal.code} {signal.count}" for signal in verdict.signals]
    reasons = sorted({reason for item in verdict.objects for reason in item.reasons})
    return ", ".join([*signals, *reasons][:3])
