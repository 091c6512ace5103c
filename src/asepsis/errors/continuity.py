"""Errors of the continuity pack and its drill. Names of analyses, parties and datasets are public here."""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class NothingPreApproved(AsepsisError):
    """The contract in force has no clause ``continuity``."""

    kind = Kind.MISSING
    code = "continuity.nothing_pre_approved"
    message = "The contract {contract} pre-approves nothing for the time when production is down."
    hint = "Agree on a clause 'continuity' before it is needed: see the reference of the contract."


class EssentialsMissing(AsepsisError):
    """The clause has no essentials that an owner could approve."""

    kind = Kind.MISSING
    code = "continuity.no_essentials"
    message = "The contract {contract} names no patient-level essentials."
    hint = "Add 'essentials' to the clause 'continuity' with all parties, or approve a referral of your own."


class NoCleanSnapshot(AsepsisError):
    """Restore points were judged, and none of the room's snapshots came from a clean one."""

    kind = Kind.UNTRUSTED
    code = "continuity.no_clean_snapshot"
    message = "No snapshot of {dataset} in the room comes from a restore point that is clean."
    hint = "Contribute the last clean restore point ('asepsis recover last-clean'), then run the command again."


class VerdictUnclear(AsepsisError):
    """A backup was named for a party that owns no data here, twice, or not as OWNER=SOURCE."""

    kind = Kind.INVALID
    code = "continuity.verdict_unclear"
    message = "'{text}' does not name the backup of an owner."
    hint = "Write OWNER=SOURCE, such as northgate=restic:FOLDER, once for each owner."


class TextUnclear(AsepsisError):
    """Neither a query nor a method was named, or both."""

    kind = Kind.INVALID
    code = "continuity.text_unclear"
    message = "Either a query or a method is approved."
    hint = "Say --query 'SELECT …', or --method NAME with --set NAME=VALUE."


class InstantUnclear(AsepsisError):
    """An instant was not given as ISO 8601 with a zone, or lies in the future."""

    kind = Kind.INVALID
    code = "continuity.instant_unclear"
    message = "'{text}' is no instant of the past."
    hint = "Write it like 2026-01-31T06:30:00Z."


class PackForged(AsepsisError):
    """A part of a pack or of a drill report is not what was signed, or does not belong there."""

    kind = Kind.UNTRUSTED
    code = "continuity.pack_forged"
    message = "The pack does not verify: {what}."
    hint = "Do not use it; get it again from the party that signed it."


class PackOfAnotherRoom(AsepsisError):
    """A pack was made under another contract than the one that the verifier trusts."""

    kind = Kind.UNTRUSTED
    code = "continuity.pack_of_another_room"
    message = "The pack was made under another contract than the one you named."
    hint = "Ask a party that you trust for the digest of the contract in force: 'asepsis contract status'."


class PackOutdated(AsepsisError):
    """An old pack stands where a newer one is expected."""

    kind = Kind.UNTRUSTED
    code = "continuity.pack_outdated"
    message = "The pack was signed at {signed_at}, {problem}."
    hint = "Ask for the newest pack; to look into an old one, say with --at as of when."
