"""Nothing runs that the parties did not agree on: contract, clock, desks, budgets, measurement and freshness.

Every test acts on a whole room - real desks, real runtime process - and fails when the guard it names is removed.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from asepsis.bootstrap.room import HOST
from asepsis.domain.analysis import Analysis, AnalysisKind
from asepsis.domain.names import PartyId
from asepsis.domain.run import RunStatus
from asepsis.engines.runtime_process import RuntimeProcesses
from asepsis.errors.contract import ContractExpired, ContractForbids, ContractNotInForce, ContractNotSigned
from asepsis.errors.desk import NonceReplayed
from asepsis.errors.runtime import GrantNotTrusted, OrderRefused
from simulator import (
    LABORATORY,
    NORTHGATE,
    OWNERS,
    RARE,
    RIVERSIDE,
    World,
    between,
    call,
    draft,
    edited,
    grant_request,
    no_receipts,
    order_for,
    persons_with,
    question,
    sign,
    some,
)

DAY = timedelta(days=1)
GAUCHER = persons_with(RARE)
LINKAGE = Analysis(kind=AnalysisKind.LINKAGE, author=HOST, arguments={})


def refused(world: World, code: str, exit_code: int, *arguments: str) -> None:
    """The command is refused, no desk grants anything, and nothing is released."""
    granted = {owner: world.desk_acts(owner).count("grant.given") for owner in OWNERS}
    answer = call(*world.command(*arguments))
    assert (answer.code, answer.error, answer.out) == (exit_code, code, "")
    assert {owner: world.desk_acts(owner).count("grant.given") for owner in OWNERS} == granted


@pytest.mark.parametrize(
    "missing", some([NORTHGATE, RIVERSIDE, LABORATORY, HOST, PartyId("riverside-clinic")], NORTHGATE, HOST)
)
def test_nothing_runs_before_every_party_has_signed(missing: PartyId, unlinked: World) -> None:
    """Guard: ``ContractState.require_in_force`` in ``Contracts.in_force``."""
    sign(unlinked, draft(unlinked, retention_days=30), without=missing)
    refused(unlinked, "contract.not_in_force", 3, "link")
    refused(unlinked, "contract.not_in_force", 3, "query", GAUCHER, "--as", LABORATORY)
    assert unlinked.room().state.runs() == []


def test_a_signature_that_the_host_made_up_does_not_count(unlinked: World) -> None:
    """Guard: ``verify_agreement`` in ``Contracts.in_force``; the host wrote the missing row into its own database."""
    document = draft(unlinked, retention_days=30)
    sign(unlinked, document, without=RIVERSIDE)
    with edited(unlinked.database) as database:
        row = (unlinked.room().contracts.status().digest, RIVERSIDE, bytes(64))
        database.execute("INSERT INTO signatures (contract, party, signature) VALUES (?, ?, ?)", row)
    refused(unlinked, "contract.not_signed", 7, "link")


def test_the_runtime_itself_refuses_a_contract_that_somebody_did_not_sign(unlinked: World) -> None:
    """Guard: ``verify_agreement`` in ``runtime.order.read_order``; a room that does not check cannot help itself."""
    _, order, _ = order_for(unlinked, LINKAGE)
    del order["signatures"][RIVERSIDE]
    with RuntimeProcesses().start() as runtime, pytest.raises(ContractNotSigned):
        runtime.prove(order)


@pytest.mark.parametrize(
    ("begin", "end", "code"),
    [(-2 * DAY, -DAY, "contract.expired"), (DAY, 2 * DAY, "contract.not_yet_valid")],
    ids=["expired", "not yet valid"],
)
def test_nothing_runs_outside_the_time_of_the_contract(
    begin: timedelta, end: timedelta, code: str, unlinked: World
) -> None:
    """Guard: ``Contract.require_time`` in ``Contracts.in_force``."""
    sign(unlinked, draft(unlinked, valid=between(begin, end)))
    refused(unlinked, code, 3, "link")
    refused(unlinked, code, 3, "query", GAUCHER, "--as", LABORATORY)


def test_the_runtime_itself_refuses_an_expired_contract(unlinked: World) -> None:
    """Guard: ``require_time`` in ``runtime.order.read_order``."""
    sign(unlinked, draft(unlinked, valid=between(-2 * DAY, -DAY)))
    _, order, _ = order_for(unlinked, LINKAGE)
    with RuntimeProcesses().start() as runtime, pytest.raises(ContractExpired):
        runtime.prove(order)


@pytest.mark.parametrize("owner", [OWNERS[0], pytest.param(OWNERS[1], marks=pytest.mark.long)])
def test_one_stopped_desk_stops_the_run_and_resuming_finishes_the_same_run(owner: PartyId, world: World) -> None:
    """Guard: ``is_stopped`` in ``judgement.judge``, and that a run needs every owner's grant."""
    before = world.budgets()
    world.room().desk(owner).stop("an incident that is nobody's business")
    answer = call(*world.query(GAUCHER))
    assert (answer.code, answer.error, answer.out) == (3, "desk.stopped", "")
    assert world.budgets()[owner] == before[owner]
    assert world.room().state.releases() == []
    [stopped] = [run for run in world.room().state.runs() if run.status is RunStatus.FAILED]
    assert b"nobody's business" not in world.database.read_bytes()

    world.room().desk(owner).resume()
    answer = call(*world.query(GAUCHER), "--json")
    assert (answer.code, answer.document()["table"]["rows"]) == (0, [[15]])
    assert world.room().state.run(stopped.id).status is RunStatus.FINISHED
    assert {one: used - before[one] for one, used in world.budgets().items()} == dict.fromkeys(OWNERS, 1)
    world.verify_ledger()


def test_one_owner_suspends_for_everybody_and_only_that_owner_lifts_it(world: World) -> None:
    """Guard: ``standing`` over the statements, and that a desk states for its own owner only."""
    assert call(*world.command("contract", "suspend", "--as", RIVERSIDE)).code == 0
    refused(world, "contract.not_in_force", 3, "query", GAUCHER, "--as", LABORATORY)
    refused(world, "state.transition_refused", 5, "contract", "resume", "--as", NORTHGATE)
    refused(world, "contract.not_in_force", 3, "query", GAUCHER, "--as", LABORATORY)
    assert call(*world.command("contract", "resume", "--as", RIVERSIDE)).code == 0
    assert call(*world.query(GAUCHER)).code == 0


def test_the_host_cannot_withhold_a_suspension(world: World) -> None:
    """Guard: ``records.statements`` in ``judgement.require_going_on``: the desk remembers what its owner said."""
    assert call(*world.command("contract", "suspend", "--as", RIVERSIDE)).code == 0
    with edited(world.database) as database:
        database.execute("DELETE FROM statements")
    answer = call(*world.query(GAUCHER))
    assert (answer.code, answer.error) == (3, "contract.not_in_force")
    assert world.room().state.releases() == []


def test_the_runtime_itself_refuses_a_suspended_contract(world: World) -> None:
    """Guard: ``require_not_stopped`` in ``runtime.order.read_order``."""
    assert call(*world.command("contract", "suspend", "--as", RIVERSIDE)).code == 0
    _, order, _ = order_for(world, question(GAUCHER))
    with RuntimeProcesses().start() as runtime, pytest.raises(ContractNotInForce):
        runtime.prove(order)


def test_an_ended_contract_is_ended_for_ever(world: World) -> None:
    """Guard: the transition table of contracts."""
    assert call(*world.command("contract", "end", "--as", NORTHGATE)).code == 0
    refused(world, "contract.not_in_force", 3, "query", GAUCHER, "--as", LABORATORY)
    refused(world, "state.transition_refused", 5, "contract", "resume", "--as", NORTHGATE)


def test_a_nonce_grants_once(world: World) -> None:
    """Guard: ``_use_nonce`` in ``judgement``; the very same request comes a second time."""
    run, order, checkpoint = order_for(world, question(GAUCHER))
    with RuntimeProcesses().start() as runtime:
        evidence = runtime.prove(order)
    request = grant_request(world, run, order, evidence[NORTHGATE], owner=NORTHGATE, checkpoint=checkpoint)
    world.room().desk(NORTHGATE).grant(request)
    used = world.budgets()
    with pytest.raises(NonceReplayed):
        world.room().desk(NORTHGATE).grant(request)
    assert world.budgets() == used


def test_grants_of_one_runtime_open_nothing_for_another(world: World) -> None:
    """Guard: ``RuntimeIdentity._verify``: a grant is bound to evidence and nonce."""
    run, order, checkpoint = order_for(world, question(GAUCHER))
    grants = []
    with RuntimeProcesses().start() as runtime:
        evidence = runtime.prove(order)
        for owner in OWNERS:
            request = grant_request(world, run, order, evidence[owner], owner=owner, checkpoint=checkpoint)
            grants.append(world.room().desk(owner).grant(request).to_document())
    with RuntimeProcesses().start() as second:
        second.prove(order)
        with pytest.raises(GrantNotTrusted):
            second.finish(grants, keep=no_receipts)


@pytest.mark.parametrize("missing", OWNERS)
def test_the_runtime_computes_nothing_without_the_grant_of_every_owner(missing: PartyId, world: World) -> None:
    """Guard: the loop over all owners in ``RuntimeIdentity.keys``."""
    run, order, checkpoint = order_for(world, question(GAUCHER))
    with RuntimeProcesses().start() as runtime:
        evidence = runtime.prove(order)
        grants = [
            world.room()
            .desk(owner)
            .grant(grant_request(world, run, order, evidence[owner], owner=owner, checkpoint=checkpoint))
            .to_document()
            for owner in OWNERS
            if owner != missing
        ]
        with pytest.raises(GrantNotTrusted):
            runtime.finish(grants, keep=no_receipts)


def test_an_exhausted_budget_refuses_new_questions_and_answers_old_ones(unlinked: World) -> None:
    """Guard: ``check_budget`` in ``judgement``; the budget is the desk's, not the room's."""
    sign(unlinked, draft(unlinked, budgets={NORTHGATE: 10, RIVERSIDE: 2}))
    assert call(*unlinked.command("link")).code == 0
    assert call(*unlinked.query(GAUCHER)).code == 0
    used = unlinked.budgets()
    answer = call(*unlinked.query("SELECT count(DISTINCT person_id) AS n FROM person"))
    assert (answer.code, answer.error) == (6, "desk.budget_exhausted")
    assert unlinked.budgets()[RIVERSIDE] == used[RIVERSIDE] == 2
    again = call(*unlinked.query(GAUCHER), "--json")
    assert (again.code, again.document()["repeated"]) == (0, True)


def test_a_runtime_with_another_measurement_gets_no_key(unlinked: World) -> None:
    """Guard: ``measurements`` in ``attest.appraise``; the contract names another program."""
    sign(unlinked, draft(unlinked, runtime={"level": 0, "measurements": ["0" * 64]}))
    before = {owner: unlinked.desk_acts(owner).count("grant.given") for owner in OWNERS}
    answer = call(*unlinked.command("link"))
    assert (answer.code, answer.error) == (7, "evidence.measurement_unknown")
    assert {owner: unlinked.desk_acts(owner).count("grant.given") for owner in OWNERS} == before
    assert unlinked.budgets() == dict.fromkeys(OWNERS, 0)


def test_data_labelled_real_get_no_key_at_level_0(unlinked: World) -> None:
    """Guard: the label in the owner's own manifest, which runtime and desk compare with the contract's."""
    document = draft(unlinked)
    for dataset in document["datasets"].values():
        dataset["label"] = "real"
    sign(unlinked, draft(unlinked, datasets=document["datasets"]))
    answer = call(*unlinked.command("link"))
    assert (answer.code, answer.error) == (7, "runtime.order_refused")
    assert unlinked.budgets() == dict.fromkeys(OWNERS, 0)


def test_the_runtime_plans_again_and_refuses_what_the_room_let_through(world: World) -> None:
    """Guard: ``plan_query`` in ``runtime.work``; the room's own planning is not what protects."""
    run, order, checkpoint = order_for(world, question(GAUCHER + " AND person_id = 4242"))
    with RuntimeProcesses().start() as runtime:
        evidence = runtime.prove(order)
        grants = [
            world.room()
            .desk(owner)
            .grant(grant_request(world, run, order, evidence[owner], owner=owner, checkpoint=checkpoint))
            .to_document()
            for owner in OWNERS
        ]
        with pytest.raises(ContractForbids):
            runtime.finish(grants, keep=no_receipts)


def test_the_runtime_refuses_identifiers_in_a_query(world: World) -> None:
    """Guard: ``READS`` in ``runtime.order._check_inputs``: identifiers never travel to a query."""
    _, order, _ = order_for(world, question(GAUCHER))
    room = world.room()
    identity = next(item for item in room.state.snapshots() if item.manifest.dataset == "northgate-omop-identity")
    order["snapshots"].append(room.runs._snapshot_document(identity))
    order["job"]["inputs"].append(
        {
            "owner": NORTHGATE,
            "dataset": identity.manifest.dataset,
            "snapshot": identity.manifest.snapshot,
            "manifest": identity.digest,
        }
    )
    with RuntimeProcesses().start() as runtime, pytest.raises(OrderRefused):
        runtime.prove(order)
