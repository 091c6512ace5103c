"""``asepsis recover``: which restore point can be trusted, and what was changed."""

from __future__ import annotations

from itertools import count
from typing import Annotated

import typer

from asepsis.cli import (
    recover_certify,
    recover_compare,
    recover_continuity,
    recover_drill,
    recover_incident,
    recover_plan,
    recover_scan,
)
from asepsis.cli.options import JsonOption
from asepsis.cli.recover_history import history_document, history_text, next_steps, next_text
from asepsis.cli.report import emit, reported
from asepsis.cli.steps import end_steps, step_line

app = typer.Typer(help="Validate restore points and find the last clean one.", no_args_is_help=True)


@app.command("last-clean", short_help="Which restore point can be trusted, without keeping anything.")
def last_clean(
    uri: Annotated[str, typer.Argument(help="restic:…, tar:… or dir:…")],
    as_json: JsonOption = False,
) -> None:
    """Judge every restore point by content and format, and name the newest clean one (exit code 7 if none is)."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.backups import look_into
        from asepsis.services.looking import last_clean as find_last_clean

        seen = count(1)
        history = find_last_clean(
            look_into(uri), reading=lambda: step_line("reading, objects", next(seen), quiet=as_json)
        )
        end_steps(quiet=as_json)
        steps = next_steps(history, uri)
        text = f"{history_text(history)}\n{next_text(steps)}"
        emit({**history_document(history), "next": steps}, as_json=as_json, text=text)
        if history.last_clean is None:
            raise typer.Exit(7)


app.command("scan", short_help="The same, kept in an index: only what is new is read.")(recover_scan.scan)
app.command("compare", short_help="What changed between two snapshots, row by row.")(recover_compare.compare)
app.command("ticket", short_help="Sign a change ticket, which explains changes.")(recover_compare.sign_ticket)
app.add_typer(recover_incident.app, name="incident", short_help="Work through an incident, by signed acts.")
app.command("certify", short_help="Sign a certificate over an incident.")(recover_certify.certify)
app.command("keys", short_help="Write the public keys that verify certificates.")(recover_certify.write_keys)
app.command("verify", short_help="Check a certificate offline.")(recover_certify.verify)
app.command("plan", short_help="Write a contingency plan and a runbook.")(recover_plan.plan)
app.add_typer(recover_continuity.app, name="continuity", short_help="Production is down: run what was pre-approved.")
app.add_typer(recover_drill.app, name="drill", short_help="Rehearse the time when production is down.")
