"""Sheets: every cell as the file holds it; words of failed formulas are not lost; titles are no rows."""

from __future__ import annotations

import datetime as dt
import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.engines.transcripts import cell_errors_xls
from asepsis.engines.transcripts.order import Kind, Order, TableAbsentError, TooLargeError

openpyxl = pytest.importorskip("openpyxl", reason="openpyxl, which writes the files of these tests, is not installed")
excel = pytest.importorskip("asepsis.engines.transcripts.excel", reason="the extra 'tables' is not installed")

Cells = Sequence[Sequence[Any]]


def workbook(rows: Cells, *, title: str = "S", formulas: dict[str, str] | None = None) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = title
    for place, row in enumerate(rows, start=1):
        for column, value in enumerate(row, start=1):
            cell = sheet.cell(place, column)
            cell.value = value
            if isinstance(value, str):
                cell.data_type = "s"
    for place, formula in (formulas or {}).items():
        sheet[place] = formula
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def transcript(data: bytes, *, sheet: str = "S", **more: Any) -> list[str]:
    order = Order(kind=Kind.EXCEL, memory=0, seconds=0, table=sheet, **more)
    return b"".join(excel.transcript(io.BytesIO(data), order)).decode().removesuffix("\n").split("\n")


def edited(data: bytes, name: str, change: tuple[bytes, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for item in old.namelist():
            content = old.read(item)
            if item == name:
                assert change[0] in content
                content = content.replace(*change)
            new.writestr(item, content)
    return stream.getvalue()


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"], exclude_characters="_"), min_size=1, max_size=10)
FIRST, LAST = dt.datetime.fromisoformat("1900-03-01"), dt.datetime.fromisoformat("9000-01-01")
MOMENTS = st.datetimes(FIRST, LAST).map(lambda moment: moment.replace(microsecond=0))
CELLS = st.one_of(st.none(), st.booleans(), st.integers(-(10**14), 10**14), TEXTS, MOMENTS)


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=6))
@settings(max_examples=40)
def test_every_cell_comes_back_as_it_was_written(rows: list[list[Any]]) -> None:
    rows[-1][-1] = "end"
    found = transcript(workbook([["a", "b", "c"], *rows]))
    assert (found[0], found[-1]) == ("a\tb\tc", f"\\.\t{len(rows)}")
    assert [line.split("\t") for line in found[1:-1]] == [[text(value) for value in row] for row in rows]


def text(value: Any) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat()
    return str(value).replace("\\", "\\\\")


def test_tabs_and_line_ends_inside_a_cell_stay_inside() -> None:
    assert transcript(workbook([["a"], ["x\ty\nz\\N"]]))[1] == "x\\ty\\nz\\\\N"


def test_times_and_elapsed_times_are_written_as_such() -> None:
    found = transcript(workbook([["a", "b"], [dt.time(3, 4, 5), dt.timedelta(hours=30, seconds=1)]]))
    assert found[1] == "03:04:05\t30:00:01"


def test_the_words_of_failed_formulas_are_kept() -> None:
    data = workbook([["a", "b"], [1, "x"], [2, "y"]])
    failed = edited(data, "xl/worksheets/sheet1.xml", (b'<c r="A3" t="n"><v>2</v>', b'<c r="A3" t="e"><v>#DIV/0!</v>'))
    assert transcript(failed)[1:] == ["1\tx", "#DIV/0!\ty", "\\.\t2"]


def test_a_failed_cell_without_a_place_of_its_own_is_found_too() -> None:
    data = workbook([["a", "b"], [1, "x"], [2, "y"]])
    failed = edited(data, "xl/worksheets/sheet1.xml", (b'<c r="A3" t="n"><v>2</v>', b"<c t='e'><v>#REF!</v>"))
    assert transcript(failed)[2] == "#REF!\ty"


def test_the_result_of_a_formula_is_read_and_no_formula_is_computed() -> None:
    data = workbook([["a", "b"], [1, 2]], formulas={"B2": "=A2*2"})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        cell = re.search(rb'<c r="B2".*?</c>', archive.read("xl/worksheets/sheet1.xml"))
    assert cell is not None
    found = edited(data, "xl/worksheets/sheet1.xml", (cell[0], b'<c r="B2"><f>A2*2</f><v>77</v></c>'))
    assert transcript(found)[1] == "1\t77"


def test_merged_cells_are_as_in_the_file() -> None:
    book = openpyxl.Workbook()
    book.active.title = "S"
    for row in (["a", "b"], ["m", None], [None, 1]):
        book.active.append(row)
    book.active.merge_cells("A2:A3")
    stream = io.BytesIO()
    book.save(stream)
    assert transcript(stream.getvalue())[1:3] == ["m\t\\N", "\\N\t1"]


def test_rows_above_the_names_are_kept_and_are_no_rows() -> None:
    data = workbook([["Report of 2010", None], [None, None], ["MRN", "Größe"], [1, 2]])
    assert transcript(data, header_row=3) == [
        "\\#\tReport of 2010\t\\N",
        "\\#\t\\N\t\\N",
        "mrn\tgrosse",
        "1\t2",
        "\\.\t1",
    ]


def test_a_sheet_without_names_takes_those_of_the_mapping() -> None:
    assert transcript(workbook([[1, 2]]), header_row=0, columns=("a", "b")) == ["a\tb", "1\t2", "\\.\t1"]


def test_a_table_that_begins_further_down_keeps_the_numbers_of_its_rows() -> None:
    data = workbook([[None, None], [None, "a"], [None, 1]])
    assert transcript(data, header_row=2) == ["\\#\t\\N\t\\N", "column_1\ta", "\\N\t1", "\\.\t1"]


def test_blank_rows_are_written() -> None:
    assert transcript(workbook([["a"], [1], [None], [2]]))[1:] == ["1", "\\N", "2", "\\.\t3"]


def test_a_sheet_that_is_not_there_is_named() -> None:
    with pytest.raises(TableAbsentError):
        transcript(workbook([["a"]]), sheet="T")


@pytest.mark.parametrize(("limit", "value"), [("MOST_BYTES", 100), ("MOST_MEMBERS", 3)])
def test_an_archive_that_says_it_is_too_large_is_not_unpacked(
    limit: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excel, limit, value)
    with pytest.raises(TooLargeError):
        transcript(workbook([["a"]]))


@pytest.mark.filterwarnings("ignore:Workbook contains no default style")
def test_every_shared_workbook_has_the_cells_that_another_reader_finds(shared_data: Path) -> None:
    paths = sorted((shared_data / "data" / "whiterabbit_examples").glob("*.xlsx"))
    assert paths
    for path in paths:
        data = path.read_bytes()
        book = openpyxl.load_workbook(io.BytesIO(data), data_only=True)
        for sheet in book.worksheets:
            rows = [list(row) for row in sheet.iter_rows(values_only=True)]
            while rows and not any(value is not None for value in rows[-1]):
                rows.pop()
            found = transcript(data, sheet=sheet.title, header_row=0, columns=("a",))
            assert found[-1] == f"\\.\t{len(rows)}"
            for line, row in zip(found[1:-1], rows, strict=True):
                cells = line.split("\t")
                assert all(alike(cell, value) for cell, value in zip(cells, row, strict=False)), sheet.title


def alike(cell: str, value: Any) -> bool:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(cell) == value
    return cell == text(value or None).replace("\t", "\\t").replace("\n", "\\n")


@pytest.mark.parametrize("rows", [3, 2000], ids=["small-stream", "own-sectors"])
def test_the_words_of_failed_formulas_in_an_xls_file_are_kept(rows: int) -> None:
    xlwt = pytest.importorskip("xlwt", reason="xlwt, which writes the file of this test, is not installed")
    book = xlwt.Workbook()
    book.add_sheet("Other").row(1).set_cell_error(0, "#REF!")
    sheet = book.add_sheet("Überblick")
    for row in range(rows):
        sheet.write(row, 0, "a" if row == 0 else float(row))
        sheet.write(row, 1, "b" if row == 0 else f"text {row}")
    sheet.row(rows).write(0, 1.5)
    sheet.row(rows).set_cell_error(1, "#DIV/0!")
    stream = io.BytesIO()
    book.save(stream)
    found = transcript(stream.getvalue(), sheet="Überblick")
    assert found[1] == "1\ttext 1"
    assert found[-2:] == ["1.5\t#DIV/0!", f"\\.\t{rows}"]
    assert sum("#" in line for line in found) == 1


def test_a_chain_of_sectors_that_comes_back_to_itself_ends() -> None:
    sectors = cell_errors_xls._Sectors(b"ab", 1, [1, 0])
    assert len(sectors.read(0)) <= 3
