"""Built-in roles for the columns of OMOP CDM tables: what ``rehearse --profile`` assumes without a contract.

``person_id`` is the privacy unit; concept ids, years, sex, care sites and other coded columns are comparable and
groupable; dates are used through calendar parts, months and differences; numbers are aggregated and compared at
registered bins; row identifiers, times, source values and free text have no use at all.
Table and column names: OMOP Common Data Model 5.4, https://ohdsi.github.io/CommonDataModel/cdm54.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from asepsis.domain.catalogue import Catalogue, Column, ColumnType, Table, Use

UNIT: Final = "person_id"
_CODED: Final = frozenset({Use.COMPARE, Use.GROUP})
_BINNED_WIDTH: Final = 1
_YEAR_WIDTH: Final = 5
"""Ranges of years of birth begin and end at multiples of five."""

_ONE_PER_PERSON: Final = frozenset({"person", "death"})
_NUMBERS: Final = frozenset({
    "value_as_number", "range_low", "range_high", "quantity", "days_supply", "refills", "dose_value",
    "drug_dose", "amount_value", "cost", "total_charge", "total_cost", "total_paid",
})  # fmt: skip
_SHARED_IDS: Final = frozenset({"location_id", "care_site_id"})
_AFFILIATIONS: Final[Mapping[str, Use]] = {"provider_id": Use.PROVIDER, "care_site_id": Use.SITE}
"""The provider and the site of a record, in tables of persons: counted where a profile asks for several."""

_CODED_NAMES: Final = frozenset({
    "year_of_birth", "month_of_birth", "state", "county", "zip", "country_concept_id",
    "domain_id", "vocabulary_id", "concept_class_id", "standard_concept",
})  # fmt: skip
_LOOKUPS: Final[Mapping[str, str]] = {"concept": "concept_id", "care_site": "care_site_id", "location": "location_id"}
_LISTS: Final = frozenset({"concept_ancestor", "concept_relationship", "concept_synonym", "drug_strength"})
"""Tables of the vocabulary without a unique column: they are used as lists of values, and never joined to patients."""

_LOOKUP_TEXTS: Final = frozenset({"concept_name", "care_site_name"})
_VOCABULARY_TEXTS: Final = frozenset({
    "concept_code", "invalid_reason", "relationship_id", "concept_id_1", "concept_id_2", "min_levels_of_separation",
    "max_levels_of_separation", "concept_synonym_name",
})  # fmt: skip


def omop_catalogue(tables: Mapping[str, Iterable[tuple[str, ColumnType]]]) -> Catalogue:
    """The catalogue of some OMOP tables from the names and types of their columns.

    Tables of which nothing can be used are left out.
    """
    built = (_table(name.lower(), columns) for name, columns in sorted(tables.items()))
    return Catalogue(tables=tuple(table for table in built if any(column.uses for column in table.columns)))


def _table(name: str, columns: Iterable[tuple[str, ColumnType]]) -> Table:
    built = tuple(_column(name, column.lower(), kind) for column, kind in columns)
    if any(Use.UNIT in column.uses for column in built):
        built = tuple(_affiliated(column) for column in built)
    key = _LOOKUPS.get(name)
    names = {column.name for column in built}
    return Table(
        name=name,
        columns=built,
        one_per_person=name in _ONE_PER_PERSON and UNIT in names,
        key=key if key in names and UNIT not in names else None,
    )


def _affiliated(column: Column) -> Column:
    kind = _AFFILIATIONS.get(column.name)
    return column if kind is None else replace(column, uses=column.uses | {kind})


def _column(table: str, name: str, kind: ColumnType) -> Column:
    if name == UNIT:
        return Column(name=name, type=ColumnType.INTEGER, uses=frozenset({Use.UNIT}))
    if name in _NUMBERS:
        number = kind if kind is ColumnType.INTEGER else ColumnType.NUMBER
        return Column(name=name, type=number, uses=frozenset({Use.AGGREGATE}), bin_width=_BINNED_WIDTH)
    width = _YEAR_WIDTH if name == "year_of_birth" and kind is ColumnType.INTEGER else None
    return Column(name=name, type=kind, uses=_uses(table, name, kind), bin_width=width)


def _uses(table: str, name: str, kind: ColumnType) -> frozenset[Use]:
    if table in _LOOKUPS and (name in _LOOKUP_TEXTS or name == _LOOKUPS[table]):
        return _CODED
    if (table == "concept" or table in _LISTS) and name in _VOCABULARY_TEXTS:
        return _CODED
    if name.endswith(("_source_concept_id", "_source_value")):
        return frozenset()
    if name.endswith("_concept_id") or name in _SHARED_IDS or name in _CODED_NAMES:
        return _CODED
    if name.endswith("_date") and kind is ColumnType.DATE:
        return frozenset({Use.DATE})
    return frozenset()
