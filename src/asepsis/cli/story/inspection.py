"""What the host can see, by looking: every file of the host's folder is searched for what it must not contain."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_FIELDS: Final = ("family_name", "national_id", "mrn", "address", "phone")
_SHORTEST: Final = 6


def identifiers(packages: Iterable[Path]) -> set[bytes]:
    """Identifiers of patients, as the clinical teams received them: what to search the host's folder for."""
    found = set()
    for path in packages:
        for row in json.loads(path.read_text())["tables"]["identity"]:
            values = (row.get(field) for field in _FIELDS)
            found |= {str(value).encode() for value in values if value and len(str(value)) >= _SHORTEST}
    return found


def search(folder: Path, needles: set[bytes]) -> tuple[int, int]:
    """How many files of a folder were read, and in how many of them a needle occurs."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    hits = sum(any(needle in content for needle in needles) for content in (path.read_bytes() for path in files))
    return len(files), hits
