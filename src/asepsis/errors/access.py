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


class TokenNeeded(AsepsisError):
    """The room has tokens, so a request must bring one."""

    kind = Kind.DENIED
    code = "access.token_needed"
    message = "This room answers to those who show a token."
    hint = "Send it as 'Authorization: Bearer TOKEN'; a browser asks for it as a password. The host makes tokens."


class TokenRefused(AsepsisError):
    """A token is none of this room, expired, revoked, or of a party that the contract does not name."""

    kind = Kind.DENIED
    code = "access.token_refused"
    message = "The token is not valid here."
    hint = "Ask the room's host for a new one with 'asepsis access token new'."


class TokenUnfit(AsepsisError):
    """A token would stand for more than it may, or for too long."""

    kind = Kind.INVALID
    code = "access.token_unfit"
    message = "Such a token cannot be made: {problem}."
    hint = "A token has roles of its party, named scopes, and at most 90 days."


class QuestionUnclear(AsepsisError):
    """What should be explained is not said."""

    kind = Kind.INVALID
    code = "access.question_unclear"
    message = "It is not clear what should be explained: {problem}."
    hint = "Write 'asepsis access explain WHO DEED WHAT'; the deeds stand in the reference of access policies."
