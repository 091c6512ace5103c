"""``asepsis keydesk``: what an owner does at their own desk: look, stop everything, let it go on; and run it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asepsis.cli import desk_program
from asepsis.cli.options import DEFAULT_ROOM, AsOption, JsonOption, RoomOption
from asepsis.cli.report import emit, reported

if TYPE_CHECKING:
    from asepsis.disclosure.dp.accounting import Statement
    from asepsis.domain.names import Digest
    from asepsis.domain.privacy import Account
    from asepsis.services.keydesk.desk import KeyDesk

app = typer.Typer(help="The owner's key desk: make it, run it, look, stop, resume.", no_args_is_help=True)
app.command("init")(desk_program.init)
app.command("admit")(desk_program.admit)
app.command("serve")(desk_program.serve)
app.command("shares")(desk_program.shares)
app.command("open-share")(desk_program.open_share)
app.command("recover")(desk_program.recover)
app.command("rewrap")(desk_program.rewrap)
app.command("renew")(desk_program.renew)
app.command("introduce")(desk_program.introduce)
app.command("connect")(desk_program.connect)

DeskOption = Annotated[
    Path | None, typer.Option("--at", help="The desk's own folder, where it is no part of the room's.")
]


@app.command("status")
def status(
    party: AsOption, room: RoomOption = DEFAULT_ROOM, at: DeskOption = None, as_json: JsonOption = False
) -> None:
    """Say whether the desk grants, what is left of the budget, and how far it has witnessed the ledger."""
    with reported(as_json=as_json):
        desk = _own(party, room, at)
        digest = _newest_contract(desk, room, at)
        budget = desk.budget(digest)
        accounts = desk.privacy(digest)
        document = {
            "party": party,
            "contract": digest,
            "stopped": desk.is_stopped(),
            "budget": {"limit": budget.limit, "used": budget.used, "remaining": budget.remaining},
            "privacy": [_account(account) for account in accounts],
            "witnessed_entries": desk.seen_size(),
        }
        state = "stopped: it grants nothing" if document["stopped"] else "grants under the contract"
        text = (
            f"{party}: {state}\n{budget.used} of {budget.limit} runs used, {budget.remaining} left\n"
            f"{''.join(_account_text(account) for account in accounts)}"
            f"ledger witnessed up to entry {desk.seen_size()}"
        )
        emit(document, as_json=as_json, text=text)


def _statement(account: Account) -> Statement:
    """What the persons of a dataset lost so far, as epsilon and delta."""
    from asepsis.disclosure.dp.accounting import stated

    return stated(account.limit, account.spent)


def _account(account: Account) -> dict[str, object]:
    return {
        **account.to_document(),
        "remaining": account.remaining.to_document(),
        **_statement(account).to_document(),
    }


def _account_text(account: Account) -> str:
    spent, limit = account.spent.micro_rho, account.limit.micro_rho
    statement = _statement(account)
    return (
        f"{account.dataset}: {spent} of {limit} millionths of rho spent, {account.remaining.micro_rho} left; "
        f"so far epsilon {statement.epsilon:.3g} at delta {statement.delta:.1g} (by zCDP {statement.by_zcdp:.3g})\n"
    )


@app.command("seen")
def seen(
    party: AsOption,
    out: Annotated[Path | None, typer.Option("--out", help="Where to write it; default <party>.checkpoint.")] = None,
    room: RoomOption = DEFAULT_ROOM,
    at: DeskOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the newest checkpoint that this desk cosigned, for others to compare with what they were shown."""
    with reported(as_json=as_json):
        from asepsis.cli.files import write_bytes

        file = out or Path(f"{party}.checkpoint")
        write_bytes(file, _own(party, room, at).seen().encode())
        text = f"{file}\nnext: asepsis ledger verify ledger.jsonl --contract room.yaml --seen {file}"
        emit({"party": party, "file": str(file)}, as_json=as_json, text=text)


@app.command("stop")
def stop(
    party: AsOption,
    reason: Annotated[str, typer.Option("--reason", help="Why; it stays at the desk.")] = "",
    room: RoomOption = DEFAULT_ROOM,
    at: DeskOption = None,
    as_json: JsonOption = False,
) -> None:
    """The kill switch: from now on nothing runs on this owner's data, under no contract."""
    with reported(as_json=as_json):
        _own(party, room, at).stop(reason)
        emit({"party": party, "stopped": True}, as_json=as_json, text=f"{party}: stopped; nothing is granted any more")


@app.command("resume")
def resume(
    party: AsOption, room: RoomOption = DEFAULT_ROOM, at: DeskOption = None, as_json: JsonOption = False
) -> None:
    """Turn the kill switch back."""
    with reported(as_json=as_json):
        _own(party, room, at).resume()
        emit({"party": party, "stopped": False}, as_json=as_json, text=f"{party}: grants again under the contract")


def _newest_contract(desk: KeyDesk, room: Path, at: Path | None) -> Digest:
    """The room's contract, or the one that was signed last at a desk of its own. Raises NoContract."""
    from asepsis.bootstrap.room import open_room
    from asepsis.errors.contract import NoContract

    if at is None:
        return open_room(room).contracts.status().digest
    signed = desk.newest_contracts()
    if not signed:
        raise NoContract
    return signed[-1]


def _own(party: str, room: Path, at: Path | None) -> KeyDesk:
    """The owner's own desk: in its folder, or in the room's. Raises what opening it raises."""
    from asepsis.bootstrap.room import open_room
    from asepsis.desk_home import open_desk_home
    from asepsis.domain.names import PartyId
    from asepsis.errors.desk import DeskHomeMissing

    if at is None:
        return open_room(room).desk(PartyId(party))
    home = open_desk_home(at)
    if home.owner != party:
        raise DeskHomeMissing(path=str(at))
    return home.desk
