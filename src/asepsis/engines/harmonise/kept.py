"""What an owner keeps of a run, so that its quarantined records can be judged again without the backup.

Invariant: a run is continued only under the same reading of its files and the same person key; what is kept is raw
patient data and stays in the owner's home.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from asepsis.domain.books import Books, books_from_dict
from asepsis.engines.harmonise.result import READING
from asepsis.errors.harmonise import KeptRunDamaged, RerunNeedsBackup
from asepsis.harmonise.mapping import Mapping as SourceMapping
from asepsis.harmonise.reading_digest import reading_digest

_FORMAT: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRun:
    """An earlier run: the folder with books and what waits, and its tables (the identity table among them)."""

    folder: Path
    tables: Mapping[str, Path]

    def books(self) -> Books:
        """The books of the run.

        Raises:
            KeptRunDamaged: they are not there or not whole.
        """
        try:
            return books_from_dict(self._json("books.json"))
        except (KeyError, TypeError):
            raise KeptRunDamaged(run=self.folder.name, what="books.json is malformed") from None

    def check(self, mapping: SourceMapping, *, person_key: bytes) -> None:
        """Check that records which were read then can be judged under this mapping.

        Raises:
            RerunNeedsBackup: files would be read otherwise, or persons would get other ids.
            KeptRunDamaged: what is kept is not whole.
        """
        known, now = self._json(READING), _reading(mapping, person_key=person_key)
        for name in ("format", "owner", "dataset", "label", "person_key"):
            if known.get(name) != now[name]:
                raise RerunNeedsBackup(what=f"its {name} is another")
        entries, read_now = known.get("entries", {}), now["entries"]
        changed = sorted(name for name in {*entries, *read_now} if entries.get(name) != read_now.get(name))
        if changed:
            raise RerunNeedsBackup(what=f"source.yaml or a layout reads otherwise: {', '.join(changed)}")
        joined = known.get("joined", {})
        for entry, fields in now["joined"].items():
            if not set(fields) <= set(joined.get(entry, ())):
                raise RerunNeedsBackup(what=f"it joins fields of {entry} that the run did not join, and has not kept")

    def _json(self, name: str) -> Any:
        try:
            value = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise KeptRunDamaged(run=self.folder.name, what=f"{name} is missing or malformed") from None
        if not isinstance(value, dict):
            raise KeptRunDamaged(run=self.folder.name, what=f"{name} is malformed")
        return value


def write_reading(folder: Path, mapping: SourceMapping, *, person_key: bytes) -> None:
    """Write down how the files of a run were read."""
    text = json.dumps(_reading(mapping, person_key=person_key), sort_keys=True, indent=1)
    (folder / READING).write_text(text, encoding="utf-8")


def key_check(person_key: bytes) -> str:
    """What tells one person key from another and nothing else."""
    return hashlib.blake2b(b"asepsis person key check", key=person_key, digest_size=16).hexdigest()


def _reading(mapping: SourceMapping, *, person_key: bytes) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "owner": mapping.owner,
        "dataset": mapping.dataset,
        "label": mapping.label,
        "person_key": key_check(person_key),
        "entries": {name: str(reading_digest(entry)) for name, entry in mapping.files.items()},
        "joined": {entry: list(fields) for entry, fields in mapping.joined.items()},
    }
