"""Quality against the truth of two_hospitals."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

Record = tuple[str, int]


def pairs(groups: Iterable[Iterable[Record]]) -> set[tuple[Record, Record]]:
    return {pair for group in groups for pair in itertools.combinations(sorted(group), 2)}


@pytest.fixture
def done(two_hospitals: Any, linked: Callable[[Mapping[str, Any]], Any]) -> Any:
    return linked({"northgate": two_hospitals.northgate, "riverside": two_hospitals.riverside})


def test_the_shared_persons_are_found_and_nobody_else(two_hospitals: Any, done: Any) -> None:
    persons: defaultdict[str, list[Record]] = defaultdict(list)
    for record, entity in two_hospitals.truth.items():
        persons[entity].append(record)
    truth, found = pairs(persons.values()), pairs(done.partition())
    assert len(found & truth) / len(found) >= 0.99
    assert len(found & truth) / len(truth) >= 0.97
    assert done.report.persons_in_several_owners >= 88


def test_seventeen_persons_have_the_rare_disease(two_hospitals: Any, done: Any) -> None:
    links = {(row["owner"], row["person_id"]): row["link_id"] for row in done.rows}
    assert len(two_hospitals.gaucher) > 17
    assert len({links[record] for record in two_hospitals.gaucher}) == 17


def test_the_estimates_are_near_the_truth(done: Any) -> None:
    assert done.report.precision >= 0.99
    assert done.report.recall >= 0.97
