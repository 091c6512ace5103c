"""The checks of single concepts (sex, unit, range): one query per table; only concepts in use have a result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

import duckdb

from asepsis.harmonise.quality import scan
from asepsis.harmonise.quality.checks import Check, Kind
from asepsis.harmonise.quality.concepts import (
    ANCESTORS,
    DESCENDANTS_THRESHOLD,
    SEX_THRESHOLD,
    SEXES_OF,
    UNIT_THRESHOLD,
    VALUE_THRESHOLD,
)
from asepsis.harmonise.quality.conditions import Shape
from asepsis.harmonise.quality.verdict import Result, judged, not_applicable, not_run

_SEXED: Final = ("condition_occurrence", "procedure_occurrence")
_UNUSED: Final = "no row has one of the concepts with a rule"
_NO_TABLE: Final = "the table is not in this run"


def concept_results(
    connection: duckdb.DuckDBPyConnection, shapes: Mapping[str, Shape], *, has_vocabulary: bool
) -> Iterator[Result]:
    """The results of all concepts with a rule; where a table has none of them, one result says so."""
    for table in _SEXED:
        field = f"{table.removesuffix('_occurrence')}_concept_id"
        of = partial(Check, table=table, field=field)
        yield from _found(connection, scan.sexes_query(table), of(kind=Kind.GENDER, threshold=SEX_THRESHOLD), shapes)
        below = of(kind=Kind.GENDER_BELOW, threshold=DESCENDANTS_THRESHOLD)
        if has_vocabulary or table not in shapes:
            yield from _found(connection, scan.branches_query(table), below, shapes, name=_branch)
        else:
            yield not_run(below, "it needs a vocabulary: contribute with --vocabulary")
    unit = Check(kind=Kind.UNIT, table="measurement", field="measurement_concept_id", threshold=UNIT_THRESHOLD)
    yield from _found(connection, scan.units_query(), unit, shapes)
    if "observation" in shapes:
        yield from _values(connection)


def _found(
    connection: duckdb.DuckDBPyConnection,
    query: scan.Query,
    check: Check,
    shapes: Mapping[str, Shape],
    *,
    name: Callable[[int], str] = str,
) -> Iterator[Result]:
    if check.table not in shapes:
        yield not_applicable(check, _NO_TABLE)
        return
    rows = connection.execute(query.sql, query.values).fetchall()
    for concept, violated, total in rows:
        one = Check(
            kind=check.kind, table=check.table, field=check.field, concept=name(concept), threshold=check.threshold
        )
        yield judged(one, violated=violated, rows=total)
    if not rows:
        yield not_applicable(check, _UNUSED)


def _branch(number: int) -> str:
    return f"{SEXES_OF[ANCESTORS[number].gender]}-branches"


def _values(connection: duckdb.DuckDBPyConnection) -> Iterator[Result]:
    for concept, below, above, total in connection.execute(scan.values_sql()).fetchall():
        for kind, violated in ((Kind.LOW, below), (Kind.HIGH, above)):
            check = Check(
                kind=kind, table="observation", field="value_as_number", concept=concept, threshold=VALUE_THRESHOLD
            )
            yield judged(check, violated=violated, rows=total)
