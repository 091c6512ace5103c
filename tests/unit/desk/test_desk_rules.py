"""An owner's own rules narrow what the contract allows: level, code, firmware, confinement."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from desk_world import NORTH, Runtime, World

from asepsis.attest.process import make_evidence, measure
from asepsis.desk_home import DeskHome, Listening, choose_kek, create_desk_home, open_desk_home
from asepsis.domain.attestation import Binding, Evidence, read_evidence
from asepsis.domain.desk_rules import DeskRules
from asepsis.domain.keydesk import GrantRequest, checkpoint_digest
from asepsis.errors import AsepsisError
from asepsis.errors.attest import EvidenceSignatureInvalid, EvidenceUnconfined, LevelTooLow, MeasurementUnknown
from asepsis.errors.desk import DeskHomeMalformed
from asepsis.sealing.canonical import digest
from asepsis.services.keydesk.desk import KeyDesk

OTHER = "f" * 64


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("rules"), budgets={"northgate": 1000, "riverside": 1000})


def under(world: World, rules: DeskRules) -> KeyDesk:
    return KeyDesk(replace(world.desks[NORTH]._office, rules=rules))


def asked(world: World, *, confined: bool) -> GrantRequest:
    """A request whose runtime says whether it found itself in its sandbox."""
    runtime, job = Runtime(), world.job()
    request = world.request(NORTH, job=job, runtime=runtime)
    binding = Binding(
        nonce=request.nonce,
        contract=world.digest,
        job=digest(job.to_document()),
        profile=world.contract.profile,
        checkpoint=checkpoint_digest(request.checkpoint.split("\n\n")[0] + "\n"),
        sealing_key=runtime.sealing.public,
        signing_key=runtime.signing.public,
    )
    evidence = make_evidence(binding, signing_key=runtime.signing.private, confined=confined)
    return replace(request, evidence=evidence.to_document())


@pytest.mark.parametrize(
    ("rules", "refusal"),
    [
        (DeskRules(minimum_level=1), LevelTooLow),
        (DeskRules(denied=frozenset({measure()})), MeasurementUnknown),
        (DeskRules(measurements=frozenset({OTHER})), MeasurementUnknown),
        (DeskRules(needs_confinement=True), EvidenceUnconfined),
    ],
)
def test_an_owner_can_ask_more_than_the_contract(world: World, rules: DeskRules, refusal: type[AsepsisError]) -> None:
    with pytest.raises(refusal):
        under(world, rules).grant(asked(world, confined=False))
    assert world.entries()[-1].facts["code"] == refusal.code
    assert under(world, DeskRules()).grant(asked(world, confined=False)).owner == NORTH


def test_rules_that_the_runtime_meets_change_nothing(world: World) -> None:
    rules = DeskRules(needs_confinement=True, measurements=frozenset({measure()}), denied=frozenset({OTHER}))
    assert under(world, rules).grant(asked(world, confined=True)).owner == NORTH


def test_the_word_on_confinement_is_signed_with_the_evidence(world: World) -> None:
    request = asked(world, confined=False)
    forged: dict[str, object] = {**read_evidence(request.evidence).to_document(), "confined": True}
    assert isinstance(read_evidence(forged), Evidence)
    with pytest.raises(EvidenceSignatureInvalid):
        under(world, DeskRules(needs_confinement=True)).grant(replace(request, evidence=forged))


@pytest.fixture
def home(tmp_path: Path) -> DeskHome:
    kek = choose_kek("file", (), variable="", file=None)
    return create_desk_home(tmp_path / "desk", NORTH, listening=Listening(), kek=kek)


def settings(home: DeskHome, rules: object) -> DeskHome:
    path = home.folder / "desk.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "rules": rules}))
    return open_desk_home(home.folder)


def test_the_rules_stand_in_the_settings_of_the_desk(home: DeskHome) -> None:
    assert "rules" not in json.loads((home.folder / "desk.json").read_text())
    rules = DeskRules(
        minimum_level=2,
        needs_confinement=True,
        measurements=frozenset({OTHER}),
        denied=frozenset({"0" * 96}),
        minimum_tcb={"Milan": {"snp": 23, "microcode": 213}},
    )
    office = settings(home, rules.to_document()).desk._office
    assert office.rules == rules
    assert office.appraise.trust.minimum_tcb == rules.minimum_tcb  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"minimum_level": 3},
        {"minimum_level": 0, "denied": ["abc"]},
        {"minimum_level": 0, "novelty": True},
        {"minimum_level": 0, "minimum_tcb": {"Naples": {"snp": 1}}},
        {"minimum_level": 0, "minimum_tcb": {"Milan": {"snp": "high"}}},
        [],
    ],
)
def test_rules_that_cannot_be_read_keep_the_desk_closed(home: DeskHome, rules: object) -> None:
    with pytest.raises(DeskHomeMalformed):
        settings(home, rules)
