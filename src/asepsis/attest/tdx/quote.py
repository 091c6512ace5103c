"""The TDX quote: its layout, and nothing believed yet.

Source: Intel, TDX DCAP Quoting Library API (rev. 0.9), appendix 3 "Quote format"; Intel TDX Module specification
(ATTRIBUTES). Zeros may stand behind a quote, because platforms hand out buffers of a fixed size; nothing else may.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from asepsis.attest.octets import Octets

VERSION_4: Final = 4
VERSION_5: Final = 5

_PART: Final = "the TDX quote"
_HEADER: Final = 48
_ECDSA_P256: Final = 2
_TDX: Final = 0x81
_INTEL_QE: Final = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
_BODIES: Final = {2: 584, 3: 648}
_QE_REPORT_CERTIFICATION: Final = 6
_PCK_CHAIN: Final = 5
_LONGEST: Final = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A quote: the signed part, the signatures, and the fields of the TD report that are judged."""

    version: int
    signed: bytes
    signature: bytes
    attestation_key: bytes
    qe_report: bytes
    qe_signature: bytes
    qe_authentication: bytes
    certificates: bytes
    tee_tcb_svn: bytes
    mrseam: bytes
    mrsignerseam: bytes
    seam_attributes: bytes
    td_attributes: bytes
    xfam: bytes
    mrtd: bytes
    mrconfigid: bytes
    mrowner: bytes
    mrownerconfig: bytes
    rtmrs: tuple[bytes, ...]
    report_data: bytes


def read_quote(raw: bytes) -> Quote:
    """Read a quote. Raises EvidenceMalformed."""
    cursor = Octets(raw, part=_PART, order="little")
    version = _read_header(cursor)
    start = _HEADER
    size = _BODIES[2]
    if version == VERSION_5:
        body_type = cursor.number(2)
        cursor.require(body_type in _BODIES and cursor.number(4) == _BODIES[body_type])
        start, size = start + 6, _BODIES[body_type]
    body = Octets(cursor.take(size), part="the TD report of the TDX quote", order="little")
    signatures = Octets(cursor.sized(4, limit=_LONGEST), part="the signatures of the TDX quote", order="little")
    cursor.require(not any(cursor.rest()))
    signature, attestation_key = signatures.take(64), signatures.take(64)
    signatures.require(signatures.number(2) == _QE_REPORT_CERTIFICATION)
    outer = Octets(signatures.sized(4, limit=_LONGEST), part="the certification of the TDX quote", order="little")
    signatures.close()
    qe_report, qe_signature, qe_authentication = outer.take(384), outer.take(64), outer.sized(2, limit=_LONGEST)
    outer.require(outer.number(2) == _PCK_CHAIN)
    certificates = outer.sized(4, limit=_LONGEST)
    outer.close()
    return Quote(
        version=version,
        signed=raw[: start + size],
        signature=signature,
        attestation_key=attestation_key,
        qe_report=qe_report,
        qe_signature=qe_signature,
        qe_authentication=qe_authentication,
        certificates=certificates.removesuffix(b"\0"),
        tee_tcb_svn=body.take(16),
        mrseam=body.take(48),
        mrsignerseam=body.take(48),
        seam_attributes=body.take(8),
        td_attributes=body.take(8),
        xfam=body.take(8),
        mrtd=body.take(48),
        mrconfigid=body.take(48),
        mrowner=body.take(48),
        mrownerconfig=body.take(48),
        rtmrs=(body.take(48), body.take(48), body.take(48), body.take(48)),
        report_data=body.take(64),
    )


def _read_header(cursor: Octets) -> int:
    version, key_type, tee_type = cursor.number(2), cursor.number(2), cursor.number(4)
    cursor.require(version in {VERSION_4, VERSION_5} and key_type == _ECDSA_P256 and tee_type == _TDX)
    cursor.take(4)
    cursor.require(cursor.take(16) == _INTEL_QE)
    cursor.take(20)
    return version
