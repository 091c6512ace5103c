"""One owner narrows in a real room: every program takes the narrower version at once, and none goes back."""

from __future__ import annotations

from asepsis.bootstrap.bundles import verify_release_bundle
from asepsis.domain.contract import Amendment
from asepsis.domain.names import ReleaseId
from simulator import COMMON, NORTHGATE, OWNERS, RARE, RIVERSIDE, World, amend, call, persons_with


def test_what_one_owner_narrows_holds_for_the_next_run_and_its_bundle_verifies(world: World) -> None:
    first, used = world.room().contracts.status(), world.budgets()
    amend(world, budgets={owner: used[owner] + 1 for owner in OWNERS})
    done = call(*world.command("contract", "sign", str(world.contract_file), "--as", NORTHGATE), "--json")
    assert (done.code, done.document()["status"]) == (0, "in force"), done
    assert done.document()["signed_by"] == [NORTHGATE, RIVERSIDE]
    answer = call(*world.query(persons_with(COMMON)), "--json")
    assert answer.document()["status"] == "released", answer
    assert call(*world.query(persons_with(RARE)), "--json").document()["error"]["code"] == "desk.budget_exhausted"
    room = world.room()
    bundle = room.evidences.bundle(ReleaseId(answer.document()["release"]))
    verified = verify_release_bundle(bundle, contract=room.contracts.status().digest)
    assert verified.agreement.contract.amends == Amendment(contract=first.digest, lineage=first.digest)
    assert world.desk_acts(RIVERSIDE).count("contract.narrowed") == 1
