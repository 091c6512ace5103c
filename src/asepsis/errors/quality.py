"""Errors of the data-quality report."""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class QualityMissing(AsepsisError):
    """There is no data-quality report of this contribution."""

    kind = Kind.MISSING
    code = "quality.missing"
    message = "There is no data-quality report of the contribution '{run}'."
    hint = "Reports lie in the owner's home under contributions/; contribute again with a changed mapping to make one."
