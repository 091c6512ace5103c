"""``asepsis keydesk``: what an owner does at their own desk: look, stop everything, let it go on."""

from __future__ import annotations

from typing import Annotated

import typer

from asepsis.cli.options import DEFAULT_ROOM, AsOption, JsonOption, RoomOption
from asepsis.cli.report import emit, reported

app = typer.Typer(help="The owner's key desk: status, stop, resume.", no_args_is_help=True)


@app.command("status")
def status(party: AsOption, room: RoomOption = DEFAULT_ROOM, as_json: JsonOption = False) -> None:
    """Say whether the desk grants, what is left of the budget, and how far it has witnessed the ledger."""
    with reported(as_json=as_json):
        from asepsis.bootstrap import open_room
        from asepsis.domain.names import PartyId

        opened = open_room(room)
        desk = opened.desk(PartyId(party))
        budget = desk.budget(opened.contracts.status().digest)
        document = {
            "party": party,
            "stopped": desk.is_stopped(),
            "budget": {"limit": budget.limit, "used": budget.used, "remaining": budget.remaining},
            "witnessed_entries": desk.seen_size(),
        }
        state = "stopped: it grants nothing" if document["stopped"] else "grants under the contract"
        text = (
            f"{party}: {state}\n{budget.used} of {budget.limit} runs used, {budget.remaining} left\n"
            f"ledger witnessed up to entry {desk.seen_size()}"
        )
        emit(document, as_json=as_json, text=text)


@app.command("stop")
def stop(
    party: AsOption,
    reason: Annotated[str, typer.Option("--reason", help="Why; it stays at the desk.")] = "",
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """The kill switch: from now on nothing runs on this owner's data, under no contract."""
    with reported(as_json=as_json):
        from asepsis.bootstrap import open_room
        from asepsis.domain.names import PartyId

        open_room(room).desk(PartyId(party)).stop(reason)
        emit({"party": party, "stopped": True}, as_json=as_json, text=f"{party}: stopped; nothing is granted any more")


@app.command("resume")
def resume(party: AsOption, room: RoomOption = DEFAULT_ROOM, as_json: JsonOption = False) -> None:
    """Turn the kill switch back."""
    with reported(as_json=as_json):
        from asepsis.bootstrap import open_room
        from asepsis.domain.names import PartyId

        open_room(room).desk(PartyId(party)).resume()
        emit({"party": party, "stopped": False}, as_json=as_json, text=f"{party}: grants again under the contract")
