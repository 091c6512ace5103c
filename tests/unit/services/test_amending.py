"""What an amendment widens and what it narrows is told place by place, and nothing that changed goes untold."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from test_contract_drafts import ENROLLED, HOSPITAL, LABORATORY, MEASUREMENT, TERMS

from asepsis.domain.contract_reading import read_contract
from asepsis.services.amending import Direction, changes
from asepsis.services.drafting import draft_contract

BEFORE: dict[str, Any] = json.loads(json.dumps(draft_contract(TERMS, ENROLLED, datasets={}, measurement=MEASUREMENT)))
WIDER, NARROWER, OTHER = Direction.WIDENS, Direction.NARROWS, Direction.CHANGES


@pytest.mark.parametrize(
    ("place", "value", "direction"),
    [
        (("budgets", HOSPITAL), 21, WIDER),
        (("budgets", HOSPITAL), 19, NARROWER),
        (("retention_days",), 366, WIDER),
        (("retention_days",), 1, NARROWER),
        (("valid", "until"), "2027-01-01T00:00:00Z", WIDER),
        (("valid", "until"), "2026-05-05T00:00:00Z", NARROWER),
        (("runtime", "level"), 2, NARROWER),
        (("runtime", "measurements"), [MEASUREMENT, "00" * 32], WIDER),
        (("analyses", "queries"), False, NARROWER),
        (("analyses", "methods"), [], NARROWER),
        (("disclosure", "automatic_release"), [HOSPITAL], WIDER),
        (("disclosure", "quotas"), {"cells_of_one": 5_001}, WIDER),
        (("disclosure", "quotas"), {"cells_of_one": 4_999}, NARROWER),
        (("tables", "person", "columns", "year_of_birth", "uses"), [], NARROWER),
        (("tables", "person", "columns", "place"), {"type": "integer", "uses": ["group"]}, WIDER),
        (("purpose",), "Something else", OTHER),
        (("parties", LABORATORY, "signing_key"), "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=", OTHER),
    ],
)
def test_a_change_is_told_with_its_direction(place: tuple[str, ...], value: object, direction: Direction) -> None:
    after = copy.deepcopy(BEFORE)
    at: Any = after
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    found = changes(read_contract(after), before=read_contract(BEFORE))
    assert {one.direction for one in found} == {direction}
    assert all(one.place.startswith(".".join(place)) for one in found)
    back = changes(read_contract(BEFORE), before=read_contract(after))
    opposite = {WIDER: NARROWER, NARROWER: WIDER, OTHER: OTHER}[direction]
    assert {one.direction for one in back} == {opposite}


def test_the_same_text_changes_nothing() -> None:
    assert changes(read_contract(BEFORE), before=read_contract(BEFORE)) == ()
