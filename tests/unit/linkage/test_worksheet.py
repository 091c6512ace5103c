"""Worksheets of a review: what an owner may answer, and that only answers are read back."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.domain.identity import IDENTITY_COLUMNS
from asepsis.domain.names import Digest
from asepsis.errors.linkage import WorksheetRefused
from asepsis.linkage.worksheet import COLUMNS, FIELDS, WHOLE, Reviewed, read_worksheet, write_worksheet

KINDS = {"person_id": pa.int64(), "birth_date": pa.date32()}
SCHEMA = pa.schema([(name, KINDS.get(name, pa.string())) for name in IDENTITY_COLUMNS])
MANIFEST = Digest("0123456789ab" + "c" * 52)
ADA: dict[str, Any] = {
    "person_id": 7,
    "mrn": "0042",
    "national_id": "999",
    "family_name": "LOVELACE",
    "given_name": "ADA",
    "previous_family_name": None,
    "birth_date": date(1975, 12, 10),
    "birth_date_source": "10/12/75",
    "sex": "F",
    "address": "=1+1",
    "city": "BOSTON",
    "postal_code": "02115",
    "phone": "+1 555",
}
BOB = {**ADA, "person_id": 8, "mrn": "0043", "given_name": "BOB", "sex": "M"}
ADA_BEFORE = {**ADA, "address": "1 OLD STREET"}
TABLE = pa.Table.from_pylist([ADA, BOB, ADA_BEFORE], SCHEMA)
REVIEWED = Reviewed(identities=TABLE, manifest=MANIFEST, persons=(7,))

Lines = list[list[str]]


def lines(reviewed: Reviewed = REVIEWED) -> Lines:
    return list(csv.reader(io.StringIO(write_worksheet(reviewed))))


def text(rows: Lines) -> str:
    target = io.StringIO()
    csv.writer(target).writerows(rows)
    return target.getvalue()


def answer(field: str, said: str, value: str = "", *, record: int = 0) -> Lines:
    """The worksheet with one answer in it."""
    rows = lines()
    at = next(n for n, row in enumerate(rows) if row[0] == REVIEWED.name(record) and row[2] == field)
    rows[at][4:] = [said, value]
    return rows


def test_a_worksheet_has_every_record_of_the_persons_on_the_list_and_of_nobody_else() -> None:
    rows = lines()
    assert tuple(rows[0]) == COLUMNS
    assert {row[0] for row in rows[1:]} == {REVIEWED.name(0), REVIEWED.name(2)}
    assert [row[2] for row in rows[1:]] == [WHOLE, *FIELDS] * 2
    assert "BOB" not in write_worksheet(REVIEWED)
    assert "0043" not in write_worksheet(REVIEWED)


def test_a_worksheet_holds_nothing_that_a_spreadsheet_would_compute() -> None:
    cells = [cell for row in lines() for cell in row]
    assert "'=1+1" in cells
    assert "'+1 555" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize("said", ["", "confirmed"])
def test_what_is_confirmed_or_not_answered_stays(said: str) -> None:
    assert read_worksheet(text(answer("address", said)), REVIEWED).equals(TABLE)


def test_what_a_spreadsheet_made_of_the_other_cells_does_not_matter() -> None:
    rows = lines()
    for row in rows[1:]:
        row[1], row[3] = "42", "2115"
    assert read_worksheet(text(rows), REVIEWED).equals(TABLE)


def test_a_doubtful_field_is_missing_and_a_corrected_one_is_as_it_is() -> None:
    changed = read_worksheet(text(answer("city", "doubtful")), REVIEWED).to_pylist()
    assert changed == [{**ADA, "city": None}, BOB, ADA_BEFORE]
    changed = read_worksheet(text(answer("previous_family_name", "corrected", "BYRON", record=2)), REVIEWED).to_pylist()
    assert changed == [ADA, BOB, {**ADA_BEFORE, "previous_family_name": "BYRON"}]


@pytest.mark.parametrize(
    ("said", "value", "known"), [("doubtful", "", None), ("corrected", "1975-10-12", date(1975, 10, 12))]
)
def test_an_answer_about_the_birth_date_is_about_what_the_source_wrote_too(
    said: str, value: str, known: date | None
) -> None:
    changed = read_worksheet(text(answer("birth_date", said, value)), REVIEWED).to_pylist()
    assert changed[0] == {**ADA, "birth_date": known, "birth_date_source": None}


def test_a_record_of_two_persons_identifies_nobody() -> None:
    changed = read_worksheet(text(answer(WHOLE, "doubtful")), REVIEWED).to_pylist()
    nobody = {**dict.fromkeys(IDENTITY_COLUMNS), "person_id": 7, "mrn": "0042"}
    assert changed == [nobody, BOB, ADA_BEFORE]


def replaced(at: int, cell: str) -> Callable[[], str]:
    def made() -> str:
        rows = answer("city", "doubtful")
        row = next(row for row in rows[1:] if row[4])
        row[at] = cell
        return text(rows)

    return made


def twice(field: str) -> str:
    return text([*answer("city", "doubtful"), [REVIEWED.name(0), "", field, "", "doubtful", ""]])


REFUSED: Mapping[str, tuple[Callable[[], str], str]] = {
    "another person's record": (replaced(0, REVIEWED.name(1)), "not on the list"),
    "records of before": (replaced(0, "fedcba987654-0"), "identifiers are others"),
    "the record number": (replaced(2, "mrn"), "no such field"),
    "the person": (replaced(2, "person_id"), "no such field"),
    "an unknown answer": (replaced(4, "yes"), "one of confirmed, corrected, doubtful"),
    "a value beside doubt": (replaced(5, "CAMBRIDGE"), "belongs to the answer corrected"),
    "no correct value": (lambda: text(answer("city", "corrected")), "belongs to the answer corrected"),
    "a long value": (lambda: text(answer("city", "corrected", "Q" * 201)), "at most 200"),
    "a value with a control": (lambda: text(answer("city", "corrected", "A\x07B")), "printable"),
    "a lost letter": (lambda: text(answer("city", "corrected", "K\ufffdLN")), "UTF-8"),
    "a corrected record": (lambda: text(answer(WHOLE, "corrected", "X")), "not whole records"),
    "another date": (lambda: text(answer("birth_date", "corrected", "10.12.1975")), "YYYY-MM-DD"),
    "another sex": (lambda: text(answer("sex", "corrected", "X")), "F or M"),
    "a field twice": (lambda: twice("city"), "another answer"),
    "a field and its record": (lambda: twice(WHOLE), "another answer"),
    "a short line": (lambda: text([*lines(), ["x"]]), "too few or too many"),
    "no heading": (lambda: text(lines()[1:]), "columns of a worksheet"),
    "nothing": (lambda: "", "columns of a worksheet"),
    "an open quote": (lambda: write_worksheet(REVIEWED) + '"open', "no CSV"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_an_answer_is_refused_and_not_repeated(case: str) -> None:
    sheet, problem = REFUSED[case]
    with pytest.raises(WorksheetRefused) as refused:
        read_worksheet(sheet(), REVIEWED)
    said = str(refused.value)
    assert problem in said
    assert not [word for word in ("CAMBRIDGE", "LOVELACE", "fedcba", "10.12.1975", "QQQ") if word in said]


@given(st.text('ab0,;"\n\r\x00', max_size=80), st.sampled_from(["", ",".join(COLUMNS) + "\n"]))
def test_any_text_is_read_as_answers_or_refused(sheet: str, heading: str) -> None:
    with suppress(WorksheetRefused):
        assert read_worksheet(heading + sheet, REVIEWED).num_rows == len(TABLE)


@given(st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(["", "confirmed", "doubtful"])))
def test_answers_change_their_own_fields_of_their_own_record_and_nothing_else(said: dict[str, str]) -> None:
    rows = lines()
    for row in rows:
        if row[0] == REVIEWED.name(2):
            row[4] = said.get(row[2], "")
    changed = read_worksheet(text(rows), REVIEWED).to_pylist()
    assert changed[:2] == [ADA, BOB]
    gone = {field for field, word in said.items() if word == "doubtful"}
    gone |= {"birth_date_source"} if "birth_date" in gone else set()
    assert changed[2] == {name: None if name in gone else value for name, value in ADA_BEFORE.items()}
