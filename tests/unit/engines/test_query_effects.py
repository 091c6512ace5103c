# ruff: noqa: E501 - statements read better on one line
"""Effects of conditions that are counted until they are enough, against those that are counted out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from asepsis.disclosure.profiles import BLUR, profile_named
from asepsis.domain.cells import Needs
from asepsis.engines.query import effects as counting
from asepsis.sql import plan_query

QUESTIONS = (
    "SELECT kind, count(DISTINCT person_id) n FROM visit WHERE kind <> 40 AND cost >= 20 AND cost < 80 GROUP BY kind",
    "SELECT p.town, v.kind, count(*) n FROM visit v JOIN person p USING (person_id) WHERE v.cost >= 20 OR p.gender = 1 GROUP BY 1, 2",
    "SELECT date_trunc('year', began) y, count(*) n FROM visit WHERE cost >= 50 GROUP BY 1",
    "SELECT CASE WHEN kind = 10 THEN 'a' ELSE 'b' END g, count(*) n FROM visit WHERE cost < 50 GROUP BY 1",
    "SELECT floor(cost / 10) b, count(*) n FROM visit WHERE kind <> 10 GROUP BY 1",
    "SELECT count(*) n FROM person p WHERE EXISTS (SELECT 1 FROM visit v WHERE v.person_id = p.person_id AND v.cost >= 90)",
)  # fmt: skip


def made(persons: int, seed: int) -> dict[str, dict[str, list[dict[str, Any]]]]:
    chance = np.random.default_rng(seed)
    people = [
        {"person_id": place, "gender": place % 2, "town": [None, "n", "s"][place % 3], "birth": 1950}
        for place in range(persons)
    ]
    visits = [
        {
            "person_id": int(chance.integers(persons)),
            "kind": [None, 10, 20, 30, 40][int(chance.integers(5))],
            "cost": float(chance.integers(100)),
            "began": np.datetime64("2018-01-01") + int(chance.integers(900)),
        }
        for _ in range(4 * persons)
    ]
    for visit in visits:
        visit["began"] = visit["began"].astype(object)
    return {"person": {"n": people}, "visit": {"n": visits}}


@pytest.mark.parametrize("text", QUESTIONS)
def test_counting_until_it_is_enough_decides_the_same(
    open_room: Any, catalogue: Any, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Guard: cells that are still open stay in; ``_limit`` never excludes one."""
    monkeypatch.setattr(counting, "_FEWEST", 4)
    planned = plan_query(text, catalogue)
    assert planned.plan is not None, planned.findings
    for seed, enough in ((1, 3), (2, 14), (3, 60), (4, 10_000)):
        room = open_room(made(200, seed), batch=60)
        (exact,) = room.effects(planned.plan).unseal()
        needs = Needs(effect=enough)
        contributors = room.cells_and_contributors(planned.plan, least=5, needs=needs)[1].unseal()
        assert contributors.populations
        assert exact is not None
        shown = {tuple(_plain(value) for value in key): effect for key, effect in exact.items()}
        for population in contributors.populations:
            assert population.effect is not None
            assert min(population.effect, enough) == min(shown.get(population.keys, 0), enough)


def test_large_cells_are_left_out_of_later_ranges(
    open_room: Any, catalogue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "_FEWEST", 4)
    plan = plan_query(QUESTIONS[0], catalogue).plan
    assert plan is not None
    room, asked = open_room(made(400, 5), batch=100), []
    original = type(room)._table
    monkeypatch.setattr(type(room), "_table", lambda self, made: asked.append(made.text) or original(self, made))
    room.cells_and_contributors(plan, least=10, needs=Needs(effect=14))
    looked = [text for text in asked if "bits" in text]
    asked.clear()
    room.cells_and_contributors(plan, least=10)
    assert 0 < len(looked) < len([text for text in asked if "bits" in text])


def test_the_rules_ask_for_all_that_a_blurred_threshold_can_look_at() -> None:
    """Guard: an effect that was not counted out would be held by a higher threshold."""
    for name in ("strict-10", "cms-11", "opensafely-mid6"):
        profile = profile_named(name)
        assert profile.needs.effect == profile.threshold + BLUR


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
