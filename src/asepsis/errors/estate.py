"""Errors of the estate index. Paths that the user typed are public here; nothing that was read appears."""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class IndexUnusable(AsepsisError):
    """The file of an estate index cannot be opened or written, or another version made it."""

    kind = Kind.INVALID
    code = "recovery.index_unusable"
    message = "{path} cannot be used as an estate index."
    hint = "Name a new file; an index holds nothing that a scan cannot find again, but for when it was first seen."
