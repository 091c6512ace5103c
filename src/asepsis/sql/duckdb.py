"""The plan as DuckDB SQL. Every literal is a bound parameter; every name comes from the catalogue or is a number.

A grouping is computed in two phases: first one row per person and cell, then the cells. So fan-out of joins cannot
multiply persons, thresholds count persons, and the contribution of the largest persons is known. Both phases add
up over disjoint ranges of persons.
"""

# ruff: noqa: S608 - every word of the text comes from the catalogue or is a number

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from asepsis.domain.cells import MeasureKind
from asepsis.sql.affiliations import Affiliation, Slot, affiliated, slots
from asepsis.sql.canonical import disjunction, flatten_and, rows_of
from asepsis.sql.dialects import DUCKDB, Dialect
from asepsis.sql.plan import (
    EVERYTHING,
    Cohort,
    Grouping,
    Measure,
    Predicate,
    Value,
)
from asepsis.sql.printer import OWNERS, UNIT, Bound, Printer


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """Generated SQL and the values that are bound to it."""

    text: str
    parameters: Mapping[str, Bound]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """What is counted of every cell: persons outside each of so many owners, the ``largest`` persons, affiliations."""

    owners: int = 1
    largest: int = 2
    affiliations: tuple[Affiliation, ...] = ()


ALONE: Final = Counting()
"""A room of one owner, under rules that need no more."""


def cells_sql(
    grouping: Grouping,
    *,
    counting: Counting = ALONE,
    persons: tuple[int, int] | None = None,
    populations: tuple[Predicate, ...] = (),
    dialect: Dialect = DUCKDB,
) -> Generated:
    """The cells of a grouping: keys, persons, persons outside each owner, then six columns per measure.

    ``persons`` limits the work to a range of persons (both ends included). After the measures come the lists of
    ``affiliations.slots``. For each of the ``populations`` a list of the persons with a row where it holds comes last:
    the persons behind the cells from the same person-cells.
    """
    owners, known = counting.owners, grouping.rows
    grouping = affiliated(grouping, counting.affiliations)
    printer = Printer(dialect=dialect, persons=persons, affiliations=counting.affiliations)
    inner, body = _person_cells(printer, grouping)
    inner += [f"bit_or({printer.owners(known)}) AS {OWNERS}"] if owners > 1 else []
    outer = [*_keys(grouping), "count(*) AS persons"]
    outer += [f"count(*) FILTER (WHERE ({OWNERS} & {1 << owner}) = 0)" for owner in range(owners)] if owners > 1 else []
    for place, measure in enumerate(grouping.measures):
        inner += _person_columns(printer, measure, place)
        outer += _cell_columns(dialect, measure, place, largest=counting.largest)
    for slot in slots(grouping, counting.affiliations):
        columns, found = _slot_columns(printer, grouping, slot)
        inner += columns
        outer.append(found)
    for place, where in enumerate(populations):
        condition = "" if where == EVERYTHING else f" FILTER (WHERE b{place})"
        inner += [f"bool_or({printer.predicate(where)}) AS b{place}"] if condition else []
        outer.append(f"{dialect.gathered.format(value=UNIT)}{condition} AS l{place}")
    return _grouped(printer, grouping, inner, body, outer)


def _slot_columns(printer: Printer, grouping: Grouping, slot: Slot) -> tuple[list[str], str]:
    """A person's least and greatest affiliation, and the distinct ones of a cell."""
    (affiliation,) = (one for one in printer.affiliations if one.kind is slot.kind)
    pair = list(printer.pairs(affiliation, grouping.rows))[slot.leaf]
    where = "" if slot.measure is None else printer.filter(rows_of(grouping.measures[slot.measure]))
    name = f"{affiliation.column}{'' if slot.measure is None else slot.measure}_{slot.leaf}"
    inner = [f"min({pair[0]}){where} AS {name}_low", f"max({pair[1]}){where} AS {name}_high"]
    distinct = printer.dialect.distinct.format(low=f"{name}_low", high=f"{name}_high", count=affiliation.least)
    return inner, f"{distinct} AS {name}_found"


def _keys(grouping: Grouping) -> list[str]:
    return [f"k{place}" for place in range(len(grouping.keys))]


def _person_cells(printer: Printer, grouping: Grouping) -> tuple[list[str], str]:
    """The columns of the person-cells of a grouping, the person and the keys, and the rows that they come from."""
    body = printer.rows(grouping.rows)
    columns = [f"{printer.person(grouping.rows)} AS {UNIT}"]
    columns += [f"{printer.scalar(key)} AS {name}" for name, key in zip(_keys(grouping), grouping.keys, strict=True)]
    return columns, body


def _grouped(printer: Printer, grouping: Grouping, inner: list[str], body: str, outer: list[str]) -> Generated:
    """First one row per person and cell, then the cells."""
    text = f"SELECT {', '.join(outer)} FROM (SELECT {', '.join(inner)} {body} GROUP BY ALL) AS person_cell"
    text += f" GROUP BY {', '.join(_keys(grouping))}" if grouping.keys else ""
    return Generated(text=text, parameters=printer.parameters)


def _person_columns(printer: Printer, measure: Measure, place: int) -> list[str]:
    """What a person contributes to a cell."""
    where = printer.filter(measure.where)
    if measure.spec.kind is MeasureKind.PERSONS:
        return [f"count(*){where} AS n{place}"] if where else []
    if measure.argument is None:
        return [f"count(*){where} AS n{place}"]
    value = f"CAST({printer.scalar(measure.argument)} AS DOUBLE)"
    columns = [f"count({value}){where} AS n{place}", f"sum({value}){where} AS s{place}"]
    if measure.spec.kind in {MeasureKind.VARIANCE, MeasureKind.DEVIATION}:
        columns.append(f"sum({value} * {value}){where} AS q{place}")
    return columns


def _cell_columns(dialect: Dialect, measure: Measure, place: int, *, largest: int) -> list[str]:
    """Persons, rows, total, absolute, the largest, squares: the fields of a contribution, in this order."""
    kind = measure.spec.kind
    if kind is MeasureKind.PERSONS:
        persons = "count(*)" if measure.where == EVERYTHING else f"count(nullif(n{place}, 0))"
        return [persons, "0", "0", "0", "NULL", "0"]
    everybody = kind is MeasureKind.ROWS and measure.where == EVERYTHING
    persons = "count(*)" if everybody else f"count(nullif(n{place}, 0))"
    rows = f"CAST(sum(n{place}) AS BIGINT)"
    if kind is MeasureKind.ROWS:
        return [persons, rows, rows, rows, dialect.largest.format(value=f"n{place}", count=largest), "0"]
    squares = f"sum(q{place})" if kind in {MeasureKind.VARIANCE, MeasureKind.DEVIATION} else "0"
    top = dialect.largest.format(value=f"abs(s{place})", count=largest)
    return [persons, rows, f"sum(s{place})", f"sum(abs(s{place}))", top, squares]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCells:
    """The cells that are looked at: for each key a column of values, and one number each with a bit per variant.

    A variant is counted for the cells with its bit; other counts mean nothing.
    """

    keys: tuple[tuple[Value | None, ...], ...]
    variants: tuple[int, ...]


def effects_sql(
    grouping: Grouping,
    variants: tuple[Predicate, ...],
    *,
    persons: tuple[int, int] | None = None,
    cells: OpenCells | None = None,
    dialect: Dialect = DUCKDB,
) -> Generated:
    """How many persons each variant of the condition adds to, or takes from, every cell, or some (on DuckDB only).

    Keys, persons with any such row, then a count for each variant. One pass for all variants: rows that satisfy the
    condition or any variant, reduced to persons and cells, with one bit for each of them. What conditions have in
    common is tested once.
    """
    where = grouping.rows.where
    wider = dataclasses.replace(grouping.rows, where=disjunction((where, *variants)))
    printer = Printer(dialect=dialect, persons=persons)
    inner, body = _person_cells(printer, dataclasses.replace(grouping, rows=wider))
    parts = [flatten_and(item) for item in (where, *variants)]
    atoms = {part: f"a{place}" for place, part in enumerate(dict.fromkeys(part for item in parts for part in item))}
    tested = [f"{printer.predicate(part)} AS {name}" for part, name in atoms.items()]
    bits = " | ".join(
        f"CASE WHEN {' AND '.join(atoms[part] for part in item) or 'TRUE'} THEN {1 << place} ELSE 0 END"
        for place, item in enumerate(parts)
    )
    body = f"FROM (SELECT {', '.join([*inner, *tested])} {body}) AS tested_row"
    inner = [UNIT, *_keys(grouping)]
    if cells is not None:
        body = f"FROM (SELECT {', '.join([*inner, f'{bits} AS row_bits'])} {body}) AS person_row"
        body += f" {_only(printer, cells)}"
        bits = "row_bits"
    inner = [*inner, f"bit_or({bits}) AS bits"]
    # Exactly one of the two bits is set.
    apart = [f"(bits & {1 | 1 << place}) IN (1, {1 << place})" for place in range(1, len(variants) + 1)]
    counts = [f"count(*) FILTER (WHERE {condition}) AS n{place}" for place, condition in enumerate(apart)]
    outer = [*_keys(grouping), "count(*) AS persons", *counts]
    return _grouped(printer, grouping, inner, body, outer)


def _only(printer: Printer, cells: OpenCells) -> str:
    """Joins rows to the cells that are looked at, and keeps those that matter for a variant that is counted there."""
    named = []
    for place, column in enumerate(cells.keys):
        kind = printer.dialect.types[next(type(value) for value in column if value is not None)]
        named.append(f"unnest(CAST({printer.bind(column)} AS {kind}[])) AS o{place}")
    named.append(f"unnest(CAST({printer.bind(cells.variants)} AS BIGINT[])) AS counted")
    tie = " AND ".join(f"k{place} IS NOT DISTINCT FROM o{place}" for place in range(len(cells.keys))) or "TRUE"
    return f"JOIN (SELECT {', '.join(named)}) AS open_cells ON {tie} WHERE (row_bits & (2 * counted | 1)) <> 0"


def quantile_sql(grouping: Grouping, place: int, *, dialect: Dialect = DUCKDB) -> Generated:
    """A quantile measure: keys, its value, and the persons with a value on or below, and on or above, it."""
    measure = grouping.measures[place]
    if measure.argument is None or measure.level is None:
        raise ValueError(place)
    printer = Printer(dialect=dialect)
    columns, body = _person_cells(printer, grouping)
    columns.append(f"CAST({printer.scalar(measure.argument)} AS DOUBLE) AS v")
    columns.append(f"{printer.predicate(measure.where)} AS chosen")
    keys = ", ".join(_keys(grouping))
    quantile = dialect.quantile.format(value="v", level=f"CAST({printer.bind(measure.level)} AS DOUBLE)")
    chosen = f"SELECT * FROM (SELECT {', '.join(columns)} {body}) AS person_rows WHERE chosen AND v IS NOT NULL"
    partition = f"PARTITION BY {keys}" if keys else ""
    ranked = f"SELECT *, {quantile} OVER ({partition}) AS q FROM ({chosen}) AS chosen_rows"
    measures = [
        "any_value(q)",
        f"count(DISTINCT {UNIT}) FILTER (WHERE v <= q)",
        f"count(DISTINCT {UNIT}) FILTER (WHERE v >= q)",
    ]
    text = f"SELECT {', '.join([*_keys(grouping), *measures])} FROM ({ranked}) AS ranked_rows"
    return Generated(text=text + (f" GROUP BY {keys}" if keys else ""), parameters=printer.parameters)


def people_sql(cohort: Cohort, *, dialect: Dialect = DUCKDB) -> Generated:
    """The distinct persons of a cohort, for a referral."""
    printer = Printer(dialect=dialect)
    body = printer.rows(cohort.rows)
    text = f"SELECT DISTINCT {printer.unit(cohort.unit)} AS {UNIT} {body}"
    return Generated(text=text, parameters=printer.parameters)
