"""``asepsis link``: find the patients whom several owners know, without showing who they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asepsis.cli.new_files import refuse_existing, write_new
from asepsis.cli.options import DEFAULT_ROOM, AsOption, JsonOption, RoomOption
from asepsis.cli.report import emit, reported
from asepsis.cli.results import findings_text, released_text
from asepsis.cli.steps import end_steps, step_line

if TYPE_CHECKING:
    from asepsis.domain.statistic import Statistic

app = typer.Typer(help="Find the patients whom several owners know; give tokens for that, review one's own records.")


@app.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    full: Annotated[bool, typer.Option("--full", help="Also the categories that are too small to be shown.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with plots to this file.")] = None,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Link the newest identifiers, or keyed tokens, inside the runtime; prints the protected quality report."""
    if context.invoked_subcommand is not None:
        return
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import open_room

        statistic = open_room(room).link(progress=lambda step: step_line(step, quiet=as_json))
        end_steps(quiet=as_json)
        table = statistic.table
        document = {
            "run": statistic.run,
            "report": None if table is None else table.to_document(),
            "findings": statistic.assessment.to_document()["findings"],
            "estimates": statistic.to_document().get("estimates", []),
        }
        if html is not None:
            _write_page(statistic, html)
        text = f"{released_text(table, whole=full)}\n\n{findings_text(statistic.assessment)}"
        if statistic.reviews:
            text += "\nnext: every owner looks at its list: asepsis link review --as OWNER"
        emit(document, as_json=as_json, text=text)


def _write_page(statistic: Statistic, path: Path) -> None:
    from asepsis.errors.room import FileUnreadable
    from asepsis.services.linkage_page import linkage_page

    try:
        path.write_text(linkage_page(statistic), encoding="utf-8")
    except OSError:
        raise FileUnreadable(path=str(path)) from None


@app.command("tokens")
def tokens(
    party: AsOption,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Give an owner's tokens for the linkage that waits for them; identifiers stay in the owner's home."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import open_room
        from asepsis.bootstrap.tokens import tokenising
        from asepsis.domain.names import PartyId

        given = tokenising(open_room(room), PartyId(party)).give()
        manifest = given.manifest
        rows = next(file.rows for file in manifest.files if file.table == "records")
        document = {"snapshot": manifest.snapshot, "dataset": manifest.dataset, "records": rows}
        text = (
            f"{manifest.dataset}: {manifest.snapshot} ({rows:,} records; their key dies with the linkage)\n"
            "next: when every owner has given tokens: asepsis link"
        )
        emit(document, as_json=as_json, text=text)


@app.command("review")
def review(
    party: AsOption,
    out: Annotated[Path | None, typer.Option("--out", help="Where to write the worksheet (CSV).")] = None,
    answers: Annotated[Path | None, typer.Option("--answers", help="The worksheet with answers in it.")] = None,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Look at an owner's own records that a linkage asks for, and give the identifiers as they are now."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.link_reviews import link_reviews
        from asepsis.bootstrap.room import open_room
        from asepsis.domain.names import PartyId

        opened, owner = open_room(room), PartyId(party)
        reviews = link_reviews(opened, owner)
        if answers is not None:
            manifest = reviews.answer(_read(answers).decode("utf-8-sig", errors="replace")).manifest
            document: dict[str, object] = {"snapshot": manifest.snapshot, "dataset": manifest.dataset}
            text = f"{manifest.dataset}: {manifest.snapshot} (with your answers in it)\nnext: asepsis link"
        else:
            path = out or opened.home(owner) / "review.csv"
            refuse_existing(path)
            sheet = reviews.worksheet()
            write_new(path, sheet.text)
            document = {"linkage": sheet.run, "persons": sheet.persons, "records": sheet.records, "file": str(path)}
            text = (
                f"{sheet.persons:,} persons of yours to look at, {sheet.records:,} records: {path}\n"
                "Who is there by chance is not said. Answer confirmed, corrected (with correct_value) or doubtful.\n"
                f"next: asepsis link review --as {owner} --answers {path}"
            )
        emit(document, as_json=as_json, text=text)


@app.command("filters")
def filters(
    party: AsOption,
    file: Annotated[Path, typer.Argument(help="Filters that clkhash made: a JSON file with clks.")],
    keys: Annotated[Path, typer.Option("--keys", help="The keys of the filters' records, one a line, in their order.")],
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Give Bloom filters that another tool made, under a contract with mode import-clk; they can be attacked."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.filters import filtering
        from asepsis.bootstrap.room import open_room
        from asepsis.domain.names import PartyId

        names = _read(keys).decode(errors="replace").splitlines()
        manifest = filtering(open_room(room), PartyId(party)).give(_read(file), keys=names).manifest
        (table,) = manifest.files
        document = {
            "snapshot": manifest.snapshot,
            "dataset": manifest.dataset,
            "persons": table.rows,
            "keys": len(names),
        }
        text = (
            f"{manifest.dataset}: {manifest.snapshot} ({table.rows:,} persons of {len(names):,} keys)\n"
            "next: when every owner has given filters: asepsis link"
        )
        emit(document, as_json=as_json, text=text)


def _read(path: Path) -> bytes:
    from asepsis.errors.room import FileUnreadable

    try:
        return path.read_bytes()
    except OSError:
        raise FileUnreadable(path=str(path)) from None
