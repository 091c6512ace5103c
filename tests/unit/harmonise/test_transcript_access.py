"""Tables of Access files, by the programs of mdbtools."""

from __future__ import annotations

import datetime as dt
import io
import shutil
from pathlib import Path

import pytest

from asepsis.engines.harmonise.reading import read_batches
from asepsis.engines.transcripts.access import _unquoted
from asepsis.engines.transcripts.transcribing import transcribe
from asepsis.errors.harmonise import TableMissing, TableReaderMissing
from asepsis.harmonise.entries import FileEntry, Reader, Shape
from asepsis.harmonise.readers.sqldump import Dialect

NEEDS_MDBTOOLS = pytest.mark.skipif(shutil.which("mdb-export") is None, reason="mdbtools is not installed")


def entry(table: str) -> FileEntry:
    return FileEntry(
        name="x",
        pattern="*.mdb",
        reader=Reader.ACCESS,
        encoding="utf-8",
        extract_date=dt.date(2020, 1, 1),
        columns=("id", "field1", "field2", "field3"),
        shape=Shape(dialect=Dialect.POSTGRES, delimiter="\t", table=table),
    )


@pytest.fixture
def database(shared_data: Path) -> bytes:
    return (shared_data / "data" / "access_files" / "examples" / "test.mdb").read_bytes()


@NEEDS_MDBTOOLS
def test_every_row_is_there_and_counted(database: bytes, tmp_path: Path) -> None:
    found = transcribe(entry("ClarotyTable"), io.BytesIO(database), name="test.mdb", workdir=tmp_path).read()
    assert found.decode().split("\n") == [
        "id\tfield1\tfield2\tfield3",
        "1\ttest\tClaroty\tICS!",
        "2\ttest2\tClaroty\t\\N",
        "\\.\t2",
        "",
    ]
    (batch,) = read_batches(entry("ClarotyTable"), io.BytesIO(found))
    assert (batch.declared, batch.counted, batch.defects) == (2, 2, {})


@NEEDS_MDBTOOLS
@pytest.mark.parametrize(
    ("value", "written"),
    [
        (b'Cl"\\\toy', b'Cl"\\\\\\toy'),
        (b"\\N\r\nabc", b"\\\\N\\r\\nabc"),
        (b'"quotes', b'"quotes'),
        (b'\\\\"\\\'""', b'\\\\\\\\"\\\\\'""'),
    ],
)
def test_no_value_can_be_taken_for_another(database: bytes, value: bytes, written: bytes) -> None:
    places = database.count(b"Claroty")
    assert len(value) == len(b"Claroty")
    changed = database.replace(b"Claroty", value)
    names = database.count(b"C\0l\0a\0r\0o\0t\0y\0")
    assert places
    assert names
    found = transcribe(entry("ClarotyTable"), io.BytesIO(changed), name="test.mdb").read()
    assert [line.split(b"\t")[2] for line in found.split(b"\n")[1:3]] == [written, written]


@NEEDS_MDBTOOLS
def test_a_table_that_is_not_there_is_named(database: bytes) -> None:
    with pytest.raises(TableMissing):
        transcribe(entry("Other"), io.BytesIO(database), name="test.mdb").read()


def test_without_mdbtools_the_error_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(TableReaderMissing, match="mdbtools"):
        transcribe(entry("T"), io.BytesIO(b""), name="test.mdb")


def test_quotation_marks_around_values_are_taken_off_and_those_inside_stay() -> None:
    assert _unquoted(b'1\t"a \\" b"\t\\N\t"\\\\N"\t"\\\\\\""\t""\n') == b'1\ta " b\t\\N\t\\\\N\t\\\\"\t\n'
