"""What noisy answers cost is counted at every owner's desk, once, before a key leaves, and never given back."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from desk_world import NORTH, OWNERS, SOUTH, Runtime, World

from asepsis.domain.analysis import AnalysisKind, Job
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.documents import Document
from asepsis.domain.names import RunId
from asepsis.errors import AsepsisError
from asepsis.errors.contract import DocumentMalformed
from asepsis.errors.desk import PrivacyExhausted
from asepsis.errors.runtime import GrantNotTrusted
from asepsis.runtime.order import Order
from asepsis.runtime.private import paid_accounts
from asepsis.sealing.agreement import Agreement, contract_digest
from asepsis.services.keydesk import grants
from asepsis.services.wording import contract_in_words

ANALYSES = {"queries": True, "methods": [], "referrals": True}
TABLES = {
    "person": {
        "columns": {
            "person_id": {"type": "integer", "uses": ["unit"]},
            "sex": {"type": "integer", "uses": ["group"]},
            "weight": {"type": "number", "uses": ["aggregate"]},
        }
    }
}
CLAUSE: Document = {
    "budget": {"micro_rho": 50_000, "pico_delta": 1_000},
    "question": {"micro_rho": 20_000, "pico_delta": 100},
    "records": 4,
    "cells": 4,
}


PRICE: Document = {"micro_rho": 5, "most": 9}


def noisy_world(home: Path, **changes: Any) -> World:
    clause = {**CLAUSE, **changes}
    return World(home, dp=clause, analyses=ANALYSES, tables=TABLES, budgets=dict.fromkeys(OWNERS, 100))


def spent(world: World, owner: Any = NORTH) -> int:
    (account,) = world.desks[owner].privacy(world.digest)
    return account.spent.micro_rho


def ask(world: World, run: str, owner: Any = NORTH, **changes: Any) -> Any:
    return world.desks[owner].grant(world.request(owner, job=world.job(run=run, **changes)))


def test_every_question_is_counted_at_both_desks_until_nothing_is_left(tmp_path: Path) -> None:
    world = noisy_world(tmp_path)
    for number, run in enumerate(("run-1", "run-2"), start=1):
        for owner in OWNERS:
            grant = ask(world, run, owner)
            assert [account.spent.micro_rho for account in grant.accounts] == [20_000 * number]
    with pytest.raises(PrivacyExhausted) as caught:
        ask(world, "run-3")
    assert caught.value.kind.exit_code == 6
    assert [spent(world, owner) for owner in OWNERS] == [40_000, 40_000]


def test_the_loss_is_counted_before_the_grant_is_given(tmp_path: Path) -> None:
    world = noisy_world(tmp_path)
    ask(world, "run-1")
    assert world.acts()[-3:] == ["privacy.charged", "budget.charged", "grant.given"]
    entry = next(entry for entry in world.entries() if entry.act.value == "privacy.charged")
    assert (entry.facts["charge"], entry.facts["remaining"]) == (20_000, 30_000)


def test_the_same_job_of_the_same_run_is_counted_once(tmp_path: Path) -> None:
    world = noisy_world(tmp_path)
    first, again = ask(world, "run-1"), ask(world, "run-1")
    assert first.accounts == again.accounts
    assert spent(world) == 20_000


def test_nothing_is_given_back_when_another_owner_refuses(tmp_path: Path) -> None:
    world = noisy_world(tmp_path)
    ask(world, "run-1", NORTH)
    world.desks[SOUTH].stop("no")
    with pytest.raises(AsepsisError):
        ask(world, "run-1", SOUTH)
    assert (spent(world, NORTH), spent(world, SOUTH)) == (20_000, 0)


def test_questions_asked_at_once_never_exceed_the_budget(tmp_path: Path) -> None:
    """Guard: the account is checked again in the transaction that counts the loss."""
    world = noisy_world(tmp_path)
    requests = [world.request(NORTH, job=world.job(run=f"run-{number}")) for number in range(6)]

    def granted(request: Any) -> bool:
        try:
            world.desks[NORTH].grant(request)
        except PrivacyExhausted:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        given = list(pool.map(granted, requests))
    assert sum(given) == 2
    assert spent(world) == 40_000


def test_a_loss_that_overtook_the_judgement_stops_the_grant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guard: the second look at the account; between judging and giving, other questions took what was left."""
    world, sealing = noisy_world(tmp_path), grants._seal

    def slow(office: Any, case: Any) -> Any:
        monkeypatch.setattr(grants, "_seal", sealing)
        for run in ("run-2", "run-3"):
            ask(world, run)
        return sealing(office, case)

    monkeypatch.setattr(grants, "_seal", slow)
    with pytest.raises(PrivacyExhausted):
        ask(world, "run-1")
    assert spent(world) == 40_000


def test_another_contract_over_the_same_dataset_goes_on_with_its_account(tmp_path: Path) -> None:
    """No reset by writing a new contract: the limit is the new one's, what was lost stays lost."""
    world = noisy_world(tmp_path)
    ask(world, "run-1")
    document = {
        **world.document,
        "name": "another",
        "dp": {**CLAUSE, "budget": {"micro_rho": 30_000, "pico_delta": 1_000}},
    }
    world.document = document
    world.contract = read_contract(document)
    world.digest = contract_digest(world.contract)
    world.signatures = world.sign_all()
    (account,) = world.desks[NORTH].privacy(world.digest)
    assert (account.spent.micro_rho, account.remaining.micro_rho) == (20_000, 10_000)


def test_only_queries_cost_privacy(tmp_path: Path) -> None:
    world = noisy_world(tmp_path)
    job = world.job(AnalysisKind.LINKAGE)
    assert world.desks[NORTH].grant(world.request(NORTH, job=job, runtime=Runtime())).accounts == ()
    assert spent(world) == 0


def test_the_probability_of_a_failing_threshold_has_a_budget_too(tmp_path: Path) -> None:
    """Half of the delta is for thresholds: two questions of 400 do not fit into 1,000."""
    world = noisy_world(tmp_path, question={"micro_rho": 1, "pico_delta": 400})
    ask(world, "run-1")
    with pytest.raises(PrivacyExhausted):
        ask(world, "run-2")


@pytest.mark.parametrize(
    "changes",
    [
        {"question": {"micro_rho": 0, "pico_delta": 0}},
        {"question": {"micro_rho": 50_001, "pico_delta": 0}},
        {"question": {"micro_rho": 1, "pico_delta": 501}},
        {"budget": {"micro_rho": 50_000, "pico_delta": 0}},
        {"budget": {"micro_rho": 0.5, "pico_delta": 10}},
        {"records": 0},
        {"cells": 1 << 21},
        {"bounds": {"person": {"weight": {"low": 5, "high": 4}}}},
        {"bounds": {"person": {"sex": {"low": 0, "high": 4}}}},
        {"bounds": {"nowhere": {"weight": {"low": 0, "high": 4}}}},
        {"domains": {"person": {"sex": []}}},
        {"domains": {"person": {"sex": [1, 1]}}},
        {"domains": {"person": {"sex": ["f"]}}},
        {"domains": {"person": {"sex": [True]}}},
        {"domains": {"person": {"weight": [1]}}},
        {"epsilon": 1},
    ],
)
def test_a_clause_that_makes_no_sense_is_no_contract(tmp_path: Path, changes: Document) -> None:
    with pytest.raises(DocumentMalformed):
        noisy_world(tmp_path, **changes)


def test_bounds_that_are_bought_are_counted_with_the_question(tmp_path: Path) -> None:
    """Guard: the price is durable before the key leaves, like the cost itself."""
    world = noisy_world(tmp_path, bought={"micro_rho": 15_000, "most": 64})
    plain = world.job(run="run-1")
    buying = replace(plain, analysis=replace(plain.analysis, buys_bounds=True))
    grant = world.desks[NORTH].grant(world.request(NORTH, job=buying))
    assert [account.spent.micro_rho for account in grant.accounts] == [35_000]
    assert spent(world) == 35_000
    again = replace(buying, run=RunId("run-2"))
    with pytest.raises(PrivacyExhausted):
        world.desks[NORTH].grant(world.request(NORTH, job=again))
    assert spent(world) == 35_000


def order_of(world: World, job: Job) -> Order:
    """The order that a runtime would hold for a job, as far as its payment goes."""
    signed = Agreement(contract=world.contract, digest=world.digest)
    nothing: Any = None
    return Order(
        agreement=signed,
        job=job,
        job_digest=world.digest,
        snapshots=(),
        links=nothing,
        nonces={},
        checkpoint=world.digest,
        memory=nothing,
        output=Path(),
    )


def test_a_runtime_draws_no_noise_for_bounds_that_a_desk_did_not_count(tmp_path: Path) -> None:
    """Guard: a room that shows the desks a job without the purchase, and the runtime one with it."""
    world = noisy_world(tmp_path, bought={"micro_rho": 15_000, "most": 64})
    plain = world.job(run="run-1")
    buying = replace(plain, analysis=replace(plain.analysis, buys_bounds=True))
    grants = [world.desks[owner].grant(world.request(owner, job=plain)).to_document() for owner in OWNERS]
    assert len(paid_accounts(order_of(world, plain), grants)) == len(OWNERS)
    with pytest.raises(GrantNotTrusted):
        paid_accounts(order_of(world, buying), grants)


@pytest.mark.parametrize(("price", "most"), [(0, 9), (5, 1), (30_001, 9)])
def test_a_price_that_makes_no_sense_is_no_contract(tmp_path: Path, price: int, most: int) -> None:
    with pytest.raises(DocumentMalformed):
        noisy_world(tmp_path, bought={"micro_rho": price, "most": most})


def test_methods_have_no_noise_and_no_place_under_the_clause(tmp_path: Path) -> None:
    with pytest.raises(DocumentMalformed):
        World(tmp_path, dp=CLAUSE)


def test_a_clause_is_read_as_it_was_written(tmp_path: Path) -> None:
    bounds = {"person": {"weight": {"low": -1, "high": 400, "norm": 900}}}
    world = noisy_world(tmp_path, bounds=bounds, domains={"person": {"sex": [2, 1]}}, least_persons=7, bought=PRICE)
    document = world.contract.to_document()["dp"]
    values = {"person": {"sex": [2, 1]}}
    assert document == {**CLAUSE, "bounds": bounds, "domains": values, "least_persons": 7, "bought": PRICE}
    assert read_contract(world.contract.to_document()) == world.contract


def test_a_contract_says_in_words_what_its_noise_means(tmp_path: Path) -> None:
    world = noisy_world(tmp_path)
    words = contract_in_words(world.contract)
    told = [line for line in words[NORTH] if "noise" in line]
    assert len(told) == 1
    assert "2 different ones" in told[0]
    assert "differentially private" in told[0]
    assert told[0] in words["ada"]
