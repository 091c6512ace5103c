"""Evidence of hardware is judged at the time of the request, and years later at the time of the grant."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "attest"))

import attest_vectors as vectors
from attest_world import NITRO, show, trust
from desk_world import NORTH, NOW, OWNERS, Runtime, World

from asepsis.attest.appraise import Appraiser
from asepsis.attest.envelope import sign_evidence
from asepsis.attest.nitro.verify import nitro_measurement
from asepsis.domain.analysis import Job
from asepsis.domain.attestation import Binding, Evidence, EvidenceKind, Grant, read_evidence
from asepsis.domain.documents import Fields
from asepsis.domain.keydesk import GrantRequest, checkpoint_digest
from asepsis.domain.names import Digest, PartyId
from asepsis.errors.attest import CertificateOutOfTime, EvidenceNotBound, EvidenceTimeMissing, MeasurementUnknown
from asepsis.ledger.note import add_signature
from asepsis.sealing.agreement import verify_agreement
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.memory import memory_id
from asepsis.sealing.signing import Purpose
from asepsis.services.evidence import _check_grants
from asepsis.services.keydesk.desk import KeyDesk
from asepsis.services.keydesk.office import Office

MEASUREMENT = nitro_measurement({index: bytes([index + 1] * 48) for index in range(3)})
YEARS_LATER = NOW + timedelta(days=3650)


class Enclaves(World):
    """Real data at level 2: a Nitro enclave whose certificate lives for three hours."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, label="real", runtime={"level": 2, "measurements": [MEASUREMENT]})

    def desk(self, owner: PartyId) -> KeyDesk:
        office: Office = super().desk(owner)._office
        return KeyDesk(replace(office, appraise=Appraiser(now=self.clock, trust=trust())))

    def ask(self, owner: PartyId, runtime: Runtime, job: Job) -> GrantRequest:
        request = self.request(owner, job=job, runtime=runtime)
        binding = Binding(
            nonce=request.nonce,
            contract=self.digest,
            job=digest(job.to_document()),
            profile=self.contract.profile,
            checkpoint=checkpoint_digest(request.checkpoint.split("\n\n")[0] + "\n"),
            sealing_key=runtime.sealing.public,
            signing_key=runtime.signing.public,
        )
        document = NITRO.document(user_data=binding.report_data())
        shown = show(EvidenceKind.NITRO, binding, report=document, measurement=MEASUREMENT)
        return replace(request, evidence=sign_evidence(shown, signing_key=runtime.signing.private).to_document())


@pytest.fixture
def enclaves(tmp_path: Path) -> Enclaves:
    return Enclaves(tmp_path)


def test_a_desk_grants_real_data_to_hardware_whose_certificates_hold_now(enclaves: Enclaves) -> None:
    runtime = Runtime()
    grant = enclaves.desks[NORTH].grant(enclaves.ask(NORTH, runtime, enclaves.job()))
    opened = runtime.open(grant)
    assert len(opened.pop(memory_id(enclaves.digest))) == 32
    assert list(opened.values()) == [enclaves.deks["northgate-clinical-1"]]
    with pytest.raises(MeasurementUnknown):
        enclaves.desks[NORTH].grant(enclaves.request(job=enclaves.job(run="run-2")))


def test_a_desk_refuses_hardware_whose_certificate_ended_before_the_request(enclaves: Enclaves) -> None:
    enclaves.clock.forward(hours=4)
    with pytest.raises(CertificateOutOfTime):
        enclaves.desks[NORTH].grant(enclaves.ask(NORTH, Runtime(), enclaves.job()))
    assert enclaves.acts()[-1] == "evidence.refused"


def granted(world: Enclaves) -> tuple[Job, dict[PartyId, Grant], dict[PartyId, Evidence]]:
    job, runtime = world.job(), Runtime()
    requests = {owner: world.ask(owner, runtime, job) for owner in OWNERS}
    grants = {owner: world.desks[owner].grant(request) for owner, request in requests.items()}
    return job, grants, {owner: read_evidence(request.evidence) for owner, request in requests.items()}


def check(world: Enclaves, job: Job, grants: dict[PartyId, Grant], evidence: dict[PartyId, Evidence]) -> set[int]:
    """What the offline check of a bundle does with grants and evidence, ten years later."""
    note = world.ledger.note()
    for line in world.witness().values():
        note = add_signature(note, line=line)
    document = {"checkpoint": note, "grants": {owner: grant.to_document() for owner, grant in grants.items()}}
    granted = _check_grants(
        job,
        Fields(document, document="bundle"),
        evidence,
        agreement=verify_agreement(world.document, world.signatures),
        appraise=Appraiser(now=lambda: YEARS_LATER, trust=trust()),
        started=grants[NORTH].memory,
    )
    return {appraisal.level for appraisal in granted.appraisals.values()}


def test_a_bundle_verifies_years_later_at_the_time_of_its_grants(enclaves: Enclaves) -> None:
    assert check(enclaves, *granted(enclaves)) == {2}


def test_a_grant_that_was_given_when_the_certificate_had_ended_does_not_verify(enclaves: Enclaves) -> None:
    """An owner signs it all the same: the time that the owner names is judged."""
    job, grants, evidence = granted(enclaves)
    late = replace(grants[NORTH], granted_at=NOW + timedelta(hours=4))
    signature = enclaves.keys[NORTH].sign(Purpose.GRANT, canonical(late.body()))
    with pytest.raises(CertificateOutOfTime):
        check(enclaves, job, {**grants, NORTH: replace(late, signature=signature)}, evidence)


def nitro_vector(shared_data: Path, **changes: Any) -> tuple[Evidence, Binding]:
    runtime = Runtime()
    binding = Binding(
        nonce=bytes(32),
        contract=Digest("c"),
        job=Digest("j"),
        profile="strict-10",
        checkpoint=Digest("k"),
        sealing_key=runtime.sealing.public,
        signing_key=runtime.signing.public,
    )
    folder = shared_data / "data" / "attestation"
    if not folder.is_dir():
        pytest.skip("the attestation vectors are not in the shared material")
    report = vectors.nitro(folder, vectors.NITRO_GOOD)
    shown = show(EvidenceKind.NITRO, binding, report=report, measurement=Digest("0" * 64), **changes)
    return sign_evidence(shown, signing_key=runtime.signing.private), binding


def test_a_real_document_whose_certificates_ended_is_out_of_time_now_and_was_in_time_then(shared_data: Path) -> None:
    """It is of another run, which is found only after its certificates held."""
    evidence, binding = nitro_vector(shared_data)
    appraiser = Appraiser(now=lambda: datetime(2040, 1, 1, tzinfo=UTC))
    with pytest.raises(CertificateOutOfTime):
        appraiser(evidence, binding=binding, measurements=["0" * 64], minimum_level=2)
    with pytest.raises(EvidenceNotBound):
        appraiser(evidence, binding=binding, measurements=["0" * 64], minimum_level=2, at=vectors.NITRO_TIME)


def test_a_judgement_without_any_time_is_refused(enclaves: Enclaves) -> None:
    from asepsis.attest.appraise import appraise  # noqa: PLC0415

    request = enclaves.ask(NORTH, Runtime(), enclaves.job())
    evidence = read_evidence(request.evidence)
    with pytest.raises(EvidenceTimeMissing):
        appraise(evidence, binding=None, measurements=[MEASUREMENT], minimum_level=2, trust=trust())  # type: ignore[arg-type]
