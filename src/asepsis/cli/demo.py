"""``asepsis demo``: the whole story on the bundled backups, in one folder that stays behind to be looked at."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Final

import typer

from asepsis.cli.options import JsonOption
from asepsis.cli.report import emit, reported

ORIGIN: Final = "asepsis.local/demo"
QUESTION: Final = "SELECT gender_concept_id, count(*) AS n FROM person GROUP BY gender_concept_id"


def run(
    folder: Annotated[Path, typer.Option("--folder", help="A new folder for the room.")] = Path("demo"),
    replace: Annotated[bool, typer.Option("--replace", help="Remove the room of an earlier demo there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell the story: two hospitals' backups, one safe answer, seven steps."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import create_room
        from asepsis.cli.story.account import Account
        from asepsis.cli.story.places import examples
        from asepsis.cli.story.steps import Story

        _make_place(folder, replace=replace)
        account = Account(show=(lambda _: None) if as_json else typer.echo)
        room = create_room(folder, origin=ORIGIN)
        Story(room=room, examples=examples(), account=account).tell()
        (folder / "account.txt").write_text("\n".join(account.lines) + "\n", encoding="utf-8")
        following = (
            f"\nThe room is in {folder}. Go on with:\n"
            f"  asepsis serve --room {folder}\n"
            f"  asepsis ledger show --room {folder}\n"
            f"  asepsis query --room {folder} --as genomics-lab '{QUESTION}'"
        )
        emit(account.facts, as_json=as_json, text=following)


def _make_place(folder: Path, *, replace: bool) -> None:
    """An empty place for the room; only the room of an earlier demo is ever removed. Raises FolderInUse."""
    from asepsis.bootstrap.room import open_room
    from asepsis.errors.room import FileUnreadable, FolderInUse, RoomMissing

    if folder.exists() and not folder.is_dir():
        raise FileUnreadable(path=str(folder))
    if not folder.exists() or not any(folder.iterdir()):
        return
    try:
        is_demo = open_room(folder).origin == ORIGIN
    except RoomMissing:
        is_demo = False
    if not (replace and is_demo):
        raise FolderInUse(path=str(folder))
    shutil.rmtree(folder)
