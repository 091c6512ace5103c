"""Paths inside a restore point: absolute, ``/`` between names, bytes that are no UTF-8 as surrogate escapes.

A name that could lead out of its directory never becomes part of a path.
"""

from __future__ import annotations

import os

from asepsis.errors.source import HostilePathError, LimitExceededError
from asepsis.sources.limits import DEFAULT, Limits


def checked_name(name: str, *, limits: Limits = DEFAULT) -> str:
    """The name itself when it names exactly one thing in its directory.

    Raises:
        HostilePathError: it is empty, ``.`` or ``..``, or holds a slash or a zero byte.
        LimitExceededError: it is longer than any file system allows.
    """
    if name in {"", ".", ".."}:
        raise HostilePathError(reason="a name that is empty or dots")
    if "/" in name or "\0" in name:
        raise HostilePathError(reason="a name with a slash or zero byte")
    if len(name) > limits.name_bytes:
        raise LimitExceededError(name="a file name", limit=limits.name_bytes, unit="characters")
    return name


def checked_parts(path: str, *, limits: Limits = DEFAULT) -> tuple[str, ...]:
    """The names of a relative path as an archive stores it (a leading ``./`` is ordinary).

    Raises:
        HostilePathError: it is absolute or leads upwards.
        LimitExceededError: it is nested too deeply.
    """
    if path.startswith("/"):
        raise HostilePathError(reason="an absolute path")
    parts = tuple(part for part in path.split("/") if part not in {"", "."})
    if len(parts) > limits.depth:
        raise LimitExceededError(name="a path", limit=limits.depth, unit="levels")
    return tuple(checked_name(part, limits=limits) for part in parts)


def names_of(path: str) -> list[str]:
    """The names along a path that a caller asks for; ``/`` has none."""
    return [name for name in path.split("/") if name]


def from_bytes(name: bytes) -> str:
    """A name from its bytes; what is no UTF-8 survives as surrogate escapes (PEP 383)."""
    return name.decode("utf-8", "surrogateescape")


def has_credentials(address: str) -> bool:
    """True when a URL carries ``user:password@`` before its first slash."""
    _, separator, rest = address.partition("://")
    return bool(separator) and "@" in rest.split("/", 1)[0]


def absolute(path: str) -> str:
    """A local path made absolute without following links."""
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111  Path.resolve would follow links
