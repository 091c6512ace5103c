"""The essential lists in terms of OMOP tables: which rows a clinical team needs of its patients, as of an instant.

The conditions are written here and take values as parameters only; nothing of a contract's text becomes SQL.
Table and column names: OMOP Common Data Model 5.4, https://ohdsi.github.io/CommonDataModel/cdm54.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from asepsis.domain.continuity import EssentialList, ListTerms

Parts = tuple[tuple[str, str, str], ...]
"""Table, the condition in time, and the column of the concept."""

_OVERLAPS: Final = "{0}_start_date <= $until AND coalesce({0}_end_date, $until) >= $since"
_OPEN: Final = "{0}_start_date <= $until AND ({0}_end_date IS NULL OR {0}_end_date >= $since)"
_LISTS: Final[Mapping[EssentialList, Parts]] = {
    EssentialList.CENSUS: (("visit_occurrence", _OVERLAPS.format("visit"), "visit_concept_id"),),
    EssentialList.ACTIVE_MEDICATION: (("drug_exposure", _OVERLAPS.format("drug_exposure"), "drug_concept_id"),),
    EssentialList.ALLERGIES: (
        ("observation", "observation_date <= $until", "observation_concept_id"),
        ("condition_occurrence", "condition_start_date <= $until", "condition_concept_id"),
    ),
    EssentialList.PROBLEMS: (("condition_occurrence", _OPEN.format("condition"), "condition_concept_id"),),
    EssentialList.RECENT_LABS: (
        ("measurement", "measurement_date BETWEEN $since AND $until", "measurement_concept_id"),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The rows of one table that belong to a list."""

    table: str
    where: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class EssentialRows:
    """One list, and the tables it is gathered from."""

    name: str
    parts: tuple[Part, ...]


def essential_lists(lists: Mapping[EssentialList, ListTerms], *, as_of: datetime) -> list[EssentialRows]:
    """The lists of a clause, as of an instant: each looks back as many days as it says."""
    return [
        EssentialRows(name=name.value, parts=tuple(_part(part, terms, as_of) for part in _LISTS[name]))
        for name, terms in sorted(lists.items())
    ]


def _part(part: tuple[str, str, str], terms: ListTerms, as_of: datetime) -> Part:
    table, where, concept = part
    values: dict[str, object] = {"until": as_of.date()}
    if "$since" in where:
        values["since"] = as_of.date() - timedelta(days=terms.days)
    if terms.concepts:
        where = f"({where}) AND list_contains($concepts, {concept})"
        values["concepts"] = list(terms.concepts)
    return Part(table=table, where=where, values=values)
