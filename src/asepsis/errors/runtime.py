"""Errors of the attested runtime and of the room's dialogue with it."""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class OrderRefused(AsepsisError):
    """What the room handed to the runtime does not fit together."""

    kind = Kind.UNTRUSTED
    code = "runtime.order_refused"
    message = "The runtime refused the order: {what} does not match."
    hint = "The room's files may have been changed; verify the ledger and the manifests before trying again."


class GrantNotTrusted(AsepsisError):
    """A grant is missing, unsigned, for another run, or too late."""

    kind = Kind.UNTRUSTED
    code = "runtime.grant_not_trusted"
    message = "The runtime did not accept the grant of {owner}: {what}."
    hint = "Every owner's key desk must grant this run; start the run again."


class RuntimeLost(AsepsisError):
    """The runtime ended without an answer; ``ended`` is its exit status or signal, and never its text."""

    kind = Kind.UNAVAILABLE
    code = "runtime.lost"
    message = "The runtime ended without an answer ({ended})."
    hint = "Run the same command again; it goes on as the same run and is not charged twice."


class RuntimeAnswerMalformed(AsepsisError):
    """The runtime's answer is not of the protocol."""

    kind = Kind.UNTRUSTED
    code = "runtime.answer_malformed"
    message = "The runtime's answer does not follow the protocol."
    hint = "The program that ran may not be the one that the owners approved; see 'asepsis doctor'."


class StatisticNotTrusted(AsepsisError):
    """A statistic was not signed by the runtime that the owners granted keys to."""

    kind = Kind.UNTRUSTED
    code = "runtime.statistic_not_trusted"
    message = "The statistic of run {run} is not that of the runtime which the owners granted keys to: {what}."
    hint = "Do not use it; verify the ledger and run the analysis again."


class ReferralRowsFailed(AsepsisError):
    """The rows of a referral could not be collected."""

    kind = Kind.UNAVAILABLE
    code = "runtime.referral_rows_failed"
    message = "The rows of the referral could not be collected."
    hint = "Nothing was delivered; run the referral again, and see 'asepsis doctor' for memory."


class SealedFileMissing(AsepsisError):
    """A sealed file that a signed manifest names is not in the room."""

    kind = Kind.MISSING
    code = "runtime.sealed_file_missing"
    message = "The sealed file {file} of a snapshot is missing or cannot be read."
    hint = "The host lost or moved it; let its owner contribute again."


class MemoryNotKept(AsepsisError):
    """An owner's desk has not confirmed the new version of the memory of releases."""

    kind = Kind.UNTRUSTED
    code = "runtime.memory_not_kept"
    message = "The runtime gave no answer: {owner} has not confirmed the new memory of releases."
    hint = "Run the same command again; it goes on as the same run and is not charged twice."
