# ruff: noqa: E501 - statements read better on one line
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from asepsis.disclosure.contributors import Contributors
from asepsis.engines.query.people import tokens
from asepsis.sql import plan_query

PEOPLE = [
    {"person_id": number, "gender": number % 2, "birth": 1950 + number % 30, "town": "x"} for number in range(1, 41)
]
VISITS = [
    {"person_id": number, "kind": kind, "cost": 10.0 * kind}
    for number in range(1, 41)
    for kind in range(1 + number % 3)
]
TABLES = {"person": {"north": PEOPLE}, "visit": {"north": VISITS}}


def behind(room: Any, catalogue: Any, text: str, least: int = 1) -> Contributors:
    plan = plan_query(text, catalogue).plan
    assert plan is not None
    found: Contributors = room.contributors(plan, least=least).unseal()
    return found


def numbers(found: Contributors) -> dict[Any, set[int]]:
    """The owner's own numbers of the persons of each population, for one owner."""
    salt = tokens(np.array([1]), np.array([0]), ["north"])[1][0]
    return {
        (one.keys, one.measures): {int(found.tokens[place] - salt) for place in one.places} for one in found.populations
    }


def test_the_persons_behind_a_cell_are_those_of_its_count(open_room: Any, catalogue: Any) -> None:
    found = numbers(
        behind(open_room(TABLES), catalogue, "SELECT kind, count(DISTINCT person_id) AS n FROM visit GROUP BY kind")
    )
    assert found == {((kind,), (0,)): {row["person_id"] for row in VISITS if row["kind"] == kind} for kind in range(3)}


@pytest.mark.parametrize("text", [
    "SELECT kind, count(DISTINCT person_id) AS n, count(*) FILTER (WHERE cost >= 10) AS m FROM visit GROUP BY kind",
    "SELECT count(*) AS n FROM person WHERE birth <> 1955",
    "SELECT p.gender, count(DISTINCT v.person_id) AS n FROM visit v JOIN person p USING (person_id) WHERE v.kind > 0 GROUP BY 1",
])  # fmt: skip
def test_ranges_of_persons_give_the_same_populations(open_room: Any, catalogue: Any, text: str) -> None:
    whole, parts = (behind(open_room(TABLES, **options), catalogue, text) for options in ({}, {"batch": 7}))
    assert numbers(whole) == numbers(parts)
    assert [one.effect for one in whole.populations] == [one.effect for one in parts.populations]
    assert [one.identity for one in whole.populations] == [one.identity for one in parts.populations]


def test_a_measure_with_a_filter_has_its_own_persons(open_room: Any, catalogue: Any) -> None:
    found = numbers(
        behind(
            open_room(TABLES), catalogue, "SELECT count(*) AS n, count(*) FILTER (WHERE gender = 1) AS m FROM person"
        )
    )
    assert found[(), (0,)] == {row["person_id"] for row in PEOPLE}
    assert found[(), (1,)] == {row["person_id"] for row in PEOPLE if row["gender"] == 1}


def test_small_cells_are_not_gathered(open_room: Any, catalogue: Any) -> None:
    found = behind(open_room(TABLES), catalogue, "SELECT birth, count(*) AS n FROM person GROUP BY 1", least=2)
    assert all(len(one.places) >= 2 for one in found.populations)
    assert len(found.populations) == 10


@pytest.mark.parametrize(("where", "effect"), [
    ("birth <> 1955", sum(row["birth"] == 1955 for row in PEOPLE)),
    ("birth <> 1888", 0),
    ("birth >= 1960", sum(row["birth"] < 1960 for row in PEOPLE)),
    ("birth = 1955 OR gender = 1", 0),
    ("birth = 1952 OR gender = 1", sum(row["birth"] == 1952 for row in PEOPLE)),
    ("gender = 1", None),
])  # fmt: skip
def test_the_effect_is_the_number_of_persons_that_a_condition_matters_for(
    open_room: Any, catalogue: Any, where: str, effect: int | None
) -> None:
    (population,) = behind(open_room(TABLES), catalogue, f"SELECT count(*) AS n FROM person WHERE {where}").populations
    assert population.effect == effect


def test_a_person_has_one_token_whatever_is_loaded_beside(open_room: Any, catalogue: Any) -> None:
    text = "SELECT count(*) AS n FROM person"
    alone = behind(open_room(TABLES), catalogue, text)
    others = {"person": {"east": PEOPLE[:5], "north": PEOPLE}, "visit": {"north": VISITS}}
    linked = behind(open_room(others, [("north", 1, 900), ("east", 5, 900)]), catalogue, text)
    assert len(linked.tokens) == 44
    assert len(set(alone.tokens.tolist()) & set(linked.tokens.tolist())) == 39


def test_the_answer_is_sealed(open_room: Any, catalogue: Any) -> None:
    plan = plan_query("SELECT count(*) AS n FROM person", catalogue).plan
    assert plan is not None
    assert repr(open_room(TABLES).contributors(plan, least=1)) == "Sealed(…)"
