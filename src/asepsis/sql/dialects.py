"""How engines write the few things that they write differently. Everything else of the generated SQL is common.

A dialect is a value of fixed texts: what it puts into them is generated SQL, never a word of the author.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Texts with places, such as ``value``, ``part``, ``days`` and ``count``."""

    name: str
    quote: str
    """Stands on both sides of a name."""

    marker: str
    """Stands before the name of a bound value."""

    types: Mapping[type, str]
    date_parts: Mapping[str, str]
    """Calendar parts whose name is another one here."""

    period_start: str
    date_shift: str
    days_between: str
    floor: str
    """The whole number of ``width`` in ``value``; a missing value where it has more than 64 bits."""

    largest: str
    """The ``count`` largest of ``value``, as a list."""

    gathered: str
    """All values of a group as one list."""

    distinct: str
    """The ``count`` smallest of the distinct values of ``low`` and ``high``, without missing ones, as a list."""

    quantile: str

    def named(self, name: str) -> str:
        """A name of the catalogue, quoted."""
        return f"{self.quote}{name}{self.quote}"


DUCKDB: Final = Dialect(
    name="duckdb",
    quote='"',
    marker="$",
    types=MappingProxyType({int: "BIGINT", float: "DOUBLE", str: "VARCHAR", date: "DATE"}),
    date_parts=MappingProxyType({}),
    period_start="CAST(date_trunc('{period}', {value}) AS DATE)",
    date_shift="({value} + {days})",
    days_between="date_diff('day', {start}, {end})",
    floor="TRY_CAST(floor({value} / {width}) AS BIGINT)",
    largest="max({value}, {count})",
    gathered="list({value})",
    distinct="list_sort(list_distinct(list_concat(list(DISTINCT {low}), list(DISTINCT {high}))))[1:{count}]",
    quantile="quantile_cont({value}, {level})",
)

SPARK: Final = Dialect(
    name="spark",
    quote="`",
    marker=":",
    types=MappingProxyType({int: "BIGINT", float: "DOUBLE", str: "STRING", date: "DATE"}),
    date_parts=MappingProxyType({"isodow": "dayofweek_iso"}),
    period_start="trunc({value}, '{period}')",
    date_shift="date_add({value}, {days})",
    days_between="CAST(datediff({end}, {start}) AS BIGINT)",
    # floor() of a number beyond 64 bits is an error in ANSI mode, which TRY_CAST around it would not catch.
    floor="CASE WHEN abs({value} / {width}) < 9223372036854775807D THEN floor({value} / {width}) END",
    largest="max_by({value}, {value}, {count})",
    gathered="collect_list({value})",
    distinct="slice(array_sort(array_distinct(concat(collect_set({low}), collect_set({high})))), 1, {count})",
    quantile="percentile({value}, {level})",
)
"""Apache Spark 4.3 or later (``max_by`` with a number of values), with its default of ANSI semantics."""
