"""Attacks on and across the memory of releases, in a real room: desks, a confined runtime, the host's own hands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asepsis.bootstrap.bundles import verify_release_bundle
from asepsis.domain.contract import Amendment
from asepsis.domain.keydesk import MemoryDeposit
from asepsis.domain.memory import MemoryVersion
from asepsis.domain.names import PartyId
from asepsis.engines.runtime_process import RuntimeProcesses
from asepsis.errors import AsepsisError
from asepsis.errors.desk import DeskUnreachable, MemoryRolledBack
from asepsis.errors.runtime import MemoryNotKept
from asepsis.services.keydesk.desk import KeyDesk
from simulator import (
    AT_NORTHGATE,
    COMMON,
    FEW,
    LABORATORY,
    NORTHGATE,
    OWNERS,
    RARE,
    RIVERSIDE,
    Answer,
    World,
    amend,
    call,
    contribute,
    draft,
    edited,
    follow_up,
    grant_request,
    no_receipts,
    order_for,
    patient_record,
    persons_with,
    question,
    sign,
)

GAUCHER = persons_with(RARE)


def born_in(years: range) -> str:
    """Everybody in the small hospitals has a year of birth of their own."""
    listed = ", ".join(map(str, years))
    return f"SELECT count(DISTINCT person_id) AS persons FROM person WHERE year_of_birth IN ({listed})"


MANY, ALL_BUT_ONE = born_in(range(1930, 1970)), born_in(range(1930, 1969))


def ask(world: World, sql: str) -> Answer:
    return call(*world.query(sql), "--json")


def rows(answer: Answer) -> list[list[object]]:
    assert answer.code == 0, answer
    found: list[list[object]] = answer.document()["table"]["rows"]
    return found


def assert_held(answer: Answer) -> None:
    """The gate refused: an answer without a table, never an error."""
    assert (answer.code, answer.document()["status"], answer.document()["table"]) == (3, "refused", None), answer


def version(world: World) -> int:
    room = world.room()
    kept = room.state.memory(room.contracts.status().digest)
    return 0 if kept is None else kept.version.number


def memories(world: World) -> Path:
    return world.path / "host" / "memories" / world.room().contracts.status().digest


def refused(world: World, code: str, sql: str = ALL_BUT_ONE) -> None:
    """The command ends as untrusted, and tells no number."""
    before = len(world.room().state.releases())
    answer = call(*world.query(sql))
    assert (answer.code, answer.out, answer.error) == (7, "", code)
    assert len(world.room().state.releases()) == before


def test_two_counts_that_differ_by_one_described_person_are_not_both_answered(
    world: World, linked_world: World, tmp_path: Path
) -> None:
    """Guard: the memory that ``runtime.work`` reads before it judges; each count alone is harmless."""
    other = linked_world.copy(tmp_path / "other")
    assert rows(ask(world, MANY)) == [[40]]
    assert_held(ask(world, ALL_BUT_ONE))
    assert rows(ask(other, ALL_BUT_ONE)) == [[40]]
    assert_held(ask(other, MANY))
    assert (version(world), version(other)) == (2, 2)


@pytest.mark.long
def test_a_condition_that_matters_for_nobody_looks_like_one_that_matters_for_one(world: World) -> None:
    """Guard: as above. Whoever has the rarer disease has the rare one too, so the second list adds nobody."""
    assert rows(ask(world, GAUCHER)) == [[15]]
    both = GAUCHER.replace(f"= {RARE}", f"IN ({RARE}, {FEW})")
    assert_held(ask(world, both))


def test_an_equal_question_is_answered_from_the_memory_even_if_the_host_forgets_the_first_answer(world: World) -> None:
    """Guard: ``recall`` in ``runtime.work``: the same bytes, and no new version."""
    first = ask(world, GAUCHER)
    again = ask(world, GAUCHER.lower().replace("persons from", "persons  FROM"))
    assert (again.document()["table"], again.document()["release"]) == (
        first.document()["table"],
        first.document()["release"],
    )
    used = world.budgets()
    with edited(world.database) as database:
        database.execute("DELETE FROM releases")
        database.execute("DELETE FROM runs WHERE document LIKE '%2000000026%'")
    third = ask(world, GAUCHER)
    assert third.document()["release"] != first.document()["release"]
    assert [json.dumps(one.document()["table"]) for one in (first, third)] == [
        json.dumps(first.document()["table"])
    ] * 2
    assert version(world) == 1
    assert world.budgets() == {owner: count + 1 for owner, count in used.items()}  # a run of the host's is a run


def test_a_room_that_goes_back_to_an_older_memory_gets_no_key(world: World) -> None:
    """Guard: ``memory_for`` at the desks. The host restores version 1 and everything that says so."""
    assert rows(ask(world, GAUCHER)) == [[15]]
    shutil.copytree(memories(world), world.folder / "kept")
    assert rows(ask(world, MANY)) == [[40]]
    shutil.rmtree(memories(world))
    shutil.copytree(world.folder / "kept", memories(world))
    with edited(world.database) as database:
        database.execute("DELETE FROM memories WHERE number = 2")
    refused(world, "desk.memory_rolled_back")


@pytest.mark.long
def test_a_room_that_forgets_its_memory_gets_no_key(world: World) -> None:
    """Guard: as above; version 0 is not a way back."""
    assert rows(ask(world, MANY)) == [[40]]
    shutil.rmtree(memories(world))
    with edited(world.database) as database:
        database.execute("DELETE FROM memories")
    refused(world, "desk.memory_rolled_back")


@pytest.mark.long
def test_a_lost_memory_is_told_as_lost_and_nothing_is_computed(world: World) -> None:
    assert rows(ask(world, MANY)) == [[40]]
    shutil.rmtree(memories(world))
    answer = call(*world.query(ALL_BUT_ONE))
    assert (answer.code, answer.out, answer.error) == (4, "", "runtime.sealed_file_missing")


@pytest.mark.parametrize("place", [0.0, *(pytest.param(place, marks=pytest.mark.long) for place in (0.5, 1.0))])
def test_one_flipped_bit_in_the_sealed_memory_is_refused(place: float, world: World) -> None:
    """Guard: the root that the grants name, in ``runtime.remembering.open_memory``."""
    assert rows(ask(world, MANY)) == [[40]]
    [path] = memories(world).rglob("*.sealed")
    content = bytearray(path.read_bytes())
    content[min(int(place * len(content)), len(content) - 1)] ^= 1
    path.write_bytes(content)
    assert call(*world.query(ALL_BUT_ONE)).error in {"sealing.root_mismatch", "sealing.container_forged"}


@pytest.mark.long
def test_an_older_memory_in_the_place_of_the_newest_is_refused(world: World) -> None:
    """Guard: as above, and the number in the context of the sealed file."""
    assert rows(ask(world, GAUCHER)) == [[15]]
    assert rows(ask(world, MANY)) == [[40]]
    older, newer = sorted(memories(world).rglob("*.sealed"))
    newer.write_bytes(older.read_bytes())
    assert call(*world.query(ALL_BUT_ONE)).error in {"sealing.root_mismatch", "sealing.container_forged"}


def started(world: World, sql: str, runtime: Any) -> list[dict[str, Any]]:
    """A run of the host's that has its grants, from the memory of this moment."""
    run, order, checkpoint = order_for(world, question(sql))
    evidence = runtime.prove(order)
    return [
        world.room()
        .desk(owner)
        .grant(grant_request(world, run, order, evidence[owner], owner=owner, checkpoint=checkpoint))
        .to_document()
        for owner in OWNERS
    ]


@pytest.mark.long
def test_two_runs_from_the_same_memory_are_not_both_answered(world: World) -> None:
    """Guard: ``_go_on`` at the desks and ``require_receipts`` in the runtime: the host holds one run back."""
    with RuntimeProcesses().start() as held_back:
        grants = started(world, MANY, held_back)
        assert rows(ask(world, ALL_BUT_ONE)) == [[40]]

        def tell(step: Mapping[str, Any], signature: bytes) -> dict[PartyId, bytes]:
            deposit = MemoryDeposit(step=dict(step), signature=signature)
            return {owner: world.room().desk(owner).remember(deposit) for owner in OWNERS}

        with pytest.raises(MemoryRolledBack):
            held_back.finish(grants, keep=tell)


@pytest.mark.parametrize("missing", [*OWNERS, None])
def test_a_runtime_gives_no_answer_without_the_receipt_of_every_desk(missing: PartyId | None, world: World) -> None:
    """Guard: ``require_receipts`` in ``runtime.dialogue``."""

    def tell(step: Mapping[str, Any], signature: bytes) -> dict[PartyId, bytes]:
        deposit = MemoryDeposit(step=dict(step), signature=signature)
        receipts = {owner: world.room().desk(owner).remember(deposit) for owner in OWNERS if owner != missing}
        return receipts if missing else no_receipts(step, signature)

    with RuntimeProcesses().start() as runtime:
        grants = started(world, MANY, runtime)
        with pytest.raises(MemoryNotKept):
            runtime.finish(grants, keep=tell)


@pytest.mark.long
def test_a_room_that_stopped_between_two_desks_goes_on_and_nothing_is_charged_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guard: ``Memories.tell_again`` in ``Runs._proven``: one desk knows the new version, the other does not."""
    used = world.budgets()
    remember = KeyDesk.remember

    def unreachable(desk: KeyDesk, deposit: MemoryDeposit) -> bytes:
        if desk.owner == RIVERSIDE:
            raise DeskUnreachable(owner=RIVERSIDE)
        return remember(desk, deposit)

    monkeypatch.setattr(KeyDesk, "remember", unreachable)
    assert call(*world.query(MANY)).error == "desk.unreachable"
    monkeypatch.undo()
    assert_held(ask(world, ALL_BUT_ONE))  # another question: what was remembered counts, though nobody saw it
    assert rows(ask(world, MANY)) == [[40]]
    assert version(world) == 2
    assert world.budgets() == {owner: count + 2 for owner, count in used.items()}


def test_a_desk_that_is_stopped_gives_no_receipt(world: World) -> None:
    """Guard: ``require_going_on`` in ``keydesk.memories``: the kill switch works until the very answer."""

    def tell(step: Mapping[str, Any], signature: bytes) -> dict[PartyId, bytes]:
        world.room().desk(NORTHGATE).stop("now")
        return {NORTHGATE: world.room().desk(NORTHGATE).remember(MemoryDeposit(step=dict(step), signature=signature))}

    with RuntimeProcesses().start() as runtime:
        grants = started(world, MANY, runtime)
        with pytest.raises(AsepsisError, match="stopped"):
            runtime.finish(grants, keep=tell)


def test_a_step_that_no_granted_runtime_signed_is_refused(world: World) -> None:
    """Guard: ``_granted`` in ``keydesk.memories``: nobody else can move a desk to another version."""
    assert rows(ask(world, GAUCHER)) == [[15]]
    room = world.room()
    kept = room.state.memory(room.contracts.status().digest)
    assert kept is not None
    document = kept.step.to_document()
    after = MemoryVersion(number=2, root="0" * 64, size=1)
    forged = {**document, "before": kept.version.to_document(), "after": after.to_document()}
    with pytest.raises(AsepsisError, match="no runtime that was granted the run has signed it"):
        room.desk(NORTHGATE).remember(MemoryDeposit(step=forged, signature=kept.signature))


@pytest.mark.long
def test_a_curve_is_remembered_and_counted_as_a_question(world: World) -> None:
    """Guard: ``assess_counted`` in ``runtime.work``: a method leaves a version, and is recalled from it."""
    command = world.command("method", "kaplan_meier", "--as", LABORATORY)
    command += ["--set", f"condition_concept_ids={COMMON}", "--set", "step_days=364", "--json"]
    first = call(*command)
    assert version(world) == 1
    with edited(world.database) as database:
        database.execute("DELETE FROM releases")
        database.execute("DELETE FROM runs WHERE document LIKE '%kaplan_meier%'")
    again = call(*command)
    assert (again.code, again.document()["table"]) == (first.code, first.document()["table"])
    assert again.document()["findings"] == first.document()["findings"]
    assert version(world) == 1


@pytest.mark.long
def test_an_amended_contract_goes_on_with_the_memory_and_the_budget(world: World) -> None:
    """Guard: the lineage in ``runtime.remembering`` and at the desks; the first release stays under its own text."""
    room = world.room()
    first, document = room.contracts.status().digest, ask(world, MANY).document()
    assert document["table"]["rows"] == [[40]]
    budgets = dict.fromkeys(OWNERS, 50)
    sign(world, amend(world, title="With a larger budget", budgets=budgets))
    second = world.room().contracts.status()
    assert (second.contract.amends, second.contract.budgets) == (Amendment(contract=first, lineage=first), budgets)
    used = world.budgets()
    assert_held(ask(world, ALL_BUT_ONE))
    again = ask(world, MANY).document()
    assert again["table"] == document["table"]
    assert again["release"] != document["release"]  # a release under the new text, of the remembered answer
    assert world.budgets() == {owner: count + 2 for owner, count in used.items()}
    kept = world.room().state.memory(first)
    assert kept is not None
    assert (kept.version.number, kept.step.contract, kept.step.lineage) == (2, second.digest, first)
    for release, contract in ((document["release"], first), (again["release"], second.digest)):
        bundle = world.room().evidences.bundle(release)
        assert verify_release_bundle(bundle, contract=contract).contract == contract


@pytest.mark.long
def test_a_desk_does_not_sign_a_new_contract_beside_a_memory_and_the_old_one_goes_on(world: World) -> None:
    """Guard: ``require_named`` at the desks, before the text is proposed to anybody."""
    assert rows(ask(world, MANY)) == [[40]]
    document = draft(world, name="again")
    answer = call(*world.command("contract", "sign", str(world.contract_file), "--as", NORTHGATE))
    assert (answer.code, answer.error) == (3, "desk.memory_left_behind")
    assert_held(ask(world, ALL_BUT_ONE))
    profile = {**document["disclosure"], "beside": [world.room().contracts.status().digest]}
    sign(world, draft(world, name="again", disclosure=profile))
    world.room().linkage.link()
    assert rows(ask(world, ALL_BUT_ONE)) == [[40]]  # what all owners signed for, in so many words


@pytest.mark.long
def test_a_refreshed_snapshot_is_compared_with_what_was_shown_of_the_one_before(world: World) -> None:
    """Guard: one memory for all snapshots of a dataset: the refresh alone adds one person to the count."""
    source = world.source(NORTHGATE) / "PATMAST.DAT"
    everybody = source.read_bytes()
    assert rows(ask(world, MANY)) == [[40]]
    source.write_bytes(everybody + patient_record(replace(AT_NORTHGATE[-1], number=120)))
    contribute(world, NORTHGATE)
    world.room().linkage.link()
    assert_held(ask(world, ALL_BUT_ONE))
    assert version(world) == 2


@pytest.mark.long
def test_the_quotas_of_the_contract_hold_and_an_amendment_widens_them_without_a_fresh_start(world: World) -> None:
    """Guard: ``quotas`` in ``runtime.work._asking``."""

    def limited(variants: int) -> dict[str, Any]:
        disclosure = world.room().contracts.contract().to_document()["disclosure"]
        quotas = {"variants_of_one": variants, "variants_of_all": variants}
        return amend(world, disclosure={**dict(disclosure), "quotas": quotas})  # type: ignore[call-overload]

    assert rows(ask(world, GAUCHER)) == [[15]]
    sign(world, limited(1))
    spent = ask(world, persons_with(COMMON))
    assert_held(spent)
    assert spent.document()["findings"][-1]["code"] == "disclosure.quota"
    assert rows(ask(world, GAUCHER)) == [[15]]
    sign(world, limited(2))
    assert rows(ask(world, persons_with(COMMON))) == [[40]]


@pytest.mark.long
def test_a_count_that_differs_by_few_persons_from_a_curve_is_held_and_the_other_way_round(
    world: World, tmp_path: Path
) -> None:
    """Guard: the persons of a curve in the memory, in ``runtime.work._method``."""
    follow_up(world)
    other = world.copy(tmp_path / "other")
    counting = "SELECT count(DISTINCT person_id) AS persons FROM condition_occurrence WHERE condition_concept_id"
    curve = ["method", "kaplan_meier", "--as", LABORATORY, "--set", "step_days=364", "--json"]
    curve += ["--set", f"condition_concept_ids={COMMON}"]
    assert call(*world.command(*curve)).document()["table"] is not None
    assert_held(ask(world, f"{counting} IN ({COMMON}, {FEW})"))
    assert rows(ask(world, f"{counting} = {COMMON}")) == [[40]]  # by logic the persons of the curve
    assert rows(ask(other, f"{counting} IN ({COMMON}, {FEW})")) == [[40]]
    assert_held(call(*other.command(*curve)))
