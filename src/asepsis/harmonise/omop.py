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
    """

    name: str
    key: str
    columns: Mapping[str, str]
    counted: bool = False
    required: tuple[str, ...] = ()
    empty: frozenset[str] = frozenset()
    zero: frozenset[str] = frozenset()
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
    empty=frozenset({"person_id", "cause_source_value"}),
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

TARGETS: Final[Mapping[str, Target]] = MappingProxyType(
    {target.name: target for target in (_PERSON, _IDENTITY, _CONDITION, _DEATH, _PERIOD)}
)
PERIOD: Final = "observation_period"
IDENTITY: Final = "identity"
