"""``asepsis ledger``: the record of every act, for people and for an auditor who trusts none of us."""

from __future__ import annotations

from enum import StrEnum
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
        from asepsis.bootstrap.room import open_room

        entries = open_room(room).audit.entries()
        rows = [[n, e.at.strftime("%Y-%m-%d %H:%M:%S"), e.actor, e.act.value, e.subject] for n, e in enumerate(entries)]
        emit(
            [entry.to_document() for entry in entries],
            as_json=as_json,
            text=table(["#", "at", "by", "act", "subject"], rows),
        )


class Format(StrEnum):
    """What the file is for."""

    BUNDLE = "bundle"
    FHIR = "fhir"
    OCSF = "ocsf"


_NAMES = {Format.BUNDLE: "ledger.jsonl", Format.FHIR: "ledger.fhir.json", Format.OCSF: "ledger.ocsf.jsonl"}


@app.command("export")
def export(
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write it; default ledger.jsonl, named by its format.")
    ] = None,
    kind: Annotated[
        Format,
        typer.Option("--format", help="bundle: verifies offline; fhir: AuditEvents; ocsf: events for a collector."),
    ] = Format.BUNDLE,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Write the whole ledger, under a checkpoint that every owner cosigned, into one file."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import open_room
        from asepsis.cli.files import require_writable, write_bytes
        from asepsis.services.audit import ExportFormat

        file = out or Path(_NAMES[kind])
        require_writable(file)  # an export is an act: nothing is written into the ledger for one that cannot be
        write_bytes(file, open_room(room).audit.export(ExportFormat(kind.value)))
        verify_it = f"\nnext: asepsis ledger verify {file} --contract room.yaml" if kind is Format.BUNDLE else ""
        emit({"file": str(file), "format": kind.value}, as_json=as_json, text=f"{file}{verify_it}")


@app.command("verify")
def verify(
    bundle: Path,
    contract: Annotated[Path, typer.Option("--contract", help="The contract whose public keys you trust.")],
    seen: Annotated[
        list[Path] | None,
        typer.Option("--seen", help="A checkpoint that an owner's desk saw (asepsis keydesk seen)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check an exported ledger offline, with the public keys of the contract only."""
    with reported(as_json=as_json):
        from asepsis.cli.files import read_bytes, read_text
        from asepsis.domain.contract_reading import read_contract
        from asepsis.services.audit import ledger_keys, verify_export
        from asepsis.yaml_files import read_yaml

        notes = [read_text(path) for path in seen or []]
        report = verify_export(read_bytes(bundle), ledger_keys(read_contract(read_yaml(contract))), seen=notes)
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
