"""Linkage by imported filters in a whole room: identifiers stay at home, links are of grade C, nobody is referred."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from asepsis.bootstrap.filters import filtering
from asepsis.cli.story.inspection import held
from asepsis.domain.names import PartyId
from asepsis.errors.contract import DocumentMalformed
from asepsis.errors.linkage import FiltersNotAsked
from asepsis.services.contracts import read_proposal
from asepsis.services.wording import contract_in_words
from simulator import (
    AT_NORTHGATE,
    AT_RIVERSIDE,
    COMMON,
    NORTHGATE,
    OWNERS,
    RIVERSIDE,
    Person,
    World,
    call,
    contribute,
    draft,
    persons_with,
    sign,
)

BYTES, HASHES = 128, 20
KEYS = {NORTHGATE: lambda one: str(10_000_000 + one.number), RIVERSIDE: lambda one: f"p{one.number}"}


def clk(person: Person) -> bytes:
    """A Bloom filter of two-letter parts, as clkhash makes them; the owners agreed on a secret elsewhere."""
    bits = bytearray(BYTES)
    for field in (person.family, person.given, "-".join(map(str, person.born)), person.national_id):
        for at in range(len(field) - 1):
            for number in range(HASHES):
                part = f"{number}{field[at : at + 2]}".encode()
                place = int.from_bytes(blake2b(part, key=b"agreed elsewhere", digest_size=2).digest()) % (BYTES * 8)
                bits[place // 8] |= 1 << place % 8
    return bytes(bits)


def filters(folder: Path, owner: PartyId, persons: Iterable[Person]) -> list[str]:
    """The arguments that give an owner's filters."""
    rows = [(KEYS[owner](one), base64.b64encode(clk(one)).decode()) for one in persons]
    (folder / f"{owner}.json").write_text(json.dumps({"clks": [bits for _, bits in rows]}))
    (folder / f"{owner}.keys").write_text("\n".join(key for key, _ in rows))
    return ["link", "filters", str(folder / f"{owner}.json"), "--keys", str(folder / f"{owner}.keys"), "--as", owner]


def document(world: World, **clause: Any) -> dict[str, Any]:
    analyses = {"queries": True, "methods": [], "referrals": False}
    return draft(world, analyses=analyses, linkage={"mode": "import-clk", **clause})


@pytest.mark.long
def test_patients_are_found_by_filters_alone(signed_world: World, tmp_path: Path) -> None:
    world = signed_world.copy(tmp_path / "world")
    sign(world, document(world))
    for owner in OWNERS:
        contribute(world, owner)
    assert all(item.manifest.dataset.endswith("-clinical") for item in world.room().state.snapshots())
    for owner, persons in ((NORTHGATE, AT_NORTHGATE), (RIVERSIDE, AT_RIVERSIDE)):
        waits = call(*world.command("link", "--json"))
        assert waits.code != 0, waits
        given = call(*world.command(*filters(tmp_path, owner, persons), "--json"))
        assert (given.code, given.document()["persons"]) == (0, len(persons)), given
    linked = call(*world.command("link", "--json"))
    assert linked.code == 0, linked
    counts = dict(linked.document()["report"]["rows"])
    assert counts["persons_in_several_owners"] == 10
    assert "mode import-clk, grade C" in linked.out
    answer = call(*world.query(persons_with(COMMON)), "--json")
    assert answer.document()["table"]["rows"] == [[40]]
    assert "links of grade C (mode import-clk)" in answer.out
    everything = b"".join(path.read_bytes() for path in (world.path / "host").rglob("*") if path.is_file())
    assert not held({one.national_id.encode() for one in AT_NORTHGATE}, everything)
    assert not [one for one in AT_NORTHGATE if clk(one) in everything]


def test_filters_are_for_contracts_that_ask_for_them(world: World) -> None:
    """Guard: filters of a contract with another mode would lie where its identifiers are."""
    for owner in OWNERS:
        with pytest.raises(FiltersNotAsked):
            filtering(world.room(), owner).give(b'{"clks": []}', keys=[])


def test_nobody_is_referred_by_filters_and_every_owner_is_warned(signed_world: World, tmp_path: Path) -> None:
    asked = document(signed_world.copy(tmp_path / "world"))
    words = contract_in_words(read_proposal(asked))
    assert all(any("can name many of them" in line for line in words[owner]) for owner in OWNERS)
    asked["analyses"]["referrals"] = True
    with pytest.raises(DocumentMalformed, match="referrals"):
        read_proposal(asked)
