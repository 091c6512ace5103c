"""Appraisal: evidence counts if its proof holds, it is bound to this run, its code is known and its level suffices.

Which verifier checks it is decided by the evidence's own body, never by a label beside it; a kind without a
verifier is refused.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Mapping
from typing import Final

from asepsis.attest.process import verify_process
from asepsis.domain.attestation import Appraisal, Binding, Evidence, EvidenceKind
from asepsis.errors.attest import EvidenceNotBound, EvidenceRefused, LevelTooLow, MeasurementUnknown

VERIFIERS: Final[Mapping[EvidenceKind, Callable[[Evidence], Appraisal]]] = {EvidenceKind.PROCESS: verify_process}


def appraise(
    evidence: Evidence,
    *,
    binding: Binding,
    measurements: Collection[str],
    minimum_level: int,
) -> Appraisal:
    """Appraise evidence against what the caller itself expects.

    Args:
        evidence: what the runtime shows.
        binding: nonce, contract, job, profile, checkpoint and keys in the caller's own view.
        measurements: the code that may run.
        minimum_level: the weakest level that counts (0 process, 1 TPM, 2 trusted execution environment).

    Raises:
        EvidenceRefused: one of its subclasses says why.
    """
    verifier = VERIFIERS.get(evidence.kind)
    if verifier is None:
        raise EvidenceRefused
    appraisal = verifier(evidence)
    _check_binding(evidence, binding)
    if evidence.measurement not in measurements:
        raise MeasurementUnknown
    if appraisal.level < minimum_level:
        raise LevelTooLow(level=appraisal.level, needed=minimum_level)
    return appraisal


def _check_binding(evidence: Evidence, binding: Binding) -> None:
    keys = (evidence.sealing_key, evidence.signing_key) == (binding.sealing_key, binding.signing_key)
    if not keys or not hmac.compare_digest(evidence.report_data, binding.report_data()):
        raise EvidenceNotBound
