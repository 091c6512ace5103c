"""The target tables: OMOP CDM 5.4 as far as mappings may fill it, and the separate identity table.

Invariant: no column here that a mapping may fill in a clinical table carries an identifier; those of OMOP that could
(``person_source_value``, the exact birth date) exist in the table and stay empty.
Source: OHDSI CommonDataModel, OMOP CDM v5.4, https://ohdsi.github.io/CommonDataModel/cdm54.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from asepsis.domain.identity import IDENTITY_COLUMNS


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target table. ``columns`` are SQL types in order; ``key`` is made by the engine where ``counted``.

    ``required`` may not be null; ``empty`` are columns that a mapping may not fill; ``at`` orders the rows of a person.
    ``free`` are columns that OMOP means for text as somebody wrote it (see ``texts``).
    """

    name: str
    key: str
    columns: Mapping[str, str]
    counted: bool = False
    required: tuple[str, ...] = ()
    empty: frozenset[str] = frozenset()
    zero: frozenset[str] = frozenset()
    free: frozenset[str] = frozenset()
    at: str | None = None


def _columns(text: str) -> Mapping[str, str]:
    return MappingProxyType(dict(item.strip().split(" ") for item in text.split(",")))


_PERSON: Final = Target(
    name="person",
    key="person_id",
    columns=_columns(
        "person_id BIGINT, gender_concept_id INTEGER, year_of_birth INTEGER, month_of_birth INTEGER, "
        "day_of_birth INTEGER, birth_datetime TIMESTAMP, race_concept_id INTEGER, ethnicity_concept_id INTEGER, "
        "location_id BIGINT, provider_id BIGINT, care_site_id BIGINT, person_source_value VARCHAR, "
        "gender_source_value VARCHAR, gender_source_concept_id INTEGER, race_source_value VARCHAR, "
        "race_source_concept_id INTEGER, ethnicity_source_value VARCHAR, ethnicity_source_concept_id INTEGER"
    ),
    empty=frozenset({"person_id", "day_of_birth", "birth_datetime", "person_source_value"}),
    zero=frozenset({"gender_concept_id", "race_concept_id", "ethnicity_concept_id"}),
)

_CONDITION: Final = Target(
    name="condition_occurrence",
    key="condition_occurrence_id",
    columns=_columns(
        "condition_occurrence_id BIGINT, person_id BIGINT, condition_concept_id INTEGER, condition_start_date DATE, "
        "condition_start_datetime TIMESTAMP, condition_end_date DATE, condition_end_datetime TIMESTAMP, "
        "condition_type_concept_id INTEGER, condition_status_concept_id INTEGER, stop_reason VARCHAR, "
        "provider_id BIGINT, visit_occurrence_id BIGINT, visit_detail_id BIGINT, condition_source_value VARCHAR, "
        "condition_source_concept_id INTEGER, condition_status_source_value VARCHAR"
    ),
    counted=True,
    required=("condition_start_date",),
    empty=frozenset({"condition_occurrence_id", "person_id", "provider_id", "visit_occurrence_id", "visit_detail_id"}),
    zero=frozenset({"condition_concept_id", "condition_type_concept_id", "condition_source_concept_id"}),
    free=frozenset({"stop_reason"}),
    at="condition_start_date",
)

_DEATH: Final = Target(
    name="death",
    key="person_id",
    columns=_columns(
        "person_id BIGINT, death_date DATE, death_datetime TIMESTAMP, death_type_concept_id INTEGER, "
        "cause_concept_id INTEGER, cause_source_value VARCHAR, cause_source_concept_id INTEGER"
    ),
    required=("death_date",),
    empty=frozenset({"person_id"}),
    free=frozenset({"cause_source_value"}),
)

_IDENTITY_TYPES: Final = {"person_id": "BIGINT", "birth_date": "DATE"}
_IDENTITY: Final = Target(
    name="identity",
    key="person_id",
    columns=_columns(", ".join(f"{column} {_IDENTITY_TYPES.get(column, 'VARCHAR')}" for column in IDENTITY_COLUMNS)),
    empty=frozenset({"person_id"}),
)

_PERIOD: Final = Target(
    name="observation_period",
    key="observation_period_id",
    columns=_columns(
        "observation_period_id BIGINT, person_id BIGINT, observation_period_start_date DATE, "
        "observation_period_end_date DATE, period_type_concept_id INTEGER"
    ),
    counted=True,
    empty=frozenset(
        {"observation_period_id", "person_id", "observation_period_start_date", "observation_period_end_date"}
    ),
    at="observation_period_start_date",
)

_LINKS: Final = frozenset({"person_id", "provider_id", "visit_occurrence_id", "visit_detail_id", "care_site_id"})
"""Keys of other tables: the engine fills ``person_id``; the others stay empty."""

_MEASUREMENT: Final = Target(
    name="measurement",
    key="measurement_id",
    columns=_columns(
        "measurement_id BIGINT, person_id BIGINT, measurement_concept_id INTEGER, measurement_date DATE, "
        "measurement_datetime TIMESTAMP, measurement_time VARCHAR, measurement_type_concept_id INTEGER, "
        "operator_concept_id INTEGER, value_as_number DOUBLE, value_as_concept_id INTEGER, unit_concept_id INTEGER, "
        "range_low DOUBLE, range_high DOUBLE, provider_id BIGINT, visit_occurrence_id BIGINT, visit_detail_id BIGINT, "
        "measurement_source_value VARCHAR, measurement_source_concept_id INTEGER, unit_source_value VARCHAR, "
        "unit_source_concept_id INTEGER, value_source_value VARCHAR, measurement_event_id BIGINT, "
        "meas_event_field_concept_id INTEGER"
    ),
    counted=True,
    required=("measurement_date",),
    empty=_LINKS | {"measurement_id", "measurement_event_id"},
    zero=frozenset({"measurement_concept_id", "measurement_type_concept_id"}),
    at="measurement_date",
)

_DRUG: Final = Target(
    name="drug_exposure",
    key="drug_exposure_id",
    columns=_columns(
        "drug_exposure_id BIGINT, person_id BIGINT, drug_concept_id INTEGER, drug_exposure_start_date DATE, "
        "drug_exposure_start_datetime TIMESTAMP, drug_exposure_end_date DATE, drug_exposure_end_datetime TIMESTAMP, "
        "verbatim_end_date DATE, drug_type_concept_id INTEGER, stop_reason VARCHAR, refills INTEGER, quantity DOUBLE, "
        "days_supply INTEGER, sig VARCHAR, route_concept_id INTEGER, lot_number VARCHAR, provider_id BIGINT, "
        "visit_occurrence_id BIGINT, visit_detail_id BIGINT, drug_source_value VARCHAR, "
        "drug_source_concept_id INTEGER, route_source_value VARCHAR, dose_unit_source_value VARCHAR"
    ),
    counted=True,
    required=("drug_exposure_start_date", "drug_exposure_end_date"),
    empty=_LINKS | {"drug_exposure_id", "lot_number"},
    zero=frozenset({"drug_concept_id", "drug_type_concept_id"}),
    free=frozenset({"sig", "stop_reason"}),
    at="drug_exposure_start_date",
)

_VISIT: Final = Target(
    name="visit_occurrence",
    key="visit_occurrence_id",
    columns=_columns(
        "visit_occurrence_id BIGINT, person_id BIGINT, visit_concept_id INTEGER, visit_start_date DATE, "
        "visit_start_datetime TIMESTAMP, visit_end_date DATE, visit_end_datetime TIMESTAMP, "
        "visit_type_concept_id INTEGER, provider_id BIGINT, care_site_id BIGINT, visit_source_value VARCHAR, "
        "visit_source_concept_id INTEGER, admitted_from_concept_id INTEGER, admitted_from_source_value VARCHAR, "
        "discharged_to_concept_id INTEGER, discharged_to_source_value VARCHAR, preceding_visit_occurrence_id BIGINT"
    ),
    counted=True,
    required=("visit_start_date", "visit_end_date"),
    empty=_LINKS | {"visit_occurrence_id", "preceding_visit_occurrence_id"},
    zero=frozenset({"visit_concept_id", "visit_type_concept_id"}),
    at="visit_start_date",
)

_PROCEDURE: Final = Target(
    name="procedure_occurrence",
    key="procedure_occurrence_id",
    columns=_columns(
        "procedure_occurrence_id BIGINT, person_id BIGINT, procedure_concept_id INTEGER, procedure_date DATE, "
        "procedure_datetime TIMESTAMP, procedure_end_date DATE, procedure_end_datetime TIMESTAMP, "
        "procedure_type_concept_id INTEGER, modifier_concept_id INTEGER, quantity INTEGER, provider_id BIGINT, "
        "visit_occurrence_id BIGINT, visit_detail_id BIGINT, procedure_source_value VARCHAR, "
        "procedure_source_concept_id INTEGER, modifier_source_value VARCHAR"
    ),
    counted=True,
    required=("procedure_date",),
    empty=_LINKS | {"procedure_occurrence_id"},
    zero=frozenset({"procedure_concept_id", "procedure_type_concept_id"}),
    at="procedure_date",
)

_OBSERVATION: Final = Target(
    name="observation",
    key="observation_id",
    columns=_columns(
        "observation_id BIGINT, person_id BIGINT, observation_concept_id INTEGER, observation_date DATE, "
        "observation_datetime TIMESTAMP, observation_type_concept_id INTEGER, value_as_number DOUBLE, "
        "value_as_string VARCHAR, value_as_concept_id INTEGER, qualifier_concept_id INTEGER, unit_concept_id INTEGER, "
        "provider_id BIGINT, visit_occurrence_id BIGINT, visit_detail_id BIGINT, observation_source_value VARCHAR, "
        "observation_source_concept_id INTEGER, unit_source_value VARCHAR, qualifier_source_value VARCHAR, "
        "value_source_value VARCHAR, observation_event_id BIGINT, obs_event_field_concept_id INTEGER"
    ),
    counted=True,
    required=("observation_date",),
    empty=_LINKS | {"observation_id", "observation_event_id"},
    zero=frozenset({"observation_concept_id", "observation_type_concept_id"}),
    free=frozenset({"value_as_string"}),
    at="observation_date",
)

_NOTE: Final = Target(
    name="note",
    key="note_id",
    columns=_columns(
        "note_id BIGINT, person_id BIGINT, note_date DATE, note_datetime TIMESTAMP, note_type_concept_id INTEGER, "
        "note_class_concept_id INTEGER, note_title VARCHAR, note_text VARCHAR, encoding_concept_id INTEGER, "
        "language_concept_id INTEGER, provider_id BIGINT, visit_occurrence_id BIGINT, visit_detail_id BIGINT, "
        "note_source_value VARCHAR, note_event_id BIGINT, note_event_field_concept_id INTEGER"
    ),
    counted=True,
    required=("note_date", "note_text"),
    empty=_LINKS | {"note_id", "note_event_id"},
    zero=frozenset(
        {"note_type_concept_id", "note_class_concept_id", "encoding_concept_id", "language_concept_id"},
    ),
    free=frozenset({"note_title", "note_text"}),
    at="note_date",
)

_MERGE: Final = Target(
    name="person_merge",
    key="person_merge_id",
    columns=_columns("person_merge_id BIGINT, person_id BIGINT, merged_person_id BIGINT, merge_date DATE"),
    counted=True,
    required=("merged_person_id",),
    empty=frozenset({"person_merge_id", "person_id"}),
    at="merge_date",
)
"""Not of OMOP: the source said that two of its patient numbers are one person. Pseudonyms only, no identifier."""

TARGETS: Final[Mapping[str, Target]] = MappingProxyType(
    {
        target.name: target
        for target in (
            _PERSON,
            _IDENTITY,
            _CONDITION,
            _DEATH,
            _MEASUREMENT,
            _DRUG,
            _VISIT,
            _PROCEDURE,
            _OBSERVATION,
            _NOTE,
            _MERGE,
            _PERIOD,
        )
    }
)
PERIOD: Final = "observation_period"
IDENTITY: Final = "identity"
