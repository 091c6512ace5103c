"""``asepsis recover scan``: index a source, judge every restore point, and notice restore points that changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asepsis.cli.options import JsonOption
from asepsis.cli.recover_history import history_document, history_text
from asepsis.cli.report import emit, reported
from asepsis.cli.steps import end_steps, step_line

if TYPE_CHECKING:
    from asepsis.domain.estate import EstateScan
    from asepsis.services.estate import Progress


def scan(
    uri: Annotated[str, typer.Argument(help="restic:…, tar:…, dir:… or another source.")],
    index: Annotated[Path, typer.Option(help="The estate index: a file, made if it is not there.")] = Path("estate.db"),
    limit: Annotated[float | None, typer.Option(help="Read at most so many MB a second.", min=0.01)] = None,
    as_json: JsonOption = False,
) -> None:
    """Read what was not read before, judge every restore point, and compare them with those of earlier scans.

    Stopped or killed, the same command goes on. Exit code 7: no restore point is clean, or one vanished, was rewritten
    or is back-dated.
    """
    with reported(as_json=as_json):
        from asepsis.bootstrap.estates import scan_estate

        rate = None if limit is None else int(limit * 1_000_000)
        found = scan_estate(uri, index=index, rate=rate, report=scan_progress(quiet=as_json))
        end_steps(quiet=as_json)
        emit(_document(found), as_json=as_json, text=_text(found))
        if found.history.last_clean is None or not found.inventory.is_as_expected:
            raise typer.Exit(7)


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
        "vanished": list(inventory.vanished),
        "rewritten": list(inventory.rewritten),
        "back_dated": list(inventory.back_dated),
        "blake3": dict(found.digests),
    }


def _text(found: EstateScan) -> str:
    inventory = found.inventory
    lines = [history_text(found.history)]
    lines.append(f"read now: {found.new_objects} of {found.objects} objects, {found.new_bytes:,} bytes")
    for what, points in (
        ("vanished", inventory.vanished),
        ("rewritten", inventory.rewritten),
        ("back-dated", inventory.back_dated),
    ):
        lines += [f"{what} since an earlier scan: {point[:16]}" for point in points]
    return "\n".join(lines)
