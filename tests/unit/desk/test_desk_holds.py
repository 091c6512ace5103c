"""While an incident holds, a desk destroys nothing; and it takes nobody's word for the end of the incident."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

from desk_world import NORTH, World

from asepsis.errors.incident import AppointmentRefused, IncidentTampered, KeysHeld
from asepsis.errors.keys import KeysUnwritable
from asepsis.keys.files import FileKeys
from asepsis.sealing.signing import KeyPair, public_signing_key
from incident_world import ROOM, WAY, Hospital


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, retention_days=30)


@pytest.fixture
def hospital(world: World, tmp_path: Path) -> Hospital:
    """The people of this desk's owner."""
    private = (tmp_path / f"{NORTH}-keys" / "signing.ed25519").read_bytes()
    return Hospital(party=NORTH, keys=KeyPair(private=private, public=public_signing_key(private)))


def heed(world: World, hospital: Hospital, *, acts: int | None = None) -> None:
    shown = hospital.acts[:acts]
    world.desks[NORTH].heed_incident(shown, appointments=hospital.appointments(), room=ROOM)


def test_while_an_incident_holds_no_key_is_destroyed(world: World, hospital: Hospital) -> None:
    desk = world.desks[NORTH]
    hospital.go(WAY[:3])
    heed(world, hospital)
    desk.end(world.digest)
    with pytest.raises(KeysHeld):
        desk.erase(world.digest)
    assert "erasure.intended" not in world.acts()
    assert desk.own_key(world.manifests[f"{NORTH}-clinical"])
    hospital.go(WAY[3:])
    heed(world, hospital)
    assert desk.holds() == []
    assert len(desk.erase(world.digest)) == 1
    assert [act for act in world.acts() if act.startswith("hold.")] == ["hold.set", "hold.lifted"]


def test_what_was_about_to_be_destroyed_is_held_too(
    world: World, hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A desk that was stopped between the intent and the end does not go on while an incident holds."""
    desk = world.desks[NORTH]
    desk.end(world.digest)

    def fails(*_: object, **__: object) -> None:
        raise KeysUnwritable(path="keys")

    with monkeypatch.context() as patch:
        patch.setattr(FileKeys, "destroy", fails)
        with pytest.raises(KeysUnwritable):
            desk.erase(world.digest)
    hospital.go(WAY[:3])
    heed(world, hospital)
    with pytest.raises(KeysHeld):
        desk.erase(world.digest)
    assert "key.shredded" not in world.acts()


def test_an_old_part_of_the_acts_brings_no_hold_back(world: World, hospital: Hospital) -> None:
    hospital.go(WAY)
    heed(world, hospital, acts=3)
    assert len(world.desks[NORTH].holds()) == 1
    heed(world, hospital)
    heed(world, hospital, acts=3)
    assert world.desks[NORTH].holds() == []


def test_a_declaration_alone_holds_nothing(world: World, hospital: Hospital) -> None:
    hospital.go(WAY[:2])
    heed(world, hospital)
    assert world.desks[NORTH].holds() == []


def test_acts_under_another_hospitals_key_end_no_hold(world: World, hospital: Hospital) -> None:
    hospital.go(WAY[:3])
    heed(world, hospital)
    stranger = Hospital(party=NORTH)
    stranger.go(WAY)
    with pytest.raises(AppointmentRefused):
        heed(world, stranger)
    with pytest.raises(IncidentTampered):
        world.desks[NORTH].heed_incident(stranger.acts, appointments=hospital.appointments(), room=ROOM)
    assert len(world.desks[NORTH].holds()) == 1
