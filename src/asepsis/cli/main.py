"""``asepsis``: the one entry point; each group of commands lives in a module of its own.

Heavy libraries are imported inside the commands that need them, so that ``--help`` answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from asepsis import __version__
from asepsis.cli import (
    access,
    contract,
    contribute,
    demo,
    keydesk,
    ledger,
    link,
    mapping,
    party,
    quality,
    query,
    recover,
    refer,
    rehearse,
    release,
    server,
    source,
    vocabulary,
)
from asepsis.cli.report import reported

app = typer.Typer(
    name="asepsis",
    help="A healthcare data clean room: questions are answered, patients stay unseen.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.command("demo")(demo.run)
app.add_typer(source.app, name="source")
app.command("contribute")(contribute.run)
app.command("quality")(quality.run)
app.add_typer(mapping.app, name="mapping")
app.add_typer(vocabulary.app, name="vocabulary")
app.add_typer(party.app, name="party")
app.add_typer(contract.app, name="contract")
app.add_typer(access.app, name="access")
app.add_typer(keydesk.app, name="keydesk")
app.add_typer(link.app, name="link")
app.command("query")(query.run_query)
app.command("method")(query.run_method)
app.add_typer(release.app, name="release")
app.add_typer(refer.app, name="refer")
app.add_typer(recover.app, name="recover")
app.add_typer(ledger.app, name="ledger")
app.command("rehearse")(rehearse.run)
app.command("serve")(server.serve)
app.command("doctor")(server.doctor)


def _version(value: bool) -> None:  # noqa: FBT001 - the shape of a typer callback
    if value:
        typer.echo(f"asepsis {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that stand before any command."""


def main() -> None:
    """Run the command line; every error becomes one line, a hint and an exit code."""
    with reported():
        app()
