"""OMOP CDM 5.4 as far as contributions fill it, with what the OHDSI checks ask of each field.

Columns and types come from ``harmonise.omop.TARGETS``; this module adds which of them must be filled, which are
concepts of which domain, and the thresholds. Facts re-expressed from OHDSI CommonDataModel and DataQualityDashboard
(field and table level, CDM 5.4; https://github.com/OHDSI, Apache-2.0). A test compares them with the originals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from asepsis.harmonise.omop import TARGETS

ALL: Final = 100.0
"""A threshold that nothing exceeds: the check only measures."""


class FieldType(StrEnum):
    """What kind of values a field has."""

    INTEGER = "integer"
    FLOAT = "float"
    TEXT = "varchar"
    DATE = "date"
    DATETIME = "datetime"


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """A field that holds concepts. Thresholds are per cent of rows with 0; ``None`` where that is not checked."""

    domain: str | None = None
    is_standard: bool = True
    zero: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """A field with codes of the source: the field of their concept, per cent of distinct codes that may be unmapped."""

    concept: str
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The least and the greatest plausible number; ``next_year`` stands for the year after the day of the report."""

    low: float | None = None
    high: float | None = None
    is_high_next_year: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpec:
    """One field. ``refers_to`` is the table whose key it holds; ``ends`` is the field of the end that a start has."""

    name: str
    type: FieldType
    is_required: bool = False
    is_key: bool = False
    refers_to: str | None = None
    concept: Concept | None = None
    codes: Codes | None = None
    range: Range | None = None
    ends: str | None = None

    @property
    def is_day(self) -> bool:
        """Whether it says when something was."""
        return self.type in {FieldType.DATE, FieldType.DATETIME}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSpec:
    """One table; ``persons`` is the per cent of persons that may be without a row in it; ``at`` orders its rows."""

    name: str
    fields: Mapping[str, FieldSpec]
    is_required: bool = False
    persons: float | None = None
    at: str | None = None

    def fields_of(self, kind: FieldType) -> Iterator[FieldSpec]:
        """The fields of one type."""
        return (field for field in self.fields.values() if field.type is kind)


_TYPES: Final = {
    "BIGINT": FieldType.INTEGER,
    "INTEGER": FieldType.INTEGER,
    "DOUBLE": FieldType.FLOAT,
    "VARCHAR": FieldType.TEXT,
    "DATE": FieldType.DATE,
    "TIMESTAMP": FieldType.DATETIME,
}
_KEYS_OF: Final = {
    "person_id": "person",
    "provider_id": "provider",
    "care_site_id": "care_site",
    "location_id": "location",
    "visit_occurrence_id": "visit_occurrence",
    "preceding_visit_occurrence_id": "visit_occurrence",
    "visit_detail_id": "visit_detail",
}
_DOMAINS: Final = {
    "type": "Type Concept",
    "unit": "Unit",
    "condition": "Condition",
    "condition_status": "Condition Status",
    "drug": "Drug",
    "route": "Route",
    "measurement": "Measurement",
    "operator": "Meas Value Operator",
    "procedure": "Procedure",
    "visit": "Visit",
    "admitted_from": "Visit",
    "discharged_to": "Visit",
    "gender": "Gender",
    "race": "Race",
    "ethnicity": "Ethnicity",
}
_NEVER_STANDARD: Final = frozenset({"value_as_concept_id"})
_CONCEPT: Final = "_concept_id"
_SOURCE_CONCEPT: Final = "_source_concept_id"
_RANGES: Final[Mapping[tuple[str, str], Range]] = {
    ("drug_exposure", "days_supply"): Range(low=1, high=365),
    ("drug_exposure", "quantity"): Range(low=0.0000001),
    ("drug_exposure", "refills"): Range(low=0, high=24),
    ("person", "day_of_birth"): Range(low=1, high=31),
    ("person", "month_of_birth"): Range(low=1, high=12),
    ("person", "year_of_birth"): Range(low=1850, is_high_next_year=True),
    ("procedure_occurrence", "quantity"): Range(low=1),
}
_PERSONS: Final = {"observation_period": 0.0, "death": ALL}
_USUAL_PERSONS: Final = 95.0
_SPECIFIED: Final = (
    # table | must be filled | per cent of rows with concept 0 | per cent of distinct codes that are not mapped
    (
        "person | person_id gender_concept_id year_of_birth race_concept_id ethnicity_concept_id"
        "| gender_concept_id=5 race_concept_id=100 ethnicity_concept_id=100"
        "| gender_source_value=100 race_source_value=100 ethnicity_source_value=100"
    ),
    (
        "observation_period | observation_period_id person_id observation_period_start_date "
        "observation_period_end_date period_type_concept_id | period_type_concept_id=0 |"
    ),
    (
        "visit_occurrence | visit_occurrence_id person_id visit_concept_id visit_start_date visit_end_date "
        "visit_type_concept_id"
        "| visit_concept_id=0 visit_type_concept_id=0 admitted_from_concept_id=5 discharged_to_concept_id=5 "
        "visit_source_concept_id=100"
        "| visit_source_value=10 admitted_from_source_value=100 discharged_to_source_value=100"
    ),
    (
        "condition_occurrence | condition_occurrence_id person_id condition_concept_id condition_start_date "
        "condition_type_concept_id"
        "| condition_concept_id=5 condition_type_concept_id=0 condition_status_concept_id=5 "
        "condition_source_concept_id=10"
        "| condition_source_value=10 condition_status_source_value=100"
    ),
    (
        "drug_exposure | drug_exposure_id person_id drug_concept_id drug_exposure_start_date drug_exposure_end_date "
        "drug_type_concept_id"
        "| drug_concept_id=5 drug_type_concept_id=0 route_concept_id=100 drug_source_concept_id=10"
        "| drug_source_value=10 route_source_value=100"
    ),
    (
        "procedure_occurrence | procedure_occurrence_id person_id procedure_concept_id procedure_date "
        "procedure_type_concept_id"
        "| procedure_concept_id=5 procedure_type_concept_id=0 modifier_concept_id=100 procedure_source_concept_id=10"
        "| procedure_source_value=10 modifier_source_value=100"
    ),
    (
        "measurement | measurement_id person_id measurement_concept_id measurement_date measurement_type_concept_id"
        "| measurement_concept_id=5 measurement_type_concept_id=0 unit_concept_id=5 measurement_source_concept_id=10 "
        "unit_source_concept_id=100"
        "| measurement_source_value=10 unit_source_value=100"
    ),
    (
        "observation | observation_id person_id observation_concept_id observation_date observation_type_concept_id"
        "| observation_concept_id=5 observation_type_concept_id=0 unit_concept_id=5 observation_source_concept_id=10"
        "| observation_source_value=100 qualifier_source_value=100 unit_source_value=100"
    ),
    (
        "death | person_id death_date"
        "| death_type_concept_id=0 cause_concept_id=5 cause_source_concept_id=10"
        "| cause_source_value=10>cause_source_concept_id"
    ),
)


def _thresholds(text: str) -> dict[str, str]:
    return dict(word.split("=") for word in text.split())


def _table(line: str) -> TableSpec:
    name, required, zero, codes = (part.strip() for part in line.split("|"))
    target = TARGETS[name]
    zeros, of_codes, filled = _thresholds(zero), _thresholds(codes), required.split()
    fields = {
        column: FieldSpec(
            name=column,
            type=_TYPES[sql_type],
            is_required=column in filled,
            is_key=column == target.key and name != "death",
            refers_to=None if column == target.key and name != "death" else _KEYS_OF.get(column),
            concept=_concept(column, zeros.get(column)),
            codes=_codes(column, of_codes.get(column)),
            range=_RANGES.get((name, column)),
            ends=_end_of(column, target.columns),
        )
        for column, sql_type in target.columns.items()
    }
    return TableSpec(
        name=name,
        fields=MappingProxyType(fields),
        is_required=name in {"person", "observation_period"},
        persons=None if name == "person" else _PERSONS.get(name, _USUAL_PERSONS),
        at="death_date" if name == "death" else target.at,
    )


def _concept(column: str, zero: str | None) -> Concept | None:
    if not column.endswith(_CONCEPT):
        return None
    is_standard = not column.endswith(_SOURCE_CONCEPT) and column not in _NEVER_STANDARD
    stem = column.removesuffix(_CONCEPT)
    # Every "..._type_concept_id" is a Type Concept, whatever stands before it.
    domain = _DOMAINS.get("type" if stem.endswith("_type") else stem)
    return Concept(domain=domain, is_standard=is_standard, zero=None if zero is None else float(zero))


def _codes(column: str, threshold: str | None) -> Codes | None:
    if threshold is None:
        return None
    share, _, named = threshold.partition(">")
    return Codes(concept=named or column.replace("_source_value", _CONCEPT), threshold=float(share))


def _end_of(column: str, columns: Mapping[str, str]) -> str | None:
    """``x_start_date`` ends with ``x_end_date``; a procedure starts with ``procedure_date``."""
    for start, end in (("_start_date", "_end_date"), ("procedure_date", "procedure_end_date")):
        if start in column and column.replace(start, end) in columns:
            return column.replace(start, end)
    return None


TABLES: Final[Mapping[str, TableSpec]] = MappingProxyType({one.name: one for one in map(_table, _SPECIFIED)})
