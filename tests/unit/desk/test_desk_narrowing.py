"""One owner narrows alone: the other desks confirm what they compared, and no widening in a narrowing's clothes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from desk_world import HOST, NORTH, OWNERS, RESEARCHER, SOUTH, World

from asepsis.domain.contract_reading import read_contract
from asepsis.domain.keydesk import NarrowRequest
from asepsis.domain.names import PartyId
from asepsis.errors.contract import (
    AmendmentRefused,
    ContractNotInForce,
    ContractNotSigned,
    ContractSuperseded,
)
from asepsis.errors.desk import ContractNotSignedHere, DeskStopped, RequestMalformed
from asepsis.sealing.agreement import contract_digest, contract_payload, lineage_of, verify_agreement
from asepsis.sealing.signing import Purpose, sign

NARROWER: dict[str, Any] = {"budgets": {NORTH: 3, SOUTH: 2}}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def version_of(world: World, **changes: Any) -> dict[str, Any]:
    amends = {"contract": world.digest, "lineage": lineage_of(world.contract, digest=world.digest)}
    return json.loads(json.dumps({**world.document, "amends": amends, **changes}))


def proposed(world: World, document: dict[str, Any], *, by: PartyId = NORTH) -> NarrowRequest:
    """What the room shows the other desks after one owner has signed."""
    signature = world.desks[by].sign_contract(document, before=world.signatures)
    return NarrowRequest(contract=document, signatures={by: signature}, before=world.signatures)


def forged(world: World, document: dict[str, Any]) -> NarrowRequest:
    """An owner in full control of their own key says of anything that it narrows."""
    payload = contract_payload(read_contract(document))
    signature = world.keys[NORTH].sign(Purpose.AMENDMENT, payload)
    return NarrowRequest(contract=document, signatures={NORTH: signature}, before=world.signatures)


def go_on(world: World, document: dict[str, Any], signatures: dict[PartyId, bytes]) -> None:
    world.document, world.contract, world.signatures = document, read_contract(document), signatures
    world.digest = contract_digest(world.contract)


def narrowed(world: World, **changes: Any) -> None:
    """Northgate narrows, Riverside's desk confirms, nobody else does anything."""
    document = version_of(world, **changes)
    request = proposed(world, document)
    go_on(world, document, {**request.signatures, SOUTH: world.desks[SOUTH].narrow(request)})


def test_the_signature_of_one_owner_puts_a_narrower_version_in_force_at_every_desk(world: World) -> None:
    old = (world.document, world.contract, world.digest, world.signatures)
    narrowed(world, **NARROWER)
    assert verify_agreement(world.document, world.signatures).digest == world.digest
    for owner in OWNERS:
        assert world.desks[owner].grant(world.request(owner)).contract == world.digest
    acts = [entry.act.value for entry in world.entries(SOUTH)]
    assert acts.count("contract.narrowed") == 1
    world.document, world.contract, world.digest, world.signatures = old
    for owner in OWNERS:  # nobody brings the wider one back
        with pytest.raises(ContractSuperseded):
            world.desks[owner].grant(world.request(owner))


def test_a_narrower_version_is_narrowed_again_by_the_other_owner(world: World) -> None:
    narrowed(world, **NARROWER)
    first = world.digest
    document = version_of(world, budgets={NORTH: 1, SOUTH: 2})
    request = proposed(world, document, by=SOUTH)
    go_on(world, document, {**request.signatures, NORTH: world.desks[NORTH].narrow(request)})
    assert world.contract.amends is not None
    assert world.contract.amends.contract == first
    assert world.desks[NORTH].grant(world.request()).contract == world.digest


def test_confirming_again_changes_nothing(world: World) -> None:
    request = proposed(world, version_of(world, **NARROWER))
    assert world.desks[SOUTH].narrow(request) == world.desks[SOUTH].narrow(request)
    assert [entry.act.value for entry in world.entries(SOUTH)].count("contract.narrowed") == 1


WIDENINGS: dict[str, Callable[[World], dict[str, Any]]] = {
    "a larger budget beside a smaller one": lambda _: {"budgets": {NORTH: 1, SOUTH: 4}},
    "a later end": lambda world: {"valid": {**world.document["valid"], "until": "2027-06-01T00:00:00Z"}},
    "another purpose": lambda _: {"purpose": "anything"},
    "a column more": lambda world: {
        "tables": {
            "person": {
                "columns": {
                    **world.document["tables"]["person"]["columns"],
                    "year_of_birth": {"type": "integer", "uses": ["group"]},
                }
            }
        }
    },
    "another program": lambda _: {"runtime": {"level": 0, "measurements": ["e" * 64]}},
    "outputs that nobody sees": lambda _: {"disclosure": {"profile": "strict-10", "automatic_release": [NORTH, SOUTH]}},
    "another researcher's key": lambda world: {
        "parties": {
            **world.document["parties"],
            RESEARCHER: {
                **world.document["parties"][RESEARCHER],
                "signing_key": world.document["parties"][HOST]["signing_key"],
            },
        }
    },
    "another name": lambda _: {"name": "rare-diseases-2"},
}


@pytest.mark.parametrize("changes", WIDENINGS.values(), ids=WIDENINGS.keys())
def test_a_widening_that_an_owner_calls_a_narrowing_is_refused_by_every_other_desk(
    world: World, changes: Callable[[World], dict[str, Any]]
) -> None:
    """Guard: ``widened`` in ``_require_narrowing``."""
    document = version_of(world, **changes(world))
    with pytest.raises(AmendmentRefused, match="more than narrow"):
        world.desks[SOUTH].narrow(forged(world, document))
    assert world.desks[SOUTH].grant(world.request(SOUTH)).contract == world.digest  # it still stands by the old one


def test_an_owners_desk_does_not_call_a_widening_a_narrowing(world: World) -> None:
    """Guard: the purpose in ``signature``: signed for the contract, it takes everybody."""
    document = version_of(world, budgets=dict.fromkeys(OWNERS, 4))
    signatures = {owner: world.desks[owner].sign_contract(document, before=world.signatures) for owner in OWNERS}
    with pytest.raises(ContractNotSigned):
        verify_agreement(document, signatures)


def test_the_word_of_one_owner_that_it_narrows_is_not_an_agreement(world: World) -> None:
    """Guard: every owner in ``verify_agreement``."""
    document = version_of(world, budgets=dict.fromkeys(OWNERS, 4))
    with pytest.raises(ContractNotSigned):
        verify_agreement(document, forged(world, document).signatures)


def test_a_first_version_is_nobodys_narrowing(world: World) -> None:
    """Guard: ``amends`` in ``_verify``: all owners together cannot leave the others out of a beginning."""
    payload = contract_payload(world.contract)
    signatures = {owner: world.keys[owner].sign(Purpose.AMENDMENT, payload) for owner in OWNERS}
    with pytest.raises(ContractNotSigned):
        verify_agreement(world.document, signatures)
    request = NarrowRequest(contract=world.document, signatures=signatures, before=world.signatures)
    with pytest.raises(ContractNotSignedHere):
        world.desks[SOUTH].narrow(request)


def test_a_desk_confirms_nothing_that_no_owner_wants(world: World) -> None:
    """Guard: ``_require_wanted``: neither the host's word, nor an ordinary signature, nor the desk's own."""
    document = version_of(world, **NARROWER)
    payload = contract_payload(read_contract(document))
    for signatures in (
        {},
        {HOST: sign(world.room_key.private, purpose=Purpose.AMENDMENT, payload=payload)},
        {NORTH: world.keys[NORTH].sign(Purpose.CONTRACT, payload)},
        {SOUTH: world.keys[SOUTH].sign(Purpose.AMENDMENT, payload)},
    ):
        request = NarrowRequest(contract=document, signatures=signatures, before=world.signatures)
        with pytest.raises(AmendmentRefused, match="no other owner"):
            world.desks[SOUTH].narrow(request)


def test_what_never_bound_everybody_cannot_be_narrowed_past_those_who_did_not_sign(world: World) -> None:
    """Guard: the signatures under the version before, in ``_require_narrowing``."""
    request = forged(world, version_of(world, **NARROWER))
    before = {party: signature for party, signature in world.signatures.items() if party != RESEARCHER}
    with pytest.raises(ContractNotSigned, match=RESEARCHER):
        world.desks[SOUTH].narrow(replace(request, before=before))


def test_a_narrowing_does_not_lift_a_suspension(world: World) -> None:
    """Guard: ``require_not_stopped``: a new version has no statements, so that it would begin anew."""
    world.desks[SOUTH].suspend(world.digest)
    with pytest.raises(ContractNotInForce):
        world.desks[SOUTH].narrow(forged(world, version_of(world, **NARROWER)))


def test_a_stopped_desk_confirms_nothing(world: World) -> None:
    """Guard: ``is_stopped`` in ``confirm``."""
    request = forged(world, version_of(world, **NARROWER))
    world.desks[SOUTH].stop("for now")
    with pytest.raises(DeskStopped):
        world.desks[SOUTH].narrow(request)


def test_a_narrowing_of_an_older_version_does_not_bring_it_back(world: World) -> None:
    """Guard: the newest version in ``_require_narrowing``."""
    older = forged(world, version_of(world, **NARROWER))
    narrowed(world, budgets={NORTH: 1, SOUTH: 1})
    with pytest.raises(ContractSuperseded):
        world.desks[SOUTH].narrow(older)


def test_what_a_stranger_sends_is_not_repeated(world: World) -> None:
    document = version_of(world, amends={"contract": "f" * 64, "lineage": "f" * 64}, name="zebra")
    with pytest.raises(ContractNotSignedHere) as refused:
        world.desks[SOUTH].narrow(forged(world, document))
    assert "zebra" not in str(refused.value)
    with pytest.raises(RequestMalformed):
        world.desks[SOUTH].narrow(NarrowRequest(contract={"zebra": 1}, signatures={}, before={}))
