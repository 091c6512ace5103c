"""Each row-level check as two SQL conditions: which rows it applies to, and which of them violate it.

The rows are those of ``FROM t`` joined with ``p`` (persons), ``d`` (deaths) and one table per key that is followed
(see ``scan``). Every expression is total: it yields true, false or null on any value, and never fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final

from asepsis.harmonise.quality.checks import Check, Kind, earliest
from asepsis.harmonise.quality.spec import TABLES, FieldSpec, FieldType, TableSpec

AFTER_DEATH: Final = 60
"""Days after death in which records are still written."""
AROUND_VISIT: Final = 7
"""Days before and after a visit that still belong to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A table as it is stored: the type of each column by its lower-case name; ``empty`` are columns without a value.

    ``raw`` are columns whose stored type is not that of OMOP: they are cast, and kept as ``raw_<name>`` besides.
    """

    name: str
    stored: Mapping[str, str]
    empty: frozenset[str] = frozenset()
    raw: frozenset[str] = frozenset()

    @property
    def spec(self) -> TableSpec:
        """What OMOP says of the table."""
        return TABLES[self.name]

    def has(self, field: str) -> bool:
        """Whether the column is there and holds a value."""
        return field in self.stored and field not in self.empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """SQL over one joined row. ``violated`` is never true where ``applies`` is not."""

    applies: str
    violated: str


ALWAYS: Final = "true"
Maker = Callable[[Check, Shape, date], Condition]


def condition_of(check: Check, shape: Shape, as_of: date) -> Condition:
    """The conditions of a row-level check; it may be asked only for fields that are there."""
    return _MAKERS[check.kind](check, shape, as_of)


def is_row_level(check: Check) -> bool:
    """Whether the check is answered by looking at each row once."""
    if check.kind is Kind.FOREIGN_KEY:
        return TABLES[check.table].fields[check.field].concept is None
    return check.kind in _MAKERS


def _field(check: Check) -> FieldSpec:
    return TABLES[check.table].fields[check.field]


def _filled(check: Check) -> str:
    return f"t.{check.field} IS NOT NULL"


def _day(check: Check) -> str:
    return f"t.{check.field}::DATE" if _field(check).type is FieldType.DATETIME else f"t.{check.field}"


def _missing(check: Check, shape: Shape, _: date) -> Condition:
    is_empty = check.field in shape.empty
    return Condition(applies=ALWAYS, violated=ALWAYS if is_empty else f"{_stored(check, shape)} IS NULL")


def _stored(check: Check, shape: Shape) -> str:
    """The value as it is stored: one that cannot be cast is not missing."""
    return f"t.raw_{check.field}" if check.field in shape.raw else f"t.{check.field}"


def _no_integer(check: Check, shape: Shape, _: date) -> Condition:
    if check.field not in shape.raw or check.field in shape.empty:
        return Condition(applies=ALWAYS, violated="false")
    text = f"trim(t.raw_{check.field}::VARCHAR)"
    return Condition(
        applies=ALWAYS,
        violated=f"NOT regexp_full_match({text}, '[+-]?[0-9]+([.]0*)?') OR ({_stored(check, shape)} IS NOT NULL "
        f"AND t.{check.field} IS NULL)",
    )


def _no_row(check: Check, _: Shape, __: date) -> Condition:
    return Condition(applies=ALWAYS, violated=f"{_filled(check)} AND {joined(check.field)}.id IS NULL")


def _zero(check: Check, _: Shape, __: date) -> Condition:
    return Condition(applies=ALWAYS, violated=f"t.{check.field} = 0")


def _low(check: Check, _: Shape, __: date) -> Condition:
    field = _field(check)
    if field.is_day:
        bound = f"DATE '{earliest(check.field)}'"
        return Condition(applies=_filled(check), violated=f"{_day(check)} < {bound}")
    low = field.range.low if field.range is not None else None
    return Condition(applies=_filled(check), violated=f"t.{check.field} < {low}")


def _high(check: Check, _: Shape, as_of: date) -> Condition:
    field = _field(check)
    if field.is_day:
        bound = f"DATE '{as_of + timedelta(days=1)}'"
        return Condition(applies=_filled(check), violated=f"{_day(check)} > {bound}")
    high = field.range.high if field.range is not None and not field.range.is_high_next_year else as_of.year + 1
    return Condition(applies=_filled(check), violated=f"t.{check.field} > {high}")


def _born_later(check: Check, _: Shape, as_of: date) -> Condition:
    return Condition(applies=_filled(check), violated=f"t.{check.field} > {as_of.year}")


def _after(check: Check, shape: Shape, _: date) -> Condition:
    """An end follows its start; a start, and what has no end, follows birth (mid-year where only the year is known)."""
    start = next((one.name for one in shape.spec.fields.values() if one.ends == check.field), None)
    if check.field == "verbatim_end_date":
        start = "drug_exposure_start_date"
    if start is None:
        return Condition(applies=ALWAYS, violated=f"p.about > {_day(check)}")
    return Condition(applies=ALWAYS, violated=f"t.{start}::DATE > {_day(check)}" if shape.has(start) else "false")


def _after_birth(check: Check, _: Shape, __: date) -> Condition:
    return Condition(applies=_filled(check), violated=f"{_day(check)} < p.earliest")


def _late(check: Check) -> str:
    return f"{_day(check)} > d.day + {AFTER_DEATH}"


def _during_life(check: Check, _: Shape, __: date) -> Condition:
    return Condition(applies="d.id IS NOT NULL", violated=_late(check))


def _before_death(check: Check, _: Shape, __: date) -> Condition:
    return Condition(applies=f"d.id IS NOT NULL AND {_filled(check)}", violated=_late(check))


def _start_end(check: Check, shape: Shape, _: date) -> Condition:
    end = f"t.{shape.spec.fields[check.field].ends}"
    return Condition(applies=f"{_filled(check)} AND {end} IS NOT NULL", violated=f"{_day(check)} > {end}::DATE")


def _within_visit(check: Check, _: Shape, __: date) -> Condition:
    visit, day = joined("visit_occurrence_id"), _day(check)
    early, late = f"{visit}.starts - {AROUND_VISIT}", f"{visit}.ends + {AROUND_VISIT}"
    return Condition(
        applies=f"{visit}.id IS NOT NULL AND {_filled(check)}", violated=f"({day} < {early} OR {day} > {late})"
    )


def _placeholder(_: Check, shape: Shape, __: date) -> Condition:
    columns = [f"t.raw_{name}" if name in shape.raw else f"t.{name}" for name in shape.stored if shape.has(name)]
    missing = " AND ".join(f"{column} IS NULL" for column in columns)
    return Condition(applies=ALWAYS, violated=f"({missing})" if columns else ALWAYS)


def _time_of_day(check: Check, shape: Shape, _: date) -> Condition:
    text = f"{_stored(check, shape)}::VARCHAR"
    pattern = "([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]+)?)?"
    return Condition(applies=_filled(check), violated=f"NOT regexp_full_match(trim({text}), '{pattern}')")


def _no_value(_: Check, shape: Shape, __: date) -> Condition:
    number = "t.value_as_number IS NULL" if shape.has("value_as_number") else ALWAYS
    concept = "coalesce(t.value_as_concept_id, 0) = 0" if shape.has("value_as_concept_id") else ALWAYS
    return Condition(applies=ALWAYS, violated=f"({number} AND {concept})")


def joined(field: str) -> str:
    """The alias of the table that the key in this field points to; persons are ``p``."""
    return "p" if field == "person_id" else f"of_{field}"


_MAKERS: Final[Mapping[Kind, Maker]] = MappingProxyType(
    {
        Kind.REQUIRED: _missing,
        Kind.VALUES: _missing,
        Kind.DATATYPE: _no_integer,
        Kind.FOREIGN_KEY: _no_row,
        Kind.STANDARD_ZERO: _zero,
        Kind.SOURCE_ZERO: _zero,
        Kind.LOW: _low,
        Kind.HIGH: _high,
        Kind.BORN_LATER: _born_later,
        Kind.AFTER: _after,
        Kind.AFTER_BIRTH: _after_birth,
        Kind.DURING_LIFE: _during_life,
        Kind.BEFORE_DEATH: _before_death,
        Kind.START_END: _start_end,
        Kind.WITHIN_VISIT: _within_visit,
        Kind.PLACEHOLDER: _placeholder,
        Kind.TIME_OF_DAY: _time_of_day,
        Kind.NO_VALUE: _no_value,
    }
)
