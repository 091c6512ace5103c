"""Versions of one contract share memory, keys and budget at a desk; nobody gets a fresh start by a new text."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from desk_world import HOST, NORTH, OWNERS, SOUTH, Runtime, World

from asepsis.domain.analysis import AnalysisKind, SnapshotInput
from asepsis.domain.budget import Budget
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.keydesk import MemoryDeposit
from asepsis.domain.memory import EMPTY, MemoryStep, MemoryUse, MemoryVersion
from asepsis.domain.names import Digest, RunId
from asepsis.domain.snapshot import Label
from asepsis.errors.attest import LevelTooLow
from asepsis.errors.contract import AmendmentRefused, ContractSuperseded, DocumentMalformed
from asepsis.errors.desk import BudgetExhausted, InputRefused, MemoryLeftBehind, MemoryRefused, MemoryRolledBack
from asepsis.sealing.agreement import contract_digest, lineage_of
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.links import LINKS
from asepsis.sealing.manifest import manifest_digest
from asepsis.sealing.memory import memory_id
from asepsis.sealing.signing import Purpose, sign

OTHER = Digest("f" * 64)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def version_of(world: World, **changes: Any) -> dict[str, Any]:
    """The text of the next version of the world's contract."""
    lineage = lineage_of(world.contract, digest=world.digest)
    amends = {"contract": world.digest, "lineage": lineage}
    return json.loads(json.dumps({**world.document, "amends": amends, **changes}))


def go_on(world: World, document: Mapping[str, Any]) -> None:
    """All parties sign a text; from then on the world asks under it."""
    world.document = dict(document)
    world.contract = read_contract(document)
    world.digest = contract_digest(world.contract)
    world.signatures = world.sign_all()


def step_for(world: World, runtime: Runtime, *, run: str, lineage: Digest, root: str = "a" * 64) -> MemoryDeposit:
    """What the runtime of a run leaves: version 1."""
    step = MemoryStep(
        run=RunId(run),
        contract=world.digest,
        lineage=lineage,
        job=digest(world.job(run=run).to_document()),
        use=MemoryUse(before=EMPTY, after=MemoryVersion(number=1, root=root, size=65536)),
    ).to_document()
    signature = sign(runtime.signing.private, purpose=Purpose.MEMORY, payload=canonical(step))
    return MemoryDeposit(step=step, signature=signature)


def answer(world: World, *, run: str = "run-1") -> bytes:
    """One run with an answer: both desks know version 1 of the memory; gives Northgate's share of its key."""
    runtime = Runtime()
    shares = []
    lineage = lineage_of(world.contract, digest=world.digest)
    for owner in OWNERS:
        grant = world.desks[owner].grant(world.request(owner, job=world.job(run=run), runtime=runtime))
        shares.append(runtime.open(grant)[memory_id(lineage)])
        world.desks[owner].remember(step_for(world, runtime, run=run, lineage=lineage))
    return shares[0]


def newest(world: World, **changes: Any) -> Any:
    """A request that starts from version 1."""
    version = MemoryVersion(number=1, root="a" * 64, size=65536).to_document()
    return world.request(memory=version, **changes)


def test_an_amendment_goes_on_with_the_memory_and_its_key(world: World) -> None:
    """Guard: ``lineage`` in ``memory_for`` and ``own_share``: neither an empty memory nor another key."""
    first, share = world.digest, answer(world)
    go_on(world, version_of(world, title="Version 2"))
    go_on(world, version_of(world, title="Version 3"))
    with pytest.raises(MemoryRolledBack):
        world.desks[NORTH].grant(world.request(job=world.job(run="run-2")))
    runtime = Runtime()
    grant = world.desks[NORTH].grant(newest(world, job=world.job(run="run-2"), runtime=runtime))
    assert runtime.open(grant)[memory_id(first)] == share


def test_an_amendment_goes_on_with_the_budget_and_may_widen_it(world: World) -> None:
    """Guard: ``lineage`` in ``Charge`` and ``budget_of``: three were allowed, one was used."""
    answer(world)
    go_on(world, version_of(world, budgets=dict.fromkeys(OWNERS, 1)))
    assert world.desks[NORTH].budget(world.digest) == Budget(limit=1, used=1)
    with pytest.raises(BudgetExhausted):
        world.desks[NORTH].grant(newest(world, job=world.job(run="run-2")))
    go_on(world, version_of(world, budgets=dict.fromkeys(OWNERS, 2)))
    world.desks[NORTH].grant(newest(world, job=world.job(run="run-2")))
    assert world.desks[NORTH].budget(world.digest) == Budget(limit=2, used=2)


def test_an_owner_who_signs_an_amendment_withdraws_the_version_before(world: World) -> None:
    """Guard: ``versions`` in ``require_going_on``, for grants and for receipts of runs under way."""
    runtime = Runtime()
    world.desks[NORTH].grant(world.request(runtime=runtime))
    under_way = step_for(world, runtime, run="run-1", lineage=world.digest)
    world.desks[NORTH].sign_contract(version_of(world, title="Version 2"))
    with pytest.raises(ContractSuperseded):
        world.desks[NORTH].grant(world.request(job=world.job(run="run-2")))
    with pytest.raises(ContractSuperseded):
        world.desks[NORTH].remember(under_way)
    world.desks[NORTH].sign_contract(world.document)  # signing the old text again brings it not back
    with pytest.raises(ContractSuperseded):
        world.desks[NORTH].grant(world.request(job=world.job(run="run-3")))
    world.desks[SOUTH].grant(world.request(SOUTH))  # it has not signed yet


def test_the_desk_says_under_which_version_it_grants(world: World) -> None:
    first = world.digest
    assert world.desks[NORTH].newest_contracts() == (first,)
    go_on(world, version_of(world, title="Version 2"))
    assert world.digest != first
    assert world.desks[NORTH].newest_contracts() == (world.digest,)


def test_a_version_that_somebody_refused_is_given_up_by_amending_the_one_before(world: World) -> None:
    """Or an owner who signed first would be stuck with a text that never comes into force."""
    answer(world)
    world.desks[NORTH].sign_contract(version_of(world, title="Never signed by the others"))
    go_on(world, version_of(world, title="Signed by all"))
    world.desks[NORTH].grant(newest(world, job=world.job(run="run-2")))


AMENDMENTS: dict[str, Callable[[World], dict[str, Any]]] = {
    "another version": lambda world: {"amends": {"contract": OTHER, "lineage": world.digest}},
    "another beginning": lambda world: {"amends": {"contract": world.digest, "lineage": OTHER}},
    "a profile that rounds differently": lambda _: {"disclosure": {"profile": "opensafely-mid6"}},
    "another privacy unit": lambda _: {
        "tables": {"person": {"columns": {"patient_id": {"type": "integer", "uses": ["unit"]}}}}
    },
}


@pytest.mark.parametrize("changes", AMENDMENTS.values(), ids=AMENDMENTS.keys())
def test_an_amendment_of_what_the_memory_rests_on_is_not_signed(
    changes: Callable[[World], dict[str, Any]], world: World
) -> None:
    """Guard: ``check_amendment`` and ``_check_lineage`` at the desk, whatever the room and the others think."""
    with pytest.raises(AmendmentRefused):
        world.desks[NORTH].sign_contract(version_of(world, **changes(world)))
    world.desks[NORTH].grant(world.request())  # nothing was withdrawn


def test_an_amendment_cannot_leave_an_owner_out(world: World) -> None:
    """Guard: the owners in ``check_amendment``: the memory's key needs a share of each."""
    document = version_of(world)
    parties = {name: party for name, party in document["parties"].items() if name != SOUTH}
    datasets = {name: dataset for name, dataset in document["datasets"].items() if dataset["owner"] != SOUTH}
    document |= {"parties": parties, "datasets": datasets, "budgets": {NORTH: 3}}
    with pytest.raises(AmendmentRefused):
        world.desks[NORTH].sign_contract(document)


def test_the_key_of_a_memory_of_real_persons_needs_hardware_in_every_later_version(world: World) -> None:
    """Guard: ``labels_of`` in ``judge``: the memory still holds real persons when the data are synthetic ones."""
    real = {name: {**dataset, "label": "real"} for name, dataset in world.document["datasets"].items()}
    synthetic = {f"{name}-made": {**dataset, "label": "synthetic"} for name, dataset in real.items()}
    go_on(world, json.loads(json.dumps({**world.document, "name": "real", "datasets": real})))
    go_on(world, version_of(world, datasets=synthetic))
    for name, dataset in synthetic.items():
        world.register(name, dataset["owner"], label=Label.SYNTHETIC)
    inputs = tuple(world.input(f"{owner}-clinical-made") for owner in OWNERS)
    with pytest.raises(LevelTooLow):
        world.desks[NORTH].grant(world.request(job=world.job(inputs=inputs)))


RESTARTS: dict[str, Callable[[World], dict[str, Any]]] = {
    "another name": lambda _: {"name": "something-else", "title": "Something else"},
    "the same parties and datasets": lambda _: {"purpose": "research again"},
    "the same data under another name": lambda world: {
        "datasets": {f"{name}-again": dataset for name, dataset in world.document["datasets"].items()}
    },
    "another profile": lambda _: {"disclosure": {"profile": "opensafely-mid6"}},
}


def another(world: World, **changes: Any) -> dict[str, Any]:
    return json.loads(json.dumps({**world.document, **changes}))


@pytest.mark.parametrize("changes", RESTARTS.values(), ids=RESTARTS.keys())
def test_a_new_contract_is_no_way_to_an_empty_memory(changes: Callable[[World], dict[str, Any]], world: World) -> None:
    """Guard: ``require_named`` in ``sign_contract``: an owner says so in the text, or does not sign."""
    answer(world)
    world.desks[NORTH].end(world.digest)
    with pytest.raises(MemoryLeftBehind) as refusal:
        world.desks[NORTH].sign_contract(another(world, **changes(world)))
    assert world.digest in refusal.value.detail  # the very word that the text would need


def test_a_new_contract_that_names_the_memory_it_leaves_behind_is_signed_by_those_who_agree(world: World) -> None:
    first = world.digest
    answer(world)
    go_on(world, another(world, name="beside", disclosure={"profile": "strict-10", "beside": [first]}))
    world.desks[NORTH].grant(world.request())


def test_two_contracts_signed_before_anybody_asked_do_not_both_answer(world: World) -> None:
    """Guard: ``require_named`` in ``memory_for``: at signing, both memories were empty."""
    first = (world.document, world.contract, world.digest, world.signatures)
    go_on(world, another(world, name="second"))
    second = world.document
    world.document, world.contract, world.digest, world.signatures = first
    answer(world)
    go_on(world, second)
    with pytest.raises(MemoryLeftBehind):
        world.desks[NORTH].grant(world.request())


def test_of_two_contracts_that_know_of_each_other_both_answer(world: World) -> None:
    """One of the two texts says so; the owner of the data signed it."""
    first = (world.document, world.contract, world.digest, world.signatures)
    named = {"profile": "strict-10", "beside": [world.digest]}
    go_on(world, another(world, name="second", disclosure=named))
    answer(world)
    world.document, world.contract, world.digest, world.signatures = first
    world.desks[NORTH].grant(world.request(job=world.job(run="run-2")))


def test_a_refreshed_snapshot_keeps_the_memory(world: World) -> None:
    """Guard: nothing about snapshots in the key of a memory."""
    answer(world)
    for owner in OWNERS:
        dataset = f"{owner}-clinical"
        manifest = world.manifest(dataset, owner, snapshot=f"{dataset}-2")
        world.desks[owner].register(world.signed_manifest(manifest), dek=b"k" * 32)
        world.manifests[dataset] = manifest
    with pytest.raises(MemoryRolledBack):
        world.desks[NORTH].grant(world.request(job=world.job(run="run-2")))
    world.desks[NORTH].grant(newest(world, job=world.job(run="run-3")))


def test_a_step_that_names_another_lineage_is_refused(world: World) -> None:
    """Guard: ``step.lineage`` in ``keydesk.memories``: the runtime signs which memory it made."""
    runtime = Runtime()
    world.desks[NORTH].grant(world.request(runtime=runtime))
    with pytest.raises(MemoryRefused):
        world.desks[NORTH].remember(step_for(world, runtime, run="run-1", lineage=OTHER))


def test_a_link_map_is_of_one_lineage(world: World) -> None:
    """Guard: ``versions`` in ``_links_key``: a later version reads the map of an earlier one, no other text does."""
    runtime, job, manifest = Runtime(), world.job(AnalysisKind.LINKAGE, run="link"), world.link_manifest()
    world.desks[NORTH].grant(world.request(job=job, runtime=runtime))
    shares = dict.fromkeys(OWNERS, b"s" * 32)
    world.desks[NORTH].deposit_share(world.deposit(NORTH, job=job, runtime=runtime, manifest=manifest, shares=shares))
    item = SnapshotInput(owner=HOST, dataset=LINKS, snapshot=manifest.snapshot, manifest=manifest_digest(manifest))
    inputs = (*(world.input(f"{owner}-clinical") for owner in OWNERS), item)
    go_on(world, version_of(world, title="Version 2"))
    grant = world.desks[NORTH].grant(world.request(job=world.job(run="run-2", inputs=inputs), runtime=runtime))
    assert runtime.open(grant)[manifest.snapshot] == b"s" * 32
    go_on(world, {name: part for name, part in another(world, name="second").items() if name != "amends"})
    with pytest.raises(InputRefused):
        world.desks[NORTH].grant(world.request(job=world.job(run="run-3", inputs=inputs)))


CLAUSES: tuple[dict[str, Any], ...] = (
    {"amends": {"contract": "x", "lineage": "f" * 64}},
    {"amends": {"contract": "f" * 64}},
    {"amends": {"contract": "f" * 64, "lineage": "f" * 64, "more": 1}},
    {"disclosure": {"profile": "strict-10", "beside": ["F" * 64]}},
    {"disclosure": {"profile": "strict-10", "quotas": {"cells": 1}}},
    {"disclosure": {"profile": "strict-10", "quotas": {"cells_of_one": 0}}},
    {"disclosure": {"profile": "strict-10", "quotas": {"cells_of_one": 9, "cells_of_all": 8}}},
    {"disclosure": {"profile": "strict-10", "quotas": {"variants_of_one": 9, "variants_of_all": 8}}},
)


def test_the_clauses_have_a_closed_schema(world: World) -> None:
    for clause in CLAUSES:
        with pytest.raises(DocumentMalformed):
            read_contract({**world.document, **clause})


def test_the_clauses_are_part_of_what_is_signed_and_their_defaults_are_not(world: World) -> None:
    disclosure = {"profile": "strict-10", "beside": [OTHER], "quotas": {"cells_of_one": 7}}
    document = version_of(world, disclosure=disclosure)
    contract = read_contract(document)
    assert read_contract(contract.to_document()) == contract
    assert (contract.quotas.cells_of_one, contract.quotas.variants_of_one) == (7, 200)
    defaults = {"profile": "strict-10", "beside": [], "quotas": {"cells_of_one": 5000}}
    assert contract_digest(read_contract({**world.document, "disclosure": defaults})) == world.digest
