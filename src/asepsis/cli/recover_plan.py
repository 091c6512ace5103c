"""``asepsis recover plan``: the contingency plan and the runbook, written from what the room holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asepsis.cli.options import DEFAULT_ROOM, AsOption, JsonOption, RoomOption
from asepsis.cli.report import emit, reported


def plan(
    out: Annotated[Path, typer.Argument(help="The new folder for plan and runbook.")],
    party: AsOption,
    source: Annotated[
        list[str] | None, typer.Option("--source", help="A backup; those of incidents are known already.")
    ] = None,
    index: Annotated[
        Path | None, typer.Option("--index", help="The file of the estate index; default is in the party's home.")
    ] = None,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Write a contingency plan and a runbook, as Markdown and as pages, mapped to HIPAA and to NIST CSF 2.0.

    Every item of the mapping names the evidence in the room, or says that nothing shows it.
    """
    with reported(as_json=as_json):
        from asepsis.bootstrap.recovery_plan import room_facts
        from asepsis.bootstrap.room import open_room
        from asepsis.cli.new_files import write_new
        from asepsis.domain.names import PartyId
        from asepsis.integrity.incident.papers import as_html, as_markdown
        from asepsis.integrity.incident.plan import contingency_plan, mapping, runbook
        from asepsis.services.clean_sets import new_folder

        facts = room_facts(open_room(room), PartyId(party), sources=source or (), index=index)
        new_folder(out)
        for name, paper in (("contingency-plan", contingency_plan(facts)), ("runbook", runbook(facts))):
            write_new(out / f"{name}.md", as_markdown(paper))
            write_new(out / f"{name}.html", as_html(paper))
        items = mapping(facts)
        lines = [
            f"{item.framework} {item.id}: {item.evidence[0] if item.evidence else 'nothing here shows this'}"
            for item in items
        ]
        document = [
            {"framework": item.framework, "item": item.id, "asks": item.asks, "evidence": list(item.evidence)}
            for item in items
        ]
        emit({"folder": str(out), "mapping": document}, as_json=as_json, text="\n".join([*lines, f"written: {out}"]))
