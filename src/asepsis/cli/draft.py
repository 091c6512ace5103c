"""``asepsis contract draft``: a contract for the enrolled parties, to be read and edited before anybody signs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asepsis.cli.options import DEFAULT_ROOM, JsonOption, RoomOption
from asepsis.cli.report import emit, reported

if TYPE_CHECKING:
    from asepsis.bootstrap.room import Room
    from asepsis.domain.documents import Document
    from asepsis.domain.linkage import LinkMode
    from asepsis.domain.names import PartyId
    from asepsis.domain.snapshot import Label
    from asepsis.services.drafting import Enrolled


def run(
    file: Annotated[Path, typer.Argument(help="Where to write it, usually room.yaml; nothing is overwritten.")],
    title: Annotated[str, typer.Option("--title", help="The title, for people.")],
    purpose: Annotated[str, typer.Option("--purpose", help="What the data may be used for.")],
    legal_basis: Annotated[str, typer.Option("--legal-basis", help="What allows it.")],
    label: Annotated[str, typer.Option("--label", help="What the data are: real or synthetic.")],
    name: Annotated[str, typer.Option("--name", help="The contract's short name.")] = "room",
    researcher: Annotated[list[str] | None, typer.Option("--researcher", help="A party that may ask.")] = None,
    team: Annotated[
        list[str] | None, typer.Option("--team", help="TEAM=HOSPITAL: a clinical team and the owner it belongs to.")
    ] = None,
    automatic: Annotated[
        bool, typer.Option("--automatic-release", help="Every owner lets outputs go that pass every check.")
    ] = False,
    linkage: Annotated[
        str, typer.Option("--linkage", help="How patients of several owners are found: keyed, sealed or rules.")
    ] = "keyed",
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="For how many days it is valid.")] = 365,
    room: RoomOption = DEFAULT_ROOM,
    as_json: JsonOption = False,
) -> None:
    """Write a contract for the enrolled parties, with careful defaults; nothing is signed."""
    with reported(as_json=as_json):
        from asepsis.bootstrap.room import now, open_room
        from asepsis.bootstrap.runtimes import runtime_measurement
        from asepsis.domain.contract_reading import read_contract
        from asepsis.domain.names import PartyId
        from asepsis.services.drafting import Terms, draft_contract, linkage_in_words

        opened = open_room(room)
        terms = Terms(
            name=name,
            title=title,
            purpose=purpose,
            legal_basis=legal_basis,
            label=_label(label),
            valid_from=now(),
            valid_days=days,
            researchers=frozenset(PartyId(party) for party in researcher or ()),
            teams=_teams(team or ()),
            automatic=automatic,
            linkage=_mode(linkage),
        )
        document = draft_contract(
            terms, _enrolled(opened), datasets=_datasets(opened), measurement=runtime_measurement()
        )
        contract = read_contract(document)
        write(file, document)
        emit(
            {"file": str(file), "contract": contract.to_document()},
            as_json=as_json,
            text=(
                f"{file}\n{linkage_in_words(terms.linkage, _identifiers_in_room(opened))}\n"
                f"next: read and edit it, then: asepsis contract plan {file}"
            ),
        )


def _label(text: str) -> Label:
    from asepsis.domain.snapshot import Label
    from asepsis.errors.drafting import LabelNeeded

    try:
        return Label(text)
    except ValueError:
        raise LabelNeeded from None


def _mode(text: str) -> LinkMode:
    from asepsis.domain.link_terms import MODES
    from asepsis.errors.drafting import ModeUnknown

    found = next((mode for mode in MODES if mode.value == text), None)
    if found is None:
        raise ModeUnknown(known=", ".join(MODES))
    return found


def _teams(pairs: Iterable[str]) -> dict[PartyId, PartyId]:
    from asepsis.domain.names import PartyId

    parted = (pair.partition("=") for pair in pairs)
    return {PartyId(team): PartyId(hospital) for team, _, hospital in parted}


def _enrolled(room: Room) -> Enrolled:
    from asepsis.domain.names import PartyId
    from asepsis.services.drafting import Enrolled

    homes = (room.folder / "parties").glob("*/keys")
    parties = {room.host, *room.desks, *(PartyId(keys.parent.name) for keys in homes)}
    return Enrolled(
        host=room.host,
        owners=frozenset(room.desks),
        keys={party: room.public(party) for party in parties},
        origin=room.origin,
    )


def _datasets(room: Room) -> Mapping[PartyId, set[str]]:
    """The datasets that were contributed already, by owner, without what they hold."""
    from asepsis.domain.datasets import Holding

    found: dict[PartyId, set[str]] = {}
    for snapshot in room.state.snapshots():
        dataset, _, holds = snapshot.manifest.dataset.rpartition("-")
        if holds in set(Holding):
            found.setdefault(snapshot.manifest.owner, set()).add(dataset)
    return found


def _identifiers_in_room(room: Room) -> dict[PartyId, bool]:
    """For every owner with persons in the room, whether the identifiers of the newest ones are there, too."""
    from asepsis.domain.datasets import Holding

    erased, newest = room.state.erased(), {}
    for item in room.state.snapshots():
        _, _, holds = item.manifest.dataset.rpartition("-")
        if item.manifest.snapshot not in erased:
            newest[item.manifest.owner, holds] = item.contribution
    return {
        owner: newest.get((owner, Holding.IDENTITY)) == contribution
        for (owner, holds), contribution in newest.items()
        if holds == Holding.CLINICAL
    }


def write(path: Path, document: Document) -> None:
    """Write a new file, and never over another. Raises FileKept or FileUnreadable."""
    import yaml

    from asepsis.errors.drafting import FileKept
    from asepsis.errors.room import FileUnreadable

    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    try:
        with path.open("x", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError:
        raise FileKept(path=str(path)) from None
    except OSError:
        raise FileUnreadable(path=str(path)) from None
