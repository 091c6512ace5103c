"""``asepsis party``: enrol the parties of a room; private keys stay in each party's home."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated

import typer

from asepsis.cli.options import DEFAULT_ROOM, JsonOption, RoomOption
from asepsis.cli.report import emit, reported

if TYPE_CHECKING:
    from asepsis.domain.keydesk import PublicKeys

app = typer.Typer(help="Enrol parties and show their public keys.", no_args_is_help=True)


@app.command("new")
def new(
    name: Annotated[list[str], typer.Argument(help="The party's short name; several, if they share this machine.")],
    owner: Annotated[bool, typer.Option("--owner", help="The party owns data: it gets a key desk.")] = False,
    origin: Annotated[str, typer.Option(help="The ledger's name, used when the room is made.")] = "asepsis.local/room",
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Make a party's keys; the room is made with its first party."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import create_room
        from asepsis.domain.names import PartyId

        opened = create_room(room, origin=origin)
        made = [_document(party, opened.enrol(PartyId(party), owner=owner).public()) for party in name]
        lines = "\n".join(f"{key}: {value}" for document in made for key, value in document.items())
        emit(
            made[0] if len(made) == 1 else made,
            as_json=as_json,
            text=f"{lines}\nnext: enrol the others, then asepsis contract draft room.yaml",
        )


def _document(party: str, public: PublicKeys) -> dict[str, str]:
    return {
        "party": party,
        "signing_key": base64.b64encode(public.signing).decode(),
        "sealing_key": base64.b64encode(public.sealing).decode(),
    }
