"""``asepsis release``: what left the room, what waits for a decision, and the proof of each number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from asepsis.cli.options import DEFAULT_ROOM, AsOption, ExplainOption, JsonOption, RoomOption
from asepsis.cli.report import emit, reported, table
from asepsis.cli.results import answer_document, answer_text

ZIP = b"PK\x03\x04"

app = typer.Typer(help="Releases, reviews and evidence bundles.", no_args_is_help=True)


@app.command("ls")
def ls(room: RoomOption = DEFAULT_ROOM, as_json: JsonOption = False) -> None:
    """List all outputs that asked to leave the room."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import open_room

        releases = [answer.release for answer in open_room(room).analyses.releases() if answer.release]
        rows = [[r.id, r.status.value, r.author, r.decided_by or "", r.decided_at.isoformat()] for r in releases]
        emit(
            [{"release": r.id, "status": r.status.value, "author": r.author, "run": r.run} for r in releases],
            as_json=as_json,
            text=table(["release", "status", "author", "decided by", "at"], rows),
        )


@app.command("show")
def show(
    release: str,
    party: Annotated[str, typer.Option("--as", help="An owner or checker also sees what waits for a decision.")] = "",
    explain: ExplainOption = False,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Show one output: its protected table once it is released, and its findings."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import open_room
        from asepsis.domain.names import PartyId, ReleaseId

        viewer = PartyId(party) if party else None
        answer = open_room(room).analyses.show(ReleaseId(release), to=viewer)
        text = answer_text(answer, explained=explain)
        emit(answer_document(answer, explained=explain), as_json=as_json, text=text)


@app.command("review")
def review(
    release: str,
    party: AsOption,
    approve: Annotated[bool, typer.Option("--approve/--refuse", help="Release it, or refuse it.")],
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Decide on an output that waits; nobody decides on their own."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import open_room
        from asepsis.domain.names import PartyId, ReleaseId

        answer = open_room(room).review(ReleaseId(release), by=PartyId(party), release_it=approve)
        emit(answer_document(answer), as_json=as_json, text=answer_text(answer))


@app.command("get")
def get(
    release: str,
    out: Annotated[Path | None, typer.Option("--out", help="Where to write it; default <release>.json.")] = None,
    ro_crate: Annotated[
        Path | None,
        typer.Option("--ro-crate", help="Write a Five Safes RO-Crate (ZIP) with the bundle inside instead."),
    ] = None,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Write the evidence bundle of a release, alone or in a Five Safes RO-Crate."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.bundles import release_crate
        from asepsis.bootstrap.room import open_room
        from asepsis.cli.files import write_bytes
        from asepsis.domain.names import ReleaseId

        opened = open_room(room)
        bundle = opened.evidences.bundle(ReleaseId(release))
        if ro_crate is None:
            target, content = out or Path(f"{release}.json"), json.dumps(bundle, indent=1, sort_keys=True).encode()
        else:
            target, content = (
                ro_crate,
                release_crate(bundle, contract=opened.state.release(ReleaseId(release)).contract),
            )
        write_bytes(target, content)
        digest = opened.contracts.status().digest
        emit(
            {"file": str(target), "contract": digest},
            as_json=as_json,
            text=f"{target}\nnext: asepsis release verify {target} --contract {digest}",
        )


@app.command("verify")
def verify(
    bundle: Path,
    contract: Annotated[str, typer.Option("--contract", help="The contract's digest, from an owner you trust.")],
    as_json: JsonOption = False,
) -> None:
    """Check an evidence bundle, or a crate with one, offline: everything, down to the ledger."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.bundles import verify_release_bundle, verify_release_crate
        from asepsis.cli.evidence import verified_document, verified_text
        from asepsis.cli.files import read_bytes, read_json
        from asepsis.domain.names import Digest

        pinned, content = Digest(contract), read_bytes(bundle)
        is_crate = content.startswith(ZIP)
        verified = (
            verify_release_crate(content, contract=pinned)
            if is_crate
            else verify_release_bundle(read_json(bundle), contract=pinned)
        )
        document = verified_document(verified)
        text = verified_text(verified)
        emit(document, as_json=as_json, text=text)
