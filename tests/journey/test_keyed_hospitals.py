"""The demo links by keyed tokens: the shared persons are found, and no identifier is in the room."""

from __future__ import annotations

import csv
import io
import itertools
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from asepsis.bootstrap.room import Room, open_room
from asepsis.cli.story.agreement import NORTHGATE, RIVERSIDE
from asepsis.cli.story.steps import GAUCHER_IN_TRUTH, SHARED_IN_TRUTH
from asepsis.domain.names import PartyId
from asepsis.domain.room import PublishedSnapshot
from asepsis.sealing.container import unseal
from asepsis.sealing.context import manifest_context, snapshot_binding
from asepsis.sealing.keys import file_key
from asepsis.sealing.links import LINKS, combine
from told_demo import Demo

Record = tuple[str, int]
OWNERS = (NORTHGATE, RIVERSIDE)
GAUCHER = 2000000026


@pytest.fixture(scope="module")
def room(demo: Demo) -> Room:
    """The room of the demo; read only."""
    return open_room(demo.room)


def opened(room: Room, item: PublishedSnapshot, table: str, *, key: bytes) -> list[dict[str, Any]]:
    """A table of a sealed snapshot, as nobody but the owners together could read it."""
    file = next(file for file in item.manifest.files if file.table == table)
    plain = io.BytesIO()
    with (room.files.folder(item.manifest.snapshot) / file.id).open("rb") as sealed:
        context = manifest_context(item.manifest, file=file)
        unseal(sealed, plain, key=file_key(key, file.id), context=context, root=file.root)
    rows: list[dict[str, Any]] = pq.read_table(plain).to_pylist()
    return rows


def links(room: Room) -> dict[Record, int]:
    (item,) = (one for one in room.state.snapshots() if one.manifest.dataset == LINKS)
    shares = []
    for owner in OWNERS:
        with room.desk(owner)._office.state.reading() as records:
            kept = records.links(item.manifest.snapshot)
        assert kept is not None
        binding = snapshot_binding(owner, dataset=LINKS, snapshot=kept.snapshot)
        shares.append(room.keys(owner).unwrap(kept.wrapped, binding=binding))
    rows = opened(room, item, LINKS, key=combine(shares))
    return {(row["owner"], row["person_id"]): row["link_id"] for row in rows}


def truth(room: Room, persons: Path) -> dict[Record, str]:
    """Who each record is, by the key that its source has for it."""
    entities = {}
    with persons.open(newline="") as file:
        for row in csv.DictReader(file):
            keys = [(NORTHGATE, mrn) for mrn in row["a_mrns"].split(";") if mrn] + [(RIVERSIDE, row["b_patient_id"])]
            entities |= dict.fromkeys(keys, row["entity_id"])
    found = {}
    for owner in OWNERS:
        (path,) = (room.home(owner) / "contributions").glob("*/persons.parquet")
        for row in pq.read_table(path).to_pylist():
            if (owner, row["person_key"]) in entities:
                found[owner, row["person_id"]] = entities[owner, row["person_key"]]
    return found


def pairs(names: Iterable[tuple[Record, object]]) -> set[tuple[Record, Record]]:
    groups: defaultdict[object, list[Record]] = defaultdict(list)
    for record, name in names:
        groups[name].append(record)
    return {pair for group in groups.values() for pair in itertools.combinations(sorted(group), 2)}


def test_the_shared_persons_are_found_and_nobody_else(room: Room, shared_data: Path) -> None:
    known = truth(room, shared_data / "data" / "two_hospitals_truth" / "persons.csv")
    made = {record: link for record, link in links(room).items() if record in known}
    true, found = pairs(known.items()), pairs(made.items())
    shared = {known[one] for one, other in true if one[0] != other[0]}
    assert len(shared) == SHARED_IN_TRUTH
    assert len(found & true) / len(found) >= 0.99
    assert len(found & true) / len(true) >= 0.97


def test_seventeen_persons_have_gaucher_disease(room: Room) -> None:
    of, patients = links(room), set()
    for item in room.state.snapshots():
        if item.manifest.dataset.endswith("-clinical"):
            owner: PartyId = item.manifest.owner
            rows = opened(room, item, "condition_occurrence", key=room.desk(owner).own_key(item.manifest))
            patients |= {(owner, row["person_id"]) for row in rows if row["condition_concept_id"] == GAUCHER}
    assert len(patients) > GAUCHER_IN_TRUTH
    assert len({of[record] for record in patients}) == GAUCHER_IN_TRUTH


def test_no_identity_snapshot_is_in_the_room(room: Room) -> None:
    names = {item.manifest.dataset.rpartition("-")[2] for item in room.state.snapshots()}
    assert names == {"clinical", "tokens", LINKS}
    assert not list((room.folder / "host").rglob("identity*"))
