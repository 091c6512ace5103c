"""``asepsis source``: look into a backup, without writing to it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asepsis.cli.options import JsonOption
from asepsis.cli.report import emit, reported, table
from asepsis.cli.steps import end_steps, step_line
from asepsis.domain.source import Remark

if TYPE_CHECKING:
    from asepsis.ports import Reading

app = typer.Typer(help="Look into a backup: restic:…, tar:…, dir:… (read-only).", no_args_is_help=True)

UriArgument = Annotated[
    str,
    typer.Argument(help="restic:FOLDER-OR-URL, borg:FOLDER, pgdump:FILE-OR-FOLDER, tar:FILE-OR-FOLDER, dir:FOLDER …"),
]
PointOption = Annotated[
    str, typer.Option("--restore-point", help="A restore point's id, its beginning or its label; or 'latest'.")
]


@app.command("ls")
def ls(uri: UriArgument, restore_point: PointOption = "", as_json: JsonOption = False) -> None:
    """List restore points, or the entries of one."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.backups import look_into
        from asepsis.services.looking import find_point

        source = look_into(uri)
        if not restore_point:
            points = source.restore_points()
            for remark in source.remarks():
                sys.stderr.write(f"asepsis: {_said(remark)}\n")
            short = _short([point.id for point in points])
            rows = [[short[point.id], point.taken_at.isoformat(), point.label] for point in points]
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
        from asepsis.bootstrap.backups import look_into
        from asepsis.services.looking import find_point

        source = look_into(uri)
        with source.open(find_point(source, restore_point).id, path) as stream:
            shutil.copyfileobj(stream, sys.stdout.buffer)


@app.command("diff")
def diff(uri: UriArgument, older: str, newer: str, as_json: JsonOption = False) -> None:
    """Tell how two restore points differ."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.backups import look_into
        from asepsis.services.looking import find_point

        source = look_into(uri)
        step_line("comparing", quiet=as_json)
        changes = source.diff(find_point(source, older).id, find_point(source, newer).id)
        end_steps(quiet=as_json)
        emit(
            [{"kind": change.kind.value, "path": change.path, "was": change.was} for change in changes],
            as_json=as_json,
            text=table(["change", "path", "was"], [[c.kind.value, c.path, c.was or ""] for c in changes]),
        )


@app.command("verify")
def verify(uri: UriArgument, restore_point: PointOption = "latest", as_json: JsonOption = False) -> None:
    """Read everything in a restore point and tell what is damaged (exit code 7 if anything is)."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.backups import look_into
        from asepsis.services.looking import find_point

        source = look_into(uri)
        point = find_point(source, restore_point)
        faults = list(source.verify(point.id, reading=_counted("verifying, bytes read", quiet=as_json)))
        end_steps(quiet=as_json)
        rows = [[fault.path or "", fault.code] for fault in faults]
        emit(
            {
                "restore_point": point.id,
                "faults": [{"object": f.object, "path": f.path, "code": f.code} for f in faults],
                "remarks": [{"object": r.object, "code": r.code, "at": r.at} for r in source.remarks()],
            },
            as_json=as_json,
            text=table(["path", "fault"], rows)
            if rows
            else f"{point.id[:16]}: everything was read, nothing is damaged",
        )
        if faults:
            raise typer.Exit(7)


@app.command("tables")
def tables(
    uri: UriArgument,
    to: Annotated[Path, typer.Option("--to", help="An empty or new folder; each table becomes a Parquet file in it.")],
    restore_point: PointOption = "latest",
    only: Annotated[list[str] | None, typer.Option("--only", help="A table's path as 'source ls' tells it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the tables of a dump as Parquet files, every value as text. These files are not sealed: mind where."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.backups import look_into
        from asepsis.errors.source import NoTablesError
        from asepsis.ports import TableSource
        from asepsis.services.looking import find_point

        source = look_into(uri)
        if not isinstance(source, TableSource):
            raise NoTablesError(scheme=source.kind)
        point = find_point(source, restore_point)
        reading = _counted("writing tables, bytes read", quiet=as_json)
        written = source.export(point.id, to, only=only or (), reading=reading)
        end_steps(quiet=as_json)
        emit(
            [{"path": t.path, "file": t.file, "rows": t.rows, "columns": t.columns} for t in written],
            as_json=as_json,
            text=table(["table", "rows", "columns", "file"], [[t.path, t.rows, t.columns, t.file] for t in written]),
        )


@app.command("reap")
def reap(uri: UriArgument, as_json: JsonOption = False) -> None:
    """Take down mounts that a killed command left behind on a backup server (veeam:…); all of this account's."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.backups import look_into
        from asepsis.ports import MountingSource

        source = look_into(uri)
        count = source.reap() if isinstance(source, MountingSource) else 0
        emit({"taken_down": count}, as_json=as_json, text=f"mounts taken down: {count}")


_STEP = 64 << 20
_SHORT = 16


def _short(ids: list[str]) -> dict[str, str]:
    """Ids as they are shown: their beginnings, where these tell them apart."""
    length = _SHORT if len({each[:_SHORT] for each in ids}) == len(ids) else None
    return {each: each[:length] for each in ids}


def _counted(step: str, *, quiet: bool) -> Reading:
    """Shows the count of bytes, not more often than anybody can read."""
    shown = 0

    def reading(done: int) -> None:
        nonlocal shown
        if done - shown >= _STEP:
            shown = done
            step_line(step, done, quiet=quiet)

    return reading


def _said(remark: Remark) -> str:
    when = f", of {remark.at.isoformat()}" if remark.at else ""
    return f"{remark.code}: {remark.object}{when}"
