"""Appraisal of evidence of every kind, as a desk does it: from a document, for one run, with what the contract says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from attest_world import (
    LEVELS,
    NITRO,
    NOW,
    SNP,
    TDX,
    TPM,
    flipped,
    launch_statement,
    show,
    trust,
)

from asepsis.attest.appraise import Appraiser, appraise
from asepsis.attest.envelope import sign_evidence
from asepsis.attest.hardware import bound_data
from asepsis.attest.nitro.verify import nitro_measurement
from asepsis.attest.policy import AllOf, NoDebug, ProductIn
from asepsis.attest.process import make_evidence, measure
from asepsis.attest.snp.verify import snp_measurement, verify_snp
from asepsis.attest.tdx.verify import verify_tdx
from asepsis.attest.tpm.verify import verify_tpm
from asepsis.domain.attestation import (
    LEVELS as KIND_LEVELS,
)
from asepsis.domain.attestation import (
    REPORT_LIMIT,
    Appraisal,
    AppraisalStatus,
    Binding,
    Endorsement,
    EndorsementKind,
    Evidence,
    EvidenceKind,
    read_evidence,
)
from asepsis.domain.names import Digest
from asepsis.errors.attest import (
    DebugEnabled,
    EndorsementMissing,
    EvidenceFormatUnknown,
    EvidenceKindRefused,
    EvidenceMalformed,
    EvidenceNotBound,
    EvidenceSignatureInvalid,
    EvidenceTimeMissing,
    LevelTooLow,
    MeasurementUnknown,
    MigrationAllowed,
    PrivilegeRefused,
    ProductRefused,
    TcbStatusRefused,
    TcbTooLow,
)
from asepsis.errors.contract import DocumentMalformed
from asepsis.ports import Appraise
from asepsis.sealing.signing import generate_sealing_key, generate_signing_key

SIGNING, SEALING = generate_signing_key(), generate_sealing_key()
BINDING = Binding(
    nonce=bytes(32),
    contract=Digest("c"),
    job=Digest("j"),
    profile="strict-10",
    checkpoint=Digest("k"),
    sealing_key=SEALING.public,
    signing_key=SIGNING.public,
)
TDX_TRUST = AllOf((NoDebug(),))
CERTIFICATES, LAUNCH, KEY = EndorsementKind.CERTIFICATES, EndorsementKind.LAUNCH, EndorsementKind.KEY


def signed(evidence: Evidence) -> Evidence:
    return sign_evidence(evidence, signing_key=SIGNING.private)


def snp(**changes: Any) -> Evidence:
    report = SNP.report(report_data=BINDING.report_data(), **changes)
    measurement = snp_measurement(measurement=bytes(range(48)), host_data=bytes(range(32)))
    certificates = (CERTIFICATES, SNP.certificates())
    return signed(
        show(EvidenceKind.SEV_SNP, BINDING, report=report, measurement=measurement, endorsements=[certificates])
    )


def tdx(**changes: Any) -> Evidence:
    quote = TDX.quote(report_data=BINDING.report_data(), **changes)
    (measurement,) = verify_tdx(TDX.quote(), at=NOW, roots=TDX.roots).measurements
    return signed(show(EvidenceKind.TDX, BINDING, report=quote, measurement=measurement))


def nitro(**changes: Any) -> Evidence:
    document = NITRO.document(**{"user_data": BINDING.report_data(), **changes})
    measurement = nitro_measurement({index: bytes([index + 1] * 48) for index in range(3)})
    return signed(show(EvidenceKind.NITRO, BINDING, report=document, measurement=measurement))


def tpm(**changes: Any) -> Evidence:
    bound = bound_data(EvidenceKind.TPM2, BINDING.report_data())
    quote = TPM.quote(**{"extra_data": bound, **changes})
    (measurement,) = verify_tpm(TPM.quote(), TPM.key()).measurements
    endorsements = [(KEY, TPM.key())]
    return signed(show(EvidenceKind.TPM2, BINDING, report=quote, measurement=measurement, endorsements=endorsements))


MAKERS: dict[EvidenceKind, Callable[..., Evidence]] = {
    EvidenceKind.SEV_SNP: snp,
    EvidenceKind.TDX: tdx,
    EvidenceKind.NITRO: nitro,
    EvidenceKind.TPM2: tpm,
}


def judge(evidence: Evidence, **changes: Any) -> Appraisal:
    asked: dict[str, Any] = {
        "binding": BINDING,
        "measurements": [evidence.measurement],
        "minimum_level": 0,
        "at": NOW,
        "trust": trust(policy=TDX_TRUST),
        **changes,
    }
    return appraise(evidence, **asked)


@pytest.mark.parametrize("kind", MAKERS)
def test_evidence_of_every_kind_goes_through_its_document_and_is_appraised(kind: EvidenceKind) -> None:
    evidence = read_evidence(MAKERS[kind]().to_document())
    assert evidence == MAKERS[kind]() or kind is not EvidenceKind.PROCESS  # hardware signs at random
    appraisal = judge(evidence, minimum_level=KIND_LEVELS[kind])
    assert (appraisal.kind, appraisal.level) == (kind, KIND_LEVELS[kind])
    assert appraisal.claims["confidential"] == str(KIND_LEVELS[kind] >= 2).lower()


def test_the_document_of_a_process_has_not_changed() -> None:
    document = make_evidence(BINDING, signing_key=SIGNING.private).to_document()
    assert set(document) == {
        "kind",
        "confidential",
        "measurement",
        "report_data",
        "sealing_key",
        "signing_key",
        "signature",
    }
    for key in ("report", "endorsements"):
        with pytest.raises(DocumentMalformed):
            read_evidence({**document, key: ""})


def test_levels_are_those_of_the_design() -> None:
    assert KIND_LEVELS == {
        EvidenceKind.PROCESS: 0,
        EvidenceKind.TPM2: 1,
        EvidenceKind.SEV_SNP: 2,
        EvidenceKind.TDX: 2,
        EvidenceKind.NITRO: 2,
    }


def test_a_tpm_never_reaches_level_2() -> None:
    with pytest.raises(LevelTooLow):
        judge(tpm(), minimum_level=2)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": bytes(31) + b"1"},
        {"contract": Digest("other")},
        {"job": Digest("other")},
        {"profile": "other"},
        {"checkpoint": Digest("other")},
        {"sealing_key": generate_sealing_key().public},
        {"signing_key": generate_signing_key().public},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_evidence_counts_for_one_binding_only(kind: EvidenceKind, changes: dict[str, Any]) -> None:
    with pytest.raises(EvidenceNotBound):
        judge(MAKERS[kind](), binding=replace(BINDING, **changes))


@pytest.mark.parametrize("kind", MAKERS)
def test_what_the_evidence_says_it_binds_has_to_stand_in_the_report(kind: EvidenceKind) -> None:
    other = replace(BINDING, nonce=b"n" * 32)
    rebound = signed(replace(MAKERS[kind](), report_data=other.report_data()))
    with pytest.raises(EvidenceNotBound):
        judge(rebound, binding=other)


def test_a_tpm_binds_the_digest_and_others_the_data_itself() -> None:
    with pytest.raises(EvidenceNotBound):
        judge(tpm(extra_data=BINDING.report_data()))
    for user_data in (None, b"", BINDING.report_data() + b"\0"):
        with pytest.raises(EvidenceNotBound):
            judge(nitro(user_data=user_data))


@pytest.mark.parametrize("kind", MAKERS)
def test_unknown_code_is_refused(kind: EvidenceKind) -> None:
    evidence = MAKERS[kind]()
    with pytest.raises(MeasurementUnknown):
        judge(evidence, measurements=[])
    claimed = signed(replace(evidence, measurement=Digest("0" * 64)))
    with pytest.raises(MeasurementUnknown):
        judge(claimed, measurements=["0" * 64])


@pytest.mark.parametrize("kind", MAKERS)
def test_the_envelope_holds_everything_together(kind: EvidenceKind) -> None:
    evidence = MAKERS[kind]()
    with pytest.raises(EvidenceSignatureInvalid):
        judge(replace(evidence, signature=flipped(evidence.signature, 7)))
    with pytest.raises(EvidenceSignatureInvalid):
        judge(replace(evidence, sealing_key=bytes(32)))
    with pytest.raises(EvidenceSignatureInvalid):
        judge(replace(evidence, measurement=Digest("0" * 64)))


@pytest.mark.parametrize("kind", MAKERS)
def test_evidence_of_hardware_needs_a_time(kind: EvidenceKind) -> None:
    with pytest.raises(EvidenceTimeMissing):
        judge(MAKERS[kind](), at=None)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("label", EvidenceKind)
def test_the_format_of_the_report_decides_and_the_label_has_to_agree(kind: EvidenceKind, label: EvidenceKind) -> None:
    if label is kind:
        return
    evidence = signed(replace(MAKERS[kind](), kind=label, confidential=KIND_LEVELS[label] >= 2))
    with pytest.raises((EvidenceFormatUnknown, EvidenceKindRefused)):
        judge(evidence)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_kind_is_exactly_as_confidential_as_it_is(kind: EvidenceKind) -> None:
    evidence = MAKERS[kind]()
    with pytest.raises((EvidenceKindRefused, EvidenceMalformed)):
        judge(signed(replace(evidence, confidential=not evidence.confidential)))


def test_hardware_evidence_without_its_endorsements_is_refused() -> None:
    for evidence in (snp(), tpm()):
        with pytest.raises(EndorsementMissing):
            judge(signed(replace(evidence, endorsements=())))


def test_endorsements_of_another_kind_or_twice_are_refused() -> None:
    extra = Endorsement(kind=EndorsementKind.KEY, value=b"x")
    for evidence in (snp(), tdx(), nitro()):
        with pytest.raises(EvidenceMalformed):
            judge(signed(replace(evidence, endorsements=(*evidence.endorsements, extra))))
    twice = snp().endorsements * 2
    with pytest.raises(EvidenceMalformed):
        judge(signed(replace(snp(), endorsements=twice)))


@pytest.mark.parametrize(
    ("make", "refusal"),
    [
        (lambda: snp(policy=0x3001F | 1 << 19), DebugEnabled),
        (lambda: snp(policy=0x3001F | 1 << 18), MigrationAllowed),
        (lambda: snp(vmpl=1), PrivilegeRefused),
        (lambda: tdx(attributes=b"\x01" + bytes(7)), DebugEnabled),
    ],
    ids=["debug", "migration", "privilege", "debug of TDX"],
)
def test_no_setting_lifts_what_stands(make: Callable[[], Evidence], refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        judge(make(), trust=trust(policy=ProductIn({"Milan", "Intel TDX"})))


def test_an_enclave_in_debug_mode_is_refused() -> None:
    pcrs = {index: bytes(48) for index in range(16)}
    evidence = signed(replace(nitro(pcrs=pcrs), measurement=nitro_measurement(pcrs)))
    with pytest.raises(DebugEnabled):
        judge(evidence)


def test_the_owners_policy_and_minimum_firmware_hold() -> None:
    with pytest.raises(ProductRefused):
        judge(snp(), trust=trust(policy=ProductIn({"Turin"})))
    with pytest.raises(TcbTooLow, match="microcode"):
        judge(snp(), trust=trust(minimum_tcb={"Milan": {"microcode": LEVELS["microcode"] + 1}}))
    appraisal = judge(snp(), trust=trust(minimum_tcb={"Milan": LEVELS}))
    assert (appraisal.status, appraisal.reasons) == (AppraisalStatus.AFFIRMING, ())


def test_what_was_not_asked_is_said() -> None:
    assert "minimum TCB" in judge(snp()).reasons[0]
    assert "collateral" in judge(tdx()).reasons[0]
    assert "host" in judge(tpm()).reasons[0]
    assert {judge(make()).status for make in (snp, tdx, tpm)} == {AppraisalStatus.WARNING}
    assert judge(nitro()).status is AppraisalStatus.AFFIRMING
    process = make_evidence(BINDING, signing_key=SIGNING.private)
    assert judge(process).status is AppraisalStatus.WARNING


def test_tdx_without_collateral_does_not_pass_the_default_policy() -> None:
    with pytest.raises(TcbStatusRefused):
        judge(tdx(), trust=trust())


def test_code_may_be_named_by_who_endorses_its_firmware() -> None:
    endorsements = [(CERTIFICATES, SNP.certificates()), (LAUNCH, launch_statement(bytes(range(48))))]
    report = SNP.report(report_data=BINDING.report_data())
    direct = snp().measurement
    seen = verify_snp(
        report,
        endorsements[0][1],
        at=NOW,
        roots=SNP.roots,
        launch=endorsements[1][1],
        issuers=trust().launch_issuers,
    )
    (named,) = seen.measurements - {direct}
    shown = show(EvidenceKind.SEV_SNP, BINDING, report=report, measurement=named, endorsements=endorsements)
    evidence = read_evidence(signed(shown).to_document())
    assert judge(evidence, measurements=[named]).claims["launch_svn"] == "103"
    with pytest.raises(MeasurementUnknown):
        judge(evidence, measurements=[direct])


def test_an_appraiser_judges_by_its_own_clock_and_is_what_the_services_ask_for() -> None:
    appraiser: Appraise = Appraiser(now=lambda: NOW, trust=trust())
    evidence = nitro()
    appraisal = appraiser(evidence, binding=BINDING, measurements=[evidence.measurement], minimum_level=2)
    assert appraisal.level == 2
    process = make_evidence(BINDING, signing_key=SIGNING.private)
    appraiser(process, binding=BINDING, measurements=[measure()], minimum_level=0)


def test_a_process_cannot_show_a_report() -> None:
    process = make_evidence(BINDING, signing_key=SIGNING.private)
    with pytest.raises(EvidenceKindRefused):
        judge(signed(replace(process, report=SNP.report())))


@pytest.mark.parametrize(
    "changes",
    [
        {"report": None},
        {"report": ""},
        {"report": "%%%"},
        {"report": 7},
        {"report": "A" * (REPORT_LIMIT * 2)},
        {"endorsements": None},
        {"endorsements": []},
        {"endorsements": {"unknown": "AA=="}},
        {"endorsements": {"certificates": "A" * 100_000}},
        {"endorsements": {"certificates": 7}},
        {"kind": "nvidia"},
        {"kind": ["sev-snp"]},
        {"kind": None},
    ],
    ids=range(13),
)
def test_a_document_that_does_not_follow_its_schema_is_refused(changes: dict[str, Any]) -> None:
    document = {**snp().to_document(), **changes}
    with pytest.raises(DocumentMalformed):
        read_evidence({key: value for key, value in document.items() if value is not None})


def test_the_runtime_does_not_load_the_verifiers() -> None:
    heavy = ("cbor2", "cryptography.x509", "dcap_qvl", "asepsis.attest.appraise", "asepsis.attest.hardware")
    code = (
        f"import sys, asepsis.attest.process, asepsis.runtime.identity; print([m for m in {heavy} if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
