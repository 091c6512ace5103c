"""Transcripts as text: what is written comes out of landing and extraction as it went in."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.engines.harmonise.guard import connect
from asepsis.engines.harmonise.land import create_landed, insert
from asepsis.engines.harmonise.reading import read_batches
from asepsis.engines.transcripts.names import column_names
from asepsis.errors.harmonise import MappingMalformed
from asepsis.harmonise.entries import FileEntry, Reader, read_entry
from asepsis.harmonise.extraction import extract
from asepsis.harmonise.readers.copybook import field_name
from asepsis.harmonise.readers.record import RecordKind
from asepsis.harmonise.section import Section
from asepsis.harmonise.transcript import aside, end, is_whole, line, lines

Row = tuple[str | None, ...]

TEXTS = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8))
AWKWARD = st.sampled_from(
    ["", "\x01\\", "\\\x01t", "\\N", "\\.", "\\#", "\\", "\t", "\n", "\r\n", "\\t", " ", "#N/A", "\ufeff", "\x1a"]
)


def entry(reader: str = "statistics", **more: object) -> FileEntry:
    keys = {"statistics": {"format": "sav"}, "excel": {"sheet": "S"}, "access": {"table": "T"}}[reader]
    values = {
        "reader": reader,
        "pattern": "*.x",
        "extract_date": dt.date(2020, 1, 1),
        "columns": ["a", "b"],
        **keys,
        **more,
    }
    return read_entry(Section(values, file="source.yaml", key="files.x"), "x", {})


def landed(found: FileEntry, transcript: bytes) -> list[tuple[list[str], Row]]:
    """Defects and fields of every data record, through the real tables."""
    connection = connect(Path(":memory:"), scratch=Path("/nonexistent"), memory="256MB", threads=1)
    try:
        create_landed(connection, found)
        for batch in read_batches(found, io.BytesIO(transcript)):
            insert(connection, found, batch, file_id=0)
        rows = connection.execute(f'SELECT defects, "f.a", "f.b" FROM ({extract(found)}) ORDER BY rec_no').fetchall()
    finally:
        connection.close()
    return [(defects, tuple(values)) for defects, *values in rows]


def written(rows: Sequence[Row], names: Row = ("a", "b"), declared: int | None = None) -> bytes:
    return line(names) + lines(list(zip(*rows, strict=True))) + end(len(rows) if declared is None else declared)


@given(st.lists(st.tuples(TEXTS | AWKWARD, TEXTS | AWKWARD), max_size=20))
@settings(max_examples=20)
def test_every_value_comes_out_as_it_went_in(rows: list[Row]) -> None:
    assert landed(entry(), written(rows)) == [([], row) for row in rows]


@given(st.lists(st.tuples(TEXTS | AWKWARD, TEXTS | AWKWARD), max_size=4))
def test_writing_by_column_and_by_row_is_the_same(rows: list[Row]) -> None:
    assert lines(list(zip(*rows, strict=True))) == b"".join(map(line, rows))


def test_the_records_tile_the_transcript_and_its_declared_rows_are_counted() -> None:
    transcript = aside(["a title", None]) + written([("1", "2"), ("", ""), (None, None)], declared=7)
    batches = list(read_batches(entry(), io.BytesIO(transcript)))
    assert b"".join(batch.data for batch in batches) == transcript
    assert sum(batch.counted for batch in batches) == 3
    assert [batch.declared for batch in batches] == [7]
    assert [batches[0].kinds.get(index) for index in range(6)] == [RecordKind.HEADER] * 2 + [None] * 3 + ["header"]


def test_other_column_names_set_every_row_aside() -> None:
    assert landed(entry(), written([("1", "2")], names=("b", "a"))) == [(["header_differs"], ("1", "2"))]


def test_text_that_is_no_unicode_is_named_and_not_lost() -> None:
    ((defects, _),) = landed(entry(), written([("\ud800", "x")]))
    assert defects == ["not_utf8"]


def test_failed_formulas_are_defects_of_their_field_in_sheets_only() -> None:
    rows: list[Row] = [("#DIV/0!", "1"), ("# 1", "#N/A")]
    assert [defects for defects, _ in landed(entry("excel"), written(rows))] == [["cell_error@a"], ["cell_error@b"]]
    assert [defects for defects, _ in landed(entry(), written(rows))] == [[], []]


def test_blank_rows_of_sheets_are_left_out_with_a_reason() -> None:
    rows: list[Row] = [(None, None), (None, "1")]
    assert [defects for defects, _ in landed(entry("excel"), written(rows))] == [["-blank_row"], []]
    assert [defects for defects, _ in landed(entry(), written(rows))] == [[], []]


@given(st.integers(min_value=0, max_value=40))
def test_only_a_transcript_with_its_last_line_is_whole(cut: int) -> None:
    transcript = written([("1", "2"), ("3", "\\.")])
    assert is_whole(transcript)
    assert is_whole(transcript[: len(transcript) - cut]) == (cut == 0)


def test_names_of_columns_in_every_script_become_names_of_a_mapping() -> None:
    names = column_names(["MRN No.", "Größe", "ותק_ב", "名前", "mrn_no", None, "1st", "..."])
    assert names == ("mrn_no", "grosse", "vtk_v", "mingqian", "column_5", "column_6", "column_7", "column_8")


@given(st.text(st.characters(max_codepoint=127), max_size=12))
def test_plain_names_are_named_as_by_the_other_readers(name: str) -> None:
    assert column_names([name])[0] in {field_name(name), "column_1"}


@pytest.mark.parametrize(
    ("reader", "more"),
    [
        ("statistics", {"format": "xlsx"}),
        ("statistics", {"sheet": "S"}),
        ("statistics", {"encoding": "no such"}),
        ("excel", {"sheet": ""}),
        ("excel", {"header_row": -1}),
        ("excel", {"encoding": "cp1252"}),
        ("access", {"labels": True}),
    ],
)
def test_what_a_reader_does_not_know_is_refused(reader: str, more: dict[str, object]) -> None:
    with pytest.raises(MappingMalformed):
        entry(reader, **more)


def test_what_a_reader_knows_is_kept() -> None:
    shape = entry("statistics", format="sas7bdat", labels=True, missing=True, encoding="cp1252").shape
    assert (shape.form, shape.labels, shape.missing, shape.charset) == ("sas7bdat", True, True, "cp1252")
    assert (entry("excel", header_row=3).shape.header_row, entry("excel").shape.table) == (3, "S")
    assert entry("access").reader is Reader.ACCESS
