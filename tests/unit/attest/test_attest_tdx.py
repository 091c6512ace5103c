"""TDX: quotes of both versions are taken; each link from chip to quote is checked; collateral decides on age."""

from __future__ import annotations

import itertools
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from attest_world import AFTER, NOW, TDX, TdxHost, p256

from asepsis.attest.claims import Claims
from asepsis.attest.tdx.verify import tdx_measurement, verify_tdx
from asepsis.errors.attest import (
    CertificateOutOfTime,
    ChainInvalid,
    CollateralRefused,
    CollateralUnchecked,
    EndorsementMismatch,
    EvidenceMalformed,
    EvidenceSignatureInvalid,
    RootNotTrusted,
)

VARIANTS = [{}, {"version": 5}, {"version": 5, "body_type": 3}]


def verify(quote: bytes, **changes: Any) -> Claims:
    return verify_tdx(quote, **{"at": NOW, "roots": TDX.roots, **changes})


@pytest.mark.parametrize("variant", VARIANTS, ids=["4", "5 with a report 1.0", "5 with a report 1.5"])
def test_a_good_quote_of_every_version_is_taken(variant: dict[str, int]) -> None:
    claims = verify(TDX.quote(report_data=b"r" * 64, **variant))
    assert claims.report_data == b"r" * 64
    assert claims.measurements == {
        tdx_measurement(
            mrtd=bytes(range(48)),
            rtmrs=(bytes(48),) * 4,
            mrconfigid=bytes(48),
            mrowner=bytes(48),
            mrownerconfig=bytes(48),
        )
    }
    assert claims.tcb["reported"]["svn00"] == 5
    assert claims.tcb_status is None
    assert not claims.is_debug


@pytest.mark.parametrize("bit", range(8))
def test_every_way_of_looking_into_a_trust_domain_is_debug(bit: int) -> None:
    assert verify(TDX.quote(attributes=bytes([1 << bit]) + bytes(7))).is_debug


@pytest.mark.parametrize(
    "changes",
    [{"version": 3}, {"version": 6}, {"vendor": bytes(16)}, {"version": 5, "body_type": 9}],
    ids=map(str, itertools.count()),
)
def test_a_quote_of_another_format_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(EvidenceMalformed):
        verify(TDX.quote(**changes))


@pytest.mark.parametrize("field", [(2, b"\x03"), (4, b"\x00")], ids=["key type", "an SGX quote"])
def test_a_quote_of_another_kind_is_refused(field: tuple[int, bytes]) -> None:
    at, value = field
    quote = TDX.quote()
    with pytest.raises(EvidenceMalformed):
        verify(quote[:at] + value + quote[at + 1 :])


def test_zeros_may_stand_behind_a_quote_and_nothing_else() -> None:
    quote = TDX.quote()
    assert verify(quote + bytes(3000)) == verify(quote)
    for tail in (b"x", bytes(7) + b"\x01", b"\n"):
        with pytest.raises(EvidenceMalformed):
            verify(quote + tail)


def test_zeros_inside_the_signatures_or_behind_the_certificates_are_refused() -> None:
    """Else the border between quote and padding could be moved."""
    quote = TDX.quote()
    size = int.from_bytes(quote[632:636], "little")
    for longer in (size + 1, size + 64):
        moved = quote[:632] + longer.to_bytes(4, "little") + quote[636:] + bytes(64)
        with pytest.raises(EvidenceMalformed):
            verify(moved)
    at = 636 + 130
    inner = int.from_bytes(quote[at : at + 4], "little") + 8
    moved = quote[:632] + (size + 8).to_bytes(4, "little") + quote[636:at] + inner.to_bytes(4, "little")
    with pytest.raises(EvidenceMalformed):
        verify(moved + quote[at + 4 :] + bytes(8))


@pytest.mark.parametrize("length", [0, 1, 47, 48, 631, 632, 635, 636, 700, 900, 1300])
def test_a_cut_quote_is_refused(length: int) -> None:
    with pytest.raises(EvidenceMalformed):
        verify(TDX.quote()[:length])


def test_a_module_that_is_not_intels_is_refused() -> None:
    with pytest.raises(EndorsementMismatch, match="TDX module"):
        verify(TDX.quote(mrsignerseam=b"\x01" + bytes(47)))


def test_an_attestation_key_that_the_enclave_did_not_bind_is_refused() -> None:
    with pytest.raises(EndorsementMismatch, match="attestation key"):
        verify(TDX.quote(bound=bytes([1]) * 32))


def test_a_quoting_enclave_in_debug_mode_is_refused() -> None:
    with pytest.raises(EndorsementMismatch, match="debug"):
        verify(TDX.quote(qe_flags=0x02))


def test_the_chain_has_to_end_at_the_pinned_root() -> None:
    other = TdxHost(name="other")
    with pytest.raises(RootNotTrusted):
        verify(other.quote())
    with pytest.raises(RootNotTrusted):
        verify_tdx(TDX.quote(), at=NOW)


def test_the_chip_has_to_sign_the_quoting_enclave() -> None:
    with pytest.raises(EvidenceSignatureInvalid):
        verify(TDX.quote(certificates=TDX.certificates(key=p256("another chip"))))
    with pytest.raises(ChainInvalid):
        verify(TDX.quote(certificates=TDX.certificates(signer=p256("another chip"))))


@pytest.mark.parametrize("part", [700, 1200], ids=["quote", "quoting enclave"])
def test_a_signature_of_another_quote_is_refused(part: int) -> None:
    one, other = TDX.quote(), TDX.quote(mrtd=bytes(48))
    with pytest.raises((EvidenceSignatureInvalid, EvidenceMalformed)):
        verify(one[:632] + other[632:part] + one[part:])


def test_the_certificates_have_to_be_valid_at_the_time() -> None:
    with pytest.raises(CertificateOutOfTime):
        verify(TDX.quote(), at=AFTER + timedelta(seconds=1))


def test_collateral_without_the_library_cannot_be_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dcap_qvl", None)
    with pytest.raises(CollateralUnchecked):
        verify(TDX.quote(), collateral=b"{}")


@pytest.mark.parametrize("collateral", [b"", b"{}", b"\xff", b"[" * 60_000, b'{"tcb_info": 1}'], ids=range(5))
def test_collateral_that_is_none_is_refused(collateral: bytes) -> None:
    pytest.importorskip("dcap_qvl")
    with pytest.raises(CollateralRefused):
        verify(TDX.quote(), collateral=collateral)


def test_whatever_the_library_answers_that_is_no_status_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        class QuoteCollateralV3:
            from_json = staticmethod(lambda text: text)

        @staticmethod
        def verify(_quote: bytes, _collateral: object, _at: int) -> object:
            return type("Report", (), {"status": None})

    monkeypatch.setitem(sys.modules, "dcap_qvl", Silent)
    with pytest.raises(CollateralRefused):
        verify(TDX.quote(), collateral=b"{}")
