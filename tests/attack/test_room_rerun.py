"""A rerun of what waits in quarantine needs no backup, changes no row, leaves no plain table, and survives a kill."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
import yaml

from asepsis.domain.ledger import Act
from simulator import MAPPINGS, NORTHGATE, Nursery, World, base_folder, call, contribute, once

PARTS = range(6)


def strict_mapping(folder: Path) -> Path:
    shutil.copytree(MAPPINGS / NORTHGATE, folder)
    path = folder / "tables" / "condition_occurrence.yaml"
    content = yaml.safe_load(path.read_text())
    content["require"].append({"expr": "code <> '2727'", "reason": "code_not_known"})
    path.write_text(yaml.safe_dump(content))
    return folder


@pytest.fixture(scope="session")
def refused_world(tmp_path_factory: pytest.TempPathFactory, signed_world: World) -> World:
    """Read only: Northgate has contributed under a mapping that refuses one code; its source is gone since."""

    def make(folder: Path) -> None:
        world = signed_world.copy(folder)
        strict = strict_mapping(folder.with_name(f"{folder.name}-mapping"))
        arguments = [
            item if item != str(MAPPINGS / NORTHGATE) else str(strict) for item in world.contribution(NORTHGATE)
        ]
        answer = call(*arguments, "--json")
        assert answer.code == 0, answer
        (folder / "run").write_text(Path(answer.document()["folder"]).name)
        shutil.rmtree(world.source(NORTHGATE))

    return World(once(base_folder(tmp_path_factory) / "world-refused", make))


@pytest.fixture(scope="session")
def whole_books(tmp_path_factory: pytest.TempPathFactory, signed_world: World) -> list[object]:
    """The books of a contribution under the right mapping."""

    def make(folder: Path) -> None:
        world = signed_world.copy(folder)
        contribute(world, NORTHGATE)

    world = World(once(base_folder(tmp_path_factory) / "world-northgate", make))
    [books] = (world.path / "parties" / NORTHGATE / "contributions").glob("*/books.json")
    return json.loads(books.read_text())["files"]


def rerun_of(world: World, *more: str) -> list[str]:
    run = (world.folder / "run").read_text()
    mapping = ["--mapping", str(MAPPINGS / NORTHGATE), "--as", NORTHGATE]
    return [*world.command("contribute", "--rerun", run, *mapping), "--json", *more]


def check_rerun(world: World, document: dict[str, object], whole: list[object]) -> None:
    room = world.room()
    assert document["books"]["files"] == whole  # type: ignore[index]
    first, again = room.state.snapshots()[:2], room.state.snapshots()[2:]
    assert len(again) == 2
    assert {item.manifest.origin.restore_point for item in [*first, *again]} == {first[0].manifest.origin.restore_point}
    assert not list((world.path / "parties" / NORTHGATE / "work").glob("*"))
    assert not list((world.path / "host" / "incoming").glob("*"))
    world.verify_ledger()


def test_a_rerun_publishes_what_a_whole_contribution_would(
    refused_world: World, whole_books: list[object], tmp_path: Path
) -> None:
    world = refused_world.copy(tmp_path / "world")
    answer = call(*rerun_of(world))
    assert answer.code == 0, answer
    check_rerun(world, answer.document(), whole_books)
    run = (world.folder / "run").read_text()
    entries = world.room().state.ledger().entries(0, world.room().state.ledger().size())
    named = [entry for entry in entries if entry.act is Act.SNAPSHOT_PUBLISHED and entry.facts.get("run") == run]
    assert len(named) == 2
    repeated = call(*rerun_of(world))
    assert repeated.document()["repeated"]
    assert len(world.room().state.snapshots()) == 4


def test_a_rerun_names_its_source_or_its_run_and_knows_it(refused_world: World, tmp_path: Path) -> None:
    world = refused_world.copy(tmp_path / "world")
    both = call(*rerun_of(world, "--source", "dir:nowhere"))
    assert (both.code, both.error) == (2, "contribute.unclear")
    (world.folder / "run").write_text("0123456789abcdef")
    assert call(*rerun_of(world)).error == "contribute.unknown"


@pytest.mark.parametrize("name", ["books.json", "quarantined_records.parquet", "reading.json"])
def test_a_rerun_of_something_else_than_was_kept_is_refused(name: str, refused_world: World, tmp_path: Path) -> None:
    """Guards: the digest of the books in the signed manifest; what is missing is named."""
    world = refused_world.copy(tmp_path / "world")
    folder = world.path / "parties" / NORTHGATE / "contributions" / (world.folder / "run").read_text()
    if name == "books.json":
        document = json.loads((folder / name).read_text())
        document["files"][0]["quarantined"] += 1
        (folder / name).write_text(json.dumps(document))
    else:
        (folder / name).unlink()
    answer = call(*rerun_of(world))
    assert (answer.code, answer.error) == (7, "harmonise.kept_run_damaged")
    assert len(world.room().state.snapshots()) == 2
    assert not list((world.path / "parties" / NORTHGATE / "work").glob("*.earlier"))


def test_a_sealed_table_that_the_host_changed_is_not_taken_for_the_earlier_one(
    refused_world: World, tmp_path: Path
) -> None:
    """Guard: the root of each sealed file, under the manifest that the desk keeps."""
    world = refused_world.copy(tmp_path / "world")
    [table] = (world.path / "host" / "snapshots").glob("*-clinical-*/death.sealed")
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 1
    table.write_bytes(content)
    assert call(*rerun_of(world)).code == 7
    assert len(world.room().state.snapshots()) == 2


@pytest.mark.long
@pytest.mark.parametrize("part", PARTS)
def test_a_killed_rerun_is_finished_by_the_same_command(
    part: int, refused_world: World, whole_books: list[object], warm: Nursery, tmp_path: Path
) -> None:
    """Guard: plain tables of the earlier snapshots are removed by the next start."""
    trial = refused_world.copy(tmp_path / "trial")
    assert warm.run(rerun_of(trial)).code == 0
    moments = warm.moments()
    world = refused_world.copy(tmp_path / "world")
    moment = moments - 1 if part == 0 else random.Random(part).randrange(moments)
    assert warm.run(rerun_of(world), kill_at=moment).code == -9
    answer = warm.run(rerun_of(world))
    assert answer.code == 0, answer
    check_rerun(world, answer.document(), whole_books)
