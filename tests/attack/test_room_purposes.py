"""What a run is for, in a real room: stated by name, refused without, and in ledger and bundle afterwards."""

from __future__ import annotations

from asepsis.bootstrap.bundles import verify_release_bundle
from asepsis.domain.names import ReleaseId
from simulator import COMMON, World, amend, call, persons_with, sign

PURPOSES = {"counts": "How many people live with a disease.", "survival": "How they fare."}


def test_a_run_states_its_purpose_and_its_release_shows_it(world: World) -> None:
    sign(world, amend(world, purposes=PURPOSES))
    question = [*world.query(persons_with(COMMON)), "--json"]
    for stated in ([], ["--purpose", "marketing"]):
        refused = call(*question, *stated)
        assert (refused.code, refused.document()["error"]["code"]) == (3, "contract.forbids"), refused
    answer = call(*question, "--purpose", "counts").document()
    assert answer["status"] == "released", answer
    room = world.room()
    bundle = room.evidences.bundle(ReleaseId(answer["release"]))
    assert verify_release_bundle(bundle, contract=room.contracts.status().digest).purpose == PURPOSES["counts"]
    submitted = [entry for entry in room.audit.entries() if entry.act.value == "run.submitted"]
    assert submitted[-1].facts["purpose"] == "counts"
