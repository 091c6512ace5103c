"""A hospital in another language, with other code pages, delimiters, dates and dumps, is added by files alone."""

from __future__ import annotations

from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from asepsis.engines.harmonise import HarmonisedRun, Resources, harmonise, load_mapping, run_mapping_tests

FOLDER = Path(__file__).parents[3] / "examples" / "third_hospital"


@pytest.fixture(scope="module")
def lhota(tmp_path_factory: pytest.TempPathFactory) -> HarmonisedRun:
    files = {path.name: partial(path.open, "rb") for path in (FOLDER / "zaloha").iterdir()}
    resources = Resources(memory="256MB", threads=1)
    folder = tmp_path_factory.mktemp("lhota")
    mapping = load_mapping(FOLDER / "mapping")
    return harmonise(mapping, files, workdir=folder, run="r", person_key=bytes(32), resources=resources)


def rows(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path).to_pylist()


def test_names_keep_their_letters_from_three_code_pages(lhota: HarmonisedRun) -> None:
    found = {row["family_name"]: row for row in rows(lhota.identity)}
    assert set(found) == {"NOVÁKOVÁ", "DVOŘÁK", "ŘÍHOVÁ", "ŽÁK"}
    assert found["ŽÁK"]["address"] == "U Mlýna\tdvůr B"
    assert found["ŘÍHOVÁ"]["birth_date"] is None
    assert {row["gender_concept_id"] for row in rows(lhota.tables["person"])} == {8507, 8532}
    assert [row["death_date"] for row in rows(lhota.tables["death"])] == [date(2011, 4, 30)]


def test_results_have_dates_units_and_numbers(lhota: HarmonisedRun) -> None:
    found = [(row["measurement_date"], row["value_as_number"]) for row in rows(lhota.tables["measurement"])]
    assert sorted(found) == [
        (date(1999, 5, 7), 5.6),
        (date(1999, 5, 8), 4.9),
        (date(2001, 1, 2), 142.0),
        (date(2003, 12, 11), 1.0),
    ]


def test_diagnoses_meet_the_concepts_of_the_other_hospitals(lhota: HarmonisedRun) -> None:
    concepts = {row["condition_concept_id"] for row in rows(lhota.tables["condition_occurrence"])}
    assert concepts == {201826, 320128, 317009, 2000000026}


def test_the_books_name_what_was_left(lhota: HarmonisedRun) -> None:
    files = {file.path: file for file in lhota.books.files}
    assert files["laborator.txt"].reasons == {"impossible_date": 1, "unknown_person": 1}
    assert files["kartoteka.sql"].exclusions == {"other_table": 1}
    assert files["kartoteka.sql"].flags == {"impossible_dob": 1}


def test_its_trials_pass() -> None:
    trials = run_mapping_tests(FOLDER / "mapping")
    assert trials
    assert all(trial.passed for trial in trials)
