"""Errors of the room's control plane."""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class RecordMissing(AsepsisError):
    """There is no such run, release, referral or snapshot."""

    kind = Kind.MISSING
    code = "room.record_missing"
    message = "The room has no {subject} '{id}'."
    hint = "List them with the 'ls' or 'show' command of that subject."


class StateChanged(AsepsisError):
    """Somebody acted on the same record meanwhile."""

    kind = Kind.CONFLICT
    code = "room.state_changed"
    message = "The {subject} was changed by somebody else meanwhile."
    hint = "Look at its present state and decide again."


class RoomMissing(AsepsisError):
    """The folder is no room."""

    kind = Kind.MISSING
    code = "room.missing"
    message = "{path} is not an Asepsis room."
    hint = "Name the room with --room or ASEPSIS_ROOM, or make one with 'asepsis demo' or 'asepsis party new'."


class RoomVersionUnknown(AsepsisError):
    """The room was made by another version."""

    kind = Kind.CONFLICT
    code = "room.version_unknown"
    message = "{path} was made by a version of Asepsis that this one cannot read."
    hint = "Use the version that made it, or a newer one."


class SnapshotsMissing(AsepsisError):
    """An owner has not contributed yet, so there is nothing to run on."""

    kind = Kind.MISSING
    code = "room.snapshots_missing"
    message = "There is no published snapshot of the dataset '{dataset}'."
    hint = "Let its owner run 'asepsis contribute' first."


class LinksMissing(AsepsisError):
    """Several owners' data are in the room, but nobody linked their patients."""

    kind = Kind.MISSING
    code = "room.links_missing"
    message = "The patients of the owners are not linked yet."
    hint = "Run 'asepsis link' first; without it one person would count once per hospital."


class OwnWorkReviewed(AsepsisError):
    """Nobody decides on their own output."""

    kind = Kind.DENIED
    code = "review.own_work"
    message = "{party} asked for this output and cannot decide on it."
    hint = "Let an owner or a checker of the contract decide."


class ReviewNotTrusted(AsepsisError):
    """An output is called released, and nobody who may decide on it signed that."""

    kind = Kind.UNTRUSTED
    code = "review.not_trusted"
    message = "There is no decision on this output that {party} could have made and signed."
    hint = "Do not rely on the output; let an owner or a checker of the contract who did not ask for it decide."


class KeysNotPinned(AsepsisError):
    """A bundle was verified against keys that it brought itself."""

    kind = Kind.UNTRUSTED
    code = "bundle.keys_not_pinned"
    message = "The contract in the bundle is not the one whose digest you trust."
    hint = "Get the contract digest from an owner over another channel and name it with --contract."


class BundleForged(AsepsisError):
    """An evidence bundle does not verify."""

    kind = Kind.UNTRUSTED
    code = "bundle.forged"
    message = "The evidence bundle does not verify: {what}."
    hint = "Do not rely on this output; ask the room for the bundle again and tell the owners."


class FileUnreadable(AsepsisError):
    """A file that the user named cannot be read."""

    kind = Kind.MISSING
    code = "file.unreadable"
    message = "{path} cannot be read."
    hint = "Check the path and the permissions."


class CohortRefused(AsepsisError):
    """A referral's cohort cannot be planned."""

    kind = Kind.INVALID
    code = "referral.cohort_refused"
    message = "The cohort of the referral was refused ({finding}): {reason}"
    hint = "{advice}"


class RegisterUnreadable(AsepsisError):
    """A hospital's sealed register does not open by the name keys of a referral."""

    kind = Kind.CONFLICT
    code = "room.register_unreadable"
    message = "That is not the register of {owner} to which the name keys of this referral belong."
    hint = "Ask the hospital for the register of the contribution that was referred from; `refer collect` names it."


class PackageMissing(AsepsisError):
    """There is nothing to collect for this team."""

    kind = Kind.MISSING
    code = "referral.package_missing"
    message = "There is no package for {team}."
    hint = "It is there once all owners have approved and the referral was delivered."


class FolderInUse(AsepsisError):
    """The folder for a new room is not empty."""

    kind = Kind.CONFLICT
    code = "room.folder_in_use"
    message = "{path} is not empty."
    hint = "Name another folder with --folder, or remove this one yourself."


class ForeignMapping(AsepsisError):
    """A mapping was made for another owner's data."""

    kind = Kind.DENIED
    code = "contribute.foreign_mapping"
    message = "The mapping is for {owner}, not for {party}."
    hint = "Contribute with a mapping of your own; its 'owner' is in source.yaml."


class ContributionUnknown(AsepsisError):
    """No published contribution of this owner has this name."""

    kind = Kind.MISSING
    code = "contribute.unknown"
    message = "{party} has no contribution {run}."
    hint = "Name the last part of the folder that `asepsis contribute` printed."


class ContributionUnclear(AsepsisError):
    """A contribution reads a source, or judges what an earlier one left in quarantine: one of the two."""

    kind = Kind.INVALID
    code = "contribute.unclear"
    message = "Name either a source or an earlier contribution."
    hint = "Give --source for a backup, or --rerun for what an earlier contribution left in quarantine."
