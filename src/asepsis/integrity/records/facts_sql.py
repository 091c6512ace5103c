# ruff: noqa: S608 - quoted names
"""SQL that reads a table once and says of every column what its values are like; no value is part of the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from asepsis.integrity.records.layout import ColumnFacts, Family, family_of
from asepsis.integrity.records.ledger_sql import quoted

DATE_FORMATS: Final = ("%d/%m/%Y %H:%M", "%d/%m/%Y", "%d.%m.%Y", "%d.%m.%Y %H:%M")
"""Spellings of dates besides ISO 8601 that text columns are tried for; only for judging, nothing is converted."""

_OTHERS: Final = ", ".join(f"'{text}'" for text in DATE_FORMATS)
_PARTS: Final = 8
_SAME: Final = 0.999
"""Nearly all values of a text column must read as numbers or dates for it to be one of numbers or dates."""


def facts_sql(relation: str, columns: Mapping[str, str]) -> str:
    """One row: the count of rows, then eight counts for each column in order."""
    parts = [part for name, type_name in columns.items() for part in _column(quoted(name), family_of(type_name))]
    return f"SELECT count(*), {', '.join(parts)} FROM {relation}"


def read_facts(row: Sequence[object], columns: Mapping[str, str]) -> tuple[ColumnFacts, ...]:
    """The facts in an answer to ``facts_sql``."""
    numbers = [float(str(value)) if value is not None else 0.0 for value in row]
    facts = []
    for index, (name, type_name) in enumerate(columns.items()):
        filled, distinct, length, spaced, *fits = numbers[1 + index * _PARTS : 1 + (index + 1) * _PARTS]
        facts.append(
            ColumnFacts(
                name=name,
                type=type_name,
                family=_family(family_of(type_name), filled, fits),
                rows=int(numbers[0]),
                filled=int(filled),
                distinct=min(int(distinct), int(filled)),
                length=length,
                spaced=spaced,
            )
        )
    return tuple(facts)


def as_number(value: str, type_name: str) -> str:
    """A value as a number, missing where it is none."""
    return f"CAST({value} AS DOUBLE)" if _is_number(type_name) else f"TRY_CAST({value} AS DOUBLE)"


def as_date(value: str, type_name: str) -> str:
    """A value as a time, missing where it is none."""
    if family_of(type_name) is Family.DATE:
        return f"CAST({value} AS TIMESTAMP)"
    if family_of(type_name) is not Family.TEXT:
        return "CAST(NULL AS TIMESTAMP)"
    return f"coalesce(TRY_CAST({value} AS TIMESTAMP), try_strptime({value}, [{_OTHERS}]))"


def _column(name: str, family: Family) -> list[str]:
    text = f"CAST({name} AS VARCHAR)"
    common = [f"count({name})", f"approx_count_distinct({name})"]
    if family is not Family.TEXT:
        return [*common, *["0"] * (_PARTS - 2)]
    return [
        *common,
        f"avg(length({text}))",
        f"avg(CASE WHEN contains({text}, ' ') THEN 1 ELSE 0 END)",
        f"count(TRY_CAST({name} AS BIGINT))",
        f"count(TRY_CAST({name} AS DOUBLE))",
        f"count(TRY_CAST({name} AS TIMESTAMP))",
        f"count(try_strptime({name}, [{_OTHERS}]))",
    ]


def _family(declared: Family, filled: float, fits: Sequence[float]) -> Family:
    if declared is not Family.TEXT or not filled:
        return declared
    integers, numbers, iso, other = (count >= _SAME * filled for count in fits)
    if integers:
        return Family.INTEGER
    if numbers:
        return Family.NUMBER
    return Family.DATE if iso or other else Family.TEXT


def _is_number(type_name: str) -> bool:
    return family_of(type_name) in {Family.INTEGER, Family.NUMBER}
