"""What the host can see, by looking: every file of the host's folder is searched for what it must not contain.

What is random in a room is written as letters and digits too: eight decimal digits of one of forty patients stand in
its digests once in some thousand rooms, six letters of a name in its signatures once in ten thousand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

_FIELDS: Final = ("family_name", "national_id", "mrn", "address", "phone")
_SHORTEST: Final = 6
_MANY: Final = 3
"""So many different needles in one file are no luck (less than once in 10**10 rooms), however they stand there."""


def identifiers(packages: Iterable[Path]) -> set[bytes]:
    """Identifiers of patients, as the clinical teams received them: what to search the host's folder for."""
    found = set()
    for path in packages:
        for row in json.loads(path.read_text())["tables"]["identity"]:
            values = (row.get(field) for field in _FIELDS)
            found |= {str(value).encode() for value in values if value and len(str(value)) >= _SHORTEST}
    return found


def search(folder: Path, needles: Collection[bytes]) -> tuple[int, int]:
    """How many files of a folder were read, and in how many of them a needle occurs."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return len(files), sum(bool(held(needles, path.read_bytes())) for path in files)


def held(needles: Collection[bytes], content: bytes) -> list[bytes]:
    """The needles that a content holds: where there are many, wherever they stand, and else those that stand alone.

    Rows that lie side by side with nothing between them hold many. A single one inside of a longer word of letters and
    digits may be a piece of a digest, an identifier or a signature.
    """
    there = [needle for needle in needles if needle in content]
    if len(there) >= _MANY:
        return there
    return [needle for needle in there if not needle.isalnum() or _stands_alone(needle, content)]


def _stands_alone(needle: bytes, content: bytes) -> bool:
    """Whether it occurs with no letter or digit of hexadecimal or base64 beside it."""
    return re.search(rb"(?<![0-9A-Za-z+/])" + re.escape(needle) + rb"(?![0-9A-Za-z+/])", content) is not None
