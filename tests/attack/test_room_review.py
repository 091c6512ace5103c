"""Review of links in a whole room: lists are drawn once, open at their owner alone, and answers are its own records."""

from __future__ import annotations

import csv
import io
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from asepsis.bootstrap.link_reviews import link_reviews
from asepsis.domain.documents import encode_bytes
from asepsis.domain.ledger import Act
from asepsis.domain.names import Digest, PartyId
from asepsis.domain.review_list import ReviewPool, draws_lists
from asepsis.domain.run import Run
from asepsis.domain.statistic import read_statistic
from asepsis.errors.desk import LinkageUnknown
from asepsis.linkage.review_draw import draw
from asepsis.linkage.worksheet import COLUMNS
from asepsis.sealing.canonical import digest
from asepsis.sealing.review_list import draw_secret
from simulator import AT_NORTHGATE, AT_RIVERSIDE, LABORATORY, NORTHGATE, OWNERS, RIVERSIDE, World, call, draft, sign

pytestmark = pytest.mark.long

EVERYBODY = 1000
"""With so many to draw from a few dozen, chances are what they are at most: one half, and one in sixteen."""


@pytest.fixture(scope="module")
def reviewed(contributed_world: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Read only: linked once under a contract with reviews."""
    world = contributed_world.copy(tmp_path_factory.mktemp("reviewed") / "world")
    sign(world, draft(world, linkage={"mode": "sealed", "review": EVERYBODY}))
    answer = call(*world.command("link"))
    assert answer.code == 0, answer
    assert answer.out.endswith("next: every owner looks at its list: asepsis link review --as OWNER\n")
    return world


@pytest.fixture
def room_world(reviewed: World, tmp_path: Path) -> World:
    return reviewed.copy(tmp_path / "world")


def review(world: World, owner: PartyId, *more: str) -> Any:
    return call(*world.command("link", "review", "--as", owner, "--json", *more))


def drawing(world: World) -> Run:
    (run,) = (run for run in world.room().state.runs() if draws_lists(run.job.analysis))
    return run


def what_the_host_has(world: World) -> Mapping[str, bytes]:
    return {str(path): path.read_bytes() for path in (world.path / "host").rglob("*") if path.is_file()}


def test_an_owner_reviews_its_own_records_and_the_next_linkage_reads_them(room_world: World) -> None:
    """The journey: list, worksheet, answers, and the map by what is known now."""
    world = room_world
    names = {NORTHGATE: {one.family for one in AT_NORTHGATE}, RIVERSIDE: {one.family for one in AT_RIVERSIDE}}
    before = world.room().state.snapshots()
    for owner in OWNERS:
        asked = review(world, owner)
        assert asked.code == 0, asked
        path = Path(asked.document()["file"])
        assert path.is_relative_to(world.room().home(owner))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        assert len({row["record"] for row in rows}) == asked.document()["records"]
        shown = {row["value"].upper() for row in rows if row["field"] == "family_name"}
        assert shown <= names[owner]
        again = review(world, owner)
        assert (again.code, again.document()["error"]["code"]) == (5, "recovery.output_exists"), again
        for row in rows:
            row["answer"] = "doubtful" if row["field"] == "record" else ""
        with path.open("w", newline="", encoding="utf-8") as target:
            writer = csv.DictWriter(target, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        given = review(world, owner, "--answers", str(path))
        assert given.code == 0, given
        assert given.document()["dataset"] == f"{owner}-omop-identity"
    published = world.room().state.snapshots()[len(before) :]
    assert call(*world.command("link")).code == 0
    last = [run for run in world.room().state.runs() if run.proof][-1]
    assert {item.snapshot for item in last.job.inputs} == {item.manifest.snapshot for item in published}
    assert not draws_lists(last.job.analysis)
    acts = [entry for entry in world.room().audit.entries() if entry.act is Act.LINK_LISTS_DRAWN]
    assert len(acts) == 1
    told = [entry for entry in world.room().audit.entries() if entry.facts.get("linkage") == drawing(world).id]
    assert [len(published), len(told)] == [2, 4], "each is intended first, and published then"


def test_the_host_has_a_list_in_no_form_and_no_answer_is_in_the_ledger(reviewed: World) -> None:
    statistic = read_statistic(drawing(reviewed).proof.statistic)  # type: ignore[union-attr]
    assert [one.owner for one in statistic.reviews] == sorted(OWNERS)
    assert len({len(one.sealed) for one in statistic.reviews}) == 1
    files = what_the_host_has(reviewed)
    for owner in OWNERS:
        run = drawing(reviewed)
        assert run.proof is not None
        persons = reviewed.room().desk(owner).open_list(run.proof.statistic, signature=run.proof.signature)
        for person in persons:
            forms = (str(person).encode(), person.to_bytes(8, "big"), person.to_bytes(8, "little"))
            assert not [path for path, content in files.items() if any(form in content for form in forms)]


def test_who_is_drawn_follows_from_the_keys_of_all_owners_and_the_job(reviewed: World) -> None:
    """Guard: the same job draws the same persons, however often the host has it run, and no owner can foresee whom."""
    room, run = reviewed.room(), drawing(reviewed)
    assert run.proof is not None
    manifests = {item.manifest.snapshot: item.manifest for item in room.state.snapshots()}
    identities = [manifests[item.snapshot] for item in run.job.inputs]
    keys = [room.desk(manifest.owner).own_key(manifest) for manifest in identities]
    secret = draw_secret(keys, job=digest(run.job.to_document()))
    for manifest in identities:
        desk = room.desk(manifest.owner)
        listed = set(desk.open_list(run.proof.statistic, signature=run.proof.signature))
        (path,) = (room.home(manifest.owner) / "contributions").glob("*/persons.parquet")
        everybody = tuple(pq.read_table(path)["person_id"].to_pylist())
        nobody_unsure, all_unsure = (
            set(draw(ReviewPool(persons=everybody, unsure=frozenset(unsure)), about=EVERYBODY, secret=secret))
            for unsure in ((), everybody)
        )
        assert nobody_unsure <= listed <= all_unsure


def test_linking_again_draws_no_other_list(room_world: World) -> None:
    run = drawing(room_world)
    answer = call(*room_world.command("link", "--json"))
    assert answer.code == 0, answer
    assert answer.document()["run"] == run.id
    assert drawing(room_world) == run


def test_where_another_linkage_was_granted_the_lists_patients_are_linked_without_any(
    contributed_world: World, tmp_path: Path
) -> None:
    """It may have been killed; that nobody gets two lists weighs more than that everybody gets one."""
    world = contributed_world.copy(tmp_path / "world")
    sign(world, draft(world, linkage={"mode": "sealed", "review": EVERYBODY}))
    room = world.room()
    lineage = room.contracts.in_force().lineage
    with room.desk(RIVERSIDE)._office.state.writing() as records:
        records.drawing(lineage, job=Digest("0" * 64))
    answer = call(*world.command("link", "--json"))
    assert answer.code == 0, answer
    refused = review(world, NORTHGATE)
    assert (refused.code, refused.document()["error"]["code"]) == (4, "linkage.list_missing"), refused


def test_a_list_that_the_host_altered_or_took_from_another_owner_is_refused(room_world: World) -> None:
    room, run = room_world.room(), drawing(room_world)
    assert run.proof is not None
    lists = {one.owner: encode_bytes(one.sealed) for one in read_statistic(run.proof.statistic).reviews}
    swapped = {**run.proof.statistic, "reviews": {NORTHGATE: lists[RIVERSIDE], RIVERSIDE: lists[NORTHGATE]}}
    forged = replace(run, proof=replace(run.proof, statistic=swapped))
    with room.state.noting() as tables:
        tables.put_run(forged, was=run)
    with pytest.raises(LinkageUnknown):
        link_reviews(room, NORTHGATE).worksheet()
    refused = review(room_world, NORTHGATE)
    assert (refused.code, refused.document()["error"]["code"]) == (7, "desk.linkage_unknown"), refused


def test_who_is_no_owner_reviews_nothing(reviewed: World) -> None:
    refused = review(reviewed, LABORATORY)
    assert (refused.code, refused.document()["error"]["code"]) == (3, "keys.owner_key_missing"), refused


def test_without_a_drawn_list_there_is_nothing_to_review(contributed_world: World, tmp_path: Path) -> None:
    world = contributed_world.copy(tmp_path / "world")
    refused = review(world, NORTHGATE)
    assert (refused.code, refused.document()["error"]["code"]) == (4, "linkage.list_missing"), refused
    missing = review(world, NORTHGATE, "--answers", str(tmp_path / "nowhere.csv"))
    assert (missing.code, missing.document()["error"]["code"]) == (4, "file.unreadable"), missing
