"""The vectors of a private plan as DuckDB SQL, in whole numbers from the first row to the last sum.

Let v be the vector that one person has over the cells of a grouping: whole numbers (presence 0 or 1, records, totals
of values that were clipped to their public bounds and rounded to steps of 2^-bits), each clipped to L = norm 2^bits.
What is added up is v' with v'_j = trunc(v_j w), w = min(s, L (1 - 1e-9) / sqrt(N)), N = the sum of the v_j^2, where
s = 2^bits for counts and 1 for totals.

1. v' depends on the records of that person alone. Sums of whole numbers are exact in DuckDB (BIGINT, HUGEINT), so v
   and N are the same in whatever order rows are read; w and v' follow from v_j and N by three IEEE operations each.
   So two data sets that differ by a person differ, cell by cell, by exactly that person's v', and by nothing else.
2. The length of v' is at most L. With u = 2^-53 and every operation rounded to nearest, sqrt(N) is computed within
   (1 +- 2u), w within (1 + 4u) of L (1 - 1e-9) / sqrt(N) or below it, and v_j w within (1 + 6u); trunc only moves
   towards zero. So the length of v' is at most (1 + 6u) (1 - 1e-9) L sqrt(N) / sqrt(N) < L.
3. Where no person can be in two cells, v has one entry, and the clipping of the entry alone keeps it within L.

Casacuberta et al., "Widespread Underestimation of Sensitivity in Differentially Private Libraries" (CCS 2022, arXiv
2207.10635), show what sums of floating-point numbers in data-dependent order do to the first step.
"""

# ruff: noqa: S608 - every word of the text comes from the catalogue or is a number

from __future__ import annotations

from typing import Final

from asepsis.domain.private import PRESENCE_BITS, VectorKind, offered
from asepsis.sql.duckdb import UNIT, Generated, _Printer
from asepsis.sql.plan import Truth
from asepsis.sql.private import PrivateGrouping, Vector

SHRUNK: Final = 1 - 1e-9
_EVERYTHING: Final = Truth(value=True)


def vectors_sql(private: PrivateGrouping, *, persons: tuple[int, int] | None = None) -> Generated:
    """The cells of a grouping: keys, then one whole number per vector; ``persons`` is a range of persons."""
    grouping, printer = private.grouping, _Printer(persons=persons)
    body = printer.rows(grouping.rows)
    keys = [f"k{place}" for place in range(len(grouping.keys))]
    inner = [f"{printer.person(grouping.rows)} AS {UNIT}"]
    inner += [f"{printer.scalar(key)} AS {name}" for name, key in zip(keys, grouping.keys, strict=True)]
    inner += [
        f"{_part(printer, vector)} AS v{place}"
        for place, vector in enumerate(private.vectors)
        if not _is_everybody(vector)
    ]
    cells = f"SELECT {', '.join(inner)} {body} GROUP BY ALL"
    grouped = f" GROUP BY {', '.join(keys)}" if keys else ""
    if private.settled:
        sums = [f"sum({_entry(vector, place)} * {_scale(vector)})" for place, vector in enumerate(private.vectors)]
        text = f"SELECT {', '.join([*keys, *sums])} FROM ({cells}) AS person_cell{grouped}"
        return Generated(text=text, parameters=printer.parameters)
    weights = [f"{_weight(vector, place)} AS w{place}" for place, vector in enumerate(private.vectors)]
    sums = [
        f"sum(CAST(trunc({_entry(vector, place)} * w{place}) AS BIGINT))"
        for place, vector in enumerate(private.vectors)
    ]
    text = (
        f"WITH person_cell AS MATERIALIZED ({cells}), "
        f"weight AS (SELECT {UNIT}, {', '.join(weights)} FROM person_cell GROUP BY {UNIT}) "
        f"SELECT {', '.join([*keys, *sums])} FROM person_cell JOIN weight USING ({UNIT}){grouped}"
    )
    return Generated(text=text, parameters=printer.parameters)


def lengths_sql(private: PrivateGrouping, *, persons: tuple[int, int] | None = None) -> Generated:
    """How many persons have a part of which length, for every vector that has no norm yet.

    One row: for each such vector, and each offered length but the last, the number of persons whose part is longer,
    after the number of those who have a part at all. The lengths of whole numbers are compared by their squares.
    """
    grouping, printer = private.grouping, _Printer(persons=persons)
    body = printer.rows(grouping.rows)
    places = [place for place, vector in enumerate(private.vectors) if vector.spec.unbought]
    inner = [f"{printer.person(grouping.rows)} AS {UNIT}"]
    inner += [f"{printer.scalar(key)} AS k{place}" for place, key in enumerate(grouping.keys)]
    inner += [
        f"{_part(printer, private.vectors[place])} AS v{place}"
        for place in places
        if not _is_everybody(private.vectors[place])
    ]
    cells = f"SELECT {', '.join(inner)} {body} GROUP BY ALL"
    squares = [f"{_squares(private.vectors[place], place)} AS n{place}" for place in places]
    longer = []
    for place in places:
        spec = private.vectors[place].spec
        shift = spec.bits if spec.kind is VectorKind.TOTAL else 0
        shorter = (0, *offered(spec.norm)[:-1])
        longer += [f"count(*) FILTER (WHERE n{place} > {(size << shift) ** 2})" for size in shorter]
    text = (
        f"SELECT {', '.join(longer)} FROM (SELECT {', '.join(squares)} FROM ({cells}) AS person_cell "
        f"GROUP BY {UNIT}) AS person"
    )
    return Generated(text=text, parameters=printer.parameters)


def _squares(vector: Vector, place: int) -> str:
    """The square of the length of a person's part."""
    return "count(*)" if _is_everybody(vector) else f"sum(v{place} * v{place})"


def _part(printer: _Printer, vector: Vector) -> str:
    """One entry of a person's vector, before its length is bounded."""
    where = printer.filter(vector.where)
    length = vector.spec.norm << vector.spec.bits
    if vector.spec.kind is VectorKind.PERSONS:
        return f"CAST(count(*){where} > 0 AS BIGINT)"
    if vector.spec.kind is VectorKind.RECORDS or vector.argument is None:
        return f"least(count(*){where}, {vector.spec.norm})"
    value = f"CAST({printer.scalar(vector.argument)} AS DOUBLE)"
    clipped = f"least(greatest({value}, {vector.low}), {vector.high})"
    if vector.centre:
        clipped = f"({clipped} - {vector.centre})"
    if vector.squared:
        clipped = f"{clipped} * {clipped}"
    step = f"CAST(round({clipped} * {1 << vector.spec.bits}) AS BIGINT)"
    return f"CAST(least(greatest(coalesce(sum({step}){where}, 0), {-length}), {length}) AS BIGINT)"


def _is_everybody(vector: Vector) -> bool:
    """Whether the entry is 1 in every cell that a person has."""
    return vector.spec.kind is VectorKind.PERSONS and vector.where == _EVERYTHING


def _entry(vector: Vector, place: int) -> str:
    return "1" if _is_everybody(vector) else f"v{place}"


def _scale(vector: Vector) -> int:
    """Steps of one unit of the entry: totals are in steps already."""
    return 1 if vector.spec.kind is VectorKind.TOTAL else 1 << vector.spec.bits


def _weight(vector: Vector, place: int) -> str:
    """What a person's entries are multiplied with, so that the whole is no longer than allowed."""
    length = (vector.spec.norm << vector.spec.bits) * SHRUNK
    squares = _squares(vector, place)
    weight = f"least({float(_scale(vector))!r}, {length!r} / sqrt(CAST(greatest({squares}, 1) AS DOUBLE)))"
    if not vector.coarse:
        return weight
    least = float(1 << (vector.spec.bits - PRESENCE_BITS))
    return f"CASE WHEN {weight} < {least!r} THEN 0.0 ELSE {weight} END"
