"""The estate index on SQLite: objects by content, restore points by id; durable in small steps, so scans resume.

What one step keeps is a batch. With a seal every batch is signed as it is kept, and nothing is believed that no
signature
covers: rows that somebody else added are not there, and rows that were changed are an error. A batch that was taken
away is read again.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from asepsis.domain.estate import IndexedObject, IndexedPoint, RuleSet
from asepsis.domain.integrity import ObjectFacts, RuleHit
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Verdict
from asepsis.errors.estate import IndexAltered, IndexUnusable
from asepsis.errors.sealing import SignatureInvalid
from asepsis.ports import Seal

_VERSION: Final = 2
_SCHEMA: Final = """
CREATE TABLE object (
    source TEXT, key TEXT, batch INTEGER, size INTEGER, facts TEXT, fault TEXT, blake3 TEXT, entropy REAL, checks TEXT,
    PRIMARY KEY (source, key, batch)
) WITHOUT ROWID;
CREATE TABLE hunted (
    source TEXT, key TEXT, batch INTEGER, rules TEXT, hits TEXT, PRIMARY KEY (source, key, batch, rules)
) WITHOUT ROWID;
CREATE TABLE batch (source TEXT, number INTEGER, signature BLOB, PRIMARY KEY (source, number)) WITHOUT ROWID;
CREATE TABLE rule_set (
    digest TEXT PRIMARY KEY, engine TEXT, rules INTEGER, skipped INTEGER, files INTEGER, used INTEGER
) WITHOUT ROWID;
CREATE TABLE restore_point (
    source TEXT, id TEXT, taken_at TEXT, first_seen TEXT, entries TEXT, PRIMARY KEY (source, id)
) WITHOUT ROWID;
PRAGMA user_version = 2;
"""
_OBJECTS: Final = (
    "SELECT batch, key, size, facts, fault, blake3, entropy, checks FROM object WHERE source = ? ORDER BY batch, key"
)
_FACTS: Final = tuple(field.name for field in fields(ObjectFacts) if field.name != "hits")
_HUNTED: Final = "SELECT batch, key, rules, hits FROM hunted WHERE source = ? ORDER BY batch, key, rules"


class EstateIndex:
    """What is known of the objects and restore points of any number of sources.

    Every method raises IndexUnusable, and with a seal IndexAltered.
    """

    def __init__(self, path: Path, *, seal: Seal | None = None) -> None:
        """Open an index, or make an empty one."""
        self._path, self._seal = path, seal
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
        """All objects of a source as they were last read, by key."""
        believed = self._believed(source)
        return {
            key: IndexedObject(
                key=key, size=size, facts=_facts(facts), fault=fault, blake3=blake3, entropy=entropy, checks=checks
            )
            for batch, key, size, facts, fault, blake3, entropy, checks in self._rows(_OBJECTS, source)
            if believed is None or batch in believed
        }

    def hunted(self, source: str, rules: str) -> dict[str, tuple[RuleHit, ...]]:
        """The objects of a source that a set of rules was held against, and which of them matched."""
        believed = self._believed(source)
        return {
            key: tuple(RuleHit(rule=rule, verdict=Verdict(verdict)) for rule, verdict in json.loads(hits))
            for batch, key, by, hits in self._rows(_HUNTED, source)
            if by == rules and (believed is None or batch in believed)
        }

    def rule_sets(self) -> list[RuleSet]:
        """The sets of rules that were ever used, the last one at the end."""
        with self._withheld():
            rows = self._connection.execute(
                "SELECT digest, engine, rules, skipped, files FROM rule_set ORDER BY used"
            ).fetchall()
        return [RuleSet(digest=d, engine=e, rules=r, skipped=s, files=f) for d, e, r, s, f in rows]

    def use(self, rules: RuleSet) -> None:
        """Note that a set of rules is used now."""
        values = (rules.digest, rules.engine, rules.rules, rules.skipped, rules.files)
        self._write(
            "INSERT OR REPLACE INTO rule_set SELECT ?, ?, ?, ?, ?, coalesce(max(used), 0) + 1 FROM rule_set", [values]
        )

    def add(
        self,
        source: str,
        objects: Iterable[IndexedObject],
        *,
        hunted: Mapping[str, tuple[RuleHit, ...]] | None = None,
        rules: str = "",
    ) -> None:
        """Keep objects, and what rules found in objects, all of it or none; it is on disk before it returns."""
        with self._withheld(), self._connection:
            last = self._connection.execute("SELECT max(number) FROM batch WHERE source = ?", [source]).fetchone()[0]
            batch = (last or 0) + 1
            read = sorted(
                (batch, o.key, o.size, _text(o.facts), o.fault, o.blake3, o.entropy, o.checks) for o in objects
            )
            found = sorted((batch, key, rules, _hits(hits)) for key, hits in (hunted or {}).items())
            signature = None if self._seal is None else self._seal.sign(_payload(source, batch, [*read, *found]))
            self._connection.execute("INSERT INTO batch VALUES (?, ?, ?)", (source, batch, signature))
            self._connection.executemany(
                "INSERT INTO object (source, batch, key, size, facts, fault, blake3, entropy, checks)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(source, *row) for row in read],
            )
            self._connection.executemany(
                "INSERT INTO hunted (source, batch, key, rules, hits) VALUES (?, ?, ?, ?, ?)",
                [(source, *row) for row in found],
            )

    def points(self, source: str) -> dict[RestorePointId, IndexedPoint]:
        """All restore points of a source that were ever seen, by id; nobody signed this."""
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

    def _believed(self, source: str) -> set[int] | None:
        """The batches whose signature covers exactly their rows; all of them (``None``) without a seal."""
        if self._seal is None:
            return None
        rows: defaultdict[int, list[tuple[Any, ...]]] = defaultdict(list)
        for query in (_OBJECTS, _HUNTED):
            for row in self._rows(query, source):
                rows[row[0]].append(row)
        signed = self._rows("SELECT number, signature FROM batch WHERE source = ? AND signature IS NOT NULL", source)
        for number, signature in signed:
            try:
                self._seal.verify(_payload(source, number, rows[number]), signature)
            except SignatureInvalid:
                raise IndexAltered(path=str(self._path)) from None
        return {number for number, _ in signed}

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


def _payload(source: str, batch: int, rows: list[tuple[Any, ...]]) -> bytes:
    """What is signed: the digest of a batch's rows, which are in the order in which they are read."""
    digest = sha256()
    for row in rows:
        digest.update(json.dumps(row).encode() + b"\n")
    return json.dumps(["asepsis/estate-batch/1", source, batch, digest.hexdigest()]).encode()


def _text(facts: ObjectFacts | None) -> str | None:
    return None if facts is None else json.dumps({name: getattr(facts, name) for name in _FACTS})


def _hits(hits: tuple[RuleHit, ...]) -> str:
    return json.dumps([[hit.rule, hit.verdict.value] for hit in hits])


def _facts(text: str | None) -> ObjectFacts | None:
    if text is None:
        return None
    document = json.loads(text)
    return ObjectFacts(**{**document, "faults": tuple(document["faults"])})
