# ruff: noqa: E501 - statements read better on one line
"""Cells that come from one site only, however the question is put: the site could recognise its own patients in them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from asepsis.services.rehearsal import Step
from attack_runner import Deployment, Mode, Rooms

PLAIN, SITES = (Mode(name=name, profile=name, shared=name) for name in ("strict-10", "strict-10-sites"))
ONE_SITE = (
    "SELECT count(*) n FROM person WHERE care_site_id = 3",
    "SELECT care_site_id, count(*) n FROM person GROUP BY care_site_id",
    "SELECT count(*) FILTER (WHERE care_site_id = 3) n FROM person",
    "SELECT sum(CASE WHEN care_site_id = 3 THEN 1 ELSE 0 END) n FROM person",
    "SELECT count(DISTINCT person_id) n FROM visit_occurrence WHERE care_site_id = 3",
    "SELECT count(*) n FROM person p WHERE EXISTS (SELECT 1 FROM visit_occurrence v WHERE v.person_id = p.person_id AND v.care_site_id = 3)",
    "SELECT count(*) n FROM condition_occurrence c JOIN person p USING (person_id) WHERE p.care_site_id = 3 AND c.condition_concept_id = 320128",
    "WITH s AS (SELECT person_id, care_site_id AS place FROM visit_occurrence) SELECT count(DISTINCT person_id) n FROM s WHERE place = 3",
    "SELECT count(*) n FROM (SELECT person_id, count(*) k FROM visit_occurrence WHERE care_site_id = 3 GROUP BY person_id) t",
)  # fmt: skip
MANY_SITES = (
    "SELECT gender_concept_id, count(*) n FROM person GROUP BY 1",
    "SELECT count(DISTINCT person_id) n FROM visit_occurrence WHERE care_site_id IN (3, 4)",
    "SELECT condition_concept_id, count(DISTINCT person_id) n FROM condition_occurrence GROUP BY 1",
)


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    made = Rooms(folder=tmp_path_factory.mktemp("sites"), persons=4000)
    yield made
    made.close()


def answers(rooms: Rooms, mode: Mode, text: str) -> list[dict[str, Any]]:
    """The answer in each world, without its number."""
    step = (Step(sql=text, arguments={}, author="a"),)
    return [dict(next(Deployment(rooms=rooms, world=world, mode=mode).rehearsal().run(step))) for world in "ABC"]


@pytest.mark.parametrize("text", ONE_SITE)
def test_a_cell_of_one_site_is_withheld_in_all_worlds_with_the_same_words(rooms: Rooms, text: str) -> None:
    """Guard: ``too_few_affiliations``; without the rule the same numbers are shown."""
    held = answers(rooms, SITES, text)
    assert {each["status"] for each in held} == {"suppressed"}
    assert held[0] == held[1] == held[2]
    assert "disclosure.sites" in {finding["code"] for finding in held[0]["findings"]}
    assert answers(rooms, PLAIN, text)[0]["status"] == "released"


@pytest.mark.parametrize("text", MANY_SITES)
def test_cells_of_several_sites_are_shown_as_without_the_rule(rooms: Rooms, text: str) -> None:
    assert answers(rooms, SITES, text)[0]["rows"] == answers(rooms, PLAIN, text)[0]["rows"]
