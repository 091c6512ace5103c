"""Default values: what a system writes when it knows nothing, found by how many persons share it.

A default is a value that the contract names, or one that more persons have than chance allows. A default birth date
stands out from the dates around it; a default phone, id or address belongs to more persons than can share one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from math import sqrt
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from asepsis.linkage.columns import Coded

MOST_PERSONS: Final[Mapping[str, int]] = {"national_id": 4, "phone": 20, "home": 60}
"""How many persons of one owner may share a value before it says nothing about any of them."""
_BIRTH_FLOOR: Final = 20
_DEVIATIONS: Final = 8
_NEIGHBOURS: Final = 15
_FULL: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """The normalised values that a contract names as defaults of an owner's systems, by field."""

    values: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def of(self, name: str) -> frozenset[str]:
        """The named defaults of one field."""
        return self.values.get(name, frozenset())


def common_values(name: str, column: Coded, person: pa.Array, written: pa.Array) -> frozenset[str]:
    """The values of ``column`` that too many distinct persons have.

    Records that are ``written`` alike count once, for an owner may list one person often.
    """
    if name == "birth":
        return _common_births(_persons(column, person, more_than=0))
    if name not in MOST_PERSONS:
        return frozenset()
    alike = _persons(column, written, more_than=MOST_PERSONS[name])
    return frozenset(value for value in _persons(column, person, more_than=MOST_PERSONS[name]) if value in alike)


def written_identities(given: Coded, family: Coded, birth: Coded) -> pa.Array:
    """One number per record, the same for records with the same names and birth date; its own where one is missing."""
    joined = pc.cast(given.codes, pa.int64())
    for column in (family, birth):
        joined = pc.add(pc.multiply(joined, len(column.values)), column.codes)
    return pc.coalesce(joined, pa.array(range(-len(joined), 0), pa.int64()))


def _persons(column: Coded, person: pa.Array, *, more_than: int) -> dict[str, int]:
    """Distinct persons by value, for the values that more than so many records have."""
    table = pa.table({"code": column.codes, "person": person}).drop_null()
    counted = table.group_by("code").aggregate([("person", "count_distinct")])
    codes, counts = counted["code"].to_pylist(), counted["person_count_distinct"].to_pylist()
    return {column.values[code]: count for code, count in zip(codes, counts, strict=True) if count > more_than}


def _common_births(persons: Mapping[str, int]) -> frozenset[str]:
    """Dates with far more births than the days around them: above their mean by 8 standard deviations of Poisson."""
    by_day: Counter[date] = Counter()
    days = {value: day for value in persons if (day := _day(value)) is not None}
    for value, day in days.items():
        by_day[day] += persons[value]
    around = range(-_NEIGHBOURS, _NEIGHBOURS + 1)
    common = {value for value in persons if len(value) == _FULL and value not in days and persons[value] > _BIRTH_FLOOR}
    for value, day in days.items():
        if persons[value] <= _BIRTH_FLOOR:
            continue
        near = sum(by_day.get(_moved(day, step), 0) for step in around if step) / (2 * _NEIGHBOURS)
        if persons[value] > near + _DEVIATIONS * sqrt(near + 1):
            common.add(value)
    return frozenset(common)


def _moved(day: date, step: int) -> date:
    try:
        return day + timedelta(days=step)
    except OverflowError:
        return day


def _day(value: str) -> date | None:
    """The day of ``yyyymmdd``; an open century is read as the twentieth, which changes no neighbour."""
    if len(value) != _FULL or not value[2:].isdigit():
        return None
    try:
        return date(int(value[:4].replace("??", "19")), int(value[4:6]), int(value[6:]))
    except ValueError:
        return None
