"""Rules of Carrot become a mapping that makes the rows that Carrot made, and loses none of those it lost."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from asepsis.engines.harmonise import HarmonisedRun, Resources, check_mapping, harmonise, load_mapping
from asepsis.engines.importing import read_document, read_headers, write_folder
from asepsis.errors.importing import DeclarationRefused, ImportMalformed, ImportMissing, MappingKept
from asepsis.harmonise.importing.carrot import draft_from_carrot
from asepsis.harmonise.importing.declared import Declared, read_declared

SHARED = Path(os.environ.get("ASEPSIS_SHARED", Path(__file__).parents[3].parent / "shared")) / "data"
Import = Callable[..., Path]


@pytest.fixture(scope="module")
def example() -> Path:
    if not (SHARED / "carrot_example").is_dir():
        pytest.skip("the example of Carrot is not here (set ASEPSIS_SHARED)")
    return SHARED / "carrot_example"


def declared(**changes: str) -> Declared:
    words = {"owner": "north", "label": "synthetic", "extract_date": "2022-01-01", "encoding": "utf-8"}
    return read_declared(**{**words, "delimiter": ",", **changes})  # type: ignore[arg-type]


def imported(rules: Path, files: Path, out: Path) -> Path:
    headers = read_headers(files, declared=declared())
    draft = draft_from_carrot(read_document(rules), file=rules.name, declared=declared(), headers=headers)
    write_folder(draft, out, tool="Carrot")
    return out


def run(folder: Path, files: Path, work: Path) -> HarmonisedRun:
    inputs = {path.name: partial(path.open, "rb") for path in files.iterdir()}
    resources = Resources(memory="256MB", threads=1)
    return harmonise(load_mapping(folder), inputs, workdir=work, run="r", person_key=bytes(32), resources=resources)


def made(result: HarmonisedRun, table: str) -> list[dict[str, Any]]:
    return pq.read_table(result.tables[table]).to_pylist() if table in result.tables else []


def expected(example: Path, table: str) -> list[dict[str, str]]:
    with (example / "output" / f"{table}.tsv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


@pytest.fixture(scope="module")
def whole(example: Path, tmp_path_factory: pytest.TempPathFactory) -> HarmonisedRun:
    work = tmp_path_factory.mktemp("carrot")
    folder = imported(example / "rules" / "rules_14June2021.json", example / "inputs", work / "mapping")
    return run(folder, example / "inputs", work)


@pytest.mark.parametrize("rules", ["v1", "v2", "v2-db-conn", "rules_14June2021"])
def test_an_imported_mapping_has_nothing_wrong(rules: str, example: Path, tmp_path: Path) -> None:
    folder = imported(example / "rules" / f"{rules}.json", example / "inputs", tmp_path / "mapping")
    remarks = {remark.code for remark in check_mapping(folder)}
    assert remarks == {"mapping.no_tests", "mapping.unused_fields", "mapping.free_text"}
    assert "observation_period" in (folder / "DECIDE.md").read_text()


@pytest.mark.parametrize(
    ("table", "count"), [("person", 1000), ("condition_occurrence", 400), ("measurement", 1000), ("observation", 900)]
)
def test_it_makes_the_rows_that_carrot_made(table: str, count: int, whole: HarmonisedRun, example: Path) -> None:
    """Compared column by column, person by person; columns that Carrot leaves empty or at 0 are not compared."""
    keys = {row["TARGET_SUBJECT"]: row["SOURCE_SUBJECT"] for row in expected(example, "person_ids")}
    people = {row["person_id"]: row["mrn"] for row in pq.read_table(whole.identity).to_pylist()}
    theirs, ours = expected(example, table), made(whole, table)
    skipped = {"day_of_birth", "birth_datetime", f"{table}_id", "value_source_value", "measurement_source_value"}
    columns = [
        name for name in theirs[0] if name not in skipped and name != "person_id" and any(r[name] for r in theirs)
    ]
    assert len(ours) == len(theirs) == count
    wanted = sorted((keys[row["person_id"]], *(row[name] or "" for name in columns)) for row in theirs)
    found = sorted((people[row["person_id"]], *(text(row[name]) for name in columns)) for row in ours)
    zero = [index for index, name in enumerate(columns, start=1) if {row[name] for row in theirs} <= {"0", ""}]
    kept = [index for index in range(len(columns) + 1) if index not in zero]
    assert [[_plain(row[i]) for i in kept] for row in found] == [[_plain(row[i]) for i in kept] for row in wanted]


def _plain(value: str) -> str:
    try:
        return f"{float(value):g}" if "." in value else value
    except ValueError:
        return value


def test_both_versions_of_the_rules_make_the_same_rows(example: Path, tmp_path: Path) -> None:
    results = []
    for version in ("v1", "v2"):
        folder = imported(example / "rules" / f"{version}.json", example / "inputs", tmp_path / version)
        result = run(folder, example / "inputs", tmp_path / f"run-{version}")
        rows = {
            table: sorted(
                tuple(text(value) for name, value in row.items() if name != f"{table}_id")
                for row in made(result, table)
            )
            for table in ("person", "condition_occurrence", "measurement", "observation")
        }
        results.append(rows)
    assert results[0] == results[1]
    assert len(results[0]["observation"]) == 400


def test_what_carrot_loses_or_invents_is_kept_or_quarantined_here(tmp_path: Path, example: Path) -> None:
    """Its known faults: 2020-02-31 is written, dd.mm.yyyy and blank dates vanish without a trace."""
    files = tmp_path / "files"
    files.mkdir()
    (files / "Demographics.csv").write_text("PersonID,sex,date_of_birth,ethnicity\np1,M,1951-12-25,White\n")
    days = ["2020-02-31", "15.03.2020", "", "2020-03-15", "15/03/2020"]
    rows = "".join(f"p1,{day},1,{number}.5\n" for number, day in enumerate(days))
    (files / "covid19_antibody.csv").write_text("PersonID,date,ABresult,IgG\n" + rows)
    (files / "Symptoms.csv").write_text("PersonID,visit_date,symptom1,symptom2,symptom3\n")
    result = run(imported(example / "rules" / "v2.json", files, tmp_path / "m"), files, tmp_path)
    assert [row["measurement_date"] for row in made(result, "measurement")] == [date(2020, 3, 15)] * 2
    books = {file.path: file for file in result.books.files}["covid19_antibody.csv"]
    assert (books.landed, books.header, books.quarantined) == (6, 1, 3)
    assert books.reasons == {"impossible_date": 3}


def test_without_the_files_the_columns_are_left_to_a_person(example: Path) -> None:
    document = read_document(example / "rules" / "v2.json")
    draft = draft_from_carrot(document, file="v2.json", declared=declared(), headers={})
    assert sum("list those of" in line for line in draft.decisions) == 3


RULES = {
    "cdm": {
        "drug_exposure": {
            "vaccine.csv": {
                "person_id_mapping": {"source_field": "PersonID", "dest_field": "person_id"},
                "date_mapping": {"source_field": "day", "dest_field": ["drug_exposure_start_datetime"]},
                "concept_mappings": {"name": {"O'Neill": {"drug_concept_id": [1]}}},
            }
        },
        "specimen": {
            "notes.csv": {
                "person_id_mapping": {"source_field": "PersonID", "dest_field": "person_id"},
                "concept_mappings": {"text": {"*": {"specimen_concept_id": [2]}}},
            }
        },
    }
}


def test_what_cannot_be_a_table_file_waits_and_is_named(tmp_path: Path) -> None:
    draft = draft_from_carrot(RULES, file="r", declared=declared(), headers={})
    write_folder(draft, tmp_path / "m", tool="Carrot")
    assert list(draft.left_out) == ["drug_exposure_vaccine_name"]
    assert "name in ('O''Neill')" in (tmp_path / "m" / "left_out" / "drug_exposure_vaccine_name.yaml").read_text()
    page = (tmp_path / "m" / "DECIDE.md").read_text()
    for words in ("drug_exposure_end_date", "specimen from notes.csv", "fill no person"):
        assert words in page


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"cdm": {}},
        {"cdm": {"person": []}},
        {"cdm": {"person": {"a": {"gender_concept_id": {"source_table": "x", "source_field": "y"}}}}},
        {"cdm": {"person": {"a": {"person_id": {"source_field": "y"}, "b": {"source_table": "x"}}}}},
        json.loads(json.dumps(RULES).replace("[1]", '["canary"]')),
    ],
)
def test_what_is_not_carrot_is_refused_without_its_values(document: Any) -> None:
    with pytest.raises(ImportMalformed) as caught:
        draft_from_carrot(document, file="r", declared=declared(), headers={})
    assert "canary" not in str(caught.value)


def test_an_import_overwrites_nothing_and_leaves_nothing_half_made(tmp_path: Path) -> None:
    draft = draft_from_carrot(RULES, file="r", declared=declared(), headers={})
    (tmp_path / "m").mkdir()
    with pytest.raises(MappingKept):
        write_folder(draft, tmp_path / "m", tool="Carrot")
    assert not list((tmp_path / "m").iterdir())
    with pytest.raises(ImportMissing):
        write_folder(draft, tmp_path / "m" / "\0", tool="Carrot") if os.name == "nt" else write_folder(
            draft, Path("/proc/none/m"), tool="Carrot"
        )


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("owner", "Not A Name"),
        ("label", "secret"),
        ("extract_date", "31.12.2024"),
        ("encoding", "no-such"),
        ("delimiter", "ab"),
    ],
)
def test_what_must_be_declared_is_checked(option: str, value: str) -> None:
    with pytest.raises(DeclarationRefused) as caught:
        declared(**{option: value})
    assert option.replace("_", "-") in str(caught.value)


@pytest.mark.parametrize("content", [b"\x1f\x8bdamaged", b"no json", b"[" * 100_000])
def test_a_document_that_cannot_be_read_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "d").write_bytes(content)
    with pytest.raises(ImportMalformed):
        read_document(tmp_path / "d")
    with pytest.raises(ImportMissing):
        read_document(tmp_path / "none")
