"""``asepsis recover compare`` and ``recover ticket``: what changed between two snapshots, row by row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asepsis.cli.new_files import refuse_existing, write_new
from asepsis.cli.options import DEFAULT_ROOM, AsOption, JsonOption, RoomOption
from asepsis.cli.report import emit, reported, table
from asepsis.cli.steps import end_steps, step_line

if TYPE_CHECKING:
    from asepsis.services.comparing import Compared

_UNTRUSTED = 7

SnapshotArgument = Annotated[
    str, typer.Argument(help="A folder of tables (Parquet, CSV), or a source: sqlite:…, pgdump:…, restic:…")
]


def compare(
    before: SnapshotArgument,
    after: Annotated[
        str | None,
        typer.Argument(help="The newer one; without it, BEFORE is judged by what its tables say themselves."),
    ] = None,
    before_point: Annotated[str, typer.Option("--before-point", help="The older one's restore point.")] = "latest",
    after_point: Annotated[str, typer.Option("--after-point", help="The newer one's restore point.")] = "latest",
    history: Annotated[
        list[Path] | None,
        typer.Option(
            "--history", help="A folder with one folder for each older snapshot, in the order of their names."
        ),
    ] = None,
    key: Annotated[list[str] | None, typer.Option("--key", help="TABLE=COLUMN,COLUMN; else keys are found.")] = None,
    ticket: Annotated[list[Path] | None, typer.Option("--ticket", help="A signed change ticket.")] = None,
    signer: Annotated[Path | None, typer.Option("--signer", help="The public key of those who sign tickets.")] = None,
    rows: Annotated[Path | None, typer.Option("--rows", help="Write the rows behind the findings: private.")] = None,
    patch: Annotated[
        Path | None, typer.Option("--patch", help="Write the revert patch into this folder: private.")
    ] = None,
    timeline: Annotated[Path | None, typer.Option("--timeline", help="Write events for Timesketch: private.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page for a browser to this file.")] = None,
    memory: Annotated[str, typer.Option("--memory", help="How much memory may be used.")] = "2GB",
    as_json: JsonOption = False,
) -> None:
    """List exactly what changed, judge it, and say what is suspicious (exit code 7 then)."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.recovery import (
            ComparisonRequest,
            SnapshotAddress,
            compare_snapshots,
            declared_keys,
            read_tickets,
        )
        from asepsis.domain.source import Verdict
        from asepsis.services.comparing import Outputs

        refuse_existing(rows, timeline, html)
        if after is None:
            _alone(before, before_point, memory=memory, as_json=as_json)
            return
        request = ComparisonRequest(
            before=SnapshotAddress(text=before, point=before_point),
            after=SnapshotAddress(text=after, point=after_point),
            history=tuple(history or ()),
            keys=declared_keys(key or ()),
            tickets=read_tickets(ticket or (), signer),
            outputs=Outputs(rows=rows, patch=patch),
            memory=memory,
        )
        compared = compare_snapshots(request, step=lambda text: step_line(text, quiet=as_json))
        end_steps(quiet=as_json)
        document = _document(compared, before=before, after=after)
        _write_beside(document, compared, html=html, timeline=timeline)
        emit(document, as_json=as_json, text=_text(document))
        if compared.verdict is not Verdict.CLEAN:
            raise typer.Exit(_UNTRUSTED)


def sign_ticket(
    file: Annotated[Path, typer.Argument(help="The ticket as JSON.")],
    out: Annotated[Path, typer.Argument(help="Where to write the signed ticket.")],
    party: AsOption,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Sign a change ticket as a party, and write the party's public key beside it (OUT.pub)."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.recovery import signed_ticket
        from asepsis.bootstrap.room import open_room
        from asepsis.domain.names import PartyId
        from asepsis.errors.recovery import TicketRefused

        public = out.with_name(out.name + ".pub")
        refuse_existing(out, public)
        try:
            document = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError):
            raise TicketRefused(ticket=str(file), problem="it cannot be read as JSON") from None
        keys = open_room(room).keys(PartyId(party))
        signed = signed_ticket(document, keys, name=str(file))
        write_new(out, json.dumps(signed, indent=2, ensure_ascii=False) + "\n")
        write_new(public, keys.public().signing.hex() + "\n")
        emit({"ticket": str(out), "public_key": str(public)}, as_json=as_json, text=f"signed: {out}, key: {public}")


def _alone(text: str, point: str, *, memory: str, as_json: bool) -> None:
    from asepsis.bootstrap.recovery import SnapshotAddress, judge_alone
    from asepsis.domain.source import Verdict
    from asepsis.integrity.records.report import alone_document

    address = SnapshotAddress(text=text, point=point)
    looked = judge_alone(address, memory=memory, step=lambda step: step_line(step, quiet=as_json))
    end_steps(quiet=as_json)
    unchecked = ["changes: there is no other snapshot to compare with"]
    more = {"verdict": looked.verdict.value, "snapshot": text, "unchecked": unchecked}
    document = alone_document(looked.evidence.tables, looked.divergences, **more)
    lines = [*_found(document), f"not checked: {unchecked[0]}", f"verdict: {looked.verdict.value}"]
    emit(document, as_json=as_json, text="\n".join(lines))
    if looked.verdict is not Verdict.CLEAN:
        raise typer.Exit(_UNTRUSTED)


def _found(document: dict[str, Any]) -> list[str]:
    return [
        f"{one['number']}. [{one['severity']}] {one['says']} ({one['code']})\n   {one['next']}"
        for one in document["divergences"]
    ]


def _document(compared: Compared, *, before: str, after: str) -> dict[str, Any]:
    from asepsis.integrity.records.report import comparison_document

    root = compared.restored_root
    return comparison_document(
        compared.evidence,
        compared.divergences,
        verdict=compared.verdict.value,
        before=before,
        after=after,
        history=len(compared.earlier),
        unchecked=list(compared.unchecked),
        rows_written=compared.rows_written,
        restored_root=None if root is None else root.hex(),
    )


def _write_beside(document: dict[str, Any], compared: Compared, *, html: Path | None, timeline: Path | None) -> None:
    from asepsis.desk_home import now
    from asepsis.integrity.records.page import comparison_page
    from asepsis.integrity.records.report import timeline as events

    if html is not None:
        write_new(html, comparison_page(document, compared.days))
    if timeline is not None:
        lines = events(compared.divergences, compared.days, found_at=now(), source=str(document["after"]))
        write_new(timeline, "".join(f"{line}\n" for line in lines))


def _text(document: dict[str, Any]) -> str:
    ledger = [
        [
            one["table"],
            one["rows_before"],
            one["rows_after"],
            one["inserted"],
            one["deleted"],
            one["updated"],
            ", ".join(f"{column} {count}" for column, count in one["cells"].items()),
        ]
        for one in document["ledger"]
        if one["inserted"] or one["deleted"] or one["updated"]
    ]
    columns = ["table", "before", "after", "inserted", "deleted", "updated", "cells by column"]
    lines = [table(columns, ledger) if ledger else "no row differs", "", *_found(document)]
    lines += [f"not checked: {reason}" for reason in document["unchecked"]]
    if document["restored_root"]:
        lines.append(f"revert patch: it gives the older snapshot back exactly (root {document['restored_root']})")
    return "\n".join([*lines, f"verdict: {document['verdict']}"])
