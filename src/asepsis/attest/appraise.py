"""Appraisal: evidence counts if its proof holds, it is bound to this run, its code is known and its level suffices.

Which verifier checks it is decided by the evidence's own body and, for hardware, by the format of the report, never
by a label beside it; a kind without a verifier is refused.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from asepsis.attest.hardware import verify_hardware
from asepsis.attest.process import verify_process
from asepsis.attest.trust import VENDORS, Trust
from asepsis.domain.attestation import Appraisal, Binding, Evidence, EvidenceKind
from asepsis.errors.attest import EvidenceNotBound, EvidenceRefused, LevelTooLow, MeasurementUnknown

Verifier = Callable[[Evidence, datetime | None, Trust], Appraisal]


def _process(evidence: Evidence, _at: datetime | None, _trust: Trust) -> Appraisal:
    return verify_process(evidence)


def _hardware(evidence: Evidence, at: datetime | None, trust: Trust) -> Appraisal:
    return verify_hardware(evidence, at=at, trust=trust)


VERIFIERS: Final[Mapping[EvidenceKind, Verifier]] = {
    EvidenceKind.PROCESS: _process,
    EvidenceKind.TPM2: _hardware,
    EvidenceKind.SEV_SNP: _hardware,
    EvidenceKind.TDX: _hardware,
    EvidenceKind.NITRO: _hardware,
}


def appraise(
    evidence: Evidence,
    *,
    binding: Binding,
    measurements: Collection[str],
    minimum_level: int,
    at: datetime | None = None,
    trust: Trust = VENDORS,
) -> Appraisal:
    """Appraise evidence against what the caller itself expects.

    Args:
        evidence: what the runtime shows.
        binding: nonce, contract, job, profile, checkpoint and keys in the caller's own view.
        measurements: the code that may run.
        minimum_level: the weakest level that counts (0 process, 1 TPM, 2 trusted execution environment).
        at: the time of the judgement; evidence of hardware is refused without one.
        trust: roots, minimum firmware and policy; the vendors' and the default if nothing is said.

    Raises:
        EvidenceRefused: one of its subclasses says why.
    """
    verifier = VERIFIERS.get(evidence.kind)
    if verifier is None:
        raise EvidenceRefused
    appraisal = verifier(evidence, at, trust)
    _check_binding(evidence, binding)
    if evidence.measurement not in measurements:
        raise MeasurementUnknown
    if appraisal.level < minimum_level:
        raise LevelTooLow(level=appraisal.level, needed=minimum_level)
    return appraisal


@dataclass(frozen=True, slots=True, kw_only=True)
class Appraiser:
    """Appraisal with a desk's own clock and trust: what its services call."""

    now: Callable[[], datetime]
    trust: Trust = field(default=VENDORS)

    def __call__(
        self,
        evidence: Evidence,
        *,
        binding: Binding,
        measurements: Collection[str],
        minimum_level: int,
        at: datetime | None = None,
    ) -> Appraisal:
        """Appraise evidence as of now, or as of a past time. Raises what :func:`appraise` raises."""
        return appraise(
            evidence,
            binding=binding,
            measurements=measurements,
            minimum_level=minimum_level,
            at=at or self.now(),
            trust=self.trust,
        )


def _check_binding(evidence: Evidence, binding: Binding) -> None:
    keys = (evidence.sealing_key, evidence.signing_key) == (binding.sealing_key, binding.signing_key)
    if not keys or not hmac.compare_digest(evidence.report_data, binding.report_data()):
        raise EvidenceNotBound
