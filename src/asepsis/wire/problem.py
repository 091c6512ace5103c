"""The one shape of every error on the wire (RFC 9457), and the headers that every answer carries.

A problem is made from an error's code and public names alone, so it cannot quote a value of the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Self

from asepsis.wire.base import Wire

PROBLEM_TYPE: Final = "application/problem+json"

HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Content-Security-Policy": (
            "default-src 'none'; style-src 'self'; img-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
)
"""No script, no frame, no foreign reader, no copy in a cache."""


class Problem(Wire):
    """An error: what kind it is, what happened, and what to do next."""

    type: str
    """``urn:asepsis:problem:`` followed by the code."""

    title: str
    """The kind: how a caller should react."""

    status: int
    """The HTTP status."""

    detail: str
    """One line; names that are public in the room, never a value of the data."""

    code: str
    """The stable code, as docs/reference/errors.md lists it."""

    hint: str
    """What to do next."""

    @classmethod
    def of(cls, error: Mapping[str, str], *, status: int) -> Self:
        """From the canonical shape of an error: kind, code, detail and hint."""
        return cls(
            type=f"urn:asepsis:problem:{error['code']}",
            title=error["kind"],
            status=status,
            detail=error["detail"],
            code=error["code"],
            hint=error["hint"],
        )
