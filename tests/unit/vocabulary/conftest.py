"""Vocabularies for tests: small ones written here, and those of the shared test data where they are."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from vocabulary_world import CONCEPT, DATES, RELATIONSHIP, Made, Row, athena_file

from asepsis.engines.vocabulary import VocabularyStore, load_vocabulary, open_vocabulary

ROOT = Path(__file__).parents[3]
SHARED = Path(os.environ.get("ASEPSIS_SHARED", ROOT.parent / "shared")) / "data"


@pytest.fixture
def athena(tmp_path: Path) -> Made:
    """Write the folder of a download."""

    def write(concepts: Sequence[Row], relations: Sequence[Row] = (), name: str = "athena") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        athena_file(folder, "CONCEPT.csv", CONCEPT, concepts)
        athena_file(folder, "CONCEPT_RELATIONSHIP.csv", RELATIONSHIP, relations)
        header = "vocabulary_id vocabulary_name vocabulary_reference vocabulary_version vocabulary_concept_id"
        athena_file(folder, "VOCABULARY.csv", header, [("None", "OMOP", "OHDSI", "v5.0 test", 44819096)])
        return folder

    return write


@pytest.fixture
def vocabulary(athena: Made, tmp_path: Path) -> Iterator[Callable[..., VocabularyStore]]:
    """Load a small vocabulary and open it."""
    opened = []

    def load(concepts: Sequence[Row], relations: Sequence[Row] = (), name: str = "v") -> VocabularyStore:
        out = tmp_path / f"{name}-loaded"
        load_vocabulary(athena(concepts, relations, name), out)
        manager = open_vocabulary(out)
        opened.append(manager)
        return manager.__enter__()

    yield load
    for manager in opened:
        manager.__exit__(None, None, None)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not (SHARED / "vocab_test_subset").is_dir():
        pytest.skip("the shared test data are not here (set ASEPSIS_SHARED)")
    return SHARED


@pytest.fixture(scope="session")
def subset(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VocabularyStore]:
    """The union of test vocabularies, written as Athena writes it and loaded."""
    folder = tmp_path_factory.mktemp("subset")
    concepts = pq.read_table(shared_data / "vocab_test_subset" / "concept.parquet").to_pylist()
    fields = CONCEPT.split()[:7]
    athena_file(folder, "CONCEPT.csv", CONCEPT, [(*(row[f] for f in fields), *DATES, "") for row in concepts])
    related = pq.read_table(shared_data / "vocab_test_subset" / "concept_relationship.parquet").to_pylist()
    fields = RELATIONSHIP.split()[:3]
    rows = [(*(row[f] for f in fields), *DATES, "") for row in related]
    athena_file(folder, "CONCEPT_RELATIONSHIP.csv", RELATIONSHIP, rows)
    load_vocabulary(folder, folder / "loaded.duckdb")
    with open_vocabulary(folder / "loaded.duckdb") as store:
        yield store
