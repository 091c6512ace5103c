"""The checks as values: their kinds with what they say and what to do next, and which check applies to which field.

Kinds, their levels, categories and severities are those of the OHDSI DataQualityDashboard (check descriptions for
CDM 5.4, https://github.com/OHDSI/DataQualityDashboard, Apache-2.0); the last ones, of the origin ``asepsis``, find
flaws that none of them finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from asepsis.harmonise.quality.spec import ALL, TABLES, FieldSpec, FieldType, TableSpec


class Kind(StrEnum):
    """What is checked; the names are those of the DataQualityDashboard."""

    CDM_TABLE = "cdmTable"
    PERSONS = "measurePersonCompleteness"
    CONDITION_ERA = "measureConditionEraCompleteness"
    PERIOD_OVERLAP = "measureObservationPeriodOverlap"
    CDM_FIELD = "cdmField"
    REQUIRED = "isRequired"
    DATATYPE = "cdmDatatype"
    PRIMARY_KEY = "isPrimaryKey"
    FOREIGN_KEY = "isForeignKey"
    DOMAIN = "fkDomain"
    CLASS = "fkClass"
    STANDARD = "isStandardValidConcept"
    VALUES = "measureValueCompleteness"
    STANDARD_ZERO = "standardConceptRecordCompleteness"
    SOURCE_ZERO = "sourceConceptRecordCompleteness"
    CODES = "sourceValueCompleteness"
    LOW = "plausibleValueLow"
    HIGH = "plausibleValueHigh"
    AFTER = "plausibleTemporalAfter"
    DURING_LIFE = "plausibleDuringLife"
    WITHIN_VISIT = "withinVisitDates"
    AFTER_BIRTH = "plausibleAfterBirth"
    BEFORE_DEATH = "plausibleBeforeDeath"
    START_END = "plausibleStartBeforeEnd"
    GENDER = "plausibleGender"
    GENDER_BELOW = "plausibleGenderUseDescendants"
    UNIT = "plausibleUnitConceptIds"
    STORED_TYPE = "storedType"
    PLACEHOLDER = "placeholderRow"
    TIME_OF_DAY = "timeOfDay"
    NO_VALUE = "measurementWithoutValue"
    BORN_LATER = "bornInTheFuture"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a kind. ``severity`` is fatal, convention or characterization, as the dashboard grades it."""

    level: str
    category: str
    severity: str
    says: str
    next: str
    origin: str = "ohdsi-dqd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of one table, field or concept; it fails where more than ``threshold`` per cent violate it."""

    kind: Kind
    table: str
    field: str = ""
    concept: str = ""
    threshold: float

    @property
    def id(self) -> str:
        """The stable name of the check."""
        return ".".join(part for part in (self.kind.value, self.table, self.field, self.concept) if part)


_MAP_CODES: Final = "Add the codes to the code map; `asepsis mapping check --list-codes` lists them with their counts."
_DATES: Final = "Look at the rows with `provenance.parquet`; declare the date order and century, or add a `require:`."
_FILL: Final = "Fill the field in tables/*.yaml, or quarantine records without it with a `require:`."
_BOUNDS: Final = "Look at the rows with `provenance.parquet`; correct dates, units or factors, or add a `require:`."
_CONCEPTS: Final = "Correct the target concept in the code map; `asepsis vocabulary delta` names what replaced it."


def _facts(text: str, *, origin: str = "ohdsi-dqd") -> Facts:
    level, category, severity, says, after = (part.strip() for part in text.split("|"))
    return Facts(level=level, category=category, severity=severity, says=says, next=after, origin=origin)


FACTS: Final[Mapping[Kind, Facts]] = MappingProxyType(
    {
        Kind.CDM_TABLE: _facts(
            "table|Conformance|fatal|the table is not there|Map at least one file of the source to this table."
        ),
        Kind.PERSONS: _facts(
            "table|Completeness|convention|persons have no row in the table"
            "|See in the books whether their records were quarantined; else the source may lack them."
        ),
        Kind.CONDITION_ERA: _facts(
            "table|Completeness|convention|persons with conditions have no condition era|Build the eras again."
        ),
        Kind.PERIOD_OVERLAP: _facts(
            "table|Plausibility|fatal|persons have observation periods that overlap or touch"
            "|Merge the periods into one; `observation_period.yaml` makes one per person."
        ),
        Kind.CDM_FIELD: _facts(
            "field|Conformance|fatal|the field is not there|Add it; a contribution writes every field of the table."
        ),
        Kind.REQUIRED: _facts(f"field|Conformance|fatal|rows lack a value that must be there|{_FILL}"),
        Kind.DATATYPE: _facts(
            "field|Conformance|fatal|values are no whole numbers|Cast the field in tables/*.yaml to a whole number."
        ),
        Kind.PRIMARY_KEY: _facts(
            "field|Conformance|fatal|rows share a key|Find the doubled rows; a key names one row of the table."
        ),
        Kind.FOREIGN_KEY: _facts(
            "field|Conformance|fatal|rows point to nothing"
            "|Contribute the table that is pointed to; concepts from 2000000000 on are your own, not in a vocabulary."
        ),
        Kind.DOMAIN: _facts(
            "field|Conformance|convention|concepts belong to another domain"
            "|Map these codes to the table of their domain, or correct the target concept in the code map."
        ),
        Kind.CLASS: _facts(f"field|Conformance|convention|concepts belong to another class|{_CONCEPTS}"),
        Kind.STANDARD: _facts(f"field|Conformance|convention|concepts are not standard or withdrawn|{_CONCEPTS}"),
        Kind.VALUES: _facts(f"field|Completeness|characterization|rows lack a value|{_FILL}"),
        Kind.STANDARD_ZERO: _facts(f"field|Completeness|convention|rows have no standard concept|{_MAP_CODES}"),
        Kind.SOURCE_ZERO: _facts(
            "field|Completeness|convention|rows have no source concept"
            "|Fill the source concept from the vocabulary of the source, where the source names it."
        ),
        Kind.CODES: _facts(f"field|Completeness|convention|distinct codes of the source are not mapped|{_MAP_CODES}"),
        Kind.LOW: _facts(f"field|Plausibility|characterization|values are too small or too early|{_BOUNDS}"),
        Kind.HIGH: _facts(f"field|Plausibility|characterization|values are too great or too late|{_BOUNDS}"),
        Kind.AFTER: _facts(f"field|Plausibility|characterization|dates lie before the date they follow|{_DATES}"),
        Kind.DURING_LIFE: _facts(f"field|Plausibility|characterization|events lie over 60 days after death|{_DATES}"),
        Kind.WITHIN_VISIT: _facts(
            f"field|Plausibility|characterization|events lie over a week outside of their visit|{_DATES}"
        ),
        Kind.AFTER_BIRTH: _facts(f"field|Plausibility|characterization|events lie before birth|{_DATES}"),
        Kind.BEFORE_DEATH: _facts(f"field|Plausibility|characterization|events lie over 60 days after death|{_DATES}"),
        Kind.START_END: _facts(f"field|Plausibility|characterization|starts lie after their end|{_DATES}"),
        Kind.GENDER: _facts(
            "concept|Plausibility|characterization|patients of the other sex have the concept"
            "|Look for wrong person links and for codes that are mapped to the wrong concept."
        ),
        Kind.GENDER_BELOW: _facts(
            "concept|Plausibility|characterization|patients of the other sex have a concept of this branch"
            "|Look for wrong person links and for codes that are mapped to the wrong concept."
        ),
        Kind.UNIT: _facts(
            "concept|Plausibility|characterization|measurements have a unit that does not fit the concept"
            "|Check the units in tables/measurement.yaml: a wrong unit makes the number wrong."
        ),
        Kind.STORED_TYPE: _facts(
            "field|Conformance|fatal|the column is stored as another type|Write the column with the type of OMOP.",
            origin="asepsis",
        ),
        Kind.PLACEHOLDER: _facts(
            "table|Conformance|fatal|rows are empty in every field"
            "|Remove the rows: they make an empty table look filled.",
            origin="asepsis",
        ),
        Kind.TIME_OF_DAY: _facts(
            "field|Conformance|convention|times are no time of day|Fill HH:MM:SS, or leave the field empty.",
            origin="asepsis",
        ),
        Kind.NO_VALUE: _facts(
            "table|Completeness|convention|measurements have neither number nor concept as their value"
            "|Map the result of the source to value_as_number or value_as_concept_id.",
            origin="asepsis",
        ),
        Kind.BORN_LATER: _facts(
            "field|Plausibility|fatal|persons are born after the day of the report|Correct `century_from` of the file.",
            origin="asepsis",
        ),
    }
)
STRUCTURE: Final = frozenset({Kind.CDM_TABLE, Kind.CDM_FIELD, Kind.STORED_TYPE})
"""Yes or no; no row is counted."""
NEEDS_VOCABULARY: Final = frozenset({Kind.DOMAIN, Kind.CLASS, Kind.STANDARD, Kind.GENDER_BELOW})
"""And isForeignKey where it points to the table of concepts."""

_MISSING_VALUE: Final = 95.0
_OTHER: Final = 1.0
_EARLIEST: Final = "1950-01-01"
EARLIEST: Final[Mapping[str, str]] = MappingProxyType({"birth_datetime": "1850-01-01"})
_VISIT_FIELDS: Final = frozenset(
    {"condition_start_date", "drug_exposure_start_date", "measurement_date", "observation_date", "procedure_date"}
)
_NOT_DURING_LIFE: Final = frozenset({"measurement", "observation"})


def earliest(field: str) -> str:
    """The first plausible day of a field with dates."""
    return EARLIEST.get(field, _EARLIEST)


def planned_checks() -> tuple[Check, ...]:
    """Every check of a table or field. Those of single concepts come from the data, see ``concepts``."""
    return (
        *(check for table in TABLES.values() for check in _of_table(table)),
        Check(kind=Kind.CONDITION_ERA, table="condition_era", threshold=0.0),
        Check(kind=Kind.PERIOD_OVERLAP, table="observation_period", threshold=0.0),
        Check(kind=Kind.NO_VALUE, table="measurement", threshold=_MISSING_VALUE),
    )


def _of_table(table: TableSpec) -> Iterator[Check]:
    yield Check(kind=Kind.CDM_TABLE, table=table.name, threshold=0.0)
    yield Check(kind=Kind.PLACEHOLDER, table=table.name, threshold=0.0)
    if table.persons is not None:
        yield Check(kind=Kind.PERSONS, table=table.name, threshold=table.persons)
    for field in table.fields.values():
        for kind, threshold in (*_of_field(field), *_of_day(table, field)):
            yield Check(kind=kind, table=table.name, field=field.name, threshold=threshold)


def _of_field(field: FieldSpec) -> Iterator[tuple[Kind, float]]:
    yield Kind.CDM_FIELD, 0.0
    yield Kind.STORED_TYPE, 0.0
    yield Kind.VALUES, 0.0 if field.is_required else ALL
    if field.is_required:
        yield Kind.REQUIRED, 0.0
    if field.type is FieldType.INTEGER:
        yield Kind.DATATYPE, 0.0
    if field.is_key:
        yield Kind.PRIMARY_KEY, 0.0
    if field.refers_to is not None or field.concept is not None:
        yield Kind.FOREIGN_KEY, 0.0
    if field.codes is not None:
        yield Kind.CODES, field.codes.threshold
    if field.name == "measurement_time":
        yield Kind.TIME_OF_DAY, _OTHER
    yield from _of_concept(field)
    yield from _of_range(field)


def _of_concept(field: FieldSpec) -> Iterator[tuple[Kind, float]]:
    if field.concept is None:
        return
    if field.concept.domain is not None:
        yield Kind.DOMAIN, 0.0
    if field.concept.is_standard:
        yield Kind.STANDARD, 0.0
    if field.concept.zero is not None:
        yield Kind.STANDARD_ZERO if field.concept.is_standard else Kind.SOURCE_ZERO, field.concept.zero


def _of_range(field: FieldSpec) -> Iterator[tuple[Kind, float]]:
    if field.range is None:
        return
    if field.range.low is not None:
        yield Kind.LOW, _OTHER
    if field.range.high is not None or field.range.is_high_next_year:
        yield Kind.HIGH, _OTHER
    if field.range.is_high_next_year:
        yield Kind.BORN_LATER, 0.0


def _of_day(table: TableSpec, field: FieldSpec) -> Iterator[tuple[Kind, float]]:
    if not field.is_day:
        return
    yield from ((Kind.LOW, _OTHER), (Kind.HIGH, _OTHER))
    if table.name == "person":
        return
    yield Kind.AFTER_BIRTH, _OTHER
    if field.name != "measurement_datetime":
        yield Kind.AFTER, _OTHER
    if table.name != "death":
        yield Kind.BEFORE_DEATH, _OTHER
        if table.name not in _NOT_DURING_LIFE:
            yield Kind.DURING_LIFE, _OTHER
    if field.ends is not None:
        yield Kind.START_END, 0.0 if table.name == "observation_period" else _OTHER
    if field.name in _VISIT_FIELDS:
        yield Kind.WITHIN_VISIT, 5.0
