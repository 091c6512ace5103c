"""Noisy answers in a real room: paid at both desks before the noise, sampled once."""

from __future__ import annotations

from typing import Any

import pytest

from asepsis.domain.names import PartyId
from asepsis.engines.runtime_process import RuntimeDialogue
from asepsis.errors.runtime import RuntimeLost
from simulator import COMMON, OWNERS, Answer, World, amend, call, edited, persons_with, sign

QUESTION = 400_000
PRICE = 50_000
CLAUSE: dict[str, Any] = {
    "budget": {"micro_rho": 3 * QUESTION + PRICE, "pico_delta": 1_000_000},
    "question": {"micro_rho": QUESTION, "pico_delta": 10_000},
    "records": 8,
    "cells": 4,
    "bought": {"micro_rho": PRICE, "most": 64},
    "domains": {"person": {"gender_concept_id": [8507, 8532]}},
}
BY_SEX = "SELECT gender_concept_id, count(DISTINCT person_id) AS n FROM person GROUP BY gender_concept_id"
RECORDS = "SELECT count(*) AS n FROM condition_occurrence"
AGAIN = "SELECT p.gender_concept_id, count(DISTINCT p.person_id) AS n FROM person p GROUP BY 1"


@pytest.fixture
def noisy(world: World) -> World:
    """The hospitals' room under an amended contract with the clause ``dp``."""
    analyses = {**world.room().contracts.contract().to_document()["analyses"], "methods": []}
    sign(world, amend(world, dp=CLAUSE, analyses=analyses))
    return world


def spent(world: World) -> dict[PartyId, int]:
    room = world.room()
    digest = room.contracts.status().digest
    return {owner: sum(one.spent.micro_rho for one in room.desk(owner).privacy(digest)) for owner in OWNERS}


def codes(answer: Answer) -> list[str]:
    return [finding["code"] for finding in answer.document()["findings"]]


def test_a_noisy_answer_is_released_paid_at_both_desks_and_free_when_asked_again(noisy: World) -> None:
    before = call(*noisy.query(BY_SEX), "--plan", "--json")
    assert (before.code, codes(before)) == (0, ["privacy.cost", "privacy.error"])
    assert set(spent(noisy).values()) == {0}
    first = call(*noisy.query(BY_SEX), "--json")
    assert first.code == 0, first
    table = first.document()["table"]
    assert [row[0] for row in table["rows"]] == [8507, 8532]
    assert table["actions"] == [["shown", "noisy"]] * 2
    assert all(row[0] is None and row[1] > 0 for row in table["within"])
    assert codes(first) == ["privacy.cost", "privacy.error", "privacy.remaining"]
    assert spent(noisy) == dict.fromkeys(OWNERS, QUESTION)
    again = call(*noisy.query(AGAIN), "--json")
    assert (again.document()["repeated"], again.document()["table"]) == (True, table)
    assert spent(noisy) == dict.fromkeys(OWNERS, QUESTION)
    assert all(noisy.desk_acts(owner).count("privacy.charged") == 1 for owner in OWNERS)
    for owner in OWNERS:
        status = call("keydesk", "status", "--as", owner, "--room", str(noisy.path), "--json").document()
        assert [one["remaining"]["micro_rho"] for one in status["privacy"]] == [2 * QUESTION + PRICE]
    buying = call(*noisy.query(RECORDS), "--buy-bounds", "--json")
    assert codes(buying) == ["privacy.cost", "privacy.error", "privacy.bounds", "privacy.remaining"]
    assert spent(noisy) == dict.fromkeys(OWNERS, 2 * QUESTION + PRICE)
    # A room that forgets the answer pays again, and still gets no second sample.
    with edited(noisy.database) as database:
        database.execute("DELETE FROM releases")
        database.execute("DELETE FROM runs")
    forgotten = call(*noisy.query(BY_SEX), "--json")
    assert forgotten.document()["table"] == table
    assert spent(noisy) == dict.fromkeys(OWNERS, 3 * QUESTION + PRICE)
    exhausted = call(*noisy.query(persons_with(COMMON)), "--json")
    assert exhausted.code == 6
    assert "desk.privacy_exhausted" in exhausted.error
    assert spent(noisy) == dict.fromkeys(OWNERS, 3 * QUESTION + PRICE)


@pytest.mark.long
def test_a_failing_run_stays_paid_and_is_finished_under_the_same_payment(
    noisy: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object, **__: object) -> Any:
        raise RuntimeLost(ended="9")

    with monkeypatch.context() as patched:
        patched.setattr(RuntimeDialogue, "finish", lost)
        assert call(*noisy.query(BY_SEX), "--json").code != 0
    assert spent(noisy) == dict.fromkeys(OWNERS, QUESTION)
    assert call(*noisy.query(BY_SEX), "--json").code == 0
    assert spent(noisy) == dict.fromkeys(OWNERS, QUESTION)
