"""A loaded vocabulary, read-only: the questions of ``harmonise.vocabulary.concepts.Concepts`` as set-based SQL."""

# ruff: noqa: S608 - the SQL is written here; what is asked about is bound as parameters

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb

from asepsis.engines.harmonise.guard import IN_MEMORY, connect, guarded
from asepsis.engines.vocabulary.load import MANIFEST
from asepsis.errors.harmonise import HarmoniseFailed
from asepsis.errors.vocabulary import VocabularyMissing
from asepsis.harmonise.vocabulary.concepts import MAPS_TO, Concept
from asepsis.harmonise.vocabulary.tables import TABLES

_COLUMNS: Final = (
    "c.concept_id, c.concept_code, c.vocabulary_id, coalesce(c.concept_name, ''), coalesce(c.domain_id, ''), "
    "coalesce(c.standard_concept = 'S', FALSE), c.invalid_reason IS NULL"
)


class VocabularyStore:
    """The concepts of one loaded vocabulary."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any]) -> None:
        self._connection = connection
        self.manifest = manifest

    def with_codes(self, vocabulary: str, codes: Collection[str]) -> Mapping[str, tuple[Concept, ...]]:
        """The concepts of each code, exactly as it is written."""
        sql = (
            f"SELECT c.concept_code, {_COLUMNS} FROM concept c "
            "WHERE c.vocabulary_id = ? AND c.concept_code IN (SELECT unnest(?::VARCHAR[])) ORDER BY c.concept_id"
        )
        return _grouped(self._rows(sql, [vocabulary, list(codes)]))

    def with_ids(self, ids: Collection[int]) -> Mapping[int, Concept]:
        """The concepts of these ids."""
        sql = f"SELECT {_COLUMNS} FROM concept c WHERE c.concept_id IN (SELECT unnest(?::INTEGER[]))"
        return {row[0]: _concept(row) for row in self._rows(sql, [list(ids)])}

    def related(self, relationship: str, ids: Collection[int]) -> Mapping[int, tuple[Concept, ...]]:
        """Where a valid relationship leads from each concept."""
        sql = (
            f"SELECT DISTINCT r.concept_id_1, {_COLUMNS} FROM concept_relationship r "
            "JOIN concept c ON c.concept_id = r.concept_id_2 WHERE r.relationship_id = ? AND r.invalid_reason IS NULL "
            "AND r.concept_id_1 IN (SELECT unnest(?::INTEGER[])) ORDER BY 1, 2"
        )
        return _grouped(self._rows(sql, [relationship, list(ids)]))

    def mapped_from(self, vocabulary: str, ids: Collection[int]) -> Mapping[int, int]:
        """How many valid concepts of a vocabulary map to each of these."""
        sql = (
            "SELECT r.concept_id_2, count(DISTINCT r.concept_id_1) FROM concept_relationship r "
            "JOIN concept c ON c.concept_id = r.concept_id_1 WHERE r.relationship_id = ? AND r.invalid_reason IS NULL "
            "AND c.vocabulary_id = ? AND c.invalid_reason IS NULL "
            "AND r.concept_id_2 IN (SELECT unnest(?::INTEGER[])) GROUP BY 1"
        )
        return {row[0]: row[1] for row in self._rows(sql, [MAPS_TO, vocabulary, list(ids)])}

    def ranges(self, vocabulary: str) -> tuple[Concept, ...]:
        """Concepts whose code is a range of categories, such as I30-I52."""
        sql = (
            f"SELECT {_COLUMNS} FROM concept c WHERE c.vocabulary_id = ? AND c.invalid_reason IS NULL "
            "AND regexp_full_match(c.concept_code, '[A-Z][0-9][0-9A-Z]-[A-Z][0-9][0-9A-Z]') ORDER BY c.concept_id"
        )
        return tuple(_concept(row) for row in self._rows(sql, [vocabulary]))

    def _rows(self, sql: str, values: list[Any]) -> list[tuple[Any, ...]]:
        with guarded("vocabulary"):
            return self._connection.execute(sql, values).fetchall()


@contextmanager
def open_vocabulary(place: Path) -> Iterator[VocabularyStore]:
    """Open what ``load_vocabulary`` has written.

    Raises:
        VocabularyMissing: it is not there, or not a vocabulary.
    """
    if not place.exists():
        raise VocabularyMissing(file="vocabulary", path=str(place))
    with tempfile.TemporaryDirectory(prefix="asepsis-vocabulary-") as scratch:
        connection = connect(IN_MEMORY, scratch=Path(scratch), memory="1GB", threads=2)
        try:
            yield VocabularyStore(connection, _attach(connection, place))
        finally:
            connection.close()


def _attach(connection: duckdb.DuckDBPyConnection, place: Path) -> Mapping[str, Any]:
    try:
        if place.is_dir():
            for name in TABLES:
                path = str(place / f"{name}.parquet").replace("'", "''")
                with guarded("vocabulary"):
                    connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{path}')")
            return dict(json.loads((place / MANIFEST).read_text(encoding="utf-8")))
        with guarded("vocabulary"):
            connection.execute(f"ATTACH '{str(place).replace(chr(39), chr(39) * 2)}' AS loaded (READ_ONLY)")
            for name in TABLES:
                connection.execute(f"CREATE VIEW {name} AS SELECT * FROM loaded.{name}")
            row = connection.execute("SELECT document FROM loaded.manifest").fetchone()
        return dict(json.loads(row[0])) if row else {}
    except (OSError, ValueError, HarmoniseFailed):
        raise VocabularyMissing(file="vocabulary", path=str(place)) from None


def _grouped(rows: list[tuple[Any, ...]]) -> dict[Any, tuple[Concept, ...]]:
    found: dict[Any, list[Concept]] = {}
    for key, *rest in rows:
        found.setdefault(key, []).append(_concept(rest))
    return {key: tuple(concepts) for key, concepts in found.items()}


def _concept(row: Any) -> Concept:
    return Concept(
        id=row[0], code=row[1], vocabulary=row[2], name=row[3], domain=row[4], is_standard=row[5], is_valid=row[6]
    )
