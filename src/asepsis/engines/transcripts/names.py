"""Names of columns in a transcript: those of the file, in the letters that a mapping may use."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from anyascii import anyascii

_APART: Final = re.compile(r"[^a-z0-9]+")
_NAME: Final = re.compile(r"^[a-z][a-z0-9_]{0,62}$")


def column_names(found: Iterable[str | None]) -> tuple[str, ...]:
    """As ``field_name`` of the readers: lower case with underscores; other scripts in Latin letters.

    ``column_N`` (from 1) is what has no name of its own.
    """
    names: list[str] = []
    for place, text in enumerate(found, start=1):
        name = _APART.sub("_", anyascii(text or "").lower()).strip("_")
        names.append(name if _NAME.match(name) and name not in names else f"column_{place}")
    return tuple(names)
