"""``asepsis party``: enrol the parties of a room; private keys stay in each party's home."""

from __future__ import annotations

import base64
from typing import Annotated

import typer

from asepsis.cli.options import DEFAULT_ROOM, JsonOption, RoomOption
from asepsis.cli.report import emit, reported

app = typer.Typer(help="Enrol parties and show their public keys.", no_args_is_help=True)


@app.command("new")
def new(
    name: str,
    owner: Annotated[bool, typer.Option("--owner", help="The party owns data: it gets a key desk.")] = False,
    origin: Annotated[str, typer.Option(help="The ledger's name, used when the room is made.")] = "asepsis.local/room",
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Make a party's keys; the room is made with its first party."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import create_room
        from asepsis.domain.names import PartyId

        keys = create_room(room, origin=origin).enrol(PartyId(name), owner=owner)
        public = keys.public()
        document = {
            "party": name,
            "signing_key": base64.b64encode(public.signing).decode(),
            "sealing_key": base64.b64encode(public.sealing).decode(),
        }
        lines = "\n".join(f"{key}: {value}" for key, value in document.items())
        emit(document, as_json=as_json, text=f"{lines}\nnext: enrol the others, then asepsis contract draft room.yaml")
