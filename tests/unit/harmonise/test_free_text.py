"""Free text in a run: kept out, or scrubbed by the identifiers of the person it belongs to, and counted."""

from __future__ import annotations

import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest

from asepsis.engines.harmonise import harmonise, load_mapping
from asepsis.engines.harmonise.kept import KeptRun
from asepsis.engines.harmonise.rerun import rerun
from asepsis.engines.harmonise.result import HarmonisedRun
from asepsis.errors.harmonise import IdentifierColumn, MappingMalformed
from asepsis.harmonise import by_value

KEY = bytes(range(32))
SOURCE = """
format: asepsis-mapping/1
source: ward
owner: ward
dataset: ward
label: synthetic
files:
  people:
    pattern: people.csv
    reader: delimited
    encoding: utf-8
    extract_date: 2020-01-01
    columns: [number, family, given, born]
  notes:
    pattern: notes.csv
    reader: delimited
    encoding: utf-8
    extract_date: 2020-01-01
    columns: [number, day, kind, text]
"""
TABLES = {
    "person": 'table: person\nfrom: people\nperson: number\nfields: {year_of_birth: {expr: "1950"}}\n',
    "identity": "table: identity\nfrom: people\nperson: number\nfields: {mrn: {expr: number},"
    " family_name: {expr: family}, given_name: {expr: given}, birth_date: {expr: \"parse_date(born, '%Y-%m-%d')\"}}\n",
    "note": "table: note\nfrom: notes\nperson: number\nfields: {note_date: {expr: \"parse_date(day, '%Y-%m-%d')\"},"
    " note_text: {expr: text}, note_source_value: {expr: kind}}\nrequire:\n"
    '  - {expr: "note_date is not null", reason: impossible_date}\n',
}
PEOPLE = "900101,Novák,Jana,1950-03-12\n900202,Smith,Will,1961-07-01\n900303,,,\n"
NOTES = (
    "900202,2001-01-02,l,Mr Smith (MRN 9002-02) met Jana Novák; born 1.7.61\n"
    "900101,2001-01-01,l,Paní Nováková Jana; 12. March 1950; also Smith\n"
    "900303,2001-01-03,l,Nobody knows the name\n"
    "900101,2001-13-01,l,Late letter about NOVAK\n"
)
ASKED = frozenset({"note.note_text"})


@pytest.fixture(name="folder")
def ward(tmp_path: Path) -> Path:
    """A mapping folder with persons and notes."""
    folder = tmp_path / "mapping"
    (folder / "tables").mkdir(parents=True)
    (folder / "source.yaml").write_text(SOURCE)
    for name, text in TABLES.items():
        (folder / "tables" / f"{name}.yaml").write_text(text)
    return folder


def run(folder: Path, workdir: Path, texts: frozenset[str] = frozenset(), name: str = "run") -> HarmonisedRun:
    files = {"people.csv": PEOPLE, "notes.csv": NOTES}
    opened = {path: partial(io.BytesIO, text.encode()) for path, text in files.items()}
    mapping = load_mapping(folder).asked(texts)
    return harmonise(mapping, opened, workdir=workdir, run=name, person_key=KEY)


def column(run_: HarmonisedRun, name: str, table: str = "note") -> list[Any]:
    sql = f"SELECT {name} FROM read_parquet('{run_.tables[table]}') ORDER BY note_date"
    return [row[0] for row in duckdb.sql(sql).fetchall()]


def test_free_text_stays_out_unless_it_is_asked_for(folder: Path, tmp_path: Path) -> None:
    found = run(folder, tmp_path)
    assert column(found, "note_text") == [None] * 3
    assert column(found, "note_source_value") == [None] * 3, "a text that nothing says to be a code is free text"
    (source, text) = found.books.texts
    assert (text.column, text.texts, text.withheld, text.kept) == ("note.note_text", 3, 3, 0)
    assert "withheld 3" in found.books.as_text()
    assert (source.column, source.withheld) == ("note.note_source_value", 3)


def test_a_text_is_scrubbed_by_the_identifiers_of_its_own_person_only(folder: Path, tmp_path: Path) -> None:
    texts = column(run(folder, tmp_path, ASKED), "note_text")
    assert texts == [
        "Paní [NAME] [NAME]; [DATE]; also Smith",
        "Mr [NAME] (MRN [ID]) met Jana Novák; born [DATE]",
        None,
    ]


def test_a_text_that_recurs_is_scrubbed_like_any_other(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guard: what is judged once for each value may be a word of a closed list, and a scrubbed text is none of it."""
    expected = column(run(folder, tmp_path, ASKED, "one by one"), "note_text")
    monkeypatch.setattr(by_value, "LEAST_RECORDS", 0)
    monkeypatch.setattr(by_value, "LEAST_REPEATS", 0)
    assert column(run(folder, tmp_path, ASKED, "by value"), "note_text") == expected


def test_a_person_without_a_name_gets_no_text_into_the_tables(folder: Path, tmp_path: Path) -> None:
    """Guard: without ``unnamed`` the third text would enter as it is."""
    found = run(folder, tmp_path, ASKED)
    account = next(text for text in found.books.texts if text.column == "note.note_text")
    assert (account.texts, account.unnamed, account.changed, account.kept) == (3, 1, 2, 2)
    assert dict(account.replaced) == {"DATE": 2, "ID": 1, "NAME": 3}


def test_the_books_of_a_run_without_free_text_say_nothing_of_it(folder: Path, tmp_path: Path) -> None:
    (folder / "tables" / "note.yaml").unlink()
    table = 'table: visit_occurrence\nfrom: notes\nperson: number\nfields: {visit_start_date: {expr: "parse_date(day, '
    table += "'%Y-%m-%d')\"}, visit_end_date: {expr: \"parse_date(day, '%Y-%m-%d')\"}}\n"
    (folder / "tables" / "visit.yaml").write_text(table)
    assert "texts" not in run(folder, tmp_path).books.as_dict()


def test_the_mapping_says_what_is_a_code(folder: Path, tmp_path: Path) -> None:
    path = folder / "tables" / "note.yaml"
    path.write_text(path.read_text().replace("{expr: kind}", "{expr: kind, free_text: false}"))
    found = run(folder, tmp_path)
    assert column(found, "note_source_value") == ["l"] * 3
    assert [text.column for text in found.books.texts] == ["note.note_text"]


def test_what_omop_means_for_text_cannot_be_declared_a_code(folder: Path) -> None:
    path = folder / "tables" / "note.yaml"
    path.write_text(path.read_text().replace("{expr: text}", "{expr: text, free_text: false}"))
    with pytest.raises(MappingMalformed):
        load_mapping(folder)


def test_identifiers_have_no_place_in_the_note_table(folder: Path) -> None:
    path = folder / "tables" / "note.yaml"
    path.write_text(path.read_text().replace("note_source_value:", "provider_id:"))
    with pytest.raises(IdentifierColumn):
        load_mapping(folder)


@pytest.mark.parametrize("asked", [ASKED, frozenset()])
def test_a_rerun_scrubs_what_it_adds(folder: Path, tmp_path: Path, asked: frozenset[str]) -> None:
    """Texts of the earlier run stay as they were; where the contract asks no more, none is left."""
    first = run(folder, tmp_path, ASKED)
    path = folder / "tables" / "note.yaml"
    path.write_text(path.read_text().replace("parse_date(day", "parse_date(replace(day, '-13-', '-12-')"))
    kept = tmp_path / "kept"
    kept.mkdir()
    for output in tmp_path.joinpath("run").iterdir():
        output.rename(kept / output.name)
    (kept / "books.json").write_text(json.dumps(first.books.as_dict()))
    tables = {name: kept / item.name for name, item in first.tables.items()} | {"identity": kept / "identity.parquet"}
    mapping = load_mapping(folder).asked(asked)
    second = rerun(mapping, KeptRun(folder=kept, tables=tables), workdir=tmp_path, run="again", person_key=KEY)
    texts = column(second, "note_text")
    account = next(text for text in second.books.texts if text.column == "note.note_text")
    if asked:
        assert texts == [
            "Paní [NAME] [NAME]; [DATE]; also Smith",
            "Mr [NAME] (MRN [ID]) met Jana Novák; born [DATE]",
            None,
            "Late letter about [NAME]",
        ]
        assert (account.texts, account.changed) == (4, 3)
    else:
        assert texts == [None] * 4


def test_merged_persons_share_their_identifiers(folder: Path, tmp_path: Path) -> None:
    source = (folder / "source.yaml").read_text()
    source += "  merges:\n    pattern: merges.csv\n    reader: delimited\n    encoding: utf-8\n"
    source += "    extract_date: 2020-01-01\n    columns: [one, other, day]\n"
    (folder / "source.yaml").write_text(source)
    table = "table: person_merge\nfrom: merges\nperson: one\nfields: {merged_person_id: {person: other}, "
    table += "merge_date: {expr: \"parse_date(day, '%Y-%m-%d')\"}}\n"
    (folder / "tables" / "person_merge.yaml").write_text(table)
    files = {"people.csv": PEOPLE, "notes.csv": NOTES, "merges.csv": "900202,900101,2001-01-01\n"}
    opened = {path: partial(io.BytesIO, text.encode()) for path, text in files.items()}
    found = harmonise(load_mapping(folder).asked(ASKED), opened, workdir=tmp_path, run="run", person_key=KEY)
    assert column(found, "note_text")[:2] == [
        "Paní [NAME] [NAME]; [DATE]; also [NAME]",
        "Mr [NAME] (MRN [ID]) met [NAME]; born [DATE]",
    ]
