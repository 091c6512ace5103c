"""Code maps as files of a mapping folder: read, merged with what people have reviewed, and written.

Invariant: a row that a person has reviewed is kept to the letter; no row that was there is dropped.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from asepsis.errors.vocabulary import CodesMalformed
from asepsis.harmonise.vocabulary.matching import MappedCode

COLUMNS: Final = ("source_code", "target_concept_id", "grade", "note")
_REVIEWED: Final = "reviewed"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRow:
    """One row of a code map, as its file has it."""

    source_code: str
    target_concept_id: str
    grade: str
    note: str

    @property
    def is_reviewed(self) -> bool:
        """Whether the note says that a person has reviewed it."""
        words = self.note.lower().replace(";", " ").replace(",", " ").replace(":", " ").split()
        return _REVIEWED in words and "not" not in words


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """A merged code map, and what became of the rows."""

    rows: tuple[MapRow, ...]
    added: int
    changed: int
    kept_reviewed: int


def read_code_map(text: str, *, file: str) -> tuple[MapRow, ...]:
    """The rows of a code map.

    Raises:
        CodesMalformed: it is not CSV with the four columns.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(text), strict=True))
    except csv.Error:
        raise CodesMalformed(file=file, place="the file", problem="it is not valid CSV") from None
    for number, row in enumerate(rows, start=2):
        if tuple(row) != COLUMNS or any(value is None for value in row.values()):
            raise CodesMalformed(file=file, place=f"line {number}", problem="the columns are " + ", ".join(COLUMNS))
    return tuple(MapRow(**row) for row in rows)


def write_code_map(rows: Iterable[MapRow]) -> str:
    """A code map as the text of its file."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((row.source_code, row.target_concept_id, row.grade, row.note) for row in rows)
    return out.getvalue()


def merge_code_map(existing: Iterable[MapRow], mapped: Iterable[MappedCode]) -> Merge:
    """What is there, with what was found; reviewed rows stay, rows nobody asked about stay, in the order of codes."""
    rows = {row.source_code: row for row in existing}
    added = changed = kept = 0
    for each in mapped:
        new = MapRow(
            source_code=each.code, target_concept_id=str(each.concept_id), grade=str(each.grade), note=each.note
        )
        old = rows.get(each.code)
        if old is not None and old.is_reviewed:
            kept += 1
            continue
        added += old is None
        changed += old is not None and old != new
        rows[each.code] = new
    return Merge(rows=_ordered(rows), added=added, changed=changed, kept_reviewed=kept)


def _ordered(rows: Mapping[str, MapRow]) -> tuple[MapRow, ...]:
    return tuple(rows[code] for code in sorted(rows))
