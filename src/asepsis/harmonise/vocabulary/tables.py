"""The tables of a vocabulary as Athena delivers them, and what makes a line of them loadable.

Invariant: a line is either loaded or refused for a reason that is named here; no line is both or neither.
Source: OHDSI CommonDataModel, OMOP CDM v5.4, vocabulary tables, https://ohdsi.github.io/CommonDataModel/cdm54.html;
Athena writes them separated by tabs without any quoting, dates as YYYYMMDD.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from asepsis.errors.vocabulary import VocabularyMalformed

INNER: Final = "\x1f"
"""Separates the values of a line on its way to the engine."""

LICENSED: Final = MappingProxyType(
    {
        "CPT4": "needs a UMLS licence: the names are filled by the program in the download, with your own UMLS key",
        "SNOMED": "needs a SNOMED CT licence outside its member countries",
        "MedDRA": "needs a subscription of the MSSO",
        "dm+d": "is published under the Open Government Licence",
        "LOINC": "is used under the LOINC licence, with its notice",
    }
)


class Kind(StrEnum):
    """What the values of a column are."""

    TEXT = "VARCHAR"
    ID = "INTEGER"
    NUMBER = "DOUBLE"
    DATE = "DATE"


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabularyTable:
    """One table: its columns in order; ``filled`` may not be empty; ``key`` occurs once; ``needed`` must be there."""

    name: str
    columns: Mapping[str, Kind]
    filled: tuple[str, ...]
    key: str | None = None
    needed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """The first line of a file: what separates its values, and the name of each."""

    delimiter: str
    names: tuple[str, ...]

    @property
    def is_athena(self) -> bool:
        """Whether every character between two tabs is data, quotes too; else the file is CSV (RFC 4180)."""
        return self.delimiter == "\t"

    @property
    def separator(self) -> str:
        """What separates the values of a line as the engine gets it."""
        return "\t" if self.is_athena else INNER


def _table(name: str, columns: str, *, filled: str, key: str | None = None, needed: bool = False) -> VocabularyTable:
    marks = {"#": Kind.ID, "~": Kind.NUMBER, "@": Kind.DATE}
    words = columns.split()
    return VocabularyTable(
        name=name,
        columns=MappingProxyType({word.rstrip("#~@"): marks.get(word[-1], Kind.TEXT) for word in words}),
        filled=tuple(filled.split()),
        key=key,
        needed=needed,
    )


TABLES: Final[Mapping[str, VocabularyTable]] = MappingProxyType(
    {
        table.name: table
        for table in (
            _table(
                "concept",
                "concept_id# concept_name domain_id vocabulary_id concept_class_id standard_concept concept_code "
                "valid_start_date@ valid_end_date@ invalid_reason",
                filled="concept_id vocabulary_id concept_code",
                key="concept_id",
                needed=True,
            ),
            _table(
                "concept_relationship",
                "concept_id_1# concept_id_2# relationship_id valid_start_date@ valid_end_date@ invalid_reason",
                filled="concept_id_1 concept_id_2 relationship_id",
                needed=True,
            ),
            _table(
                "concept_ancestor",
                "ancestor_concept_id# descendant_concept_id# min_levels_of_separation# max_levels_of_separation#",
                filled="ancestor_concept_id descendant_concept_id",
            ),
            _table(
                "concept_synonym",
                "concept_id# concept_synonym_name language_concept_id#",
                filled="concept_id concept_synonym_name",
            ),
            _table(
                "vocabulary",
                "vocabulary_id vocabulary_name vocabulary_reference vocabulary_version vocabulary_concept_id#",
                filled="vocabulary_id",
                key="vocabulary_id",
            ),
            _table("domain", "domain_id domain_name domain_concept_id#", filled="domain_id", key="domain_id"),
            _table(
                "concept_class",
                "concept_class_id concept_class_name concept_class_concept_id#",
                filled="concept_class_id",
                key="concept_class_id",
            ),
            _table(
                "relationship",
                "relationship_id relationship_name is_hierarchical defines_ancestry reverse_relationship_id "
                "relationship_concept_id#",
                filled="relationship_id",
                key="relationship_id",
            ),
            _table(
                "drug_strength",
                "drug_concept_id# ingredient_concept_id# amount_value~ amount_unit_concept_id# numerator_value~ "
                "numerator_unit_concept_id# denominator_value~ denominator_unit_concept_id# box_size# "
                "valid_start_date@ valid_end_date@ invalid_reason",
                filled="drug_concept_id ingredient_concept_id",
            ),
        )
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileBooks:
    """The books of one file: every line after the header is loaded or refused with a reason."""

    file: str
    table: str
    lines: int
    loaded: int
    refused: Mapping[str, int]

    def check(self) -> None:
        """Raises VocabularyMalformed where a line is neither loaded nor refused."""
        if self.lines != self.loaded + sum(self.refused.values()):
            raise VocabularyMalformed(file=self.file, problem="lines are neither loaded nor refused")


def read_heading(line: str, *, file: str, table: VocabularyTable) -> Heading:
    """Understand a header: tabs as Athena writes them, or commas as in the shards of test data sets.

    Raises:
        VocabularyMalformed: a column of the table is not there, or a name occurs twice.
    """
    text = line.removeprefix("\ufeff").rstrip("\r\n")
    delimiter = "\t" if "\t" in text else ","
    names = tuple(name.strip().strip('"').lower() for name in text.split(delimiter))
    missing = [name for name in table.columns if name not in names]
    if missing:
        raise VocabularyMalformed(file=file, problem=f"the column {missing[0]} is missing")
    if len(set(names)) < len(names):
        raise VocabularyMalformed(file=file, problem="a column occurs twice")
    return Heading(delimiter=delimiter, names=names)


def unquoted(line: str) -> str:
    """A line of CSV with its values separated by ``INNER``; a line that is no CSV is one value."""
    text = line.removesuffix("\r")
    if '"' not in text:
        return text.replace(",", INNER)
    try:
        values: Sequence[str] = next(csv.reader([text], strict=True), [])
    except csv.Error:
        return text
    return INNER.join(values)
