"""``asepsis recover drill``: from "production down" to a signed continuity pack, measured, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asepsis.cli.options import JsonOption
from asepsis.cli.report import emit, reported
from asepsis.cli.steps import end_steps, step_line

if TYPE_CHECKING:
    from asepsis.bootstrap.continuity_drill import Drilled

app = typer.Typer(
    help="Drill the time when production is down (exit code 3 if an objective was missed).",
    invoke_without_command=True,
)
MISSED = 3


@app.callback()
def drill(
    context: typer.Context,
    folder: Annotated[Path, typer.Option("--folder", help="A new folder for the pack and the report.")] = Path("drill"),
    room: Annotated[
        Path | None, typer.Option("--room", help="A room of your own; without it the bundled example is drilled.")
    ] = None,
    backup: Annotated[
        list[str] | None, typer.Option("--backup", help="OWNER=SOURCE, with --room: a backup that is judged first.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Declare production down, choose last-known-good data, run what was pre-approved, sign pack and report."""
    if context.invoked_subcommand is not None:
        return
    with reported(as_json=as_json):
        done = _drill(folder, room, tuple(backup or ()), quiet=as_json)
        end_steps(quiet=as_json)
        emit({"folder": str(folder), **done.report}, as_json=as_json, text=_text(done))
        if not done.passed:
            raise typer.Exit(MISSED)


@app.command("verify")
def verify(
    folder: Annotated[Path, typer.Argument(help="The folder of the drill.")],
    contract: Annotated[str, typer.Option("--contract", help="The contract's digest, from a party you trust.")],
    as_json: JsonOption = False,
) -> None:
    """Check a drill's pack and report offline, with public keys only."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.continuity_drill import verify_drill
        from asepsis.bootstrap.room import now
        from asepsis.domain.names import Digest
        from asepsis.services.continuity_verify import Expected

        expected = Expected(contract=Digest(contract), at=now(), drill=True)
        found, report = verify_drill(folder, expected)
        passed = "all objectives were met" if report["passed"] else "objectives were missed"
        text = f"verified: {report['report']} and {found.pack.id}, signed by {found.pack.lead}; {passed}"
        emit(report, as_json=as_json, text=text)


def _drill(folder: Path, room: Path | None, backups: tuple[str, ...], *, quiet: bool) -> Drilled:
    from asepsis.bootstrap.continuity_drill import drill_example, drill_room
    from asepsis.bootstrap.room import open_room
    from asepsis.cli.story.places import examples
    from asepsis.errors.continuity import VerdictUnclear

    def progress(step: str) -> None:
        step_line(step, quiet=quiet)

    if room is not None:
        return drill_room(open_room(room), folder, backups=backups, progress=progress)
    if backups:
        raise VerdictUnclear(text=backups[0])
    return drill_example(folder, examples=examples(), progress=progress)


def _text(done: Drilled) -> str:
    from asepsis.cli.recover_continuity_text import pack_text
    from asepsis.services.continuity_drill import missed

    found = missed(done.pack)
    said = "all objectives were met" if not found else "missed: " + "; ".join(found)
    return (
        f"{pack_text(done.pack)}\n\n{done.report['report']}: {said}\n"
        f"{done.folder}: the signed pack (pack/index.html) and the signed report (drill.md)\n"
        f"next: asepsis recover drill verify {done.folder} --contract {done.pack.contract}"
    )
