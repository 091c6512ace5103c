# ruff: noqa: S608 - quoted names
"""The rows behind a divergence: what they have in common, as numbers, and themselves, in a file of their owner's."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import duckdb

from asepsis.engines.query.guard import guarded
from asepsis.errors.recovery import OutputExists, OutputUnwritable
from asepsis.integrity.records.conditions import rows_behind
from asepsis.integrity.records.evidence_sql import LedgerSql
from asepsis.integrity.records.layout import Family, Role, family_of
from asepsis.integrity.records.values import Divergence, RowChange

_FEWEST: Final = 5
_CONCENTRATED: Final = 0.8
_NARROW: Final = 0.05
_LIFT: Final = 3.0
_BATCH: Final = 2000


def detailed(connection: duckdb.DuckDBPyConnection, divergence: Divergence, sql: LedgerSql) -> Divergence:
    """The divergence with what most of its rows have in common: one value of a column, or neighbouring keys."""
    condition = rows_behind(divergence, sql)
    if condition is None or divergence.rows < _FEWEST:
        return divergence
    return _in_key_range(connection, _concentrated(connection, divergence, sql, condition), sql, condition)


def _in_key_range(
    connection: duckdb.DuckDBPyConnection, divergence: Divergence, sql: LedgerSql, condition: str
) -> Divergence:
    """Say so when changed rows lie close together by their key; new rows always have neighbouring keys."""
    key = sql.layout.key[0] if len(sql.layout.key) == 1 else ""
    is_whole = key in sql.index and family_of(sql.comparison.columns[sql.index[key]].before or "") is Family.INTEGER
    if not is_whole or divergence.change is RowChange.INSERT:
        return divergence
    row = guarded(lambda: connection.execute(sql.key_range(key, condition)).fetchone())
    if row is None or row[0] is None or row[0] > _NARROW:
        return divergence
    return replace(
        divergence,
        names={**divergence.names, "neighbours": key},
        numbers={**divergence.numbers, "key_range": float(row[0])},
    )


def _concentrated(
    connection: duckdb.DuckDBPyConnection, divergence: Divergence, sql: LedgerSql, condition: str
) -> Divergence:
    """Name the column of which most of the rows share one value that few of all rows have; five rows at least."""
    best: tuple[float, str, float] | None = None
    for column in sql.layout.columns:
        is_grouping = column.role in {Role.PERSON, Role.CODE, Role.REFERENCE} and column.name not in divergence.columns
        if not is_grouping or column.name not in sql.index or column.distinct <= 1:
            continue
        rows, most, _ = guarded(lambda c=column.name: connection.execute(sql.share(c, condition)).fetchone())  # type: ignore[misc]
        if rows < _FEWEST or most < _CONCENTRATED * rows:
            continue
        usual = guarded(lambda c=column.name: connection.execute(sql.usual_share(c, condition)).fetchone())  # type: ignore[misc]
        lift = (most / rows) / max(float((usual or (0,))[0] or 0.0), 1e-9)
        if lift >= _LIFT and (best is None or lift > best[0]):
            best = (lift, column.name, most / rows)
    if best is None:
        return divergence
    return replace(
        divergence,
        names={**divergence.names, "concentrated": best[1]},
        numbers={**divergence.numbers, "concentration": best[2]},
        weight=divergence.weight + 0.5,
    )


def write_rows(
    connection: duckdb.DuckDBPyConnection, divergences: Sequence[Divergence], asked: Mapping[str, LedgerSql], path: Path
) -> int:
    """One JSON line for each row, with the number of its divergence; returns how many lines were written."""
    count = 0
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise OutputExists(path=str(path)) from None
    except OSError:
        raise OutputUnwritable(path=str(path)) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        for number, divergence in enumerate(divergences, start=1):
            sql = asked.get(divergence.table)
            condition = rows_behind(divergence, sql) if sql is not None else None
            if sql is None or condition is None:
                continue
            for row in _rows(connection, sql, condition):
                head = {"divergence": number, "code": divergence.code, "table": divergence.table}
                out.write(json.dumps({**head, **row}, ensure_ascii=False, default=str) + "\n")
                count += 1
    return count


def _rows(connection: duckdb.DuckDBPyConnection, sql: LedgerSql, condition: str) -> Iterator[dict[str, Any]]:
    names = list(sql.index)
    parts = ", ".join(f"{side}{number}" for side in "ba" for number in sql.index.values())
    cursor = connection.cursor()
    guarded(lambda: cursor.execute(f"SELECT change, {parts} FROM {sql.open} WHERE {condition}"))
    while batch := guarded(lambda: cursor.fetchmany(_BATCH)):
        for change, *values in batch:
            old = dict(zip(names, values[: len(names)], strict=True))
            new = dict(zip(names, values[len(names) :], strict=True))
            row: dict[str, Any] = {"change": change}
            if change == "update":
                row["key"] = {name: old[name] for name in sql.layout.key}
                row["cells"] = {name: [old[name], new[name]] for name in names if old[name] != new[name]}
            else:
                row["row"] = old if change == "delete" else new
            yield row
