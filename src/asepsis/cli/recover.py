"""``asepsis recover``: which restore point can be trusted, and what was changed."""

from __future__ import annotations

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
from asepsis.cli.recover_history import history_document, history_text
from asepsis.cli.report import emit, reported

app = typer.Typer(help="Validate restore points and find the last clean one.", no_args_is_help=True)
app.command("scan")(recover_scan.scan)
app.command("compare")(recover_compare.compare)
app.command("ticket")(recover_compare.sign_ticket)
app.add_typer(recover_incident.app, name="incident")
app.command("certify")(recover_certify.certify)
app.command("keys")(recover_certify.write_keys)
app.command("verify")(recover_certify.verify)
app.command("plan")(recover_plan.plan)
app.add_typer(recover_continuity.app, name="continuity")
app.add_typer(recover_drill.app, name="drill")


@app.command("last-clean")
def last_clean(
    uri: Annotated[str, typer.Argument(help="restic:…, tar:… or dir:…")],
    as_json: JsonOption = False,
) -> None:
    """Judge every restore point by content and format, and name the newest clean one (exit code 7 if none is)."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.backups import look_into
        from asepsis.services.looking import last_clean as find_last_clean

        history = find_last_clean(look_into(uri))
        emit(history_document(history), as_json=as_json, text=history_text(history))
        if history.last_clean is None:
            raise typer.Exit(7)
