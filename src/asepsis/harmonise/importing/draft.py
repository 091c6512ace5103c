"""A mapping folder in the making: documents that the schema of mappings accepts, and what is left to decide.

Invariant: a table file stands in ``tables`` only if nothing it needs is missing; else it waits in ``left_out``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from asepsis.harmonise.entries import NAME
from asepsis.harmonise.importing.declared import Declared
from asepsis.harmonise.mapping import FORMAT
from asepsis.harmonise.omop import TARGETS
from asepsis.harmonise.readers.copybook import field_name
from asepsis.harmonise.vocabulary.code_map import MapRow

_LONGEST: Final = 60


@dataclass(slots=True, kw_only=True)
class Draft:
    """What an import has made so far."""

    declared: Declared
    source: str
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: dict[str, dict[str, Any]] = field(default_factory=dict)
    codes: dict[str, tuple[MapRow, ...]] = field(default_factory=dict)
    decisions: list[str] = field(default_factory=list)

    def decide(self, text: str) -> None:
        """Leave something to a person; said once."""
        line = " ".join(text.split())
        if line not in self.decisions:
            self.decisions.append(line)

    def source_document(self) -> dict[str, Any]:
        """``source.yaml``."""
        return {
            "format": FORMAT,
            "source": self.source,
            "owner": self.declared.owner,
            "dataset": f"{self.declared.owner}-omop",
            "label": self.declared.label,
            "files": self.files,
        }

    def add_file(self, entry: str, *, pattern: str, columns: Sequence[str]) -> None:
        """A delimited file with a header."""
        self.files[entry] = {
            "pattern": pattern,
            "reader": "delimited",
            "encoding": self.declared.encoding,
            "delimiter": self.declared.delimiter,
            "quote": '"',
            "header": True,
            "columns": list(columns),
            "extract_date": self.declared.extract_date,
        }

    def add_table(self, wanted: str, document: dict[str, Any]) -> None:
        """A table file; where a column that may not be null has no value, it waits and a person decides."""
        target, name = TARGETS[document["table"]], _free(wanted, {*self.tables, *self.left_out})
        missing = [column for column in target.required if column not in document["fields"]]
        if missing or "person" not in document:
            lacks = "the key of the person" if "person" not in document else missing[0]
            self.left_out[name] = document
            self.decide(f"{name}: nothing fills {lacks}. Complete left_out/{name}.yaml and move it into tables/.")
            return
        if document["table"] == "person" and any(item["table"] == "person" for item in self.tables.values()):
            self.left_out[name] = document
            self.decide(f"{name}: a second source of person. One file fills person; the other waits in left_out/.")
            return
        self.tables[name] = document

    def add_codes(self, wanted: str, rows: Iterable[MapRow]) -> str:
        """A code map in the order of its codes; returns its name."""
        name = _free(wanted, self.codes)
        self.codes[name] = tuple(sorted(rows, key=lambda row: row.source_code))
        return name


def entry_name(text: str) -> str:
    """A table or file name of another tool as the name of a file entry or a field."""
    stem = text.rpartition("/")[2].rpartition("\\")[2]
    for ending in (".csv", ".tsv", ".txt"):
        if stem.lower().endswith(ending):
            stem = stem[: -len(ending)]
    name = field_name(stem)
    return name if NAME.match(name) else f"f_{name}"[:_LONGEST]


def short_name(*parts: str) -> str:
    """A name of joined parts that is not too long."""
    return "_".join(parts)[:_LONGEST]


def _free(wanted: str, taken: Collection[str]) -> str:
    """The wanted name, or the first with a number behind it that nothing else has."""
    numbered = (f"{wanted[: _LONGEST - 4]}_{number}" for number in count(2))
    return wanted if wanted not in taken else next(name for name in numbered if name not in taken)


def date_rules(table: str, fields: Mapping[str, Any]) -> list[dict[str, str]]:
    """An event needs a date of the calendar that is not after the extract."""
    at = TARGETS[table].at
    if at is None or at not in fields:
        return []
    return [
        {"expr": f"{at} is not null", "reason": "impossible_date"},
        {"expr": f"{at} is null or {at} <= extract_date", "reason": "date_in_future"},
    ]


def decisions_page(draft: Draft, *, tool: str) -> str:
    """``DECIDE.md``: what the other tool does not say, one line each."""
    lines = [
        f"# What is left to decide ({tool})",
        "",
        "Each line is something that the import did not guess. Delete it when it is decided.",
        "",
        *(f"- [ ] {line}" for line in draft.decisions),
    ]
    return "\n".join(lines) + "\n"
