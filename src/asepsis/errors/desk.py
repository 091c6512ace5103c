"""Errors of a key desk: why an owner's desk said no.

A desk answers strangers. Its errors name the owner, the contract that the owner signed, and counts; nothing of
what a request carried - no argument, no name, no key - is repeated.
"""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class DeskStopped(AsepsisError):
    """The owner pulled the kill switch."""

    kind = Kind.DENIED
    code = "desk.stopped"
    message = "The key desk of {owner} is stopped."
    hint = "The owner stopped all use of their data; only they can resume it at their desk."


class DeskClockBehind(AsepsisError):
    """The desk's clock stands before what the desk itself recorded: it was set back, or was ahead before."""

    kind = Kind.UNAVAILABLE
    code = "desk.clock_behind"
    message = "The clock of the key desk of {owner} stands before the desk's own last entry."
    hint = "Check the clock of the desk's machine; then the owner resumes the desk, which puts the time on record."


class DeskUnreachable(AsepsisError):
    """A desk did not answer, or not as the one that it should be."""

    kind = Kind.UNAVAILABLE
    code = "desk.unreachable"
    message = "The key desk of {owner} did not answer."
    hint = "Nothing runs on this owner's data until their desk answers; check its address, certificates and network."


class DeskAnswerMalformed(AsepsisError):
    """A desk answered something that is not of the protocol."""

    kind = Kind.UNTRUSTED
    code = "desk.answer_malformed"
    message = "The answer of the key desk of {owner} does not follow the protocol."
    hint = "Room and desk must run the same version."


class RoomNotPinned(AsepsisError):
    """A client has a valid certificate, and is not the room that this desk serves."""

    kind = Kind.UNTRUSTED
    code = "desk.room_not_pinned"
    message = "The key desk of {owner} serves another room."
    hint = "The owner pins the certificate of the room at their desk; a valid certificate of somebody else is refused."


class DeskBusy(AsepsisError):
    """A client asks more, or more at once, than the desk answers."""

    kind = Kind.UNAVAILABLE
    code = "desk.busy"
    message = "The key desk of {owner} was asked too much at once."
    hint = "Wait a few seconds and run the same command again; the owner sets the limits where the desk is started."


class DeskHomeMissing(AsepsisError):
    """There is no desk in that folder."""

    kind = Kind.MISSING
    code = "desk.home_missing"
    message = "{path} is not the folder of a key desk."
    hint = "Name the folder with --at, or make the desk with 'asepsis keydesk init'."


class DeskHomeMalformed(AsepsisError):
    """The settings in a desk's folder cannot be read."""

    kind = Kind.INVALID
    code = "desk.home_malformed"
    message = "The settings of the key desk in {path} cannot be read."
    hint = "Restore desk.json from your own backup of the folder; desk and program must be of the same version."


class DeskInUse(AsepsisError):
    """The key of a desk is changed while nobody uses the desk."""

    kind = Kind.CONFLICT
    code = "desk.in_use"
    message = "Another program has the key desk in {path} open."
    hint = "End 'asepsis keydesk serve' and all commands at this desk, then run the same again."


class DeskHomeExists(AsepsisError):
    """A desk is made once."""

    kind = Kind.CONFLICT
    code = "desk.home_exists"
    message = "There is a key desk in {path} already."
    hint = "Use it as it is, or name another folder."


class RoomNotAdmitted(AsepsisError):
    """The owner has not yet said which room the desk serves."""

    kind = Kind.MISSING
    code = "desk.room_not_admitted"
    message = "The key desk of {owner} was not told yet which room it serves."
    hint = "Get the room's certificate from its host and run 'asepsis keydesk admit'."


class DeskAddressMalformed(AsepsisError):
    """The address of a desk is not one that is spoken to."""

    kind = Kind.INVALID
    code = "desk.address_malformed"
    message = "The address of the key desk of {owner} cannot be used."
    hint = "Write it as https://NAME:PORT, as 'asepsis keydesk init' printed it."


class DeskOfAnother(AsepsisError):
    """The desk that answers holds other keys than the contract names for the owner."""

    kind = Kind.UNTRUSTED
    code = "desk.of_another"
    message = "The desk at that address does not hold the keys that the contract names for {owner}."
    hint = "Ask the owner for the address of their own desk; the contract stays as it was signed."


class RequestMalformed(AsepsisError):
    """A part of a request to the desk does not follow its closed schema."""

    kind = Kind.INVALID
    code = "desk.request_malformed"
    message = "The {part} in the request to the key desk of {owner} is malformed."
    hint = "Room and desk must run the same version; nothing of the request is repeated here on purpose."


class NotThisOwner(AsepsisError):
    """A contract does not carry this owner with the keys of this desk."""

    kind = Kind.DENIED
    code = "desk.not_this_owner"
    message = "The contract {contract} does not name {owner} as an owner with the keys of this desk."
    hint = "Put the desk's public keys into the contract and let all parties sign again."


class SnapshotNotOurs(AsepsisError):
    """A manifest is not one of this owner's own datasets."""

    kind = Kind.DENIED
    code = "desk.snapshot_not_ours"
    message = "The manifest does not belong to a dataset of {owner}."
    hint = "A desk keeps the keys of its own owner's snapshots only."


class ContractNotSignedHere(AsepsisError):
    """The owner did not sign this contract text at this desk."""

    kind = Kind.UNTRUSTED
    code = "desk.contract_not_signed_here"
    message = "The key desk of {owner} knows no such contract: it was not signed at this desk."
    hint = "Let the owner sign exactly this text at their desk; a signature made elsewhere does not count here."


class WrongContract(AsepsisError):
    """The job names another contract than the request carries."""

    kind = Kind.DENIED
    code = "desk.wrong_contract"
    message = "The job does not run under the contract {contract}."
    hint = "Submit the analysis again under the contract that is in force."


class AuthorWithoutRole(AsepsisError):
    """The author of an analysis has no role that may ask for it."""

    kind = Kind.DENIED
    code = "desk.author_without_role"
    message = "The contract {contract} gives the author of this {analysis} no role that may ask for it."
    hint = "See 'asepsis contract plan' for who may ask for what."


class AnalysisNotAllowed(AsepsisError):
    """The contract does not allow this kind of analysis, or this method."""

    kind = Kind.DENIED
    code = "desk.analysis_not_allowed"
    message = "The contract {contract} does not allow this {analysis}."
    hint = "See 'asepsis contract plan' for the analyses and methods that it allows."


class InputRefused(AsepsisError):
    """A snapshot that a job reads is not what this desk knows under the contract."""

    kind = Kind.DENIED
    code = "desk.input_refused"
    message = "The key desk of {owner} refused an input of the job: {problem}."
    hint = "Only snapshots that the owner registered at the desk, with exactly their manifests, can be read."


class HoldingRefused(AsepsisError):
    """This kind of job may not read that: identifiers, tokens and clinical data are kept apart."""

    kind = Kind.DENIED
    code = "desk.holding_refused"
    message = "A {analysis} must not read {holding} data."
    hint = "Identifiers are for linkages and referrals, tokens for linkages alone; clinical data never for a linkage."


class NonceUnknown(AsepsisError):
    """The nonce is none of this desk."""

    kind = Kind.UNTRUSTED
    code = "desk.nonce_unknown"
    message = "The key desk of {owner} did not issue this nonce."
    hint = "Ask this desk for a nonce; a nonce of another desk does not count."


class NonceReplayed(AsepsisError):
    """The nonce was used before."""

    kind = Kind.UNTRUSTED
    code = "desk.nonce_replayed"
    message = "The nonce was used before at the key desk of {owner}."
    hint = "Start the run again; every attempt needs a fresh nonce and fresh evidence."


class NonceExpired(AsepsisError):
    """The nonce is too old."""

    kind = Kind.UNTRUSTED
    code = "desk.nonce_expired"
    message = "The nonce of the key desk of {owner} is older than {seconds} seconds."
    hint = "Start the run again; if this repeats, check the clocks and the load of both machines."


class NoCheckpoint(AsepsisError):
    """The desk has not yet cosigned any checkpoint of the room's ledger."""

    kind = Kind.UNTRUSTED
    code = "desk.no_checkpoint"
    message = "The key desk of {owner} has not yet cosigned a checkpoint of the room's ledger."
    hint = "Let the room ask the desk for a cosignature before it asks for keys."


class RoomKeyUnknown(AsepsisError):
    """The desk was not told which key signs the room's ledger, or was told another one before."""

    kind = Kind.UNTRUSTED
    code = "desk.room_key_unknown"
    message = "The key desk of {owner} does not know this ledger or its key."
    hint = "The first checkpoint pins the ledger and its key; compare the verifier key with the room's host."


class CheckpointStale(AsepsisError):
    """The checkpoint is not the one that this desk cosigned last."""

    kind = Kind.UNTRUSTED
    code = "desk.checkpoint_stale"
    message = "The checkpoint at size {size} is not the last one that the key desk of {owner} cosigned (size {head})."
    hint = "A smaller size means that the room was rolled back; otherwise ask the desk to cosign first."


class CheckpointForked(AsepsisError):
    """The room shows this desk another history than it cosigned."""

    kind = Kind.UNTRUSTED
    code = "desk.checkpoint_forked"
    message = "The room shows the key desk of {owner} another history at size {size} than the desk cosigned."
    hint = "The room's ledger was rewritten or forked; keep both checkpoints and tell the other owners."


class BudgetExhausted(AsepsisError):
    """The owner's budget under the contract is spent."""

    kind = Kind.EXHAUSTED
    code = "desk.budget_exhausted"
    message = "The budget of {owner} is spent: all {limit} runs under this contract were granted."
    hint = "The parties can sign an amendment with a larger budget; charges are never refunded."


class PrivacyExhausted(AsepsisError):
    """What the persons of a dataset may lose to noisy answers is spent."""

    kind = Kind.EXHAUSTED
    code = "desk.privacy_exhausted"
    message = "The privacy budget of '{dataset}' at {owner} is spent: {remaining} millionths of rho are left."
    hint = "Questions that were answered stay free. The parties can sign a larger budget; nothing is ever refunded."


class ReferralUnknown(AsepsisError):
    """What should be approved is no referral under the contract."""

    kind = Kind.INVALID
    code = "desk.referral_unknown"
    message = "Only a referral under a contract that {owner} signed can be approved."
    hint = "Check the referral with 'asepsis refer' before approving it."


class LinkageUnknown(AsepsisError):
    """A key share does not come from a linkage that this desk granted."""

    kind = Kind.UNTRUSTED
    code = "desk.linkage_unknown"
    message = "The key desk of {owner} granted no such linkage, or its lease is over."
    hint = "Only the runtime of a linkage run that this desk granted can deposit shares; run the linkage again."


class LinksRefused(AsepsisError):
    """A link map is not what the linkage may produce, or another one was endorsed under its name."""

    kind = Kind.UNTRUSTED
    code = "desk.links_refused"
    message = "The key desk of {owner} refused the link map: {problem}."
    hint = "Run the linkage again; every attempt needs a new snapshot."


class SnapshotConflict(AsepsisError):
    """Another manifest is registered under the same snapshot."""

    kind = Kind.CONFLICT
    code = "desk.snapshot_conflict"
    message = "The key desk of {owner} already knows another manifest or key for this snapshot."
    hint = "A snapshot never changes; contribute the data again as a new snapshot."


class MemoryRolledBack(AsepsisError):
    """A run should start from another memory of releases than the newest that the desk knows."""

    kind = Kind.UNTRUSTED
    code = "desk.memory_rolled_back"
    message = "The key desk of {owner} knows a later memory of releases than version {version}."
    hint = "The room's memory was rolled back, replaced or deleted; put its newest sealed version back in its place."


class MemoryBehind(AsepsisError):
    """The room names a later memory of releases than the desk was told of."""

    kind = Kind.CONFLICT
    code = "desk.memory_behind"
    message = "The key desk of {owner} was not told of version {version} of the memory of releases."
    hint = "Run the same command again: the room tells the desk first, and it is not charged twice."


class MemoryRefused(AsepsisError):
    """A new version of the memory of releases is not what a granted run may leave."""

    kind = Kind.UNTRUSTED
    code = "desk.memory_refused"
    message = "The key desk of {owner} refused the new memory of releases: {problem}."
    hint = "Only the runtime of a run that this desk granted can leave the next version; run the analysis again."


class MemoryLeftBehind(AsepsisError):
    """A contract would start with another memory of releases over an owner's data than the one that exists."""

    kind = Kind.DENIED
    code = "desk.memory_left_behind"
    message = "The contract {contract} would begin with an empty memory beside the releases of {owner} under {lineage}."
    hint = "Amend that contract instead, or name its lineage under 'disclosure.beside' and let all parties sign that."
