"""Unannounced widening: what has no end or no limit cannot be written, and what grows is said and signed by all."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "desk"))

from desk_world import NORTH, OWNERS, SOUTH, World

from asepsis.domain.contract_reading import read_contract
from asepsis.domain.keydesk import NarrowRequest
from asepsis.errors.contract import AmendmentRefused, ContractNotSigned, DocumentMalformed
from asepsis.sealing.agreement import contract_payload, verify_agreement
from asepsis.sealing.signing import Purpose
from asepsis.services.amending import Direction, changes
from asepsis.services.contracts import read_proposal

Edit = Callable[[dict[str, Any]], dict[str, Any]]

UNWRITABLE: dict[str, Edit] = {
    "a wildcard for datasets": lambda document: {
        "datasets": {**document["datasets"], "*": {"owner": NORTH, "label": "synthetic", "holds": "clinical"}}
    },
    "a wildcard for tables": lambda document: {"tables": {**document["tables"], "*": {"columns": {}}}},
    "a wildcard for columns": lambda _: {"tables": {"person": {"columns": {"*": {"type": "text", "uses": ["group"]}}}}},
    "no end": lambda document: {"valid": {"from": document["valid"]["from"]}},
    "an end that is none": lambda document: {"valid": {**document["valid"], "until": "never"}},
    "kept for ever": lambda _: {"retention_days": 10**9},
    "no budget": lambda _: {"budgets": {}},
    "a budget without a limit": lambda _: {"budgets": dict.fromkeys(OWNERS, "unlimited")},
    "a smallest cell of nought": lambda document: {"disclosure": {**document["disclosure"], "threshold": 0}},
    "a profile of one's own": lambda document: {"disclosure": {**document["disclosure"], "profile": "strict-0"}},
    "a level below all": lambda document: {"runtime": {**document["runtime"], "level": -1}},
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("case", UNWRITABLE)
def test_what_has_no_limit_cannot_be_proposed(world: World, case: str) -> None:
    """Guard: the closed schema; there is no key and no value for it."""
    with pytest.raises(DocumentMalformed):
        read_proposal({**world.document, **UNWRITABLE[case](world.document)})


GROWN: dict[str, Edit] = {
    "a huge budget": lambda _: {"budgets": dict.fromkeys(OWNERS, 10**9)},
    "a far end": lambda document: {"valid": {**document["valid"], "until": "2099-01-01T00:00:00Z"}},
    "long retention": lambda _: {"retention_days": 3_000},
    "outputs that nobody sees": lambda document: {
        "disclosure": {**document["disclosure"], "automatic_release": list(OWNERS)}
    },
    "huge quotas": lambda document: {
        "disclosure": {**document["disclosure"], "quotas": {"cells_of_one": 10**6, "cells_of_all": 10**6}}
    },
}


@pytest.mark.parametrize("case", GROWN)
def test_what_grows_is_named_as_wider_and_takes_the_signature_of_everybody(world: World, case: str) -> None:
    amends = {"contract": world.digest, "lineage": world.digest}
    document = {**world.document, "amends": amends, **GROWN[case](world.document)}
    wider = read_contract(document)
    assert {one.direction for one in changes(wider, before=world.contract)} == {Direction.WIDENS}
    owners = {owner: world.keys[owner].sign(Purpose.CONTRACT, contract_payload(wider)) for owner in OWNERS}
    with pytest.raises(ContractNotSigned):
        verify_agreement(document, owners)
    claimed = {NORTH: world.keys[NORTH].sign(Purpose.AMENDMENT, contract_payload(wider))}
    with pytest.raises(AmendmentRefused):
        world.desks[SOUTH].narrow(NarrowRequest(contract=document, signatures=claimed, before=world.signatures))
