"""Verification of an SEV-SNP report: chain to a pinned root, signature, and endorsement key against report.

The product line is the pinned root's, not the report's word; it decides the layout of the TCB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from asepsis.attest.chains import require_time, verify_chain
from asepsis.attest.claims import Claims, measurement_of
from asepsis.attest.pem import read_certificates
from asepsis.attest.roots import AMD_ROOTS, LAUNCH_ISSUERS
from asepsis.attest.signatures import Scheme, ecdsa_signature, verify_signature
from asepsis.attest.snp.endorsement import check_endorsement, order_chain
from asepsis.attest.snp.launch import LaunchEndorsement, verify_launch
from asepsis.attest.snp.report import ECDSA_P384_SHA384, SnpReport, read_report, tcb_levels
from asepsis.domain.attestation import EvidenceKind
from asepsis.domain.names import Digest
from asepsis.errors.attest import EndorsementMismatch, EvidenceMalformed

_KIND: Final = EvidenceKind.SEV_SNP
_SCHEMES: Final = frozenset({Scheme.RSA_PSS_SHA384})


def verify_snp(
    report: bytes,
    certificates: bytes,
    *,
    at: datetime,
    launch: bytes | None = None,
    roots: Mapping[str, str] = AMD_ROOTS,
    issuers: Mapping[str, str] = LAUNCH_ISSUERS,
) -> Claims:
    """Verify a report and say what it claims; policies judge the claims.

    Args:
        report: the 1184 bytes of the report.
        certificates: endorsement key, signing key and root of AMD, in PEM or DER.
        at: the time of the judgement.
        launch: a signed statement on the launch measurement (COSE_Sign1), if there is one.
        roots: the pinned AMD root keys and their product lines.
        issuers: who may endorse launch measurements, and under which feed.

    Raises:
        EvidenceRefused: one of its subclasses says why.
    """
    parsed = read_report(report)
    chain = order_chain(read_certificates(certificates))
    product = verify_chain(chain, roots=roots, schemes=_SCHEMES, kind=_KIND)
    require_time(chain, at)
    if parsed.signature_algorithm != ECDSA_P384_SHA384:
        raise EvidenceMalformed(part="the signature algorithm of the SEV-SNP report")
    verify_signature(
        chain[0].public_key,
        scheme=Scheme.ECDSA_P384_SHA384,
        signature=ecdsa_signature(parsed.r, parsed.s),
        data=parsed.signed,
    )
    cloud = check_endorsement(parsed, chain[0], product=product)
    endorsed = None if launch is None else verify_launch(launch, issuers=issuers, at=at)
    if endorsed is not None and endorsed.measurement != parsed.measurement:
        raise EndorsementMismatch(part="the launch measurement")
    return _claims(parsed, product=product, cloud=cloud, endorsed=endorsed)


def snp_measurement(*, measurement: bytes, host_data: bytes) -> Digest:
    """The digest that names a guest: its launch measurement and what it was told to run."""
    return measurement_of(_KIND, measurement=measurement.hex(), host_data=host_data.hex())


def endorsed_measurement(*, issuer: str, feed: str, svn: int, host_data: bytes) -> Digest:
    """The digest that names a guest by who endorses its firmware, instead of by the firmware itself."""
    return measurement_of(_KIND, issuer=issuer, feed=feed, svn=svn, host_data=host_data.hex())


def _claims(report: SnpReport, *, product: str, cloud: str | None, endorsed: LaunchEndorsement | None) -> Claims:
    measurements = {snp_measurement(measurement=report.measurement, host_data=report.host_data)}
    parts = {
        "version": str(report.version),
        "measurement": report.measurement.hex(),
        "host_data": report.host_data.hex(),
        "guest_svn": str(report.guest_svn),
        "policy": f"{report.policy:#018x}",
        "vmpl": str(report.vmpl),
        "signing_key": "VCEK" if cloud is None else "VLEK",
    }
    if cloud is not None:
        parts["cloud"] = cloud
    if endorsed is not None:
        parts |= {"launch_issuer": endorsed.issuer, "launch_feed": endorsed.feed, "launch_svn": str(endorsed.svn)}
        measurements.add(
            endorsed_measurement(
                issuer=endorsed.issuer, feed=endorsed.feed, svn=endorsed.svn, host_data=report.host_data
            )
        )
    tcbs = {"reported": report.reported_tcb, "committed": report.committed_tcb, "launch": report.launch_tcb}
    return Claims(
        kind=_KIND,
        product=product,
        algorithm=Scheme.ECDSA_P384_SHA384,
        report_data=report.report_data,
        measurements=frozenset(measurements),
        parts=parts,
        report_digest=Digest(hashlib.sha256(report.signed).hexdigest()),
        is_debug=report.is_debug,
        is_migratable=report.is_migratable,
        privilege=report.vmpl,
        host_data=report.host_data,
        tcb={which: tcb_levels(raw, product=product) for which, raw in tcbs.items()},
    )
