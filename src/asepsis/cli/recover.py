"""``asepsis recover``: which restore point can be trusted."""

from __future__ import annotations

from typing import Annotated

import typer

from asepsis.cli import recover_compare
from asepsis.cli.options import JsonOption
from asepsis.cli.report import emit, reported, table

app = typer.Typer(help="Validate restore points and find the last clean one.", no_args_is_help=True)
app.command("compare")(recover_compare.compare)
app.command("ticket")(recover_compare.sign_ticket)


@app.command("last-clean")
def last_clean(
    uri: Annotated[str, typer.Argument(help="restic:…, tar:… or dir:…")],
    as_json: JsonOption = False,
) -> None:
    """Judge every restore point by content and format, and name the newest clean one (exit code 7 if none is)."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.backups import look_into
        from asepsis.services.looking import last_clean as find_last_clean

        history = find_last_clean(look_into(uri))
        rows = [
            [v.point.id[:16], v.point.taken_at.date().isoformat(), v.verdict.value, _evidence(v)]
            for v in history.points
        ]
        document = {
            "last_clean": history.last_clean,
            "objects_read": history.objects_read,
            "bytes_read": history.bytes_read,
            "restore_points": [
                {
                    "id": v.point.id,
                    "taken_at": v.point.taken_at.isoformat(),
                    "verdict": v.verdict.value,
                    "signals": {signal.code: signal.count for signal in v.signals},
                    "objects": [
                        {"path": o.path, "verdict": o.verdict.value, "reasons": list(o.reasons)} for o in v.objects
                    ],
                }
                for v in history.points
            ],
        }
        found = f"last clean: {history.last_clean[:16]}" if history.last_clean else "no restore point is clean"
        emit(
            document,
            as_json=as_json,
            text="\n".join([table(["restore point", "taken", "verdict", "evidence"], rows), found]),
        )
        if history.last_clean is None:
            raise typer.Exit(7)


def _evidence(verdict: object) -> str:
    from asepsis.domain.integrity import RestorePointVerdict

    if not isinstance(verdict, RestorePointVerdict):
        return ""
    signals = [f"{signal.code} {signal.count}" for signal in verdict.signals]
    reasons = sorted({reason for item in verdict.objects for reason in item.reasons})
    return ", ".join([*signals, *reasons][:3])
