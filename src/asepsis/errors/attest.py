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


class EvidenceUnconfined(EvidenceRefused):
    """The runtime does not say that it runs in its sandbox, where the data or an owner need it."""

    code = "evidence.unconfined"
    message = "The runtime did not find itself in its sandbox, and the key desk of {owner} needs that here."
    hint = "Run 'asepsis doctor' on the room's machine; synthetic data at level 0 may do without, if the owner lets it."


class EvidenceMalformed(EvidenceRefused):
    """A part of the evidence does not follow its format, or goes beyond a limit; nothing of it was believed."""

    code = "evidence.malformed"
    message = "The evidence does not follow its format: {part}."
    hint = "Show the evidence exactly as the hardware gave it; a cut, padded or re-encoded copy does not count."


class EvidenceFormatUnknown(EvidenceRefused):
    """No verifier knows the format of the report, or the report is not of the kind that its label says."""

    code = "evidence.format_unknown"
    message = "The report is no {kind} evidence."
    hint = "A verifier is chosen by what the report is: sev-snp, tdx, nitro and tpm2 are known; device evidence is not."


class EvidenceTimeMissing(EvidenceRefused):
    """Certificates end, and nobody said at which time the evidence is judged."""

    code = "evidence.time_missing"
    message = "Evidence of the kind {kind} cannot be judged without a time."
    hint = "Say at which time the evidence is judged: now for a grant, the time of the grant for a release."


class EndorsementMissing(EvidenceRefused):
    """The evidence came without something that must vouch for it."""

    code = "evidence.endorsement_missing"
    message = "The evidence came without its {what}."
    hint = "Let the runtime send the certificates, keys and collateral of its platform with the report."


class EndorsementMismatch(EvidenceRefused):
    """An endorsement is genuine but says something else than the report."""

    code = "evidence.endorsement_mismatch"
    message = "The endorsement does not fit the report: {part}."
    hint = "Fetch the endorsements of this very machine and firmware again."


class RootNotTrusted(EvidenceRefused):
    """The chain does not end at a root that is pinned here."""

    code = "evidence.root_not_trusted"
    message = "The certificates do not end at a root that is pinned for {kind}."
    hint = "Only the roots of AMD, Intel and AWS that come with Asepsis count; anybody can make another one."


class ChainInvalid(EvidenceRefused):
    """A certificate was not issued by the next one, or not for this use."""

    code = "evidence.chain_invalid"
    message = "The certificates of the evidence form no valid chain: {part}."
    hint = "Send the leaf first, then each issuer up to the root, all of one product line."


class CertificateOutOfTime(EvidenceRefused):
    """A certificate is not valid at the time of the judgement."""

    code = "evidence.certificate_out_of_time"
    message = "A certificate of the evidence is not valid at the time of the judgement."
    hint = "Check the clock of the key desk; then let the runtime fetch fresh endorsements."


class DebugEnabled(EvidenceRefused):
    """The host may look into the memory of what is being measured."""

    code = "evidence.debug"
    message = "The {kind} evidence is of an environment in debug mode: its host can read its memory."
    hint = "Start the runtime without debug access; no setting makes debug evidence count."


class MigrationAllowed(EvidenceRefused):
    """A migration agent may move the guest, and with it its keys."""

    code = "evidence.migration"
    message = "The guest may be moved by a migration agent."
    hint = "Launch the guest with a policy that allows no migration agent."


class PrivilegeRefused(EvidenceRefused):
    """The report was asked for at another privilege level than allowed."""

    code = "evidence.privilege"
    message = "The report was made at VMPL {level}, which is not allowed."
    hint = "The runtime must ask for its report at a privilege level (VMPL) that the policy lists."


class TcbTooLow(EvidenceRefused):
    """A component of the trusted computing base is older than the minimum."""

    code = "evidence.tcb_too_low"
    message = "The {which} TCB has {component} at {level}; at least {needed} is needed."
    hint = "Update the platform's firmware or microcode, then fetch its certificate again."


class TcbStatusRefused(EvidenceRefused):
    """The vendor's collateral says that the platform is not in an accepted state."""

    code = "evidence.tcb_status"
    message = "The platform's TCB status is {status}, which is not accepted."
    hint = "Update the platform; the vendor's advisories name what is wrong with its present state."


class CollateralRefused(EvidenceRefused):
    """The vendor's collateral is out of time, not genuine, or knows no level for this platform."""

    code = "evidence.collateral_refused"
    message = "The collateral does not vouch for this platform at the time of the judgement."
    hint = "Fetch fresh collateral; if it is refused again, the platform's firmware is too old to be judged."


class CollateralUnchecked(EvidenceRefused):
    """Collateral was shown and there is nothing here to check it with."""

    kind = Kind.UNAVAILABLE
    code = "evidence.collateral_unchecked"
    message = "The collateral of the TDX evidence cannot be checked here."
    hint = "Install Asepsis with the extra 'tdx' at the key desk."


class HostDataUnknown(EvidenceRefused):
    """HOST_DATA, the digest of what the guest was told to run, is none that is allowed."""

    code = "evidence.host_data_unknown"
    message = "The HOST_DATA of the report is none that the policy allows."
    hint = "The guest was started with other instructions than the owners agreed on."


class ProductRefused(EvidenceRefused):
    """The hardware is of a product line that the policy does not list."""

    code = "evidence.product"
    message = "Hardware of the product line {product} is not allowed."
    hint = "Run on hardware that the policy lists, or have the owners agree on another policy."


class AlgorithmRefused(EvidenceRefused):
    """The report is signed by an algorithm that the policy does not list."""

    code = "evidence.algorithm"
    message = "Evidence signed by {algorithm} is not allowed."
    hint = "Use an attestation key of an algorithm that the policy lists."


class KindNotAllowed(EvidenceRefused):
    """The evidence is of a kind that cannot meet the requirement."""

    code = "evidence.kind_not_allowed"
    message = "Evidence of the kind {kind} cannot meet the requirement: {what}."
    hint = "The requirement is about another kind of hardware; combine alternatives by AnyOf."


class PublishedEvidence(EvidenceRefused):
    """The key or the report is public: anybody can replay it."""

    code = "evidence.published"
    message = "The evidence, its key or its instructions are published samples; anybody can replay them."
    hint = "Make an ephemeral key and fresh evidence; sample reports are for tests only."


class NoPolicyHolds(EvidenceRefused):
    """None of the alternatives of a policy holds, or a policy demands nothing."""

    code = "evidence.no_policy_holds"
    message = "None of the alternatives of the policy holds for this evidence."
    hint = "Compare the claims of the evidence with each alternative of the policy."


class ProgramUnreadable(AsepsisError):
    """The program cannot be measured."""

    kind = Kind.UNAVAILABLE
    code = "evidence.program_unreadable"
    message = "The runtime's own files cannot be measured."
    hint = "Install Asepsis as plain files; a package inside an archive cannot be measured."
