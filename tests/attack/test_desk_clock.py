"""A desk whose clock is set back: nonces, leases and contracts would live again, so it refuses."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "desk"))

from desk_world import NORTH, NOW, World

from asepsis.domain.names import Digest
from asepsis.errors.contract import ContractExpired
from asepsis.errors.desk import DeskClockBehind, NonceExpired
from asepsis.services.keydesk.office import CLOCK_STEP


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


ROOM_ASKS: dict[str, Callable[[World], object]] = {
    "nonce": lambda world: world.desks[NORTH].nonce(),
    "cosignature": lambda world: world.desks[NORTH].cosign(world.ledger.note(), proof=[]),
    "suspension": lambda world: world.desks[NORTH].suspend(world.digest),
    "contract": lambda world: world.desks[NORTH].sign_contract(world.document),
    "approval": lambda world: world.desks[NORTH].approve_referral(Digest("a" * 64), contract=world.digest),
}


@pytest.mark.parametrize("what", ROOM_ASKS)
def test_a_desk_whose_clock_was_set_back_two_years_does_nothing(world: World, what: str) -> None:
    world.clock.forward(days=-730)
    with pytest.raises(DeskClockBehind):
        ROOM_ASKS[what](world)
    last = world.entries()[-1]
    assert (last.act.value, last.facts["code"], last.at) == ("clock.refused", "desk.clock_behind", NOW)


def test_an_old_request_cannot_be_granted_by_setting_the_clock_back(world: World) -> None:
    request = world.request()
    world.clock.forward(hours=1)
    with pytest.raises(NonceExpired):
        world.desks[NORTH].grant(request)
    world.clock.forward(hours=-1)
    with pytest.raises(DeskClockBehind):
        world.desks[NORTH].grant(request)


def test_a_clock_that_jumped_ten_years_ahead_grants_nothing(world: World) -> None:
    request = world.request()
    world.clock.forward(days=3650)
    with pytest.raises(ContractExpired):
        world.desks[NORTH].grant(request)


def test_a_time_server_may_correct_the_clock_by_a_small_step(world: World) -> None:
    world.clock.now -= CLOCK_STEP
    world.desks[NORTH].nonce()


def test_only_the_owner_puts_a_corrected_clock_on_record(world: World) -> None:
    world.clock.forward(days=3650)
    world.desks[NORTH].nonce()
    world.clock.now = NOW
    with pytest.raises(DeskClockBehind):
        world.desks[NORTH].nonce()
    world.desks[NORTH].resume()
    world.desks[NORTH].grant(world.request())
    assert "desk.resumed" in world.acts()


def test_the_kill_switch_works_whatever_the_clock_says(world: World) -> None:
    world.clock.forward(days=-730)
    world.desks[NORTH].stop("the clock is wrong")
    assert world.acts()[-1] == "desk.stopped"
