"""The options that every command shares, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RoomOption = Annotated[
    Path, typer.Option("--room", envvar="ASEPSIS_ROOM", help="The folder of the room.", show_default=True)
]
AsOption = Annotated[str, typer.Option("--as", envvar="ASEPSIS_PARTY", help="The party that you act for.")]
ExplainOption = Annotated[bool, typer.Option("--explain", help="Also say what was done to each cell, and why.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]

DEFAULT_ROOM = Path("asepsis-room")
