"""What a run is for, and in which words it asks, in a real room: refused otherwise, and on record afterwards."""

from __future__ import annotations

from asepsis.bootstrap.bundles import verify_release_bundle
from asepsis.domain.names import ReleaseId
from simulator import COMMON, RARE, World, amend, call, persons_with, sign

PURPOSES = {"counts": "How many people live with a disease.", "survival": "How they fare."}


TEMPLATE = {
    "title": "People with a disease",
    "sql": persons_with(COMMON).replace(str(COMMON), "$disease"),
    "parameters": {"disease": {"type": "integer", "values": [COMMON, RARE]}},
}


def test_a_run_states_its_purpose_and_uses_a_template_and_its_release_shows_both(world: World) -> None:
    analyses = {"queries": False, "methods": [], "referrals": False, "templates": {"persons-with": TEMPLATE}}
    sign(world, amend(world, purposes=PURPOSES, analyses=analyses))
    template = [*world.query("")[:1], "--template", "persons-with", *world.query("")[2:], "--json"]
    disease, purpose = ["--set", f"disease={COMMON}"], ["--purpose", "counts"]
    for asked in (
        [*template, *disease],
        [*template, *disease, "--purpose", "marketing"],
        [*template, "--set", f"disease={COMMON + 1}", *purpose],
        [*world.query(persons_with(COMMON)), *purpose, "--json"],
    ):
        refused = call(*asked)
        assert (refused.code, refused.document()["error"]["code"]) == (3, "contract.forbids"), refused
    answer = call(*template, *disease, *purpose).document()
    assert answer["status"] == "released", answer
    room = world.room()
    bundle = room.evidences.bundle(ReleaseId(answer["release"]))
    verified = verify_release_bundle(bundle, contract=room.contracts.status().digest)
    assert verified.purpose == PURPOSES["counts"]
    (submitted,) = [entry for entry in room.audit.entries() if "purpose" in entry.facts]
    approved = verified.agreement.contract.template("persons-with").digest
    assert (submitted.facts["purpose"], submitted.facts["template"]) == ("counts", approved)
