"""Backups and folders, opened to be looked into."""

from __future__ import annotations

from collections.abc import Callable

from asepsis.ports import Source
from asepsis.sources.registry import open_source


def look_into(uri: str, *, secret: Callable[[], str] | None = None) -> Source:
    """Open a backup or folder, read-only. Raises the errors of the source."""
    return open_source(uri, secret=secret)
