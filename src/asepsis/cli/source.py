"""``asepsis source``: look into a backup, without writing to it."""

from __future__ import annotations

import shutil
import sys
from typing import Annotated

import typer

from asepsis.cli.options import JsonOption
from asepsis.cli.report import emit, reported, table

app = typer.Typer(help="Look into a backup: restic:…, tar:…, dir:… (read-only).", no_args_is_help=True)

UriArgument = Annotated[str, typer.Argument(help="restic:FOLDER, tar:FILE-OR-FOLDER or dir:FOLDER")]
PointOption = Annotated[
    str, typer.Option("--restore-point", help="A restore point's id or its beginning, or 'latest'.")
]


@app.command("ls")
def ls(uri: UriArgument, restore_point: PointOption = "", as_json: JsonOption = False) -> None:
    """List restore points, or the entries of one."""
    with reported(as_json=as_json):
        from asepsis.bootstrap import look_into
        from asepsis.services.looking import find_point

        source = look_into(uri)
        if not restore_point:
            points = source.restore_points()
            rows = [[point.id[:16], point.taken_at.isoformat(), point.label] for point in points]
            document: object = [
                {"id": point.id, "taken_at": point.taken_at.isoformat(), "label": point.label} for point in points
            ]
            emit(document, as_json=as_json, text=table(["restore point", "taken at", "label"], rows))
            return
        entries = list(source.walk(find_point(source, restore_point).id))
        emit(
            [
                {"path": entry.path, "type": entry.type.value, "size": entry.size, "content_id": entry.content_id}
                for entry in entries
            ],
            as_json=as_json,
            text=table(["path", "type", "size"], [[entry.path, entry.type.value, entry.size] for entry in entries]),
        )


@app.command("cat")
def cat(uri: UriArgument, path: str, restore_point: PointOption = "latest") -> None:
    """Write one file of a restore point to standard output."""
    with reported():
        from asepsis.bootstrap import look_into
        from asepsis.services.looking import find_point

        source = look_into(uri)
        with source.open(find_point(source, restore_point).id, path) as stream:
            shutil.copyfileobj(stream, sys.stdout.buffer)


@app.command("diff")
def diff(uri: UriArgument, older: str, newer: str, as_json: JsonOption = False) -> None:
    """Tell how two restore points differ."""
    with reported(as_json=as_json):
        from asepsis.bootstrap import look_into
        from asepsis.integrity.differences import diff as difference
        from asepsis.services.looking import find_point

        source = look_into(uri)
        changes = difference(source.walk(find_point(source, older).id), source.walk(find_point(source, newer).id))
        emit(
            [{"kind": change.kind.value, "path": change.path, "was": change.was} for change in changes],
            as_json=as_json,
            text=table(["change", "path", "was"], [[c.kind.value, c.path, c.was or ""] for c in changes]),
        )


@app.command("verify")
def verify(uri: UriArgument, restore_point: PointOption = "latest", as_json: JsonOption = False) -> None:
    """Read everything in a restore point and tell what is damaged (exit code 7 if anything is)."""
    with reported(as_json=as_json):
        from asepsis.bootstrap import look_into
        from asepsis.services.looking import find_point

        source = look_into(uri)
        point = find_point(source, restore_point)
        faults = list(source.verify(point.id))
        rows = [[fault.path or "", fault.code] for fault in faults]
        emit(
            {
                "restore_point": point.id,
                "faults": [{"object": f.object, "path": f.path, "code": f.code} for f in faults],
            },
            as_json=as_json,
            text=table(["path", "fault"], rows)
            if rows
            else f"{point.id[:16]}: everything was read, nothing is damaged",
        )
        if faults:
            raise typer.Exit(7)
