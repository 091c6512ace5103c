"""Attacks on a desk's grant: each guard, taken away, would let one of these through."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "desk"))

from desk_world import HOST, NORTH, OWNERS, RESEARCHER, SOUTH, ZERO, Runtime, World

from asepsis.domain.analysis import AnalysisKind
from asepsis.domain.attestation import NONCE_SECONDS
from asepsis.domain.contract_reading import read_contract
from asepsis.domain.documents import encode_bytes
from asepsis.domain.names import Digest, SnapshotId
from asepsis.domain.snapshot import Label
from asepsis.errors import AsepsisError
from asepsis.errors.attest import (
    EvidenceKindRefused,
    EvidenceNotBound,
    EvidenceSignatureInvalid,
    LevelTooLow,
    MeasurementUnknown,
)
from asepsis.errors.contract import (
    ApprovalMissing,
    ContractExpired,
    ContractNotInForce,
    ContractNotSigned,
    ContractNotYetValid,
    StatementNotTrusted,
    TransitionRefused,
)
from asepsis.errors.desk import (
    AnalysisNotAllowed,
    AuthorWithoutRole,
    BudgetExhausted,
    ContractNotSignedHere,
    DeskStopped,
    HoldingRefused,
    InputRefused,
    NonceExpired,
    NonceReplayed,
    NonceUnknown,
    NotThisOwner,
    ReferralUnknown,
    RequestMalformed,
    WrongContract,
)
from asepsis.sealing.agreement import contract_payload
from asepsis.sealing.canonical import canonical
from asepsis.sealing.signing import Purpose, generate_signing_key, sign


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """For requests that change nothing but the desk's ledger."""
    return World(tmp_path_factory.mktemp("world"), budgets={NORTH: 1000, SOUTH: 1000})


@pytest.fixture
def fresh(tmp_path: Path) -> World:
    return World(tmp_path)


def refused(world: World, request: Any, error: type[AsepsisError], *, owner: Any = NORTH) -> None:
    """The request is refused with that error, nothing is charged, and the code is in the desk's own ledger."""
    before = world.desks[owner].budget(world.digest)
    with pytest.raises(error) as caught:
        world.desks[owner].grant(request)
    assert type(caught.value) is error
    assert world.desks[owner].budget(world.digest) == before
    last = world.entries(owner)[-1]
    assert (last.act.value in {"grant.refused", "evidence.refused"}, dict(last.facts)) == (True, {"code": error.code})


# --- the kill switch, the contract and its state ------------------------------------------------------------


def test_a_stopped_desk_gives_nothing_even_after_a_restart(fresh: World) -> None:
    fresh.desks[NORTH].stop("something is wrong")
    refused(fresh, fresh.request(), DeskStopped)
    fresh.desks[NORTH] = fresh.desk(NORTH)
    refused(fresh, fresh.request(), DeskStopped)


def test_a_stopped_desk_looks_at_nothing_that_it_is_asked(fresh: World) -> None:
    fresh.desks[NORTH].stop("")
    refused(fresh, replace(fresh.request(), contract="no contract", job=None), DeskStopped)


def test_the_reason_of_a_stop_does_not_enter_the_ledger(fresh: World) -> None:
    fresh.desks[NORTH].stop("canary-reason")
    assert "canary-reason" not in str([entry.to_document() for entry in fresh.entries()])


@pytest.mark.parametrize("party", [NORTH, SOUTH, RESEARCHER, HOST])
def test_a_contract_without_one_partys_signature_is_refused(world: World, party: Any) -> None:
    signatures = {name: value for name, value in world.signatures.items() if name != party}
    refused(world, world.request(signatures=signatures), ContractNotSigned)


def test_a_contract_signed_by_a_foreign_key_is_refused(world: World) -> None:
    foreign = generate_signing_key().private
    forged = sign(foreign, purpose=Purpose.CONTRACT, payload=contract_payload(world.contract))
    refused(world, world.request(signatures={**world.signatures, SOUTH: forged}), ContractNotSigned)


def test_a_signature_for_another_purpose_is_no_signature(world: World) -> None:
    forged = world.keys[SOUTH].sign(Purpose.MANIFEST, contract_payload(world.contract))
    refused(world, world.request(signatures={**world.signatures, SOUTH: forged}), ContractNotSigned)


def test_a_contract_that_the_owner_signed_elsewhere_is_refused(world: World) -> None:
    other = world.contract_document(label="synthetic", purpose="something else")
    payload = contract_payload(read_contract(other))
    signatures = {owner: world.keys[owner].sign(Purpose.CONTRACT, payload) for owner in OWNERS}
    signatures[RESEARCHER] = sign(world.researcher_key.private, purpose=Purpose.CONTRACT, payload=payload)
    signatures[HOST] = sign(world.room_key.private, purpose=Purpose.CONTRACT, payload=payload)
    refused(world, world.request(contract=other, signatures=signatures), ContractNotSignedHere)


@pytest.mark.parametrize("key", ["level", "budget", "label"])
def test_an_edited_contract_is_another_contract(world: World, key: str) -> None:
    edited = json.loads(json.dumps(world.document))
    if key == "level":
        edited["runtime"]["level"] = 1
    elif key == "budget":
        edited["budgets"][NORTH] = 1_000_000
    else:
        edited["datasets"]["northgate-clinical"]["label"] = "real"
    refused(world, world.request(contract=edited), ContractNotSignedHere)


def test_an_expired_or_not_yet_valid_contract_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path, valid={"from": "2026-03-02T00:00:00Z", "until": "2026-03-03T00:00:00Z"})
    refused(world, world.request(), ContractNotYetValid)
    world.clock.now = world.contract.valid_until
    refused(world, world.request(), ContractExpired)


@pytest.mark.parametrize("verb", ["suspend", "end"])
def test_any_party_can_stop_a_contract_for_everybody(fresh: World, verb: str) -> None:
    statement = getattr(fresh.desks[SOUTH], verb)(fresh.digest)
    refused(fresh, fresh.request(statements=[statement.to_document()]), ContractNotInForce)


def test_a_statement_that_was_seen_once_cannot_be_withheld_later(fresh: World) -> None:
    statement = fresh.desks[SOUTH].end(fresh.digest)
    refused(fresh, fresh.request(statements=[statement.to_document()]), ContractNotInForce)
    refused(fresh, fresh.request(), ContractNotInForce)


def test_the_owners_own_suspension_needs_no_help_of_the_room(fresh: World) -> None:
    fresh.desks[NORTH].suspend(fresh.digest)
    refused(fresh, fresh.request(), ContractNotInForce)


def test_another_party_cannot_lift_a_suspension(fresh: World) -> None:
    suspended = fresh.desks[NORTH].suspend(fresh.digest)
    fresh.clock.forward(days=1)
    with pytest.raises(TransitionRefused):
        fresh.desks[SOUTH].resume_contract(fresh.digest)
    lifted = replace(suspended.statement, party=SOUTH)
    assert lifted.party == SOUTH
    refused(fresh, fresh.request(), ContractNotInForce)


def test_an_old_suspension_shown_again_does_not_stop_a_resumed_contract(fresh: World) -> None:
    suspended = fresh.desks[SOUTH].suspend(fresh.digest)
    resumed = fresh.desks[SOUTH].resume_contract(fresh.digest)
    fresh.desks[NORTH].grant(fresh.request(statements=[resumed.to_document(), suspended.to_document()]))


def test_a_forged_statement_is_refused(fresh: World) -> None:
    signed = fresh.desks[SOUTH].suspend(fresh.digest)
    forged = replace(signed, statement=replace(signed.statement, party=NORTH)).to_document()
    refused(fresh, fresh.request(statements=[forged]), StatementNotTrusted)
    unknown = replace(signed, statement=replace(signed.statement, party="nobody")).to_document()  # type: ignore[arg-type]
    refused(fresh, fresh.request(statements=[unknown]), RequestMalformed)


def test_an_ended_contract_stays_ended(fresh: World) -> None:
    fresh.desks[NORTH].end(fresh.digest)
    with pytest.raises(TransitionRefused):
        fresh.desks[NORTH].resume_contract(fresh.digest)


def test_a_desk_signs_no_contract_that_names_other_keys_for_its_owner(world: World) -> None:
    edited = json.loads(json.dumps(world.document))
    edited["parties"][NORTH]["sealing_key"] = edited["parties"][SOUTH]["sealing_key"]
    with pytest.raises(NotThisOwner):
        world.desks[NORTH].sign_contract(edited)
    edited = json.loads(json.dumps(world.document))
    edited["parties"][NORTH]["signing_key"] = edited["parties"][SOUTH]["signing_key"]
    with pytest.raises(NotThisOwner):
        world.desks[NORTH].sign_contract(edited)


# --- the job and its inputs ---------------------------------------------------------------------------------


def test_a_job_under_another_contract_is_refused(world: World) -> None:
    refused(world, world.request(job=world.job(contract=Digest(ZERO))), WrongContract)


@pytest.mark.parametrize("author", [HOST, NORTH, "stranger"])
def test_an_author_who_is_no_researcher_is_refused(world: World, author: Any) -> None:
    job = world.job()
    job = replace(job, analysis=replace(job.analysis, author=author))
    refused(world, world.request(job=job), AuthorWithoutRole)


def test_a_researcher_cannot_start_a_linkage(world: World) -> None:
    job = world.job(AnalysisKind.LINKAGE)
    job = replace(job, analysis=replace(job.analysis, author=RESEARCHER))
    refused(world, world.request(job=job), AuthorWithoutRole)


def test_a_method_outside_the_contract_is_refused(world: World) -> None:
    job = world.job(AnalysisKind.METHOD)
    job = replace(job, analysis=replace(job.analysis, body="dump_all"))
    refused(world, world.request(job=job), AnalysisNotAllowed)


@pytest.mark.parametrize("kind", [AnalysisKind.QUERY, AnalysisKind.REFERRAL])
def test_a_kind_that_the_contract_switches_off_is_refused(tmp_path: Path, kind: AnalysisKind) -> None:
    world = World(tmp_path, analyses={"queries": False, "methods": ["kaplan_meier"], "referrals": False})
    refused(world, world.request(job=world.job(kind)), AnalysisNotAllowed)


@pytest.mark.parametrize("kind", [AnalysisKind.QUERY, AnalysisKind.METHOD])
@pytest.mark.parametrize("dataset", ["northgate-identity", "riverside-identity"])
def test_identifiers_are_never_given_to_a_query_or_method(world: World, kind: AnalysisKind, dataset: str) -> None:
    job = world.job(kind, inputs=(world.input("northgate-clinical"), world.input(dataset)))
    refused(world, world.request(job=job), HoldingRefused)


@pytest.mark.parametrize("dataset", ["northgate-clinical", "riverside-clinical"])
def test_clinical_data_is_never_given_to_a_linkage(world: World, dataset: str) -> None:
    job = world.job(AnalysisKind.LINKAGE, inputs=(world.input("northgate-identity"), world.input(dataset)))
    refused(world, world.request(job=job), HoldingRefused)


@pytest.mark.parametrize(
    "changes",
    [
        {"snapshot": SnapshotId("unknown-1")},
        {"snapshot": SnapshotId("northgate-identity-1")},
        {"manifest": Digest(ZERO)},
        {"owner": SOUTH},
        {"dataset": "no-such-dataset"},
        {"dataset": "links"},
    ],
)
def test_an_input_that_is_not_as_registered_is_refused(world: World, changes: dict[str, Any]) -> None:
    job = world.job(inputs=(world.input("northgate-clinical", **changes),))
    refused(world, world.request(job=job), InputRefused)


def test_identifiers_under_the_name_of_clinical_data_are_refused(world: World) -> None:
    disguised = world.input("northgate-identity", dataset="northgate-clinical")
    refused(world, world.request(job=world.job(inputs=(disguised,))), InputRefused)


@pytest.mark.parametrize("run", ["two words", "", "a/b", "x" * 101])
def test_a_run_that_is_no_identifier_is_refused(world: World, run: str) -> None:
    refused(world, world.request(job=world.job(run=run)), RequestMalformed)


def test_an_input_named_twice_is_refused(world: World) -> None:
    item = world.input("northgate-clinical")
    refused(world, world.request(job=world.job(inputs=(item, item))), RequestMalformed)


def test_real_data_is_never_granted_to_a_process(tmp_path: Path) -> None:
    world = World(tmp_path, label="real")
    refused(world, world.request(), LevelTooLow)


def test_synthetic_data_needs_the_contracts_level_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    strict = World(tmp_path / "strict", runtime={"level": 1, "measurements": list(world.contract.measurements)})
    refused(strict, strict.request(), LevelTooLow)


def test_real_data_of_another_owner_raises_the_level_for_all(tmp_path: Path) -> None:
    world = World(tmp_path)
    datasets = world.document["datasets"]
    datasets["riverside-clinical"]["label"] = "real"
    mixed = World(tmp_path / "mixed", datasets=datasets)
    refused(mixed, mixed.request(), LevelTooLow)


def test_a_snapshot_that_is_labelled_otherwise_than_the_contract_is_refused(fresh: World) -> None:
    manifest = fresh.manifest("northgate-clinical", NORTH, snapshot="second", label=Label.REAL)
    fresh.desks[NORTH].register(fresh.signed_manifest(manifest), dek=bytes(32))
    fresh.manifests["northgate-clinical"] = manifest
    refused(fresh, fresh.request(), InputRefused)


# --- nonce and evidence -------------------------------------------------------------------------------------


def test_a_request_cannot_be_replayed(fresh: World) -> None:
    request = fresh.request()
    fresh.desks[NORTH].grant(request)
    fresh.desks[NORTH] = fresh.desk(NORTH)
    with pytest.raises(NonceReplayed):
        fresh.desks[NORTH].grant(request)
    fresh.clock.forward(days=3)
    fresh.desks[NORTH].nonce()  # old nonces are forgotten, but never accepted
    with pytest.raises(NonceUnknown):
        fresh.desks[NORTH].grant(request)


def test_a_refused_request_uses_its_nonce_up(world: World) -> None:
    request = world.request()
    broken = replace(request, evidence={**world.request().evidence, "report_data": request.evidence["report_data"]})  # type: ignore[index,dict-item]
    refused(world, broken, EvidenceSignatureInvalid)
    refused(world, request, NonceReplayed)


def test_an_expired_nonce_is_refused(fresh: World) -> None:
    request = fresh.request()
    fresh.clock.forward(seconds=NONCE_SECONDS)
    refused(fresh, request, NonceExpired)


def test_a_nonce_from_the_future_is_refused(fresh: World) -> None:
    request = fresh.request()
    fresh.clock.forward(seconds=-1)
    refused(fresh, request, NonceExpired)


def test_a_nonce_of_another_desk_is_refused(world: World) -> None:
    refused(world, world.request(nonce=world.desks[SOUTH].nonce()), NonceUnknown)


def test_evidence_bound_to_another_nonce_is_refused(world: World) -> None:
    evidence = world.request().evidence
    refused(world, world.request(evidence=evidence), EvidenceNotBound)


@pytest.mark.parametrize("which", ["sealing_key", "signing_key"])
def test_evidence_with_another_key_than_it_is_bound_to_is_refused(world: World, which: str) -> None:
    """The host puts its own key into a genuine runtime's evidence, and signs again where it can."""
    honest, attacker = Runtime(), Runtime()
    request = world.request(runtime=honest)
    evidence = dict(request.evidence)  # type: ignore[call-overload]
    stolen = world.request(runtime=attacker).evidence
    evidence[which] = stolen[which]  # type: ignore[index]
    refused(world, replace(request, evidence=evidence), EvidenceSignatureInvalid)
    signer = attacker if which == "signing_key" else honest
    evidence = resigned(evidence, signer)
    request = world.request(runtime=honest)
    refused(world, replace(request, evidence=evidence), EvidenceNotBound)


def test_evidence_for_another_job_contract_or_checkpoint_is_refused(world: World) -> None:
    runtime = Runtime()
    other = world.request(runtime=runtime, job=world.job(run="another"))
    refused(world, replace(other, job=world.job().to_document()), EvidenceNotBound)


def test_unknown_code_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path, runtime={"level": 0, "measurements": [ZERO]})
    refused(world, world.request(), MeasurementUnknown)


def test_a_process_that_claims_to_be_confidential_is_refused(world: World) -> None:
    runtime = Runtime()
    request = world.request(runtime=runtime)
    evidence = {**request.evidence, "confidential": True}  # type: ignore[dict-item]
    refused(world, replace(request, evidence=resigned(evidence, runtime)), EvidenceKindRefused)


@pytest.mark.parametrize("kind", ["sev-snp", "PROCESS", ["process"], None])
def test_evidence_of_a_kind_that_nobody_verifies_is_refused(world: World, kind: Any) -> None:
    request = world.request()
    refused(world, replace(request, evidence={**request.evidence, "kind": kind}), RequestMalformed)  # type: ignore[dict-item]


# --- referrals and budgets ----------------------------------------------------------------------------------


def test_a_referral_without_this_owners_recorded_approval_is_refused(world: World) -> None:
    job = world.job(AnalysisKind.REFERRAL)
    refused(world, world.request(job=job), ApprovalMissing)
    refused(world, world.request(job=job, approvals=world.foreign_approvals(job)), ApprovalMissing)


def test_a_referral_that_another_owner_did_not_approve_is_refused(fresh: World) -> None:
    job = fresh.job(AnalysisKind.REFERRAL)
    approvals = {**fresh.approvals(job), SOUTH: bytes(64)}
    refused(fresh, fresh.request(job=job, approvals=approvals), ApprovalMissing)


def test_an_approval_is_void_for_an_edited_referral(fresh: World) -> None:
    job = fresh.job(AnalysisKind.REFERRAL)
    approvals = fresh.approvals(job)
    edited = replace(job, analysis=replace(job.analysis, body="SELECT everything"))
    refused(fresh, fresh.request(job=edited, approvals=approvals), ApprovalMissing)


def test_what_is_no_referral_cannot_be_approved(world: World, tmp_path: Path) -> None:
    with pytest.raises(ReferralUnknown):
        world.desks[NORTH].approve_referral(Digest("no digest"), contract=world.digest)
    with pytest.raises(ContractNotSignedHere):
        world.desks[NORTH].approve_referral(Digest(ZERO), contract=Digest(ZERO))


def test_a_spent_budget_is_refused_and_a_new_desk_object_does_not_reset_it(tmp_path: Path) -> None:
    world = World(tmp_path, budgets={NORTH: 1, SOUTH: 1})
    world.desks[NORTH].grant(world.request())
    world.desks[NORTH] = world.desk(NORTH)
    with pytest.raises(BudgetExhausted):
        world.desks[NORTH].grant(world.request(job=world.job(run="run-2")))
    assert world.desks[NORTH].budget(world.digest).used == 1


def test_parallel_runs_cannot_overdraw_a_budget(fresh: World) -> None:
    requests = [fresh.request(job=fresh.job(run=f"run-{number}")) for number in range(10)]

    def ask(request: Any) -> bool:
        try:
            fresh.desks[NORTH].grant(request)
        except BudgetExhausted:
            return False
        return True

    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(ask, requests))
    assert sum(answers) == fresh.desks[NORTH].budget(fresh.digest).used == 3


def test_a_budget_of_nothing_grants_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, budgets={NORTH: 0, SOUTH: 1})
    refused(world, world.request(), BudgetExhausted)


def test_a_stop_between_intent_and_answer_still_stops(fresh: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner pulls the switch while the keys are being sealed."""
    keys = fresh.keys[NORTH]
    unwrap = type(keys).unwrap

    def slow_unwrap(self: Any, wrapped: bytes, *, binding: bytes) -> bytes:
        fresh.desk(NORTH).stop("now")
        return unwrap(self, wrapped, binding=binding)

    monkeypatch.setattr(type(keys), "unwrap", slow_unwrap)
    refused(fresh, fresh.request(), DeskStopped)


# --- nothing of a request leaks -----------------------------------------------------------------------------

CANARY = "canary-smith-1961"


def canaries(world: World) -> dict[str, Callable[[], Any]]:
    job = world.job()
    analysis = job.analysis

    def with_analysis(**changes: Any) -> Any:
        return world.request(job=replace(job, analysis=replace(analysis, **changes)))

    def with_document(path: str, value: Any) -> Any:
        document: dict[str, Any] = json.loads(json.dumps(job.to_document()))
        target: Any = document
        *parents, last = path.split("/")
        for parent in parents:
            target = target[int(parent) if parent.isdigit() else parent]
        target[last] = value
        return replace(world.request(), job=document)

    return {
        "argument": lambda: with_analysis(arguments={"name": CANARY}),
        "argument name": lambda: with_analysis(arguments={CANARY: 1}),
        "argument list": lambda: with_analysis(arguments={"names": (CANARY, CANARY)}),
        "argument of a wrong type": lambda: with_document("analysis/arguments", {CANARY: {"x": CANARY}}),
        "argument beyond JSON": lambda: with_document("analysis/arguments", {CANARY: float("nan")}),
        "query": lambda: with_analysis(body=f"SELECT '{CANARY}'"),
        "author": lambda: with_analysis(author=CANARY),
        "run": lambda: world.request(job=replace(job, run=CANARY + " with spaces")),  # type: ignore[arg-type]
        "dataset": lambda: with_document("inputs/0/dataset", CANARY),
        "snapshot": lambda: with_document("inputs/0/snapshot", CANARY),
        "input owner": lambda: with_document("inputs/0/owner", CANARY),
        "unknown key": lambda: with_document(CANARY, 1),
        "contract digest": lambda: with_document("contract", CANARY),
        "contract": lambda: replace(world.request(), contract={**world.document, CANARY: CANARY}),
        "contract name": lambda: replace(world.request(), contract={**world.document, "name": CANARY}),
        "evidence": lambda: replace(world.request(), evidence={"kind": CANARY}),
        "statement": lambda: replace(world.request(), statements=[{CANARY: CANARY}]),
        "checkpoint": lambda: replace(world.request(), checkpoint=CANARY),
        "nonce": lambda: replace(world.request(), nonce=CANARY.encode()),
    }


@pytest.mark.parametrize(
    "where",
    [
        "argument", "argument name", "argument list", "argument of a wrong type", "argument beyond JSON", "query",
        "author", "run", "dataset", "snapshot", "input owner", "unknown key", "contract digest", "contract",
        "contract name", "evidence", "statement", "checkpoint", "nonce",
    ],
)  # fmt: skip
def test_nothing_of_a_request_appears_in_an_error_or_in_the_desks_ledger(world: World, where: str) -> None:
    request = canaries(world)[where]()
    try:
        world.desks[NORTH].grant(request)
    except AsepsisError as error:
        shown = [str(error), repr(error), error.detail, error.advice, str(error.names), str(error.__cause__)]
        assert CANARY not in " ".join(shown)
    ledger = canonical([entry.to_document() for entry in world.entries()]).decode()
    assert CANARY not in ledger
    assert CANARY not in (world.home / "northgate-desk.db").read_bytes().decode("latin-1")


def resigned(evidence: dict[str, Any], runtime: Runtime) -> dict[str, Any]:
    body = {key: value for key, value in evidence.items() if key != "signature"}
    signature = sign(runtime.signing.private, purpose=Purpose.EVIDENCE, payload=canonical(body))
    return {**body, "signature": encode_bytes(signature)}
