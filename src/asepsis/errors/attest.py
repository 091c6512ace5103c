"""Errors of evidence: why a runtime was not trusted. Each is its own refusal, so that tests and logs can tell."""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class EvidenceRefused(AsepsisError):
    """Base of everything that makes evidence not count."""

    kind = Kind.UNTRUSTED
    code = "evidence.refused"
    message = "The evidence of the runtime was refused."
    hint = "Run 'asepsis doctor' to compare the runtime with what the contract expects."


class EvidenceSignatureInvalid(EvidenceRefused):
    """The evidence is not signed by the key that it names."""

    code = "evidence.signature_invalid"
    message = "The signature of the evidence does not verify."
    hint = "The evidence was changed on its way, or made up; start the run again."


class EvidenceKindRefused(EvidenceRefused):
    """The evidence claims what its kind cannot give."""

    code = "evidence.kind_refused"
    message = "Evidence of the kind {kind} cannot claim to be confidential."
    hint = "Only a trusted execution environment can; the runtime that made this is not one of ours."


class EvidenceNotBound(EvidenceRefused):
    """The evidence belongs to another run, nonce, contract, checkpoint or key."""

    code = "evidence.not_bound"
    message = "The evidence is not bound to this nonce, contract, job, checkpoint and these keys."
    hint = "Evidence counts for one run only; start the run again."


class MeasurementUnknown(EvidenceRefused):
    """The contract does not name this measurement."""

    code = "evidence.measurement_unknown"
    message = "The measured code is none that the contract allows."
    hint = "The runtime's program or its libraries changed; the parties must sign a contract that names it."


class LevelTooLow(EvidenceRefused):
    """The evidence is weaker than the data or the contract need."""

    code = "evidence.level_too_low"
    message = "Evidence of level {level} was shown where level {needed} is needed."
    hint = "Real data needs a trusted execution environment (level 2); level 0 'process' is NON-CONFIDENTIAL."


class ProgramUnreadable(AsepsisError):
    """The program cannot be measured."""

    kind = Kind.UNAVAILABLE
    code = "evidence.program_unreadable"
    message = "The runtime's own files cannot be measured."
    hint = "Install Asepsis as plain files; a package inside an archive cannot be measured."
