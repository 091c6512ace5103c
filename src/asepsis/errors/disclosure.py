"""What can go wrong around disclosure rules. A refusal to disclose is a value, not one of these."""

from __future__ import annotations

from typing import ClassVar

from asepsis.errors import AsepsisError, Kind


class DisclosureError(AsepsisError):
    """Base of all errors of disclosure rules."""


class UnknownProfileError(DisclosureError):
    """A contract or command names a policy profile that does not exist."""

    kind: ClassVar = Kind.MISSING
    code: ClassVar = "disclosure.unknown_profile"
    message: ClassVar = "There is no disclosure profile {profile!r}."
    hint: ClassVar = "Choose one of: {known}."


class WithheldError(DisclosureError):
    """What the gate refused to disclose was used as if it had been released."""

    kind: ClassVar = Kind.DENIED
    code: ClassVar = "disclosure.withheld"
    message: ClassVar = "Nothing was released: the disclosure rules withheld all of it."
    hint: ClassVar = "Read the findings for what would pass."


class MemoryMalformedError(DisclosureError):
    """The bytes of a memory of releases are damaged, or of another version."""

    kind: ClassVar = Kind.UNTRUSTED
    code: ClassVar = "disclosure.memory_malformed"
    message: ClassVar = "The memory of releases cannot be read."
    hint: ClassVar = "Restore the latest sealed memory of this contract; nothing is released without it."
