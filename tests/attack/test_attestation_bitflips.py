"""No bit of a report, or of the certificates beside it, can be changed: sampled always, every one in the long tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "attest"))

import attest_vectors as vectors
from attest_world import FEED, NITRO, NOW, SNP, TDX, TPM, flipped, launch_issuer, launch_statement

from asepsis.attest.certificates import read_certificate
from asepsis.attest.cose import read_sign1
from asepsis.attest.nitro.verify import verify_nitro
from asepsis.attest.roots import LAUNCH_ISSUERS
from asepsis.attest.snp.launch import verify_launch
from asepsis.attest.snp.verify import verify_snp
from asepsis.attest.tdx.verify import verify_tdx
from asepsis.attest.tpm.verify import verify_tpm
from asepsis.errors.attest import EvidenceRefused

STEP = 397
"""A prime: the sample of a vector meets every position in a byte and every part of the structure."""

EXHAUSTED = ("snp azure", "snp vlek", "nitro", "tdx phala_tdx_quote", "tdx trustee_tdx_quote_5.dat")
"""Vectors of which every bit is flipped: each kind, key and version of a format once."""

Verify = Callable[[bytes], object]


def made_up() -> dict[str, tuple[bytes, Verify]]:
    """What is verified, and by what."""
    report, certificates = SNP.report(), SNP.certificates()
    statement, issuers = launch_statement(bytes(48)), {launch_issuer(): FEED}
    return {
        "snp": (report, lambda raw: verify_snp(raw, certificates, at=NOW, roots=SNP.roots)),
        "snp certificates": (certificates, lambda raw: verify_snp(report, raw, at=NOW, roots=SNP.roots)),
        "snp launch": (statement, lambda raw: verify_launch(raw, issuers=issuers, at=NOW)),
        "tdx": (TDX.quote(), lambda raw: verify_tdx(raw, at=NOW, roots=TDX.roots)),
        "nitro": (NITRO.document(), lambda raw: verify_nitro(raw, at=NOW, roots=NITRO.roots)),
        "tpm": (TPM.quote(), lambda raw: verify_tpm(raw, TPM.key())),
    }


MADE_UP = made_up()


@pytest.fixture(scope="session")
def folder(shared_data: Path) -> Path:
    path = shared_data / "data" / "attestation"
    if not path.is_dir():
        pytest.skip("the attestation vectors are not in the shared material")
    return path


@pytest.fixture(autouse=True)
def _forget_certificates() -> None:
    read_certificate.cache_clear()


def refuse_all(raw: bytes, verify: Verify, bits: Iterable[int]) -> int:
    """Check that every one of the bits matters."""
    verify(raw)
    checked = 0
    for bit in bits:
        checked += 1
        try:
            verify(flipped(raw, bit))
        except EvidenceRefused:
            continue
        pytest.fail(f"bit {bit} of {8 * len(raw)} does not matter")
    return checked


@pytest.mark.parametrize("what", MADE_UP)
@settings(max_examples=60)
@given(place=st.integers(0, 2**32))
def test_a_flipped_bit_of_made_up_evidence_is_refused(what: str, place: int) -> None:
    raw, verify = MADE_UP[what]
    with pytest.raises(EvidenceRefused):
        verify(flipped(raw, place % (8 * len(raw))))


@pytest.mark.parametrize("what", MADE_UP)
@settings(max_examples=30)
@given(place=st.integers(0, 2**32))
def test_cut_evidence_is_refused(what: str, place: int) -> None:
    raw, verify = MADE_UP[what]
    with pytest.raises(EvidenceRefused):
        verify(raw[: place % len(raw)])


@settings(max_examples=80)
@given(raw=st.binary(max_size=400), what=st.sampled_from(sorted(MADE_UP)))
def test_any_bytes_are_refused_by_every_verifier(raw: bytes, what: str) -> None:
    head = MADE_UP[what][0][: len(raw) // 2]
    for bytes_ in (raw, head + raw):
        with pytest.raises(EvidenceRefused):
            MADE_UP[what][1](bytes_)


def public(folder: Path) -> dict[str, tuple[bytes, Verify]]:
    """The public vectors, each with its verifier at its time."""
    azure, vlek = vectors.snp(folder, "azure-2"), vectors.snp(folder, "vlek")
    trustee = vectors.snp(folder, "trustee")
    nitro = vectors.nitro(folder, vectors.NITRO_GOOD)
    cases: dict[str, tuple[bytes, Verify]] = {
        "snp azure": (azure.report, lambda raw: verify_snp(raw, azure.certificates, at=azure.at)),
        "snp vlek": (vlek.report, lambda raw: verify_snp(raw, vlek.certificates, at=vlek.at)),
        "snp trustee": (trustee.report, lambda raw: verify_snp(raw, trustee.certificates, at=trustee.at)),
        "snp azure certificates": (azure.certificates, lambda raw: verify_snp(azure.report, raw, at=azure.at)),
        "nitro": (nitro, lambda raw: verify_nitro(raw, at=vectors.NITRO_TIME)),
    }
    for name, at in vectors.GOOD_TDX.items():
        cases[f"tdx {name}"] = (vectors.tdx(folder, name), lambda raw, at=at: verify_tdx(raw, at=at))  # type: ignore[misc]
    return cases


def test_flipped_bits_of_the_public_vectors_are_refused(folder: Path) -> None:
    for raw, verify in public(folder).values():
        assert refuse_all(raw, verify, range(0, 8 * len(raw), STEP * 3)) > 5


@pytest.mark.long
@pytest.mark.parametrize("what", EXHAUSTED)
def test_every_flipped_bit_of_a_public_vector_is_refused(folder: Path, what: str) -> None:
    raw, verify = public(folder)[what]
    assert refuse_all(raw, verify, range(8 * len(raw))) == 8 * len(raw)


@pytest.mark.long
@pytest.mark.parametrize("what", ["snp", "snp launch", "tpm"])
def test_every_flipped_bit_of_made_up_evidence_is_refused(what: str) -> None:
    raw, verify = MADE_UP[what]
    assert refuse_all(raw, verify, range(8 * len(raw))) == 8 * len(raw)


def test_a_launch_endorsement_of_azure_holds_and_a_flipped_bit_of_its_signed_parts_does_not(folder: Path) -> None:
    """The unprotected header (a time stamp) is nobody's word and is not used, so only the rest is flipped."""
    statement = vectors.snp(folder, "azure-2").launch
    at = datetime(2025, 10, 15, tzinfo=UTC)
    if statement is None:
        pytest.fail("no endorsement")
    message = read_sign1(statement)
    for part in (message.protected, message.payload, message.signature):
        start = statement.index(part)
        bits = range(8 * start, 8 * (start + len(part)), STEP * 5)
        refuse_all(statement, lambda raw: verify_launch(raw, issuers=LAUNCH_ISSUERS, at=at), bits)
