"""``asepsis recover scan``: index a source, judge every restore point, and notice restore points that changed."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asepsis.cli.options import DEFAULT_ROOM, JsonOption, RoomOption
from asepsis.cli.recover_history import history_document, history_text, next_steps, next_text
from asepsis.cli.report import emit, reported
from asepsis.cli.steps import end_steps, step_line

if TYPE_CHECKING:
    from asepsis.bootstrap.estates import Recorder
    from asepsis.domain.estate import EstateScan
    from asepsis.services.estate import Progress


def scan(
    uri: Annotated[str, typer.Argument(help="restic:…, tar:…, dir:… or another source.")],
    index: Annotated[Path, typer.Option(help="The estate index: a file, made if it is not there.")] = Path("estate.db"),
    rules: Annotated[
        list[str] | None,
        typer.Option("--rules", help="YARA rules: a folder, a file, or 'builtin' (extra yara); old objects, too."),
    ] = None,
    misp: Annotated[bool, typer.Option("--misp", help="Names of the MISP galaxy beside our own (extra misp).")] = False,
    record_as: Annotated[
        str | None,
        typer.Option("--record-as", help="The party that signs what is seen and keeps its own record of points."),
    ] = None,
    room: RoomOption = DEFAULT_ROOM,
    before: Annotated[
        datetime | None,
        typer.Option("--before", help="UTC. Leave points from then on out of the composite.", formats=["%Y-%m-%d"]),
    ] = None,
    composite: Annotated[
        Path | None,
        typer.Option("--composite", help="Write where to take each file from: CSV of path and restore point."),
    ] = None,
    limit: Annotated[float | None, typer.Option(help="Read at most so many MB a second.", min=0.01)] = None,
    as_json: JsonOption = False,
) -> None:
    """Read what was not read before, judge every restore point, and compare them with those of earlier scans.

    Stopped or killed, the same command goes on. Exit code 7: no restore point is clean, or one vanished, was rewritten
    or is back-dated.
    """
    with reported(as_json=as_json):
        from asepsis.bootstrap.estates import ScanRequest, scan_estate

        request = ScanRequest(
            uri=uri,
            index=index,
            rate=None if limit is None else int(limit * 1_000_000),
            rules=tuple(rules or ()),
            misp=misp,
            recorder=_recorder(record_as, room),
            before=None if before is None else before.replace(tzinfo=UTC),
        )
        found = scan_estate(request, report=scan_progress(quiet=as_json))
        end_steps(quiet=as_json)
        _write_composite(composite, found)
        steps = next_steps(found.history, uri)
        emit({**_document(found), "next": steps}, as_json=as_json, text=f"{_text(found)}\n{next_text(steps)}")
        if found.history.last_clean is None or not found.inventory.is_as_expected:
            raise typer.Exit(7)


def _write_composite(path: Path | None, found: EstateScan) -> None:
    from asepsis.errors.recovery import OutputUnwritable

    if path is None:
        return
    try:
        with path.open("x", encoding="utf-8", newline="", errors="surrogateescape") as out:
            rows = csv.writer(out)
            rows.writerow(["path", "restore_point"])
            rows.writerows(sorted(found.composite.files.items()))
    except OSError:
        raise OutputUnwritable(path=str(path)) from None


def _recorder(party: str | None, room: Path) -> Recorder | None:
    from asepsis.bootstrap.estates import Recorder
    from asepsis.bootstrap.room import open_room
    from asepsis.domain.names import PartyId

    return None if party is None else Recorder(room=open_room(room), party=PartyId(party))


def scan_progress(*, quiet: bool) -> Callable[[Progress], None]:
    """Says how far a scan is, on one line."""
    started = time.monotonic()

    def show(progress: Progress) -> None:
        share = progress.bytes / progress.of_bytes if progress.of_bytes else 1.0
        left = (time.monotonic() - started) * (1 - share) / share if share else 0.0
        step_line(
            f"object {progress.objects:,} of {progress.of_objects:,}, {share:.0%}, {left:.0f} s left", quiet=quiet
        )

    return show


def _document(found: EstateScan) -> dict[str, object]:
    inventory = found.inventory
    return {
        **history_document(found.history),
        "objects": found.objects,
        "new_objects": found.new_objects,
        "new_bytes": found.new_bytes,
        "bytes": {"all": found.size, "read": found.size_read, "checked": found.size_checked},
        "vanished": list(inventory.vanished),
        "rewritten": list(inventory.rewritten),
        "back_dated": list(inventory.back_dated),
        "blake3": dict(found.digests),
        "composite": {
            "restore_points": dict(found.composite.points),
            "added": list(found.composite.added),
            "never_clean": list(found.composite.never_clean),
            "folders": dict(found.composite.folders),
        },
        "names": found.names,
        "rules": None if found.rules is None else {**asdict(found.rules), "objects_not_looked_at": found.unhunted},
        "hits": {rule: sorted(points) for rule, points in _hits(found).items()},
    }


def _text(found: EstateScan) -> str:
    from asepsis.domain.continuity_pack import share

    inventory = found.inventory
    lines = [history_text(found.history)]
    lines.append(f"read now: {found.new_objects} of {found.objects} objects, {found.new_bytes:,} bytes")
    lines.append(f"followed to the end of their format: {share(found.size_checked, found.size)} bytes")
    for what, points in (
        ("vanished", inventory.vanished),
        ("rewritten", inventory.rewritten),
        ("back-dated", inventory.back_dated),
    ):
        lines += [f"{what} since an earlier scan: {point[:16]}" for point in points]
    lines.append(_composite_text(found))
    if found.rules is not None:
        rules = found.rules
        lines.append(
            f"rules: {rules.rules} of {rules.engine} ({rules.digest[:16]}), {rules.skipped} left out, "
            f"{found.objects - found.unhunted} of {found.objects} objects looked at"
        )
        lines += [f"{rule} matched in {', '.join(p[:16] for p in points)}" for rule, points in _hits(found).items()]
    return "\n".join(lines)


def _composite_text(found: EstateScan) -> str:
    composite = found.composite
    parts = [f"{count} files of {point[:16]}" for point, count in sorted(composite.points.items())]
    text = "composite: " + (", ".join(parts) if parts else "no file is clean anywhere")
    added = f"; {len(composite.added)} of them in no clean restore point" if composite.added else ""
    never = f"; {len(composite.never_clean)} paths without a clean version" if composite.never_clean else ""
    return text + added + never


def _hits(found: EstateScan) -> dict[str, list[str]]:
    """Rules that matched, with the restore points that hold what they matched, oldest first."""
    hits: dict[str, list[str]] = {}
    for point in found.history.points:
        for rule in sorted({rule for item in point.objects for rule in item.rules}):
            hits.setdefault(rule, []).append(point.point.id)
    return hits
