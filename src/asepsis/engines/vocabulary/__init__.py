"""Vocabularies on DuckDB: loading an Athena download, and asking what was loaded."""

from __future__ import annotations

from asepsis.engines.vocabulary.files import read_code_maps, read_counts, read_gems, write_map
from asepsis.engines.vocabulary.load import Loaded, load_vocabulary
from asepsis.engines.vocabulary.store import VocabularyStore, open_vocabulary

__all__ = [
    "Loaded",
    "VocabularyStore",
    "load_vocabulary",
    "open_vocabulary",
    "read_code_maps",
    "read_counts",
    "read_gems",
    "write_map",
]
