"""The concepts and branches of a loaded vocabulary, on the connection of the checks, read-only."""

# ruff: noqa: S608 - the SQL is written here; the path is a quoted literal

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import duckdb

from asepsis.engines.harmonise.guard import guarded
from asepsis.engines.vocabulary.load import MANIFEST
from asepsis.errors.harmonise import HarmoniseFailed
from asepsis.errors.vocabulary import VocabularyMissing

_TABLES: Final = ("concept", "concept_ancestor")


def attach_vocabulary(connection: duckdb.DuckDBPyConnection, place: Path) -> str:
    """Make ``concept`` and ``concept_ancestor`` readable, and tell the version of the vocabulary.

    Raises:
        VocabularyMissing: it is not there, or not what ``asepsis vocabulary load`` writes.
    """
    try:
        if not place.exists():
            raise VocabularyMissing(file="vocabulary", path=str(place))
        with guarded("vocabulary"):
            document = _attach_folder(connection, place) if place.is_dir() else _attach_file(connection, place)
        return str(json.loads(document).get("version", ""))
    except (OSError, ValueError, AttributeError, HarmoniseFailed):
        raise VocabularyMissing(file="vocabulary", path=str(place)) from None


def _attach_folder(connection: duckdb.DuckDBPyConnection, place: Path) -> str:
    for name in _TABLES:
        path = str(place / f"{name}.parquet").replace("'", "''")
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{path}')")
    return (place / MANIFEST).read_text(encoding="utf-8")


def _attach_file(connection: duckdb.DuckDBPyConnection, place: Path) -> str:
    path = str(place).replace("'", "''")
    connection.execute(f"ATTACH '{path}' AS loaded (READ_ONLY)")
    for name in _TABLES:
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM loaded.{name}")
    row = connection.execute("SELECT document FROM loaded.manifest").fetchone()
    return str(row[0]) if row else "{}"
