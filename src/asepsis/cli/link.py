"""``asepsis link``: find the patients whom several owners know, without showing who they are."""

from __future__ import annotations

from typing import Annotated

import typer

from asepsis.cli.options import DEFAULT_ROOM, JsonOption, RoomOption
from asepsis.cli.report import emit, reported
from asepsis.cli.results import released_text
from asepsis.cli.steps import end_steps, step_line


def run(
    full: Annotated[bool, typer.Option("--full", help="Also the categories that are too small to be shown.")] = False,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Link the newest identity snapshots inside the runtime; prints the protected quality report."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import open_room

        statistic = open_room(room).linkage.link(progress=lambda step: step_line(step, quiet=as_json))
        end_steps(quiet=as_json)
        table = statistic.table
        document = {"run": statistic.run, "report": None if table is None else table.to_document()}
        emit(document, as_json=as_json, text=released_text(table, whole=full))
