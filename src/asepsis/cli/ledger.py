"""``asepsis ledger``: the record of every act, for people and for an auditor who trusts none of us."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asepsis.cli.options import DEFAULT_ROOM, JsonOption, RoomOption
from asepsis.cli.report import emit, reported, table

app = typer.Typer(help="Show, export and verify the ledger.", no_args_is_help=True)


@app.command("show")
def show(room: RoomOption = DEFAULT_ROOM, as_json: JsonOption = False) -> None:
    """Print all entries, oldest first."""
    with reported(as_json=as_json):
        from asepsis.bootstrap import open_room

        entries = open_room(room).audit.entries()
        rows = [[n, e.at.strftime("%Y-%m-%d %H:%M:%S"), e.actor, e.act.value, e.subject] for n, e in enumerate(entries)]
        emit(
            [entry.to_document() for entry in entries],
            as_json=as_json,
            text=table(["#", "at", "by", "act", "subject"], rows),
        )


@app.command("export")
def export(
    out: Annotated[Path, typer.Option("--out", help="Where to write the ledger.")] = Path("ledger.jsonl"),
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Write the whole ledger, under a checkpoint that every owner cosigned, into one file."""
    with reported(as_json=as_json):
        from asepsis.bootstrap import open_room
        from asepsis.cli.files import write_bytes

        opened = open_room(room)
        write_bytes(out, opened.audit.export())
        emit({"file": str(out)}, as_json=as_json, text=f"{out}\nnext: asepsis ledger verify {out} --contract room.yaml")


@app.command("verify")
def verify(
    bundle: Path,
    contract: Annotated[Path, typer.Option("--contract", help="The contract whose public keys you trust.")],
    as_json: JsonOption = False,
) -> None:
    """Check an exported ledger offline, with the public keys of the contract only."""
    with reported(as_json=as_json):
        from asepsis.cli.files import read_bytes
        from asepsis.domain.contract import read_contract
        from asepsis.services.audit import ledger_keys, verify_export
        from asepsis.yaml_files import read_yaml

        report = verify_export(read_bytes(bundle), ledger_keys(read_contract(read_yaml(contract))))
        witnesses = sorted({cosignature.witness for cosignature in report.witnesses})
        acts = {act.value: count for act, count in sorted(report.acts.items(), key=lambda item: item[0].value)}
        text = "\n".join(
            [
                f"{report.origin}: {report.size} entries verify, cosigned by {', '.join(witnesses)}",
                f"root {report.root.hex()}",
                table(["act", "entries"], list(acts.items())),
            ]
        )
        emit(
            {
                "origin": report.origin,
                "size": report.size,
                "root": report.root.hex(),
                "witnesses": witnesses,
                "acts": acts,
            },
            as_json=as_json,
            text=text,
        )
