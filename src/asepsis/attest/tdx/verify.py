"""Verification of a TDX quote: PCK chain to Intel's root, quoting enclave, attestation key, quote.

Signatures say that the quote is genuine. Whether the platform is up to date only collateral can say; without it the
claims carry no TCB status, and the default policy refuses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from asepsis.attest.chains import require_time, verify_chain
from asepsis.attest.claims import Claims, measurement_of
from asepsis.attest.pem import read_certificates
from asepsis.attest.roots import INTEL_ROOTS
from asepsis.attest.signatures import Scheme, ecdsa_signature, verify_signature
from asepsis.attest.tdx.collateral import tcb_status
from asepsis.attest.tdx.quote import Quote, read_quote
from asepsis.domain.attestation import EvidenceKind
from asepsis.domain.names import Digest
from asepsis.errors.attest import EndorsementMismatch

PRODUCT: Final = "Intel TDX"

_KIND: Final = EvidenceKind.TDX
_SCHEMES: Final = frozenset({Scheme.ECDSA_P256_SHA256})
_SPKI_P256: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
_QE_REPORT_DATA: Final = slice(320, 384)
_QE_FLAGS: Final = 48
_SGX_DEBUG: Final = 0x02
_TD_UNDER_DEBUG: Final = 0xFF


def verify_tdx(
    quote: bytes, *, at: datetime, collateral: bytes | None = None, roots: Mapping[str, str] = INTEL_ROOTS
) -> Claims:
    """Verify a quote and say what it claims; policies judge the claims.

    Args:
        quote: the quote, with the certificates that it carries.
        at: the time of the judgement.
        collateral: Intel's collateral (JSON), if there is any.
        roots: the pinned root keys.

    Raises:
        EvidenceRefused: one of its subclasses says why.
    """
    parsed = read_quote(quote)
    chain = read_certificates(parsed.certificates)
    verify_chain(chain, roots=roots, schemes=_SCHEMES, kind=_KIND)
    require_time(chain, at)
    _verify_signatures(parsed, chain[0].public_key)
    if any(parsed.mrsignerseam) or any(parsed.seam_attributes):
        raise EndorsementMismatch(part="the TDX module is not Intel's")
    status = None if collateral is None else tcb_status(quote, collateral, at=at)
    return _claims(parsed, status=status)


def tdx_measurement(
    *, mrtd: bytes, rtmrs: tuple[bytes, ...], mrconfigid: bytes, mrowner: bytes, mrownerconfig: bytes
) -> Digest:
    """The digest that names a trust domain: its image, what it loaded, and its owner's settings."""
    return measurement_of(
        _KIND,
        mrtd=mrtd.hex(),
        rtmrs=[rtmr.hex() for rtmr in rtmrs],
        mrconfigid=mrconfigid.hex(),
        mrowner=mrowner.hex(),
        mrownerconfig=mrownerconfig.hex(),
    )


def _verify_signatures(quote: Quote, pck: bytes) -> None:
    """The chip's key signs the quoting enclave's report, which binds the attestation key, which signs the quote."""
    scheme = Scheme.ECDSA_P256_SHA256
    verify_signature(pck, scheme=scheme, signature=_signature(quote.qe_signature), data=quote.qe_report)
    bound = hashlib.sha256(quote.attestation_key + quote.qe_authentication).digest()
    if quote.qe_report[_QE_REPORT_DATA] != bound.ljust(64, b"\0"):
        raise EndorsementMismatch(part="the attestation key is not the quoting enclave's")
    if quote.qe_report[_QE_FLAGS] & _SGX_DEBUG:
        raise EndorsementMismatch(part="the quoting enclave is in debug mode")
    key = _SPKI_P256 + quote.attestation_key
    verify_signature(key, scheme=scheme, signature=_signature(quote.signature), data=quote.signed)


def _signature(raw: bytes) -> bytes:
    return ecdsa_signature(raw[:32], raw[32:])


def _claims(quote: Quote, *, status: str | None) -> Claims:
    values = {
        "tee_tcb_svn": quote.tee_tcb_svn,
        "mrseam": quote.mrseam,
        "td_attributes": quote.td_attributes,
        "xfam": quote.xfam,
        "mrtd": quote.mrtd,
        "mrconfigid": quote.mrconfigid,
        "mrowner": quote.mrowner,
        "mrownerconfig": quote.mrownerconfig,
        **{f"rtmr{index}": value for index, value in enumerate(quote.rtmrs)},
    }
    return Claims(
        kind=_KIND,
        product=PRODUCT,
        algorithm=Scheme.ECDSA_P256_SHA256,
        report_data=quote.report_data,
        measurements=frozenset(
            {
                tdx_measurement(
                    mrtd=quote.mrtd,
                    rtmrs=quote.rtmrs,
                    mrconfigid=quote.mrconfigid,
                    mrowner=quote.mrowner,
                    mrownerconfig=quote.mrownerconfig,
                )
            }
        ),
        parts={"version": str(quote.version), **{name: value.hex() for name, value in values.items()}},
        report_digest=Digest(hashlib.sha256(quote.signed).hexdigest()),
        is_debug=bool(quote.td_attributes[0] & _TD_UNDER_DEBUG),
        tcb={"reported": {f"svn{index:02}": level for index, level in enumerate(quote.tee_tcb_svn)}},
        tcb_status=status,
    )
