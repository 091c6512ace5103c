"""``asepsis contribute``: harmonise a restore point and seal it into the room."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asepsis.cli.options import DEFAULT_ROOM, AsOption, JsonOption, RoomOption
from asepsis.cli.report import emit, reported
from asepsis.cli.steps import step_line


def run(
    mapping: Annotated[Path, typer.Option("--mapping", help="The mapping folder of the source.")],
    source: Annotated[str, typer.Option("--source", help="restic:…, tar:… or dir:…")],
    party: AsOption,
    restore_point: Annotated[
        str, typer.Option("--restore-point", help="An id or its beginning, 'latest' or 'last-clean'.")
    ] = "last-clean",
    books: Annotated[bool, typer.Option("--books", help="Print the reconciliation of every file.")] = False,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Land, map and seal one restore point; the books balance or nothing is contributed."""
    with reported(as_json=as_json):
        from asepsis.bootstrap import (
            harmoniser,
            look_into,
            mapping_of,
            open_room,
        )
        from asepsis.domain.names import PartyId
        from asepsis.services.looking import find_point

        owner = PartyId(party)
        opened = open_room(room)
        loaded = mapping_of(mapping)
        backup = look_into(source)
        point = find_point(backup, restore_point)
        contribution = opened.contribute(owner).contribute(
            backup,
            point.id,
            mapping=loaded,
            harmonise=harmoniser(loaded, opened.keys(owner)),
            progress=lambda stage, subject, done: step_line(f"{stage} {subject}", done, quiet=as_json),
        )
        document = {
            "restore_point": point.id,
            "repeated": contribution.repeated,
            "snapshots": [
                {"snapshot": item.manifest.snapshot, "dataset": item.manifest.dataset, "manifest": item.digest}
                for item in contribution.snapshots
            ],
            "books": contribution.books.as_dict(),
            "folder": str(contribution.folder),
        }
        lines = [
            f"{item.manifest.dataset}: {item.manifest.snapshot} ({sum(f.rows for f in item.manifest.files):,} rows)"
            for item in contribution.snapshots
        ]
        if contribution.repeated:
            lines.insert(0, "contributed before; nothing was done again")
        if books:
            lines += ["", contribution.books.as_text()]
        lines.append(f"books, quarantine and provenance: {contribution.folder}")
        emit(document, as_json=as_json, text="\n".join(lines))
