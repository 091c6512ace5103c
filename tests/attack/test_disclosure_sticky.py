# ruff: noqa: E501 - statements read better on one line
"""Averaging against sticky noise: other words, other tables, other days; and one person more or less."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from asepsis.services.rehearsal import Step
from attack_runner import Deployment, Mode, Rooms

NOISY = Mode(name="noise", profile="strict-10-noise", shared="strict-10-noise")
SAME = (
    "SELECT count(DISTINCT person_id) n FROM condition_occurrence WHERE condition_concept_id = 320128",
    "SELECT count(DISTINCT c.person_id) n FROM condition_occurrence c WHERE 320128 = c.condition_concept_id AND 1 = 1",
    "SELECT count(DISTINCT person_id) n FROM condition_occurrence WHERE condition_concept_id IN (320128)",
    "SELECT condition_concept_id g, count(DISTINCT person_id) n FROM condition_occurrence GROUP BY 1",
    "SELECT condition_concept_id g, count(DISTINCT person_id) n, count(*) r FROM condition_occurrence GROUP BY 1 ORDER BY n",
    "SELECT count(DISTINCT person_id) FILTER (WHERE condition_concept_id = 320128) n FROM condition_occurrence",
    "SELECT count(*) n FROM person p WHERE EXISTS (SELECT 1 FROM condition_occurrence c WHERE c.person_id = p.person_id AND c.condition_concept_id = 320128)",
)  # fmt: skip
"""Hypertension, in seven ways."""


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    made = Rooms(folder=tmp_path_factory.mktemp("sticky"), persons=4000)
    yield made
    made.close()


def asked(rooms: Rooms, *texts: str, world: str = "A", key: int = 1) -> list[dict[str, Any]]:
    rehearsal = Deployment(rooms=rooms, world=world, mode=NOISY, key=bytes([key]) * 32).rehearsal()
    return [dict(each) for each in rehearsal.run(tuple(Step(sql=text, arguments={}, author="a") for text in texts))]


def hypertension(answer: dict[str, Any]) -> object:
    grouped = "g" in answer["columns"]
    (row,) = (row for row in answer["rows"] if not grouped or row[0] == 320128)
    return row[int(grouped)]


def test_all_ways_to_ask_for_the_same_persons_get_one_number(rooms: Rooms) -> None:
    """Guard: the identity of the cell in the key of the noise, not the digest of the question."""
    assert len({hypertension(answer) for answer in asked(rooms, *SAME)}) == 1
    for text in SAME:  # and without a memory of the others
        assert hypertension(asked(rooms, text)[0]) == hypertension(asked(rooms, SAME[0])[0])
    assert len({hypertension(asked(rooms, SAME[0], key=key)[0]) for key in range(12)}) > 2


def test_a_condition_that_holds_for_all_is_held_and_gives_no_second_sample(rooms: Rooms) -> None:
    """Cloning (Gadotti et al.): equal in the data and not by logic."""
    clones = [f"{SAME[0]} AND condition_start_date >= DATE '20{year:02}-01-01'" for year in range(10)]
    assert {answer["status"] for answer in asked(rooms, SAME[0], *clones)[1:]} == {"suppressed"}


def test_the_same_words_whether_the_second_of_a_pair_differs_by_one_or_by_nobody(rooms: Rooms) -> None:
    pair = (
        "SELECT count(DISTINCT c.person_id) n FROM condition_occurrence c WHERE c.condition_concept_id = 439727",
        "SELECT count(DISTINCT c.person_id) n FROM condition_occurrence c JOIN person p USING (person_id) WHERE c.condition_concept_id = 439727 AND NOT (p.year_of_birth = 1931 AND p.gender_concept_id = 8532 AND p.location_id = 77)",
    )
    second = [asked(rooms, *pair, world=world)[1] for world in "ABC"]
    assert second[0]["status"] == "suppressed"
    assert second[0] == second[1] == second[2]


def test_margins_and_methods_are_not_released_with_noise(rooms: Rooms) -> None:
    (answer,) = asked(rooms, "SELECT gender_concept_id, count(*) n FROM person GROUP BY ROLLUP (gender_concept_id)")
    assert (answer["status"], answer["code"]) == ("suppressed", "disclosure.margins_open")
