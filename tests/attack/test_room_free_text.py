"""Free text in a room: none without a clause that all have signed, none as it was, none for a run that may not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest

from asepsis.bootstrap.backups import look_into
from asepsis.bootstrap.mappings import harmoniser, mapping_of
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.datasets import Holding
from asepsis.domain.names import Digest
from asepsis.domain.room import PublishedSnapshot
from asepsis.errors.contract import DocumentMalformed
from asepsis.errors.desk import ContractNotSignedHere
from asepsis.errors.runtime import OrderRefused
from asepsis.runtime import order as orders
from asepsis.sealing.container import unseal
from asepsis.sealing.context import manifest_context
from asepsis.sealing.keys import file_key
from asepsis.services.contribute import Contribution
from asepsis.services.wording import contract_in_words
from simulator import NORTHGATE, RIVERSIDE, World, amend, sign

CANARY = "Zdislava Canaryová"
NOTES = f"4711,2001-01-02,{CANARY} (no. 4711) came in. Her sister Eva drove.\n"
FILES = {"people.csv": "4711,Canaryová,Zdislava\n", "notes.csv": NOTES}
ENTRY = "{{pattern: {0}.csv, reader: delimited, encoding: utf-8, extract_date: 2020-01-01, columns: [{1}]}}"
TABLES = {
    "person": 'table: person\nfrom: people\nperson: number\nfields: {year_of_birth: {expr: "1950"}}\n',
    "identity": "table: identity\nfrom: people\nperson: number\nfields: {mrn: {expr: number},"
    " family_name: {expr: family}, given_name: {expr: given}}\n",
    "note": "table: note\nfrom: notes\nperson: number\nfields: {note_date: {expr: \"parse_date(day, '%Y-%m-%d')\"},"
    " note_text: {expr: text}}\n",
}
CLAUSE = "note.note_text"


@pytest.fixture(name="world")
def own_world(signed_world: World, tmp_path: Path) -> World:
    """A room where everybody has signed a contract without free text, and a source with one note."""
    world = signed_world.copy(tmp_path / "world")
    mapping = tmp_path / "mapping"
    (mapping / "tables").mkdir(parents=True)
    (tmp_path / "notes").mkdir()
    for name, text in FILES.items():
        (tmp_path / "notes" / name).write_text(text)
    head = f"format: asepsis-mapping/1\nsource: notes\nowner: {NORTHGATE}\ndataset: {clinical(world)[:-9]}\n"
    entries = {"people": "number, family, given", "notes": "number, day, text"}
    files = "".join(f"  {name}: {ENTRY.format(name, columns)}\n" for name, columns in entries.items())
    (mapping / "source.yaml").write_text(f"{head}label: synthetic\nfiles:\n{files}")
    for name, text in TABLES.items():
        (mapping / "tables" / f"{name}.yaml").write_text(text)
    return world


def clinical(world: World) -> str:
    datasets = world.room().contracts.contract().datasets_of(NORTHGATE)
    return next(dataset.name for dataset in datasets if dataset.holds is Holding.CLINICAL)


def with_clause(world: World) -> dict[str, Any]:
    """The next version of the contract, with the clause."""
    datasets = world.room().contracts.amendment()["datasets"]
    assert isinstance(datasets, Mapping)
    name = clinical(world)
    return amend(world, datasets={**datasets, name: {**datasets[name], "free_text": [CLAUSE]}})


def contribute_notes(world: World) -> Contribution:
    room, base = world.room(), world.folder.parent
    source, mapping = look_into(f"dir:{base / 'notes'}"), mapping_of(base / "mapping")
    point = source.restore_points()[-1].id
    harmonise = harmoniser(mapping, room.keys(NORTHGATE))
    return room.contribute(NORTHGATE, send_identifiers=True).contribute(
        source, point, mapping=mapping, harmonise=harmonise
    )


def note_of(world: World, snapshot: PublishedSnapshot) -> str | None:
    """The text of the one note in a sealed snapshot, opened with the owner's own key."""
    room, manifest = world.room(), snapshot.manifest
    [file] = [file for file in manifest.files if file.table == "note"]
    plain = world.folder.parent / "note.parquet"
    key = file_key(room.desk(NORTHGATE).own_key(manifest), file.id)
    context = manifest_context(manifest, file=file)
    with (room.files.folder(manifest.snapshot) / file.id).open("rb") as sealed, plain.open("wb") as target:
        unseal(sealed, target, key=key, context=context, root=file.root)
    [(text,)] = duckdb.sql(f"SELECT note_text FROM read_parquet('{plain}')").fetchall()
    return None if text is None else str(text)


def test_a_text_enters_only_under_a_clause_that_all_signed_and_is_scrubbed_then(world: World) -> None:
    first = contribute_notes(world)
    assert note_of(world, first.snapshots[0]) is None
    assert first.snapshots[0].manifest.origin.free_text == ()
    document = with_clause(world)
    sign(world, document, without=RIVERSIDE)
    assert contribute_notes(world).repeated, "one party has not signed: it is the contribution of before"
    sign(world, document)
    second = contribute_notes(world)
    assert note_of(world, second.snapshots[0]) == "[NAME] (no. [ID]) came in. Her sister Eva drove."
    assert second.snapshots[0].manifest.origin.free_text == (CLAUSE,)
    [account] = second.books.texts
    assert (account.texts, account.kept, dict(account.replaced)) == (1, 1, {"ID": 1, "NAME": 1})
    assert contribute_notes(world).repeated
    given = contract_in_words(world.room().contracts.contract())[NORTHGATE]
    assert any(CLAUSE in line and "not anonymous" in line for line in given)


def test_a_clause_that_is_gone_takes_the_texts_away_again(world: World) -> None:
    """Guards: ``Runs.inputs`` leaves the snapshot out, and the runtime refuses it whoever hands it over."""
    sign(world, with_clause(world))
    with_text = contribute_notes(world).snapshots[0]
    room = world.room()
    asking, document = room.contracts.contract(), room.runs._snapshot_document(with_text)
    assert orders._read_snapshot(document, asking).manifest == with_text.manifest
    silent = dataclasses.replace(
        asking, datasets=tuple(dataclasses.replace(item, free_text=frozenset()) for item in asking.datasets)
    )
    with pytest.raises(OrderRefused, match="free text"):
        orders._read_snapshot(document, silent)
    datasets = {name: {k: v for k, v in item.items() if k != "free_text"} for name, item in datasets_of(world).items()}
    sign(world, amend(world, datasets=datasets))
    without = contribute_notes(world).snapshots[0]
    assert note_of(world, without) is None
    assert without.manifest.snapshot != with_text.manifest.snapshot


def datasets_of(world: World) -> dict[str, Any]:
    found = world.room().contracts.amendment()["datasets"]
    assert isinstance(found, dict)
    return found


def test_a_contract_that_the_owner_never_signed_asks_for_nothing(world: World) -> None:
    """Guard: ``desk.signed`` in ``Contribute.asked``: the room's word alone is not believed."""
    with pytest.raises(ContractNotSignedHere):
        world.room().desk(NORTHGATE).signed(Digest("0" * 64))
    sign(world, with_clause(world))
    room = world.room()
    mapping = mapping_of(world.folder.parent / "mapping")
    work = room.contribute(NORTHGATE)
    assert work.asked(mapping) == {CLAUSE}
    assert dataclasses.replace(work, desk=_Elsewhere()).asked(mapping) == frozenset()  # type: ignore[arg-type]


class _Elsewhere:
    """A desk at which the owner has signed nothing."""

    def signed(self, _contract: Digest) -> None:
        raise ContractNotSignedHere(owner=NORTHGATE)


@pytest.mark.parametrize(("holds", "columns"), [("identity", [CLAUSE]), ("clinical", ["note"]), ("clinical", "all")])
def test_the_clause_names_columns_of_clinical_datasets(world: World, holds: str, columns: object) -> None:
    datasets = datasets_of(world)
    name = next(name for name, item in datasets.items() if item["holds"] == holds)
    document = world.room().contracts.contract().to_document()
    document["datasets"] = {**datasets, name: {**datasets[name], "free_text": columns}}
    with pytest.raises(DocumentMalformed):
        read_contract(document)


def test_nothing_of_a_text_reaches_the_host(world: World) -> None:
    sign(world, with_clause(world))
    contribute_notes(world)
    homes = world.path / "parties"
    for path in (path for path in world.path.rglob("*") if path.is_file() and homes not in path.parents):
        assert b"Canary" not in path.read_bytes(), path.name
