"""The known attacks on attestation (shared/attacks/trust.yaml), each under its id, at the verifier and at a desk."""

from __future__ import annotations

import json
import re
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cbor2
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "desk"))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "attest"))

import attest_vectors as vectors
from attest_world import LEVELS, NITRO, SNP, TDX, SnpHost, flipped, show, trust
from desk_world import NORTH, OWNERS, Runtime, World

from asepsis.attest.appraise import Appraiser, appraise
from asepsis.attest.envelope import sign_evidence
from asepsis.attest.nitro.verify import verify_nitro
from asepsis.attest.policy import STANDING, MinimumTcb, NoDebug, PrivilegeIn
from asepsis.attest.published import PUBLISHED_REPORT_DATA
from asepsis.attest.roots import NITRO_ROOTS
from asepsis.attest.snp.verify import snp_measurement, verify_snp
from asepsis.attest.tdx.verify import verify_tdx
from asepsis.attest.trust import Trust
from asepsis.domain.attestation import (
    NONCE_SECONDS,
    Binding,
    EndorsementKind,
    Evidence,
    EvidenceKind,
    read_evidence,
)
from asepsis.domain.keydesk import GrantRequest, checkpoint_digest
from asepsis.domain.names import Digest
from asepsis.errors import AsepsisError
from asepsis.errors.attest import (
    CertificateOutOfTime,
    ChainInvalid,
    CollateralRefused,
    DebugEnabled,
    EvidenceFormatUnknown,
    EvidenceMalformed,
    EvidenceNotBound,
    EvidenceRefused,
    EvidenceSignatureInvalid,
    LevelTooLow,
    PrivilegeRefused,
    PublishedEvidence,
    RootNotTrusted,
    TcbTooLow,
)
from asepsis.errors.contract import ContractNotSigned, DocumentMalformed
from asepsis.errors.desk import ContractNotSignedHere, NonceExpired, NonceReplayed, RequestMalformed
from asepsis.sealing.agreement import verify_agreement
from asepsis.sealing.canonical import digest
from asepsis.sealing.memory import memory_id
from asepsis.services.keydesk.desk import KeyDesk
from asepsis.services.keydesk.office import Office

HERE = Path(__file__)
NOT_COVERED = HERE.with_name("attestation_cases_not_covered.yaml")
MEASUREMENT = snp_measurement(measurement=bytes(range(48)), host_data=bytes(range(32)))
CODE = {"runtime": {"level": 2, "measurements": [MEASUREMENT]}}


class HardwareWorld(World):
    """Desks that ask for level 2, and a runtime that shows reports of a made-up SEV-SNP host."""

    host = SnpHost()

    def __init__(self, home: Path, **changes: Any) -> None:
        super().__init__(home, label="real", **{**CODE, **changes})

    def desk(self, owner: Any) -> KeyDesk:
        office = Office(
            owner=owner,
            state=self.states[owner],
            keys=self.keys[owner],
            appraise=Appraiser(now=self.clock, trust=trust(minimum_tcb={"Milan": LEVELS})),
            clock=self.clock,
            randomness=secrets.token_bytes,
        )
        return KeyDesk(office)

    def ask(self, *, runtime: Runtime | None = None, **changes: Any) -> GrantRequest:
        """A request of a runtime in the made-up host; ``changes`` alter its report."""
        runtime = runtime or Runtime()
        nonce, note = self.desks[NORTH].nonce(), self.ledger.note()
        binding = Binding(
            nonce=nonce,
            contract=self.digest,
            job=digest(self.job().to_document()),
            profile=self.contract.profile,
            checkpoint=checkpoint_digest(note.split("\n\n")[0] + "\n"),
            sealing_key=runtime.sealing.public,
            signing_key=runtime.signing.public,
        )
        evidence = self.evidence(binding, runtime, **changes)
        return self.request(runtime=runtime, nonce=nonce, checkpoint=note, evidence=evidence.to_document())

    def evidence(self, binding: Binding, runtime: Runtime, **changes: Any) -> Evidence:
        shown = show(
            EvidenceKind.SEV_SNP,
            binding,
            report=self.host.report(**{"report_data": binding.report_data(), **changes}),
            measurement=MEASUREMENT,
            endorsements=[(EndorsementKind.CERTIFICATES, self.host.certificates())],
        )
        return sign_evidence(shown, signing_key=runtime.signing.private)


@pytest.fixture
def hardware(tmp_path: Path) -> HardwareWorld:
    return HardwareWorld(tmp_path)


@pytest.fixture(scope="session")
def folder(shared_data: Path) -> Path:
    path = shared_data / "data" / "attestation"
    if not path.is_dir():
        pytest.skip("the attestation vectors are not in the shared material")
    return path


def test_a_desk_gives_the_keys_of_real_data_to_an_attested_runtime(hardware: HardwareWorld) -> None:
    runtime = Runtime()
    grant = hardware.desks[NORTH].grant(hardware.ask(runtime=runtime))
    opened = runtime.open(grant)
    assert len(opened.pop(memory_id(hardware.digest))) == 32
    assert opened == {"northgate-clinical-1": hardware.deks["northgate-clinical-1"]}


def test_tr_002_a_genuine_report_with_the_debug_bit_is_refused(folder: Path, hardware: HardwareWorld) -> None:
    vector = vectors.snp(folder, "google")
    claims = verify_snp(vector.report, vector.certificates, at=vector.at)
    with pytest.raises(DebugEnabled):
        STANDING.check(claims)
    with pytest.raises(DebugEnabled):
        hardware.desks[NORTH].grant(hardware.ask(policy=0x3001F | 1 << 19))


def test_tr_004_a_report_under_the_chain_of_another_product_is_refused(folder: Path) -> None:
    vector = vectors.snp(folder, "vlek-genoa")
    with pytest.raises(ChainInvalid):
        verify_snp(vector.report, vector.certificates, at=vector.at)


def test_tr_005_a_self_made_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RootNotTrusted):
        verify_snp(SNP.report(), SNP.certificates(), at=datetime(2026, 3, 1, tzinfo=UTC))
    world = HardwareWorld(tmp_path)
    request = world.ask()
    office = replace_appraiser(world, Appraiser(now=world.clock, trust=Trust()))
    with pytest.raises(RootNotTrusted):
        office.grant(request)


def replace_appraiser(world: HardwareWorld, appraiser: Appraiser) -> KeyDesk:
    office = Office(
        owner=NORTH,
        state=world.states[NORTH],
        keys=world.keys[NORTH],
        appraise=appraiser,
        clock=world.clock,
        randomness=secrets.token_bytes,
    )
    return KeyDesk(office)


def test_tr_007_the_same_request_counts_once(hardware: HardwareWorld) -> None:
    request = hardware.ask()
    hardware.desks[NORTH].grant(request)
    with pytest.raises(NonceReplayed):
        hardware.desks[NORTH].grant(request)
    late = hardware.ask()
    hardware.clock.forward(seconds=NONCE_SECONDS)
    with pytest.raises(NonceExpired):
        hardware.desks[NORTH].grant(late)
    assert "evidence.refused" in hardware.acts() or "grant.refused" in hardware.acts()


def test_tr_007_the_evidence_of_an_earlier_request_is_refused_under_a_new_nonce(hardware: HardwareWorld) -> None:
    runtime = Runtime()
    earlier = hardware.ask(runtime=runtime)
    again = hardware.ask(runtime=runtime)
    with pytest.raises(EvidenceNotBound):
        hardware.desks[NORTH].grant(replace(again, evidence=earlier.evidence))


def test_tr_008_a_report_bound_to_another_key_is_refused(hardware: HardwareWorld) -> None:
    thief = Runtime()
    request = hardware.ask()
    stolen = read_evidence(request.evidence)
    for changed in (
        replace(stolen, sealing_key=thief.sealing.public),
        replace(stolen, sealing_key=thief.sealing.public, signing_key=thief.signing.public),
    ):
        resigned = sign_evidence(changed, signing_key=thief.signing.private)
        with pytest.raises((EvidenceNotBound, EvidenceSignatureInvalid)):
            hardware.desks[NORTH].grant(replace(hardware.ask(), evidence=resigned.to_document()))
    assert "grant.intended" not in hardware.acts()


def test_tr_008_report_data_of_a_published_key_is_refused(hardware: HardwareWorld, folder: Path) -> None:
    for name in vectors.AZURE:
        vector = vectors.snp(folder, name)
        claims = verify_snp(vector.report, vector.certificates, at=vector.at, launch=vector.launch)
        with pytest.raises(PublishedEvidence):
            STANDING.check(claims)
        with pytest.raises(PublishedEvidence):
            STANDING.check(replace(claims, report_digest=Digest("0"), host_data=None))
    with pytest.raises(EvidenceNotBound):
        hardware.desks[NORTH].grant(hardware.ask(report_data=bytes.fromhex(min(PUBLISHED_REPORT_DATA))))


@pytest.mark.parametrize("which", ["reported", "committed", "launch"])
@pytest.mark.parametrize("component", LEVELS)
def test_tr_010_old_firmware_is_refused_and_the_component_is_named(
    hardware: HardwareWorld, which: str, component: str
) -> None:
    old = {**LEVELS, component: LEVELS[component] - 1}
    hardware.host = SnpHost(levels=old if which == "reported" else LEVELS)
    with pytest.raises(TcbTooLow, match=f"The {which} TCB has {component}"):
        hardware.desks[NORTH].grant(hardware.ask(runtime=None, **{"committed": LEVELS, "launch": LEVELS, which: old}))


def test_tr_010_old_firmware_of_a_public_report_is_refused(folder: Path) -> None:
    vector = vectors.snp(folder, "trustee")
    claims = verify_snp(vector.report, vector.certificates, at=vector.at)
    with pytest.raises(TcbTooLow, match="microcode"):
        MinimumTcb({"microcode": 200}).check(claims)


def test_tr_013_a_report_of_a_lower_privilege_is_refused(folder: Path, hardware: HardwareWorld) -> None:
    vector = vectors.snp(folder, "vlek")
    claims = verify_snp(vector.report, vector.certificates, at=vector.at)
    PrivilegeIn({1}).check(claims)
    with pytest.raises(PrivilegeRefused):
        STANDING.check(claims)
    with pytest.raises(PrivilegeRefused):
        hardware.desks[NORTH].grant(hardware.ask(vmpl=1))


def test_tr_014_a_trust_domain_in_debug_mode_is_refused(folder: Path) -> None:
    claims = verify_tdx(vectors.tdx(folder, "trustee_tdx_quote_4.dat"), at=datetime(2025, 6, 20, tzinfo=UTC))
    with pytest.raises(DebugEnabled):
        STANDING.check(claims)


@pytest.mark.parametrize("days", [-400, 40, 600])
def test_tr_015_collateral_out_of_time_is_refused(folder: Path, days: int) -> None:
    pytest.importorskip("dcap_qvl")
    at = vectors.GOOD_TDX["phala_tdx_quote"] + timedelta(days=days)
    collateral = (folder / "tdx" / "phala_tdx_quote_collateral.json").read_bytes()
    with pytest.raises((CollateralRefused, CertificateOutOfTime)):
        verify_tdx(vectors.tdx(folder, "phala_tdx_quote"), at=at, collateral=collateral)


def test_tr_015_a_platform_without_a_matching_level_is_refused(folder: Path) -> None:
    pytest.importorskip("dcap_qvl")
    name = "phala_tdx_quote_outdated"
    collateral = (folder / "tdx" / f"{name}_collateral.json").read_bytes()
    issued = json.loads(json.loads(collateral)["tcb_info"])["issueDate"]
    at = datetime.fromisoformat(issued) + timedelta(days=1)
    with pytest.raises(CollateralRefused):
        verify_tdx(vectors.tdx(folder, name), at=at, collateral=collateral)


def test_tr_015_collateral_of_another_platform_is_refused(folder: Path) -> None:
    pytest.importorskip("dcap_qvl")
    other = (folder / "tdx" / "phala_sgx_quote_collateral.json").read_bytes()
    with pytest.raises(CollateralRefused):
        verify_tdx(vectors.tdx(folder, "phala_tdx_quote"), at=vectors.GOOD_TDX["phala_tdx_quote"], collateral=other)


def test_tr_016_documents_of_debug_enclaves_are_refused(folder: Path) -> None:
    document = vectors.nitro(folder, "evervault_debug-mode-attestation-doc-bytes")
    claims = verify_nitro(document, at=datetime(2022, 10, 12, 13, 51, tzinfo=UTC))
    with pytest.raises(DebugEnabled):
        NoDebug().check(claims)


def hostile_documents() -> dict[str, bytes]:
    good = NITRO.document()
    protected, unprotected, payload, signature = cbor2.loads(good)
    head = cbor2.dumps([protected, unprotected])[1:]
    tail = cbor2.dumps(signature)
    doubled = b"\xaa" + payload[1:] + b"\x66digest\x66SHA384"
    return {
        "indefinite array": b"\x9f" + good[1:] + b"\xff",
        "indefinite payload": b"\x84" + head + b"\x5f" + cbor2.dumps(payload) + b"\xff" + tail,
        "indefinite map": NITRO.message(b"\xbf" + payload[1:] + b"\xff"),
        "a repeated key": NITRO.message(doubled),
        "trailing bytes": good + b"\x00",
        "a trailing message": good + good,
        "another algorithm": NITRO.document(header={1: -7}),
        "no algorithm": NITRO.document(header={}),
        "33 PCRs": NITRO.document(pcrs={index: bytes(48) for index in range(33)}),
        "an oversized field": NITRO.document(nonce=bytes(513)),
        "a huge field": NITRO.document(nonce=bytes(10_000_000)),
        "a huge announced length": b"\x84\x5b\x7f\xff\xff\xff\xff\xff\xff\xff" + good,
        "a huge announced array": b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff" + good,
        "nested without end": b"\x81" * 15_000,
        "nested payload": NITRO.message(b"\x81" * 10_000),
        "a bomb of tags": b"\xd2" * 15_000 + good,
        "a regular expression": NITRO.message(b"\xd8\x23\x78\x20" + b"(a+)+" * 6 + b"$$"),
        "a decimal of a huge exponent": NITRO.message(b"\xc4\x82\x1a\x7f\xff\xff\xff\x01"),
        "no bytes": b"",
        "text": b"\x84" + b"\x61x" * 4,
    }


@pytest.mark.parametrize("what", hostile_documents())
def test_tr_018_a_malformed_document_is_one_error_at_once(what: str) -> None:
    document = hostile_documents()[what]
    started = time.process_time()
    with pytest.raises(EvidenceMalformed):
        verify_nitro(document, at=datetime(2026, 3, 1, 12, tzinfo=UTC), roots={**NITRO_ROOTS, **NITRO.roots})
    assert time.process_time() - started < 2  # a bomb takes minutes; a busy machine makes a millisecond fifty


@pytest.mark.parametrize("kind", ["sev-snp", "tdx", "nitro", "tpm2"])
def test_tr_020_process_evidence_under_the_label_of_hardware_is_refused(world_of_hardware: World, kind: str) -> None:
    document = dict(world_of_hardware.request().evidence)  # type: ignore[call-overload]
    for spoofed in (
        {**document, "kind": kind},
        {**document, "kind": kind, "confidential": True, "report": "AAAA", "endorsements": {}},
    ):
        with pytest.raises((RequestMalformed, EvidenceRefused)):
            world_of_hardware.desks[NORTH].grant(world_of_hardware.request(evidence=spoofed))
    assert "grant.intended" not in world_of_hardware.acts()


@pytest.mark.parametrize("kind", ["nvidia", "", 7, None, ["sev-snp"], {"sev-snp": 1}], ids=str)
def test_tr_020_a_kind_that_is_none_is_refused(hardware: HardwareWorld, kind: object) -> None:
    request = hardware.ask()
    spoofed = {**request.evidence, "kind": kind}  # type: ignore[dict-item]
    with pytest.raises(RequestMalformed):
        hardware.desks[NORTH].grant(replace(request, evidence=spoofed))


def test_tr_020_a_report_under_the_label_of_other_hardware_is_refused(hardware: HardwareWorld) -> None:
    request = hardware.ask()
    evidence = read_evidence(request.evidence)
    for kind in (EvidenceKind.TDX, EvidenceKind.NITRO):
        with pytest.raises(EvidenceFormatUnknown):
            hardware.desks[NORTH].grant(replace(hardware.ask(), evidence=replace(evidence, kind=kind).to_document()))


@pytest.fixture
def world_of_hardware(tmp_path: Path) -> World:
    return HardwareWorld(tmp_path)


def test_tr_020_process_evidence_never_opens_real_data(tmp_path: Path) -> None:
    """Real data asks for level 2, even where the contract's own level and measurements name the process."""
    world = World(tmp_path, label="real")
    with pytest.raises(LevelTooLow):
        world.desks[NORTH].grant(world.request())


@pytest.mark.parametrize("level", [0, 1])
def test_tr_021_a_contract_with_a_lower_level_is_not_the_signed_one(hardware: HardwareWorld, level: int) -> None:
    edited = {**hardware.document, "runtime": {"level": level, "measurements": [MEASUREMENT]}}
    with pytest.raises(ContractNotSigned):
        verify_agreement(edited, hardware.signatures)
    with pytest.raises((ContractNotSigned, ContractNotSignedHere)):
        hardware.desks[NORTH].grant(replace(hardware.ask(), contract=edited))


@pytest.mark.parametrize("years", [-2, 10])
def test_tr_022_a_clock_that_is_moved_does_not_make_certificates_valid(folder: Path, years: int) -> None:
    vector = vectors.snp(folder, "azure-encryption")
    at = vector.at.replace(year=vector.at.year + years)
    with pytest.raises(CertificateOutOfTime):
        verify_snp(vector.report, vector.certificates, at=at)
    for moved in (years, years * 10):
        with pytest.raises(CertificateOutOfTime):
            verify_nitro(vectors.nitro(folder, vectors.NITRO_GOOD), at=vectors.NITRO_TIME + timedelta(days=365 * moved))


def test_tr_023_device_evidence_alone_is_refused(folder: Path, hardware: HardwareWorld) -> None:
    report = bytes.fromhex((folder / "nvidia" / "trustee_hopperAttestationReport.txt").read_text().strip())
    request = hardware.ask()
    evidence = read_evidence(request.evidence)
    for kind in EvidenceKind:
        if kind is EvidenceKind.PROCESS:
            continue
        shown = replace(evidence, kind=kind, report=report, confidential=kind is not EvidenceKind.TPM2)
        with pytest.raises((EvidenceFormatUnknown, EvidenceMalformed)):
            hardware.desks[NORTH].grant(replace(hardware.ask(), evidence=shown.to_document()))
    with pytest.raises(DocumentMalformed):
        read_evidence({**evidence.to_document(), "kind": "nvidia"})


def test_every_case_of_the_area_is_a_test_or_is_listed(shared_data: Path) -> None:
    cases = yaml.safe_load((shared_data / "attacks" / "trust.yaml").read_text())["cases"]
    known = {case["id"] for case in cases if case["area"] == "attestation"}
    tested = {f"TR-{number}" for number in re.findall(r"^def test_tr_(\d{3})_", HERE.read_text(), re.MULTILINE)}
    listed = yaml.safe_load(NOT_COVERED.read_text())["cases"]
    assert known == tested | {case["id"] for case in listed}
    assert all(case["reason"] and case["part"] for case in listed)


# --- evidence in which somebody changed something --------------------------------------------------------------------


def test_a_refusal_names_no_byte_of_the_evidence(hardware: HardwareWorld) -> None:
    canary = b"CANARY-IN-THE-EVIDENCE-0123456789"
    binding = canary.ljust(64, b"!")
    for make in (
        lambda: SNP.report(report_data=binding)[:-1],
        lambda: TDX.quote(report_data=binding) + canary,
        lambda: NITRO.document(module_id=canary.decode(), user_data=canary, extra=canary),
    ):
        evidence = replace(read_evidence(hardware.ask().evidence), report=make())
        for kind in EvidenceKind:
            with pytest.raises(AsepsisError) as caught:
                appraise(
                    replace(evidence, kind=kind),
                    binding=ANY_BINDING,
                    measurements=[MEASUREMENT],
                    minimum_level=2,
                    at=hardware.clock.now,
                )
            error = caught.value
            assert "CANARY" not in f"{error!r}{error.as_dict()}{error.__cause__!r}"


ANY_BINDING = Binding(
    nonce=bytes(32),
    contract=Digest("c"),
    job=Digest("j"),
    profile="p",
    checkpoint=Digest("k"),
    sealing_key=bytes(32),
    signing_key=bytes(32),
)


def test_every_owner_judges_for_itself(hardware: HardwareWorld) -> None:
    request = hardware.ask()
    for owner in OWNERS:
        if owner != NORTH:
            with pytest.raises(AsepsisError):
                hardware.desks[owner].grant(request)
    hardware.desks[NORTH].grant(request)


Change = Callable[[bytes], bytes]


@pytest.mark.parametrize("bit", [0, 8 * 0x50, 8 * 0x90 + 3, 8 * 0x180, 8 * 0x2A0, 8 * 1183])
def test_a_flipped_bit_never_reaches_a_grant(hardware: HardwareWorld, bit: int) -> None:
    request = hardware.ask()
    evidence = read_evidence(request.evidence)
    with pytest.raises(EvidenceRefused):
        hardware.desks[NORTH].grant(
            replace(request, evidence=replace(evidence, report=flipped(evidence.report, bit)).to_document())
        )
