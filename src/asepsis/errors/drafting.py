"""Errors of drafting a contract."""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class RoleRefused(AsepsisError):
    """A party cannot stand in the draft as it was asked for."""

    kind = Kind.INVALID
    code = "draft.role_refused"
    message = "{party} {problem}."
    hint = "Name every party that is no owner with --researcher PARTY or --team TEAM=HOSPITAL."


class LabelNeeded(AsepsisError):
    """What the data are was not stated in a known word."""

    kind = Kind.INVALID
    code = "draft.label_needed"
    message = "A draft does not guess what the data are."
    hint = "State --label synthetic or --label real; it decides which runtimes may get keys."


class ModeUnknown(AsepsisError):
    """Patients are to be found in a way that no room knows."""

    kind = Kind.INVALID
    code = "draft.mode_unknown"
    message = "A room does not link in that mode."
    hint = "State --linkage with one of: {known}."


class FileKept(AsepsisError):
    """A draft would overwrite a file."""

    kind = Kind.CONFLICT
    code = "draft.file_exists"
    message = "{path} is there already and was left as it is."
    hint = "Name another file, or remove this one yourself."
