"""``kill -9`` at any moment of a command: nothing half-visible is left, and the same command finishes as the same act.

A moment is a step that lasts: before a transaction commits, before a file is moved, a folder made or removed, and
before the runtime is started. The whole process group dies, the runtime with it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from asepsis.domain.datasets import Holding
from asepsis.domain.run import RunStatus
from asepsis.sealing.links import LINKS, SignedLinks, verify_links
from asepsis.sealing.manifest import SignedManifest, check_files, verify_manifest
from simulator import (
    NORTHGATE,
    OWNERS,
    RARE,
    RIVERSIDE,
    Nursery,
    World,
    base_folder,
    contribute,
    once,
    persons_with,
)

GAUCHER = persons_with(RARE)
QUICK, LONG = 2, 67
PARTS = [part if part == 1 else pytest.param(part, marks=pytest.mark.long) for part in range(QUICK + LONG)]
SECONDS = [pytest.param(part, marks=pytest.mark.long) for part in range(20)]


@pytest.fixture(scope="session")
def half_world(tmp_path_factory: pytest.TempPathFactory, signed_world: World) -> World:
    """Only Riverside has contributed."""
    folder = once(
        base_folder(tmp_path_factory) / "world-half",
        lambda folder: contribute(signed_world.copy(folder), RIVERSIDE),
    )
    return World(folder)


@dataclass(frozen=True)
class Disturbed:
    """A command on a world, and the number of moments at which it can be killed."""

    start: World
    arguments: tuple[str, ...]
    moments: int

    def moment(self, part: int) -> int:
        """The first parts spread evenly over all moments; later parts fall anywhere."""
        if part < QUICK:
            return min(self.moments - 1, part * self.moments // (QUICK - 1))
        return random.Random(part).randrange(self.moments)


def disturb(name: str, start: World, arguments: list[str], warm: Nursery, base: Path) -> Disturbed:
    """Count the moments of a command, once per session."""

    def count(folder: Path) -> None:
        trial = start.copy(folder)
        answer = warm.run([argument.replace(str(start.folder), str(trial.folder)) for argument in arguments])
        assert answer.code == 0, answer
        (folder / "moments").write_text(str(warm.moments()))

    folder = once(base / f"moments-{name}", count)
    return Disturbed(start, tuple(arguments), int((folder / "moments").read_text()))


def kill(case: Disturbed, part: int, warm: Nursery, folder: Path, *, seconds: float | None = None) -> World:
    """The world after the command was killed there; what is visible in it is whole."""
    world = case.start.copy(folder)
    arguments = here(case, world)
    if seconds is None:
        answer = warm.run(arguments, kill_at=case.moment(part))
        assert answer.code == -9, answer
    else:
        warm.run(arguments, kill_after=seconds)
    everything_visible_is_whole(world)
    return world


def here(case: Disturbed, world: World) -> list[str]:
    return [argument.replace(str(case.start.folder), str(world.folder)) for argument in case.arguments]


def everything_visible_is_whole(world: World) -> None:
    """Every listed snapshot is signed and its files check out; an owner's come in pairs."""
    room = world.room()
    contract = room.contracts.contract()
    listed = room.state.snapshots()
    for item in listed:
        if item.manifest.dataset == LINKS:
            manifest = verify_links(SignedLinks(document=item.document, endorsements=item.endorsements), contract)
        else:
            key = contract.party(item.manifest.owner).signing_key
            manifest = verify_manifest(SignedManifest(document=item.document, signature=item.signature), key)
        folder = room.files.folder(manifest.snapshot)
        check_files(manifest, lambda file_id, folder=folder: (folder / file_id).open("rb"))
    for owner in OWNERS:
        names = {item.manifest.dataset for item in listed if item.manifest.owner == owner}
        assert names in (set(), {f"{owner}-omop-{holding}" for holding in (Holding.CLINICAL, Holding.IDENTITY)})


@pytest.fixture(scope="session")
def contribution(half_world: World, warm: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Disturbed:
    arguments = [*half_world.contribution(NORTHGATE), "--json"]
    return disturb("contribution", half_world, arguments, warm, base_folder(tmp_path_factory))


@pytest.fixture(scope="session")
def linkage(contributed_world: World, warm: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Disturbed:
    arguments = [*contributed_world.command("link"), "--json"]
    return disturb("linkage", contributed_world, arguments, warm, base_folder(tmp_path_factory))


@pytest.fixture(scope="session")
def query(linked_world: World, warm: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Disturbed:
    arguments = [*linked_world.query(GAUCHER), "--json"]
    return disturb("query", linked_world, arguments, warm, base_folder(tmp_path_factory))


def contributes_after_all(case: Disturbed, world: World, warm: Nursery) -> None:
    answer = warm.run(here(case, world))
    assert answer.code == 0, answer
    document = answer.document()
    assert {item["dataset"] for item in document["snapshots"]} == {"northgate-omop-clinical", "northgate-omop-identity"}
    for file in document["books"]["files"]:
        sums = ("accepted", "merged", "quarantined", "excluded", "header", "context", "residue")
        assert file["landed"] == sum(file[name] for name in sums)
    everything_visible_is_whole(world)
    room = world.room()
    assert len(room.state.snapshots()) == 4
    assert {path.name for path in (world.path / "host" / "snapshots").iterdir()} == {
        item.manifest.snapshot for item in room.state.snapshots()
    }
    assert not list((world.path / "host" / "incoming").glob("*"))
    world.verify_ledger()


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_contribution_is_finished_by_the_same_command(
    part: int, contribution: Disturbed, warm: Nursery, tmp_path: Path
) -> None:
    """Guard: the order of ``Contribute._publish``, and that leftovers are removed before a new start."""
    contributes_after_all(contribution, kill(contribution, part, warm, tmp_path / "world"), warm)


@pytest.mark.long
def test_a_contribution_killed_after_publishing_leaves_no_plain_tables_behind(
    contribution: Disturbed, warm: Nursery, tmp_path: Path
) -> None:
    """Guard: the removal of the harmonised run at the end of ``Contribute.contribute``, also of a repeated one."""
    world = kill(contribution, QUICK - 1, warm, tmp_path / "world")
    contributes_after_all(contribution, world, warm)
    assert not list((world.path / "parties" / NORTHGATE / "work").glob("*"))


@pytest.mark.parametrize("part", SECONDS)
def test_a_contribution_killed_after_any_time_is_finished(
    part: int, contribution: Disturbed, warm: Nursery, tmp_path: Path
) -> None:
    seconds = random.Random(part).uniform(0.0, 2.5)
    contributes_after_all(contribution, kill(contribution, part, warm, tmp_path / "world", seconds=seconds), warm)


def links_after_all(case: Disturbed, world: World, warm: Nursery) -> None:
    before = case.start.budgets()
    answer = warm.run(here(case, world))
    assert answer.code == 0, answer
    report = dict(answer.document()["report"]["rows"])
    assert (report["records"], report["persons"], report["persons_in_several_owners"]) == (70, 60, 10)
    everything_visible_is_whole(world)
    room = world.room()
    assert [item.manifest.dataset for item in room.state.snapshots()].count(LINKS) == 1
    assert [run.status for run in room.state.runs()] == [RunStatus.FINISHED]
    assert {owner: used - before[owner] for owner, used in world.budgets().items()} == dict.fromkeys(OWNERS, 1)
    world.verify_ledger()


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_linkage_is_finished_by_the_same_command(
    part: int, linkage: Disturbed, warm: Nursery, tmp_path: Path
) -> None:
    """Guard: ``Runs.submit`` goes on with the run that was interrupted; ``is_charged`` counts a job once."""
    links_after_all(linkage, kill(linkage, part, warm, tmp_path / "world"), warm)


@pytest.mark.parametrize("part", SECONDS)
def test_a_linkage_killed_after_any_time_is_finished(
    part: int, linkage: Disturbed, warm: Nursery, tmp_path: Path
) -> None:
    seconds = random.Random(100 + part).uniform(0.0, 3.0)
    links_after_all(linkage, kill(linkage, part, warm, tmp_path / "world", seconds=seconds), warm)


def assert_one_memory(world: World) -> None:
    """One version was kept, every desk knows it, and nothing is left beside it."""
    room = world.room()
    contract = room.contracts.status().digest
    kept = room.state.memory(contract)
    assert kept is not None
    assert kept.version.number == 1
    for owner in OWNERS:
        with room.desk(owner)._office.state.reading() as records:
            known = records.memory(contract)
        assert known is not None
        assert known.version == kept.version
    assert not list((world.path / "host" / "incoming").glob("*"))
    assert room.files.memory(kept.step.run, lineage=contract, number=1).is_dir()


def answers_after_all(case: Disturbed, world: World, warm: Nursery) -> None:
    before = case.start.budgets()
    answer = warm.run(here(case, world))
    assert answer.code == 0, answer
    assert answer.document()["table"]["rows"] == [[15]]
    room = world.room()
    assert len(room.state.releases()) == 1
    assert [run.status for run in room.state.runs()] == [RunStatus.FINISHED, RunStatus.FINISHED]
    assert_one_memory(world)
    assert {owner: used - before[owner] for owner, used in world.budgets().items()} == dict.fromkeys(OWNERS, 1)
    world.verify_ledger()


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_query_is_finished_by_the_same_command(
    part: int, query: Disturbed, warm: Nursery, tmp_path: Path
) -> None:
    """Guard: as for linkage; the release and the end of its run are one transaction."""
    answers_after_all(query, kill(query, part, warm, tmp_path / "world"), warm)


@pytest.mark.parametrize("part", SECONDS)
def test_a_query_killed_after_any_time_is_finished(part: int, query: Disturbed, warm: Nursery, tmp_path: Path) -> None:
    seconds = random.Random(200 + part).uniform(0.0, 2.5)
    answers_after_all(query, kill(query, part, warm, tmp_path / "world", seconds=seconds), warm)
