"""``asepsis recover continuity``: production is down; what was pre-approved runs on last-known-good data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asepsis.cli.options import DEFAULT_ROOM, AsOption, JsonOption, RoomOption
from asepsis.cli.report import emit, reported
from asepsis.cli.steps import end_steps, step_line

app = typer.Typer(
    help="Production is down: run what was pre-approved, into one signed pack (exit code 3 if an answer is missing).",
    invoke_without_command=True,
)
UNANSWERED = 3


@app.callback()
def pack(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="A new folder for the pack.")] = Path("continuity-pack"),
    backup: Annotated[
        list[str] | None,
        typer.Option("--backup", help="OWNER=SOURCE: judge this backup first, and use data of a clean point only."),
    ] = None,
    index: Annotated[Path, typer.Option("--index", help="The estate index of `recover scan`.")] = Path("estate.db"),
    declared_at: Annotated[
        str | None, typer.Option("--declared-at", help="When production was declared down; the present, if not said.")
    ] = None,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Run every pre-approved analysis through the same desks and gate as any run, and sign one pack as the lead."""
    if context.invoked_subcommand is not None:
        return
    with reported(as_json=as_json):
        from asepsis.bootstrap.continuity import drilled, judge_backups, make_pack, past_instant, write_files
        from asepsis.bootstrap.room import now, open_room
        from asepsis.cli.recover_continuity_text import pack_text
        from asepsis.domain.continuity_pack import ANSWERED
        from asepsis.errors.recovery import OutputExists
        from asepsis.services.continuity_choice import Occasion

        if out.exists():
            raise OutputExists(path=str(out))
        declared = now() if declared_at is None else past_instant(declared_at)
        opened = open_room(room)
        judged = judge_backups(backup or (), opened, index=index, progress=lambda step: step_line(step, quiet=as_json))
        occasion = Occasion(declared_at=declared, judged=judged, last_drills=drilled(opened))
        made, files = make_pack(opened, occasion, progress=lambda step: step_line(step, quiet=as_json))
        write_files(out, files)
        end_steps(quiet=as_json)
        text = (
            f"{pack_text(made)}\n{out}: {made.id}, signed by {made.lead}\n"
            f"next: asepsis recover continuity verify {out} --contract {made.contract}"
        )
        emit({"folder": str(out), **made.to_document()}, as_json=as_json, text=text)
        if any(output.outcome not in ANSWERED for output in made.outputs):
            raise typer.Exit(UNANSWERED)


@app.command("verify")
def verify(
    folder: Annotated[Path, typer.Argument(help="The folder of the pack.")],
    contract: Annotated[str, typer.Option("--contract", help="The contract's digest, from a party you trust.")],
    since: Annotated[
        str | None, typer.Option("--since", help="Refuse a pack that was signed before this instant.")
    ] = None,
    at: Annotated[str | None, typer.Option("--at", help="Judge ages as of this instant, not the present.")] = None,
    drill: Annotated[bool, typer.Option("--drill", help="A pack of a drill is what you want.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a pack offline, with public keys only: every signature, every table, every byte."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.continuity import past_instant, verify_folder
        from asepsis.bootstrap.room import now
        from asepsis.cli.recover_continuity_text import pack_text
        from asepsis.domain.names import Digest
        from asepsis.services.continuity_verify import Expected

        expected = Expected(
            contract=Digest(contract),
            at=now() if at is None else past_instant(at),
            since=None if since is None else past_instant(since),
            drill=drill,
        )
        found = verify_folder(folder, expected)
        late = "".join(f"\n{name}: too old by now" for name in found.stale)
        text = (
            f"{pack_text(found.pack)}{late}\n"
            f"verified: {found.pack.id}, signed by {found.pack.lead}, ledger entry {found.position}"
        )
        document = {
            **found.pack.to_document(),
            "ledger_position": found.position,
            "stale_by_now": list(found.stale),
        }
        emit(document, as_json=as_json, text=text)


@app.command("approve")
def approve(party: AsOption, room: RoomOption = DEFAULT_ROOM, as_json: JsonOption = False) -> None:
    """Approve the patient-level essentials beforehand, at one's own desk; nothing is delivered yet."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.continuity import approve_essentials
        from asepsis.bootstrap.room import open_room
        from asepsis.domain.names import PartyId

        referral, missing = approve_essentials(open_room(room), PartyId(party))
        waiting = f"waiting for {', '.join(missing)}" if missing else "they go to the clinical teams when needed"
        emit(
            {"referral": referral, "waiting_for": list(missing)},
            as_json=as_json,
            text=f"{referral}: essentials approved by {party}; {waiting}",
        )


@app.command("status")
def status(room: RoomOption = DEFAULT_ROOM, as_json: JsonOption = False) -> None:
    """What may run when production is down, how old its data are now, and when each was last drilled."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.continuity import continuity, drilled
        from asepsis.bootstrap.room import now, open_room
        from asepsis.cli.recover_continuity_text import readiness_text
        from asepsis.services.continuity_choice import Occasion

        opened = open_room(room)
        ready = continuity(opened).readiness(Occasion(declared_at=now(), last_drills=drilled(opened)))
        emit([one.to_document() for one in ready], as_json=as_json, text=readiness_text(ready))


@app.command("digest")
def digest(
    query: Annotated[str, typer.Option("--query", help="One SELECT statement.")] = "",
    method: Annotated[str, typer.Option("--method", help="The name of a method.")] = "",
    arguments: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE; commas make a list.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the digest that approves exactly this text, for the clause `continuity` of a contract."""
    with reported(as_json=as_json):
        from asepsis.cli.query import argument
        from asepsis.domain.analysis import AnalysisKind
        from asepsis.domain.continuity import approved_digest
        from asepsis.errors.continuity import TextUnclear

        if bool(query) == bool(method):
            raise TextUnclear
        kind = AnalysisKind.QUERY if query else AnalysisKind.METHOD
        found = approved_digest(kind, query or method, dict(argument(text) for text in arguments or []))
        emit({"digest": found}, as_json=as_json, text=found)
