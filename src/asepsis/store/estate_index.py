"""The estate index on SQLite: objects by content, restore points by id; durable in small steps, so scans resume."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from asepsis.domain.estate import IndexedObject, IndexedPoint
from asepsis.domain.integrity import ObjectFacts
from asepsis.domain.names import RestorePointId
from asepsis.errors.estate import IndexUnusable

_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE object (
    source TEXT, key TEXT, size INTEGER, facts TEXT, fault TEXT, blake3 TEXT, entropy REAL, PRIMARY KEY (source, key)
) WITHOUT ROWID;
CREATE TABLE restore_point (
    source TEXT, id TEXT, taken_at TEXT, first_seen TEXT, entries TEXT, PRIMARY KEY (source, id)
) WITHOUT ROWID;
PRAGMA user_version = 1;
"""


class EstateIndex:
    """What is known of the objects and restore points of any number of sources. Every method raises IndexUnusable."""

    def __init__(self, path: Path) -> None:
        """Open an index, or make an empty one."""
        self._path = path
        with self._withheld():
            self._connection = sqlite3.connect(path)
            self._connection.execute("PRAGMA journal_mode = WAL")
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._connection.executescript(_SCHEMA)
        if version not in {0, _VERSION}:
            raise IndexUnusable(path=str(path))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def known(self, source: str) -> dict[str, IndexedObject]:
        """All objects of a source, by key."""
        rows = self._rows("SELECT key, size, facts, fault, blake3, entropy FROM object WHERE source = ?", source)
        return {
            key: IndexedObject(key=key, size=size, facts=_facts(facts), fault=fault, blake3=digest, entropy=entropy)
            for key, size, facts, fault, digest, entropy in rows
        }

    def add(self, source: str, objects: Iterable[IndexedObject]) -> None:
        """Keep objects, all of them or none; they are on disk before it returns."""
        rows = [
            (source, o.key, o.size, o.facts and json.dumps(asdict(o.facts)), o.fault, o.blake3, o.entropy)
            for o in objects
        ]
        self._write("INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def points(self, source: str) -> dict[RestorePointId, IndexedPoint]:
        """All restore points of a source that were ever seen, by id."""
        rows = self._rows("SELECT id, taken_at, first_seen, entries FROM restore_point WHERE source = ?", source)
        return {
            RestorePointId(id_): IndexedPoint(
                id=RestorePointId(id_),
                taken_at=datetime.fromisoformat(taken),
                first_seen=datetime.fromisoformat(seen),
                entries=entries,
            )
            for id_, taken, seen, entries in rows
        }

    def add_points(self, source: str, points: Iterable[IndexedPoint]) -> None:
        """Keep restore points as they were first seen; known ones stay as they were."""
        rows = [(source, p.id, p.taken_at.isoformat(), p.first_seen.isoformat(), p.entries) for p in points]
        self._write("INSERT OR IGNORE INTO restore_point VALUES (?, ?, ?, ?, ?)", rows)

    def _rows(self, query: str, source: str) -> list[tuple[Any, ...]]:
        with self._withheld():
            return self._connection.execute(query, [source]).fetchall()

    def _write(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        with self._withheld(), self._connection:
            self._connection.executemany(statement, rows)

    @contextmanager
    def _withheld(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error:
            raise IndexUnusable(path=str(self._path)) from None


def _facts(text: str | None) -> ObjectFacts | None:
    if text is None:
        return None
    document = json.loads(text)
    return ObjectFacts(**{**document, "faults": tuple(document["faults"])})
