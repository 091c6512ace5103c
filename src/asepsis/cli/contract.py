"""``asepsis contract``: what the parties agree on, who signed, and how one of them stops it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asepsis.cli import draft, erasure
from asepsis.cli.options import DEFAULT_ROOM, AsOption, JsonOption, RoomOption
from asepsis.cli.report import emit, reported

if TYPE_CHECKING:
    from asepsis.domain.contract import Contract
    from asepsis.domain.contract_state import ContractState

app = typer.Typer(help="Draft, read, sign and stop the contract (room.yaml).", no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(help="The contract, usually room.yaml.")]


app.command("draft")(draft.run)
app.command("erase")(erasure.erase)
app.command("verify-erasure")(erasure.verify)


@app.command("schema")
def schema(as_json: JsonOption = False) -> None:
    """Print the JSON Schema of a contract, for editors and other programs."""
    with reported(as_json=as_json):
        import json

        from asepsis.domain.contract_schema import contract_schema

        document = contract_schema()
        emit(document, as_json=as_json, text=json.dumps(document, indent=2))


@app.command("plan")
def plan(file: FileArgument, room: RoomOption = DEFAULT_ROOM, as_json: JsonOption = False) -> None:
    """Check a contract and say in words what each party gives, gets and must sign, and what an amendment changes."""
    with reported(as_json=as_json):
        from asepsis.sealing.agreement import contract_digest
        from asepsis.services.contracts import read_proposal
        from asepsis.services.wording import contract_in_words
        from asepsis.yaml_files import read_yaml

        contract = read_proposal(read_yaml(file))
        digest = contract_digest(contract)
        words = contract_in_words(contract)
        amends = _amends(contract, room)
        emit(
            {"digest": digest, "parties": words, "changes": amends},
            as_json=as_json,
            text=_words(contract.title, digest, {**_changed(amends), **words}),
        )


def _amends(contract: Contract, room: Path) -> dict[str, list[str]]:
    """What an amendment widens, narrows and changes, against the version that the room knows, where it is at hand."""
    from asepsis.bootstrap.room import open_room
    from asepsis.domain.contract_reading import read_contract
    from asepsis.errors.contract import AmendmentRefused
    from asepsis.errors.room import RoomMissing
    from asepsis.services.amending import Direction, changes

    if contract.amends is None:
        return {}
    try:
        opened = open_room(room)
        before = opened.state.contracts().get(contract.amends.contract)
    except RoomMissing:
        return {"is not compared": ["name its room with --room to see what it widens and narrows"]}
    if before is None:
        raise AmendmentRefused(contract=contract.name, problem="the room does not know the version that it names")
    found = changes(contract, before=read_contract(before))
    wider = opened.contracts.widened(contract)
    who = f"all parties, for {', '.join(wider)}" if wider else "one owner: it only narrows; the other desks confirm it"
    return {"is signed by": [who]} | {
        direction.value: [one.words for one in found if one.direction is direction]
        for direction in Direction
        if any(one.direction is direction for one in found)
    }


def _changed(amends: dict[str, list[str]]) -> dict[str, list[str]]:
    return {f"this amendment {direction}": lines for direction, lines in amends.items()}


@app.command("sign")
def sign(
    file: FileArgument,
    party: Annotated[
        list[str],
        typer.Option(
            "--as", envvar="ASEPSIS_PARTY", help="The party that signs; several, if you hold their keys here."
        ),
    ],
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Sign the contract as a party; the first to do so proposes it. Of what only narrows, one owner's is enough."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import open_room
        from asepsis.domain.names import PartyId
        from asepsis.services.contracts import read_proposal
        from asepsis.yaml_files import read_yaml

        opened = open_room(room)
        document = read_yaml(file)
        read_proposal(document)
        for name in map(PartyId, party):
            signature = opened.sign_contract(name, document)  # first: what a desk refuses is not proposed
            opened.contracts.propose(document)
            opened.contracts.sign(name, signature=signature)
        state = opened.narrowings.confirm()
        opened.audit.checkpoint()
        _show(state, as_json=as_json)


@app.command("status")
def status(room: RoomOption = DEFAULT_ROOM, as_json: JsonOption = False) -> None:
    """Say where the contract stands and whose turn it is."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import open_room

        _show(open_room(room).contracts.status(), as_json=as_json)


@app.command("amend")
def amend(
    file: Annotated[Path, typer.Argument(help="Where to write it; nothing is overwritten.")],
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Write the next version of the contract that all have signed, to be edited; nothing is signed."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import open_room

        document = open_room(room).contracts.amendment()
        draft.write(file, document)
        text = f"{file}\nnext: edit it, then: asepsis contract plan {file}; all parties sign, or one owner what narrows"
        emit({"file": str(file), "contract": document}, as_json=as_json, text=text)


@app.command("suspend")
def suspend(party: AsOption, room: RoomOption = DEFAULT_ROOM, as_json: JsonOption = False) -> None:
    """Stop everything under the contract, as one owner; nobody can overrule it."""
    _state("suspend", party, room, as_json=as_json)


@app.command("resume")
def resume(party: AsOption, room: RoomOption = DEFAULT_ROOM, as_json: JsonOption = False) -> None:
    """Lift one's own suspension."""
    _state("resume", party, room, as_json=as_json)


@app.command("end")
def end(party: AsOption, room: RoomOption = DEFAULT_ROOM, as_json: JsonOption = False) -> None:
    """End the contract, as one owner, for ever."""
    _state("end", party, room, as_json=as_json)


def _state(kind: str, party: str, room: Path, *, as_json: bool) -> None:
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import open_room
        from asepsis.domain.names import PartyId

        opened = open_room(room)
        digest, desk = opened.contracts.status().digest, opened.desk(PartyId(party))
        verbs = {"suspend": desk.suspend, "resume": desk.resume_contract, "end": desk.end}
        state = opened.contracts.state_that(verbs[kind](digest))
        opened.audit.checkpoint()
        _show(state, as_json=as_json)


def _show(state: ContractState, *, as_json: bool) -> None:
    document = {
        "contract": state.contract.name,
        "digest": state.digest,
        "status": state.status.value,
        "signed_by": sorted(state.signed_by),
        "waiting_for": list(state.waiting_for),
        "valid_until": state.contract.valid_until.isoformat(),
    }
    waiting = f"; waiting for {', '.join(state.waiting_for)}" if state.waiting_for else ""
    text = f"contract {state.contract.name} is {state.status.value}{waiting}\ndigest {state.digest}"
    emit(document, as_json=as_json, text=text)


def _words(title: str, digest: str, words: dict[str, list[str]]) -> str:
    blocks = ["\n".join([party, *(f"  {line}" for line in lines)]) for party, lines in words.items()]
    return "\n\n".join([f"{title}\ndigest {digest}", *blocks])
