"""The rows of a private plan as DuckDB SQL: of whom, of which cell, and what each counts for in whole numbers.

What persons count for follows from these rows in ``disclosure.dp.clipping``, which needs that no row counts for more
than the length of its vector.
"""

from __future__ import annotations

from asepsis.domain.private import VectorKind
from asepsis.sql.duckdb import Generated
from asepsis.sql.plan import EVERYTHING
from asepsis.sql.printer import UNIT, Printer
from asepsis.sql.private import PrivateGrouping, Vector


def parts_sql(private: PrivateGrouping, *, persons: tuple[int, int] | None = None, reduced: bool = False) -> Generated:
    """The person, the keys, and for every vector of :func:`counted` what a row counts for.

    ``persons`` is a range of persons. Where ``reduced``, there is one row per person and cell only: the sums over its
    rows, at most what a person may have in one cell. A missing number is zero.
    """
    grouping, printer = private.grouping, Printer(persons=persons)
    body = printer.rows(grouping.rows)
    columns = [f"{printer.person(grouping.rows)} AS {UNIT}"]
    columns += [f"{printer.scalar(key)} AS k{place}" for place, key in enumerate(grouping.keys)]
    for place in counted(private, reduced=reduced):
        vector = private.vectors[place]
        part = _reduced(printer, vector) if reduced else _part(printer, vector)
        columns.append(f"{part} AS v{place}")
    text = f"SELECT {', '.join(columns)} {body}" + (" GROUP BY ALL" if reduced else "")
    return Generated(text=text, parameters=printer.parameters)


def counted(private: PrivateGrouping, *, reduced: bool) -> tuple[int, ...]:
    """The places of the vectors that have a column; in the others every row counts for one."""
    everywhere = [vector.argument is None and vector.where == EVERYTHING for vector in private.vectors]
    persons = [vector.spec.kind is VectorKind.PERSONS for vector in private.vectors]
    return tuple(
        place
        for place, (plain, person) in enumerate(zip(everywhere, persons, strict=True))
        if not plain or (reduced and not person)
    )


def _reduced(printer: Printer, vector: Vector) -> str:
    most = vector.spec.most_entry
    if vector.argument is None:
        return f"least(count(*){printer.filter(vector.where)}, {most})"
    total = f"coalesce(sum({_steps(printer, vector)}){printer.filter(vector.where)}, 0)"
    return f"CAST(least(greatest({total}, {-most}), {most}) AS BIGINT)"


def _part(printer: Printer, vector: Vector) -> str:
    steps = "1" if vector.argument is None else _steps(printer, vector)
    if vector.where == EVERYTHING:
        return steps
    return f"CASE WHEN {printer.predicate(vector.where)} THEN {steps} END"


def _steps(printer: Printer, vector: Vector) -> str:
    """What a value counts for: clipped to what is public of it, and to the length of the vector."""
    if vector.argument is None:
        raise ValueError(vector.spec.kind)
    value = _clipped(f"CAST({printer.scalar(vector.argument)} AS DOUBLE)", vector.low, vector.high)
    low, high = vector.low - vector.centre, vector.high - vector.centre
    if vector.centre:
        value = f"({value} - {vector.centre})"
    if vector.squared:
        value, low, high = f"{value} * {value}", 0, max(low * low, high * high)
    if max(-low, high) > vector.spec.norm:
        value = _clipped(value, -vector.spec.norm, vector.spec.norm)
    return f"CAST(round({value} * {1 << vector.spec.bits}) AS BIGINT)"


def _clipped(value: str, low: int, high: int) -> str:
    return f"least(greatest({value}, {low}), {high})"
