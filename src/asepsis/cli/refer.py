"""``asepsis refer``: follow-up of patients through the clinical team of their own hospital."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asepsis.cli.options import DEFAULT_ROOM, AsOption, JsonOption, RoomOption
from asepsis.cli.report import emit, reported, table
from asepsis.cli.steps import end_steps, step_line

if TYPE_CHECKING:
    from asepsis.domain.referral import Referral

app = typer.Typer(help="Ask for, approve, deliver and collect referrals.", no_args_is_help=True)


@app.command("new")
def new(
    cohort: Annotated[str, typer.Argument(help="SELECT DISTINCT person_id FROM …")],
    reason: Annotated[str, typer.Option("--reason", help="Why follow-up is needed.")],
    party: AsOption,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Ask for follow-up of a cohort; every owner has to approve it."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import open_room
        from asepsis.domain.names import PartyId

        referral = open_room(room).referrals.request(PartyId(party), cohort=cohort, reason=reason)
        _show(referral, as_json=as_json, following=f"asepsis refer approve {referral.id} --as OWNER")


@app.command("approve")
def approve(
    referral: str,
    party: AsOption,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Approve exactly this referral at one's own desk; the last approval delivers it."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import open_room
        from asepsis.domain.names import PartyId, ReferralId
        from asepsis.domain.referral import ReferralStatus

        opened = open_room(room)
        approved = opened.approve_referral(ReferralId(referral), owner=PartyId(party))
        if approved.status is ReferralStatus.APPROVED:
            approved = opened.referrals.deliver(approved.id, progress=lambda step: step_line(step, quiet=as_json))
            end_steps(quiet=as_json)
        _show(approved, as_json=as_json, following=f"asepsis refer collect {referral} --as TEAM")


@app.command("ls")
def ls(room: RoomOption = DEFAULT_ROOM, as_json: JsonOption = False) -> None:
    """List all referrals; how many patients they concern is not shown to anybody."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import open_room

        referrals = open_room(room).state.referrals()
        emit(
            [_document(referral) for referral in referrals],
            as_json=as_json,
            text=table(
                ["referral", "status", "asked by", "approved by"],
                [[r.id, r.status.value, r.analysis.author, ", ".join(sorted(r.approvals))] for r in referrals],
            ),
        )


@app.command("collect")
def collect(
    referral: str,
    party: AsOption,
    register: Annotated[
        Path | None, typer.Option("--register", help="The hospital's register, if its home is not here: adds names.")
    ] = None,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Open the package for one's own clinical team; it is written into the team's home, readable by it alone."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.collecting import collect_referral
        from asepsis.bootstrap.room import open_room
        from asepsis.domain.names import PartyId, ReferralId

        collected = collect_referral(open_room(room), ReferralId(referral), team=PartyId(party), register=register)
        text = f"{collected.patients} patients of your hospital: {collected.path}"
        if collected.register is not None:
            text += (
                f"\nwithout names; your hospital has them in {collected.register}"
                f"\nnext: asepsis refer collect {referral} --as {party} --register FILE"
            )
        document = {"file": str(collected.path), "patients": collected.patients, "named": collected.named}
        emit(document, as_json=as_json, text=text)


def _document(referral: Referral) -> dict[str, object]:
    return {
        "referral": referral.id,
        "status": referral.status.value,
        "author": referral.analysis.author,
        "approved_by": sorted(referral.approvals),
    }


def _show(referral: Referral, *, as_json: bool, following: str) -> None:
    emit(_document(referral), as_json=as_json, text=f"{referral.id}: {referral.status.value}\nnext: {following}")
