"""Reports of real hardware, published by others: every good one is taken at its time, and others read them alike."""

from __future__ import annotations

import hashlib
import sys
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.utils import CryptographyDeprecationWarning

sys.path.insert(0, str(Path(__file__).parent))

import attest_vectors as vectors

from asepsis.attest.nitro.verify import verify_nitro
from asepsis.attest.pem import read_certificates
from asepsis.attest.policy import NoDebug
from asepsis.attest.roots import LAUNCH_ISSUERS
from asepsis.attest.snp.endorsement import order_chain
from asepsis.attest.snp.verify import endorsed_measurement, verify_snp
from asepsis.attest.tdx.verify import verify_tdx
from asepsis.errors.attest import ChainInvalid, DebugEnabled, EvidenceMalformed


@pytest.fixture(scope="session")
def folder(shared_data: Path) -> Path:
    path = shared_data / "data" / "attestation"
    if not path.is_dir():
        pytest.skip("the attestation vectors are not in the shared material")
    return path


@pytest.mark.parametrize("name", vectors.GOOD_SNP)
def test_a_good_snp_report_is_taken(folder: Path, name: str) -> None:
    vector = vectors.snp(folder, name)
    claims = verify_snp(vector.report, vector.certificates, at=vector.at, launch=vector.launch)
    NoDebug().check(claims)
    assert claims.product == "Milan"
    if name == "vlek":
        assert claims.parts["cloud"] == "CN=cc-us-east-2.amazonaws.com"


@pytest.mark.parametrize("name", vectors.AZURE)
def test_azure_binds_key_and_policy_as_published(folder: Path, name: str) -> None:
    vector = vectors.snp(folder, name)
    claims = verify_snp(vector.report, vector.certificates, at=vector.at, launch=vector.launch)
    place = folder / "snp-azure" / vectors.AZURE[name]
    key = hashlib.sha256((place / "pub_key.pem").read_bytes()).digest()
    values = (place.parent / "values.txt").read_text()
    assert claims.report_data[:32] == key or name == "azure-signing"
    assert claims.parts["host_data"] in values
    ((issuer, feed),) = LAUNCH_ISSUERS.items()
    host_data = bytes.fromhex(claims.parts["host_data"])
    assert endorsed_measurement(issuer=issuer, feed=feed, svn=103, host_data=host_data) in claims.measurements


@pytest.mark.parametrize("name", ["legacy", "new", "vlek-genoa"])
def test_a_bad_chain_of_snp_is_refused(folder: Path, name: str) -> None:
    vector = vectors.snp(folder, name)
    with pytest.raises(ChainInvalid):
        verify_snp(vector.report, vector.certificates, at=vector.at)


@pytest.mark.parametrize("name", vectors.GOOD_TDX)
def test_a_good_tdx_quote_is_taken(folder: Path, name: str) -> None:
    claims = verify_tdx(vectors.tdx(folder, name), at=vectors.GOOD_TDX[name])
    NoDebug().check(claims)


def test_the_quote_with_text_behind_it_is_taken_without_the_text_only(folder: Path) -> None:
    quote = vectors.tdx(folder, "google_tdx_prod_quote_SPR_E4.dat")
    at = vectors.GOOD_TDX["phala_tdx_quote"]
    verify_tdx(quote[: quote.index(b"\nextra bytes")], at=at)
    with pytest.raises(EvidenceMalformed):
        verify_tdx(quote, at=at)


def test_an_sgx_quote_is_no_tdx_quote(folder: Path) -> None:
    with pytest.raises(EvidenceMalformed):
        verify_tdx(vectors.tdx(folder, "phala_sgx_quote"), at=vectors.SNP_TIME)


def test_the_good_nitro_document_is_taken(folder: Path) -> None:
    claims = verify_nitro(vectors.nitro(folder, vectors.NITRO_GOOD), at=vectors.NITRO_TIME)
    NoDebug().check(claims)


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("evervault_debug-mode-attestation-doc-bytes", datetime(2022, 10, 12, 13, 51, tzinfo=UTC)),
        ("evervault_valid-attestation-doc-base64", datetime(2023, 9, 18, 15, 4, tzinfo=UTC)),
    ],
)
def test_documents_of_debug_enclaves_are_genuine_and_debug(folder: Path, name: str, at: datetime) -> None:
    with pytest.raises(DebugEnabled):
        NoDebug().check(verify_nitro(vectors.nitro(folder, name), at=at))


def test_collateral_says_the_status_at_its_time(folder: Path) -> None:
    pytest.importorskip("dcap_qvl")
    collateral = (folder / "tdx" / "phala_tdx_quote_collateral.json").read_bytes()
    quote = vectors.tdx(folder, "phala_tdx_quote")
    at = vectors.GOOD_TDX["phala_tdx_quote"]
    assert verify_tdx(quote, at=at, collateral=collateral).tcb_status == "UpToDate"


# --- others read them alike -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", vectors.GOOD_TDX)
def test_dcap_qvl_reads_the_same_fields(folder: Path, name: str) -> None:
    library = pytest.importorskip("dcap_qvl")
    raw = vectors.tdx(folder, name)
    report = library.parse_quote(raw).report
    claims = verify_tdx(raw, at=vectors.GOOD_TDX[name])
    assert claims.report_data == report.report_data
    pairs = {"mrtd": "mr_td", "xfam": "xfam", "mrconfigid": "mr_config_id", "mrowner": "mr_owner", "rtmr3": "rt_mr3"}
    for ours, theirs in pairs.items():
        assert claims.parts[ours] == getattr(report, theirs).hex()
    assert claims.parts["tee_tcb_svn"] == report.tee_tcb_svn.hex()


@pytest.mark.parametrize("name", ["trustee", "virtee", "azure-2", "azure-cvm"])
def test_omne_attest_reads_the_same_fields(folder: Path, name: str) -> None:
    """An independent verifier; it takes no VLEK."""
    library = pytest.importorskip("omne_attest")
    vector = vectors.snp(folder, name)
    raws = [item.raw for item in order_chain(read_certificates(vector.certificates))]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Parsed a serial number", category=CryptographyDeprecationWarning)
        report = library.verify(vector.report, *raws, hashlib.sha256(raws[-1]).digest(), library.Policy())
    claims = verify_snp(vector.report, vector.certificates, at=vector.at)
    assert (claims.report_data, claims.host_data, claims.privilege) == (
        report.report_data,
        report.host_data,
        report.vmpl,
    )
    assert claims.parts["measurement"] == report.measurement.hex()


def test_times_are_those_of_the_vectors() -> None:
    assert timedelta(0) < vectors.NITRO_TIME - datetime(2022, 10, 13, 8, 57, 59, tzinfo=UTC) < timedelta(hours=3)
