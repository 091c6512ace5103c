"""The worksheet of a review: an owner's own records, one field a line, with room for the owner's answer beside it.

It never leaves the owner's home. Only answers and corrections are read back: what a spreadsheet made of the other cells
does not matter. Each line names its record by the identifiers' manifest, so that answers never meet other records.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

import pyarrow as pa

from asepsis.domain.identity import IDENTITY_COLUMNS
from asepsis.domain.names import Digest
from asepsis.errors.linkage import WorksheetRefused


class FieldAnswer(StrEnum):
    """What an owner says of a field of its own; nothing, where it cannot tell."""

    CONFIRMED = "confirmed"
    """It is right, so that it goes on counting as it does."""
    CORRECTED = "corrected"
    """The other value is right."""
    DOUBTFUL = "doubtful"
    """It may be somebody else's or wrong, and counts as missing."""


COLUMNS: Final = ("record", "mrn", "field", "value", "answer", "correct_value")
WHOLE: Final = "record"
"""The line about a whole record, which is doubtful where it may be of two persons."""
_SOURCE: Final = "birth_date_source"
FIELDS: Final = tuple(name for name in IDENTITY_COLUMNS if name not in {"person_id", "mrn", _SOURCE})
_BIRTH: Final = "birth_date"
_SEX: Final = "sex"
_LONGEST: Final = 200
_LOST: Final = "\N{REPLACEMENT CHARACTER}"
"""What stands where a file was not UTF-8: other cells may have it, a value that is published must not."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would compute (OWASP, CSV injection)."""

Cell = str | date | None
Changes = Mapping[tuple[int, str], Cell]
"""New values by row and field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """An owner's identity table, its manifest, and the persons to look at."""

    identities: pa.Table
    manifest: Digest
    persons: Collection[int]

    def rows(self) -> list[int]:
        """The rows of those persons."""
        wanted = frozenset(self.persons)
        return [row for row, person in enumerate(self.identities["person_id"].to_pylist()) if person in wanted]

    def name(self, row: int) -> str:
        """What a worksheet calls a record."""
        return f"{self.manifest[:12]}-{row}"


def write_worksheet(reviewed: Reviewed) -> str:
    """The empty worksheet, as CSV."""
    target = io.StringIO()
    writer = csv.writer(target, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    for row in reviewed.rows():
        (record,) = reviewed.identities.slice(row, 1).to_pylist()
        mrn = _harmless(record["mrn"])
        writer.writerow([reviewed.name(row), mrn, WHOLE, "", "", ""])
        writer.writerows([reviewed.name(row), mrn, field, _harmless(record[field]), "", ""] for field in FIELDS)
    return target.getvalue()


def read_worksheet(text: str, reviewed: Reviewed) -> pa.Table:
    """The identity table with the answers in it. Raises WorksheetRefused, and nothing is changed then."""
    changes: dict[tuple[int, str], Cell] = {}
    rows = {reviewed.name(row): row for row in reviewed.rows()}
    for line, (record, field, answer, value) in _lines(text):
        row = rows.get(record)
        if row is None:
            raise WorksheetRefused(
                line=line, problem="its record is not on the list, or the identifiers are others now"
            )
        new = _changes(line, field, answer, value)
        if changes.keys() & {(row, name) for name in new}:
            raise WorksheetRefused(line=line, problem="there is another answer for this field")
        changes |= {(row, name): cell for name, cell in new.items()}
    return _changed(reviewed.identities, changes)


def _lines(text: str) -> Iterator[tuple[int, tuple[str, str, str, str]]]:
    """Line number, and record, field, answer and correct value."""
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        if tuple(next(reader, ())) != COLUMNS:
            raise WorksheetRefused(line=1, problem="it does not have the columns of a worksheet")
        for cells in reader:
            if len(cells) != len(COLUMNS):
                raise WorksheetRefused(line=reader.line_num, problem="it has too few or too many cells")
            record, _, field, _, answer, value = (cell.strip() for cell in cells)
            yield reader.line_num, (record, field, answer, value)
    except csv.Error:
        raise WorksheetRefused(line=reader.line_num, problem="it is no CSV") from None


def _changes(line: int, field: str, answer: str, value: str) -> dict[str, Cell]:
    """What one line changes in its record, by field."""
    if field != WHOLE and field not in FIELDS:
        raise WorksheetRefused(line=line, problem="there is no such field")
    if answer and answer not in set(FieldAnswer):
        raise WorksheetRefused(line=line, problem="an answer is one of " + ", ".join(FieldAnswer))
    if bool(value) != (answer == FieldAnswer.CORRECTED):
        raise WorksheetRefused(line=line, problem="a correct value belongs to the answer corrected, and to no other")
    if answer == FieldAnswer.DOUBTFUL:
        fields = FIELDS if field == WHOLE else (field,)
        return _with_source(dict.fromkeys(fields))
    return _with_source({field: _value(line, field, value)}) if value else {}


def _with_source(changes: dict[str, Cell]) -> dict[str, Cell]:
    """A birth date is no longer what the source wrote."""
    return {**changes, _SOURCE: None} if _BIRTH in changes else changes


def _value(line: int, field: str, value: str) -> Cell:
    if field == WHOLE:
        raise WorksheetRefused(line=line, problem="fields are corrected, not whole records")
    if field == _BIRTH:
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise WorksheetRefused(line=line, problem="a birth date is written YYYY-MM-DD") from None
    if field == _SEX and value not in {"F", "M"}:
        raise WorksheetRefused(line=line, problem="a sex is F or M, or doubtful")
    if _LOST in value:
        raise WorksheetRefused(line=line, problem="a letter of the value was lost: save the worksheet as UTF-8")
    if len(value) > _LONGEST or not value.isprintable():
        raise WorksheetRefused(line=line, problem=f"a value has at most {_LONGEST} printable characters")
    return value


def _changed(identities: pa.Table, changes: Changes) -> pa.Table:
    for name in sorted({field for _, field in changes}):
        column = identities[name].to_pylist()
        for (row, field), cell in changes.items():
            if field == name:
                column[row] = cell
        at = identities.schema.get_field_index(name)
        identities = identities.set_column(at, name, pa.array(column, identities.schema.field(name).type))
    return identities


def _harmless(value: object) -> str:
    """A cell that a spreadsheet shows and does not compute."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
