"""Verification of hardware evidence: the report's own format chooses the verifier, and standing policies hold.

The label of the evidence has to agree with the format; it chooses nothing. What the report binds is compared by the
caller's binding, never by what the evidence says of itself.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from asepsis.attest.claims import Claims
from asepsis.attest.envelope import verify_envelope
from asepsis.attest.formats import kind_of
from asepsis.attest.nitro.verify import verify_nitro
from asepsis.attest.policy import STANDING, MinimumTcb
from asepsis.attest.snp.verify import verify_snp
from asepsis.attest.tdx.verify import verify_tdx
from asepsis.attest.tpm.verify import verify_tpm
from asepsis.attest.trust import Trust
from asepsis.domain.attestation import (
    CONFIDENTIAL_LEVEL,
    LEVELS,
    Appraisal,
    AppraisalStatus,
    EndorsementKind,
    Evidence,
    EvidenceKind,
)
from asepsis.errors.attest import (
    EndorsementMissing,
    EvidenceFormatUnknown,
    EvidenceKindRefused,
    EvidenceMalformed,
    EvidenceNotBound,
    EvidenceTimeMissing,
    MeasurementUnknown,
)

_EXPECTED: Final[Mapping[EvidenceKind, frozenset[EndorsementKind]]] = {
    EvidenceKind.SEV_SNP: frozenset({EndorsementKind.CERTIFICATES, EndorsementKind.LAUNCH}),
    EvidenceKind.TDX: frozenset({EndorsementKind.COLLATERAL}),
    EvidenceKind.NITRO: frozenset(),
    EvidenceKind.TPM2: frozenset({EndorsementKind.KEY}),
}


@dataclass(frozen=True, slots=True)
class _Case:
    """One piece of evidence under judgement."""

    report: bytes
    endorsements: Mapping[EndorsementKind, bytes]
    at: datetime
    trust: Trust

    def needed(self, kind: EndorsementKind) -> bytes:
        value = self.endorsements.get(kind)
        if value is None:
            raise EndorsementMissing(what=kind.value)
        return value


def verify_hardware(evidence: Evidence, *, at: datetime | None, trust: Trust) -> Appraisal:
    """Check evidence of hardware, except whether it is bound to the caller's run and its code is known.

    Args:
        evidence: what the runtime shows.
        at: the time of the judgement.
        trust: roots, minimum firmware and policy.

    Raises:
        EvidenceRefused: one of its subclasses says why.
    """
    if at is None:
        raise EvidenceTimeMissing(kind=evidence.kind.value)
    if kind_of(evidence.report) is not evidence.kind:
        raise EvidenceFormatUnknown(kind=evidence.kind.value)
    _check_claim(evidence)
    verify_envelope(evidence)
    case = _Case(evidence.report, _endorsements(evidence), at, trust)
    claims = _VERIFIERS[evidence.kind](case)
    if not hmac.compare_digest(claims.report_data, bound_data(evidence.kind, evidence.report_data)):
        raise EvidenceNotBound
    if evidence.measurement not in claims.measurements:
        raise MeasurementUnknown
    STANDING.check(claims)
    trust.policy.check(claims)
    floor = trust.minimum_tcb.get(claims.product)
    if floor is not None:
        MinimumTcb(floor).check(claims)
    return _appraisal(claims, has_floor=floor is not None)


def bound_data(kind: EvidenceKind, report_data: bytes) -> bytes:
    """What a report of that kind carries for the 64 bytes of REPORT_DATA: a TPM their SHA-256, others themselves."""
    return hashlib.sha256(report_data).digest() if kind is EvidenceKind.TPM2 else report_data


def _check_claim(evidence: Evidence) -> None:
    is_confidential = LEVELS[evidence.kind] >= CONFIDENTIAL_LEVEL
    if evidence.confidential and not is_confidential:
        raise EvidenceKindRefused(kind=evidence.kind.value)
    if evidence.confidential is not is_confidential:
        raise EvidenceMalformed(part="what it says of confidentiality")


def _endorsements(evidence: Evidence) -> dict[EndorsementKind, bytes]:
    found = {item.kind: item.value for item in evidence.endorsements}
    if len(found) != len(evidence.endorsements) or set(found) - _EXPECTED[evidence.kind]:
        raise EvidenceMalformed(part="its endorsements")
    return found


def _snp(case: _Case) -> Claims:
    return verify_snp(
        case.report,
        case.needed(EndorsementKind.CERTIFICATES),
        at=case.at,
        launch=case.endorsements.get(EndorsementKind.LAUNCH),
        roots=case.trust.amd_roots,
        issuers=case.trust.launch_issuers,
    )


def _tdx(case: _Case) -> Claims:
    collateral = case.endorsements.get(EndorsementKind.COLLATERAL)
    return verify_tdx(case.report, at=case.at, collateral=collateral, roots=case.trust.intel_roots)


def _nitro(case: _Case) -> Claims:
    return verify_nitro(case.report, at=case.at, roots=case.trust.nitro_roots)


def _tpm(case: _Case) -> Claims:
    return verify_tpm(case.report, case.needed(EndorsementKind.KEY))


_VERIFIERS: Final = {
    EvidenceKind.SEV_SNP: _snp,
    EvidenceKind.TDX: _tdx,
    EvidenceKind.NITRO: _nitro,
    EvidenceKind.TPM2: _tpm,
}


def _appraisal(claims: Claims, *, has_floor: bool) -> Appraisal:
    reasons = []
    if claims.kind is EvidenceKind.TPM2:
        reasons.append("A TPM vouches for what was booted; the host can still read memory.")
    if claims.kind is EvidenceKind.SEV_SNP and not has_floor:
        reasons.append("No minimum TCB is set for this product line; old firmware would have passed.")
    if claims.kind is EvidenceKind.TDX and claims.tcb_status is None:
        reasons.append("No collateral was shown; revoked or old firmware would have passed.")
    level = LEVELS[claims.kind]
    return Appraisal(
        kind=claims.kind,
        level=level,
        claims={"confidential": str(level >= CONFIDENTIAL_LEVEL).lower(), **claims.to_texts()},
        reasons=tuple(reasons),
        status=AppraisalStatus.WARNING if reasons else AppraisalStatus.AFFIRMING,
    )
