"""Errors about contracts: what is written in them, who signed, and whether they are in force."""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class DocumentMalformed(AsepsisError):
    """A document does not follow its closed schema."""

    kind = Kind.INVALID
    code = "document.malformed"
    message = "The {document} does not follow its schema at '{place}': {problem}."
    hint = "Correct that place; unknown keys are refused, so check the spelling."


class YamlMalformed(AsepsisError):
    """A file is not the YAML that it should be."""

    kind = Kind.INVALID
    code = "yaml.malformed"
    message = "{path} is not valid YAML (line {line})."
    hint = "Correct the line; keys must not repeat and only plain values are allowed."


class ContractNotSigned(AsepsisError):
    """A party's signature is missing or does not verify."""

    kind = Kind.UNTRUSTED
    code = "contract.not_signed"
    message = "The contract {contract} lacks a valid signature of {party}."
    hint = "Let {party} run 'asepsis contract sign'; nothing runs before all parties have signed the same text."


class ContractNotInForce(AsepsisError):
    """The contract is not in force at this time."""

    kind = Kind.DENIED
    code = "contract.not_in_force"
    message = "The contract {contract} is {status}, not in force."
    hint = "See 'asepsis contract status' for what is missing and whose turn it is."


class ContractExpired(AsepsisError):
    """The contract's time is over."""

    kind = Kind.DENIED
    code = "contract.expired"
    message = "The contract {contract} expired at {until}."
    hint = "The parties can sign an amendment with a later end."


class ContractNotYetValid(AsepsisError):
    """The contract's time has not begun."""

    kind = Kind.DENIED
    code = "contract.not_yet_valid"
    message = "The contract {contract} begins at {since}."
    hint = "Wait until then, or let the parties sign an amendment."


class RetentionOver(AsepsisError):
    """Data were sealed longer ago than the contract lets them be kept."""

    kind = Kind.DENIED
    code = "contract.retention_over"
    message = "The contract {contract} keeps data for {days} days; those of '{dataset}' are older."
    hint = "Contribute a new snapshot; 'asepsis contract erase' destroys the keys of what is too old."


class ContractForbids(AsepsisError):
    """The contract does not allow what was asked."""

    kind = Kind.DENIED
    code = "contract.forbids"
    message = "The contract {contract} does not allow {what}."
    hint = "See 'asepsis contract plan' for what it allows."


class UnknownParty(AsepsisError):
    """A party that the contract does not name."""

    kind = Kind.MISSING
    code = "contract.unknown_party"
    message = "The contract names no party '{party}'."
    hint = "The parties are listed by 'asepsis contract status'."


class TransitionRefused(AsepsisError):
    """A move between states that the transition table does not have."""

    kind = Kind.CONFLICT
    code = "state.transition_refused"
    message = "A {subject} that is {current} cannot become {wanted}."
    hint = "Look at its present state first; somebody may have acted meanwhile."


class ApprovalMissing(AsepsisError):
    """An owner's signed approval is missing, or is for something else."""

    kind = Kind.DENIED
    code = "contract.approval_missing"
    message = "The approval of {owner} for exactly this is missing."
    hint = "Let {owner} approve it; an edit after the approval voids it."


class StatementNotTrusted(AsepsisError):
    """A statement about the contract was not made by the party that it names."""

    kind = Kind.UNTRUSTED
    code = "contract.statement_not_trusted"
    message = "A statement about the contract is not signed by {party}, or is about another contract."
    hint = "Only a party of the contract can suspend, resume or end it, with its own key."


class ErasureNotTrusted(AsepsisError):
    """An erasure was not signed by the owner whose keys it is about, or is about another contract."""

    kind = Kind.UNTRUSTED
    code = "contract.erasure_not_trusted"
    message = "The erasure is not one that {owner} signed about its own data under this contract."
    hint = "Ask the owner for the certificate that their own desk made."


class NoContract(AsepsisError):
    """The room has no contract yet."""

    kind = Kind.MISSING
    code = "contract.none"
    message = "The room has no contract yet."
    hint = "Propose one with 'asepsis contract sign room.yaml'."


class AmendmentRefused(AsepsisError):
    """A text that amends a contract is no new version of the one it names."""

    kind = Kind.INVALID
    code = "contract.amendment_refused"
    message = "The contract {contract} cannot amend what it names: {problem}."
    hint = "Start from 'asepsis contract amend room.yaml'; what cannot be amended needs a contract of its own."


class ContractSuperseded(AsepsisError):
    """A newer version took the contract's place."""

    kind = Kind.CONFLICT
    code = "contract.superseded"
    message = "A newer version has taken the place of this version of the contract {contract}."
    hint = "Sign and use the newest version, or write an amendment of it with 'asepsis contract amend room.yaml'."
