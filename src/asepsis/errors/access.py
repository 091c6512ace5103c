"""Errors of access: who may do what, and tokens that say who somebody is."""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class AccessDenied(AsepsisError):
    """The policies do not allow a deed."""

    kind = Kind.DENIED
    code = "access.denied"
    message = "{who} may not do this: {deed} ({policy})."
    hint = "'asepsis access explain' says which policy it is and what would be needed."


class PoliciesUnusable(AsepsisError):
    """The policies of this installation cannot be used, so nothing is allowed."""

    kind = Kind.UNTRUSTED
    code = "access.policies_unusable"
    message = "The access policies of this installation cannot be used."
    hint = "Install Asepsis with its requirements again; nothing is allowed without its policies."
