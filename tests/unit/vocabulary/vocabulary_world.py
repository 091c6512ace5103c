"""How tests write the tables of a vocabulary download: separated by tabs, without quoting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

CONCEPT = (
    "concept_id concept_name domain_id vocabulary_id concept_class_id standard_concept concept_code "
    "valid_start_date valid_end_date invalid_reason"
)
RELATIONSHIP = "concept_id_1 concept_id_2 relationship_id valid_start_date valid_end_date invalid_reason"
DATES = ("19700101", "20991231")

Row = Sequence[object]
Made = Callable[..., Path]


def concept_row(number: int, code: str, vocabulary: str, standard: str = "", **more: str) -> Row:
    """One row of CONCEPT; ``name``, ``domain`` and ``invalid`` may be given."""
    name, domain = more.get("name", f"Concept {number}"), more.get("domain", "Condition")
    return (number, name, domain, vocabulary, "Class", standard, code, *DATES, more.get("invalid", ""))


def related_row(first: int, second: int, relationship: str = "Maps to", invalid: str = "") -> Row:
    return (first, second, relationship, *DATES, invalid)


def athena_file(folder: Path, name: str, header: str, rows: Sequence[Row]) -> None:
    lines = ["\t".join(header.split()), *("\t".join("" if x is None else str(x) for x in row) for row in rows)]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
