"""SEV-SNP: every product line, key and version is taken; every binding of report, key and firmware is checked."""

from __future__ import annotations

import itertools
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes

sys.path.insert(0, str(Path(__file__).parent))

from attest_world import (
    AFTER,
    AMD,
    BEFORE,
    CPUS,
    FEED,
    LEVELS,
    NOW,
    PSS_384,
    SNP,
    TURIN_LEVELS,
    Issue,
    SnpHost,
    der_integer,
    der_text,
    launch_chain,
    launch_issuer,
    launch_root,
    launch_statement,
    p256,
    p384,
    rsa_key,
)

from asepsis.attest.claims import Claims
from asepsis.attest.pem import read_certificates
from asepsis.attest.signatures import Scheme
from asepsis.attest.snp.report import LENGTH, read_report
from asepsis.attest.snp.verify import endorsed_measurement, snp_measurement, verify_snp
from asepsis.errors.attest import (
    CertificateOutOfTime,
    ChainInvalid,
    EndorsementMismatch,
    EvidenceMalformed,
    EvidenceSignatureInvalid,
    RootNotTrusted,
)

CLOUD = SnpHost(cloud="CN=cc-somewhere.cloud.example")
TURIN = SnpHost(product="Turin")


def verify(host: SnpHost, report: bytes | None = None, certificates: bytes | None = None, **changes: Any) -> Claims:
    return verify_snp(
        host.report() if report is None else report,
        host.certificates() if certificates is None else certificates,
        **{"at": NOW, "roots": host.roots, **changes},
    )


@pytest.mark.parametrize("product", CPUS)
@pytest.mark.parametrize("cloud", [None, "CN=cloud"], ids=["VCEK", "VLEK"])
@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_a_good_report_of_every_version_key_and_product_is_taken(product: str, cloud: str | None, version: int) -> None:
    host = SnpHost(product=product, cloud=cloud)
    claims = verify(host, host.report(version=version))
    assert (claims.product, claims.parts["version"]) == (product, str(version))
    assert claims.parts["signing_key"] == ("VLEK" if cloud else "VCEK")
    assert claims.parts.get("cloud") == cloud
    assert claims.algorithm is Scheme.ECDSA_P384_SHA384
    assert not claims.is_debug
    assert not claims.is_migratable


def test_claims_carry_what_is_judged() -> None:
    claims = verify(SNP, SNP.report(report_data=b"r" * 64, vmpl=2, host_data=b"h" * 32, measurement=b"m" * 48))
    assert claims.report_data == b"r" * 64
    assert claims.privilege == 2
    assert claims.host_data == b"h" * 32
    assert claims.measurements == {snp_measurement(measurement=b"m" * 48, host_data=b"h" * 32)}


@pytest.mark.parametrize(("host", "levels"), [(SNP, LEVELS), (TURIN, TURIN_LEVELS)], ids=["Milan", "Turin"])
def test_each_tcb_is_read_in_the_layout_of_its_product(host: SnpHost, levels: dict[str, int]) -> None:
    lower = dict.fromkeys(levels, 0)
    claims = verify(host, host.report(committed=lower, launch={**levels, "microcode": 7}))
    assert claims.tcb == {"reported": levels, "committed": lower, "launch": {**levels, "microcode": 7}}


@pytest.mark.parametrize(("bit", "name"), [(19, "is_debug"), (18, "is_migratable")])
def test_policy_bits_are_claims(bit: int, name: str) -> None:
    claims = verify(SNP, SNP.report(policy=0x3001F | 1 << bit))
    assert getattr(claims, name)


@pytest.mark.parametrize(
    "changes",
    [{"version": 1}, {"version": 6}, {"policy": 0x1001F}, {"algorithm": 0}, {"algorithm": 2}],
    ids=map(str, itertools.count()),
)
def test_a_report_of_another_format_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(EvidenceMalformed):
        verify(SNP, SNP.report(**changes))


@pytest.mark.parametrize("length", [0, LENGTH - 1, LENGTH + 1])
def test_a_report_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(EvidenceMalformed):
        read_report(SNP.report()[:length].ljust(length, b"\0"))


def test_bytes_behind_the_signature_are_refused() -> None:
    report = bytearray(SNP.report())
    report[-1] = 1
    with pytest.raises(EvidenceMalformed):
        verify(SNP, bytes(report))


def test_a_report_signed_by_another_key_is_refused() -> None:
    with pytest.raises(EvidenceSignatureInvalid):
        verify(SNP, SNP.report(signer=p384("other")))


@pytest.mark.parametrize("part", TURIN_LEVELS)
def test_a_key_of_other_firmware_is_refused(part: str) -> None:
    other = SnpHost(product="Turin", levels={**TURIN_LEVELS, part: TURIN_LEVELS[part] + 1})
    with pytest.raises(EndorsementMismatch, match=f"the level of {part}"):
        verify(TURIN, certificates=other.certificates())


@pytest.mark.parametrize("oid", ["3.1", "3.2", "3.3", "3.8"])
def test_a_key_that_says_nothing_about_a_component_is_refused(oid: str) -> None:
    with pytest.raises(EndorsementMismatch, match="the level of"):
        verify(SNP, certificates=SNP.certificates(extensions={AMD + oid: b""}))


def test_a_level_that_is_no_number_is_refused() -> None:
    with pytest.raises(EvidenceMalformed):
        verify(SNP, certificates=SNP.certificates(extensions={AMD + "3.1": b"\x04\x01\x04"}))


@pytest.mark.parametrize("product", [der_text("Milan-B0") + b"\0", b"\x16\x06Milan\xe9", b"\x02\x01\x05"], ids=range(3))
def test_a_product_name_that_is_no_plain_text_is_refused(product: bytes) -> None:
    with pytest.raises(EvidenceMalformed):
        verify(SNP, certificates=SNP.certificates(extensions={AMD + "2": product}))


def test_a_key_of_another_chip_is_refused() -> None:
    with pytest.raises(EndorsementMismatch, match="the chip"):
        verify(SNP, SNP.report(chip=bytes(64)))
    with pytest.raises(EndorsementMismatch, match="the chip"):
        verify(SNP, SNP.report(chip=bytes(64)), SNP.certificates(extensions={AMD + "4": bytes(64)}))


def test_a_short_chip_id_stands_for_itself_and_zeros_only() -> None:
    with pytest.raises(EndorsementMismatch, match="the chip"):
        verify(TURIN, TURIN.report(chip=TURIN.chip + b"1".ljust(56, b"\0")))


@pytest.mark.parametrize(
    "changes",
    [{AMD + "4": b""}, {AMD + "4": bytes(7)}, {AMD + "5": der_text("CN=cloud")}],
    ids=["no chip", "a strange chip", "a cloud"],
)
def test_the_key_of_a_chip_names_the_chip_and_no_cloud(changes: dict[str, bytes]) -> None:
    with pytest.raises(EndorsementMismatch, match="the kind of key"):
        verify(SNP, certificates=SNP.certificates(extensions=changes))


def test_a_key_is_not_taken_for_one_of_another_kind() -> None:
    with pytest.raises(EndorsementMismatch, match="the kind of key"):
        verify(SNP, SNP.report(signing_key=1))
    with pytest.raises(EndorsementMismatch, match="the kind of key"):
        verify(CLOUD, CLOUD.report(signing_key=0))
    with pytest.raises(EndorsementMismatch, match="the kind of key"):
        verify(SNP, SNP.report(signing_key=7))


def test_the_key_of_a_cloud_names_the_cloud() -> None:
    with pytest.raises(EvidenceMalformed):
        verify(CLOUD, certificates=CLOUD.certificates(extensions={AMD + "5": b""}))


def test_the_product_is_that_of_the_root() -> None:
    with pytest.raises(EndorsementMismatch, match="the product line"):
        verify(SNP, SNP.report(cpu=CPUS["Genoa"]))
    with pytest.raises(EndorsementMismatch, match="the product line"):
        verify(SNP, certificates=SNP.certificates(extensions={AMD + "2": der_text("Genoa-B1")}))
    with pytest.raises(EndorsementMismatch, match="the product line"):
        verify(SNP, roots={next(iter(SNP.roots)): "Turin"})


@pytest.mark.parametrize(
    ("cpu", "product"),
    [
        ((0x19, 0x00), "Milan"),
        ((0x19, 0x0F), "Milan"),
        ((0x19, 0x10), "Genoa"),
        ((0x19, 0xA0), "Genoa"),
        ((0x19, 0x20), None),
        ((0x1A, 0x11), "Turin"),
        ((0x1A, 0x12), None),
        ((0x17, 0x31), None),
    ],
)
def test_the_processor_says_the_product_line(cpu: tuple[int, int], product: str | None) -> None:
    assert read_report(SNP.report(cpu=cpu)).product == product


def test_the_certificates_of_another_product_are_no_chain() -> None:
    genoa = SnpHost(product="Genoa")
    leaf = read_certificates(SNP.certificates())[0].raw
    issuers = b"".join(item.raw for item in read_certificates(genoa.certificates())[1:])
    with pytest.raises(ChainInvalid):
        verify(genoa, certificates=leaf + issuers)


def test_a_root_that_somebody_made_is_refused() -> None:
    with pytest.raises(RootNotTrusted):
        verify_snp(SNP.report(), SNP.certificates(), at=NOW)


def test_a_self_made_chain_under_the_names_of_amd_is_refused() -> None:
    with pytest.raises(RootNotTrusted):
        verify(SNP, roots={"0" * 64: "Milan"})


def test_certificates_come_in_any_order_but_all_three() -> None:
    parts = [item.raw for item in read_certificates(SNP.certificates())]
    verify(SNP, certificates=b"".join(reversed(parts)))
    for chosen in (parts[:2], parts[1:], [*parts, parts[0]], [parts[0]] * 3):
        with pytest.raises(EvidenceMalformed):
            verify(SNP, certificates=b"".join(chosen))


def test_an_endorsement_key_on_another_curve_is_refused() -> None:
    with pytest.raises(EvidenceSignatureInvalid):
        verify(SNP, certificates=SNP.certificates(key=p256("ek")))


@pytest.mark.parametrize("at", [BEFORE - timedelta(seconds=1), AFTER + timedelta(seconds=1)])
def test_the_certificates_have_to_be_valid_at_the_time(at: Any) -> None:
    with pytest.raises(CertificateOutOfTime):
        verify(SNP, at=at)


# --- launch endorsements --------------------------------------------------------------------------------------------

MEASUREMENT = bytes(range(48))


def endorsed(statement: bytes, **changes: Any) -> Claims:
    return verify(SNP, **{"launch": statement, "issuers": {launch_issuer(): FEED}, **changes})


def test_an_endorsed_launch_gives_a_second_name_of_the_code() -> None:
    claims = endorsed(launch_statement(MEASUREMENT))
    named = endorsed_measurement(issuer=launch_issuer(), feed=FEED, svn=103, host_data=bytes(range(32)))
    assert claims.measurements == {named, *verify(SNP).measurements}
    assert (claims.parts["launch_feed"], claims.parts["launch_svn"]) == (FEED, "103")


def test_another_security_version_or_host_data_is_another_name() -> None:
    names = {
        endorsed_measurement(issuer="i", feed="f", svn=svn, host_data=host)
        for svn in (1, 2)
        for host in (bytes(32), bytes(31) + b"1")
    }
    assert len(names) == 4


def test_an_endorsement_of_another_launch_is_refused() -> None:
    with pytest.raises(EndorsementMismatch, match="launch measurement"):
        endorsed(launch_statement(bytes(48)))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "did:x509:0:sha256:AAAA::eku:1.2.3"},
        {"iss": None},
        {"iss": 7},
        {"feed": "another"},
        {"feed": None},
        {"iss": ["did"]},
        {"iss": "did:x509:0:sha256:AAAA::eku:1.2.3", "feed": None},
    ],
    ids=map(str, itertools.count()),
)
def test_an_endorsement_of_somebody_else_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RootNotTrusted):
        endorsed(launch_statement(MEASUREMENT, **changes))


def test_the_issuer_is_bound_to_root_and_purpose() -> None:
    with pytest.raises(RootNotTrusted):
        endorsed(launch_statement(MEASUREMENT, chain=[*launch_chain(purposes=("1.2.3.4",))[:2], launch_root()]))
    with pytest.raises(RootNotTrusted):
        endorsed(launch_statement(MEASUREMENT, chain=[*launch_chain()[:2], other_root()]))
    prefix = launch_issuer().removesuffix("311.76.59.1.2")
    with pytest.raises(RootNotTrusted):
        endorsed(launch_statement(MEASUREMENT, iss=prefix), issuers={prefix: FEED})


def other_root() -> bytes:
    """The root's key and name in another certificate."""
    key = rsa_key("uvm-root")
    return Issue(subject="Root", issuer="Root", key=key, signer=key, is_authority=True, not_after=NOW).der()


def test_the_chain_of_an_endorsement_has_to_hold() -> None:
    leaf, middle, _ = launch_chain(signer=rsa_key("other"))
    with pytest.raises(ChainInvalid):
        endorsed(launch_statement(MEASUREMENT, chain=[leaf, middle, launch_root()]))
    later = launch_chain(not_before=NOW + timedelta(days=1))
    with pytest.raises(CertificateOutOfTime):
        endorsed(launch_statement(MEASUREMENT, chain=[*later[:2], launch_root()]))


def test_the_leaf_of_an_endorsement_may_have_ended() -> None:
    ended = launch_chain(not_after=NOW - timedelta(days=1))
    endorsed(launch_statement(MEASUREMENT, chain=[*ended[:2], launch_root()]))


@pytest.mark.parametrize(
    "changes",
    [
        {1: -35},
        {1: -37},
        {1: -7},
        {1: "PS384"},
        {1: None},
        {2: [4711]},
        {33: None},
        {33: b"x"},
        {33: ["x" * 99, "y" * 99]},
        {33: []},
    ],
    ids=map(str, itertools.count()),
)
def test_a_header_that_is_not_as_agreed_is_refused(changes: dict[Any, Any]) -> None:
    statement = launch_statement(MEASUREMENT, extra=1)
    endorsed(statement)
    with pytest.raises((EvidenceMalformed, EvidenceSignatureInvalid)):
        endorsed(launch_statement_with(changes))


def launch_statement_with(changes: dict[Any, Any]) -> bytes:
    message = cbor2.loads(launch_statement(MEASUREMENT)).value
    header = {**cbor2.loads(message[0]), **changes}
    protected = cbor2.dumps({label: value for label, value in header.items() if value is not None})
    signed = cbor2.dumps(["Signature1", protected, b"", message[2]])
    signature = rsa_key("uvm-leaf").sign(signed, PSS_384, hashes.SHA384())
    return cbor2.dumps([protected, {}, message[2], signature])


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        json.dumps({"x-ms-sevsnpvm-launchmeasurement": "zz", "x-ms-sevsnpvm-guestsvn": "1"}).encode(),
        json.dumps({"x-ms-sevsnpvm-launchmeasurement": 7, "x-ms-sevsnpvm-guestsvn": "1"}).encode(),
        json.dumps({"x-ms-sevsnpvm-launchmeasurement": "00", "x-ms-sevsnpvm-guestsvn": "-1"}).encode(),
        json.dumps({"x-ms-sevsnpvm-launchmeasurement": "00", "x-ms-sevsnpvm-guestsvn": str(2**40)}).encode(),
        b"[" * 100_000,
    ],
    ids=range(8),
)
def test_a_payload_that_says_nothing_is_refused(payload: bytes) -> None:
    with pytest.raises(EvidenceMalformed):
        endorsed(launch_statement(MEASUREMENT, payload=payload))


def test_a_level_above_127_is_one_number() -> None:
    assert der_integer(219) == b"\x02\x02\x00\xdb"
