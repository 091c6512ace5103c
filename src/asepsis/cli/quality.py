"""``asepsis quality``: the data-quality report of a contribution, for its owner."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asepsis.cli.options import DEFAULT_ROOM, AsOption, JsonOption, RoomOption
from asepsis.cli.report import emit, reported


def run(
    party: AsOption,
    contribution: Annotated[
        str | None, typer.Argument(help="The beginning of a folder's name under contributions/; else the newest.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page for a browser to this file.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Show small counts, too: for the owner only.")] = False,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Show what failed in a contribution's tables, and what to do next."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.quality import quality_page, quality_words
        from asepsis.bootstrap.room import open_room
        from asepsis.domain.names import PartyId
        from asepsis.errors.room import FileUnreadable

        document = open_room(room).quality(PartyId(party), contribution, exact=exact)
        if html is not None:
            try:
                html.write_text(quality_page(document), encoding="utf-8")
            except OSError:
                raise FileUnreadable(path=str(html)) from None
        emit(document, as_json=as_json, text=quality_words(document).rstrip() if html is None else str(html))
