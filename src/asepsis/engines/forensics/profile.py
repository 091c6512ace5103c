# ruff: noqa: S608 - quoted names
"""What a snapshot is like by its own values: keys that hold, references that hold, the order of its dates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import duckdb

from asepsis.engines.forensics.tables import relation
from asepsis.engines.query.guard import guarded
from asepsis.errors.recovery import KeyColumnMissing
from asepsis.integrity.records.evidence_sql import orders_sql, orphans_sql
from asepsis.integrity.records.facts_sql import facts_sql, read_facts
from asepsis.integrity.records.layout import ColumnFacts, Layouts, Role, TableLayout
from asepsis.integrity.records.ledger_sql import quoted
from asepsis.integrity.records.roles import Reference, infer_layouts, key_candidates, reference_candidates

Types = Mapping[str, Mapping[str, str]]
_HOLDS = 0.001
_ORDER_HOLDS = 0.005
_ENOUGH = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotProfile:
    """Layouts, and the rules that the snapshot itself keeps."""

    layouts: Layouts
    references: tuple[Reference, ...]
    orders: Mapping[str, tuple[tuple[str, str], ...]]


def profile(
    connection: duckdb.DuckDBPyConnection, schema: str, types: Types, *, keys: Mapping[str, tuple[str, ...]]
) -> SnapshotProfile:
    """Read every table of a schema once. Raises KeyColumnMissing, EngineError."""
    facts = {table: _facts(connection, relation(schema, table), columns) for table, columns in types.items()}
    found = {table: _key(connection, schema, table, facts[table], keys.get(table)) for table in types}
    references = tuple(
        reference
        for reference in reference_candidates(facts, found)
        if _reference_holds(connection, schema, reference, found[reference.target][0])
    )
    layouts = infer_layouts(facts, found, references)
    orders = {
        table: _orders(connection, relation(schema, table), layout, types[table])
        for table, layout in layouts.tables.items()
    }
    return SnapshotProfile(layouts=layouts, references=references, orders=orders)


def count_orphans(
    connection: duckdb.DuckDBPyConnection, schema: str, reference: Reference, key: str
) -> tuple[int, int]:
    """Rows that name another table's row, and those of them that name none that is there."""
    text = orphans_sql(relation(schema, reference.table), reference.column, relation(schema, reference.target), key)
    row = guarded(lambda: connection.execute(text).fetchone()) or (0, 0)
    return int(row[0]), int(row[1])


def _facts(connection: duckdb.DuckDBPyConnection, name: str, columns: Mapping[str, str]) -> tuple[ColumnFacts, ...]:
    row = guarded(lambda: connection.execute(facts_sql(name, columns)).fetchone()) or ()
    return read_facts(row, columns)


def _key(
    connection: duckdb.DuckDBPyConnection,
    schema: str,
    table: str,
    facts: tuple[ColumnFacts, ...],
    declared: tuple[str, ...] | None,
) -> tuple[str, ...]:
    if declared is not None:
        for column in declared:
            if all(fact.name != column for fact in facts):
                raise KeyColumnMissing(table=table, column=column)
        return declared
    rows = max((fact.rows for fact in facts), default=0)
    if not rows:
        named = [fact.name for fact in facts if fact.name.lower() in {f"{table}_id", "id"}]
        return tuple(named[:1])
    for candidate in key_candidates(table, facts):
        names = ", ".join(map(quoted, candidate))
        text = f"SELECT count(*) FROM (SELECT DISTINCT {names} FROM {relation(schema, table)})"
        distinct = guarded(lambda text=text: connection.execute(text).fetchone())  # type: ignore[misc]
        if distinct and distinct[0] == rows:
            return candidate
    return ()


def _reference_holds(connection: duckdb.DuckDBPyConnection, schema: str, reference: Reference, key: str) -> bool:
    rows, orphans = count_orphans(connection, schema, reference, key)
    return rows >= _ENOUGH and orphans <= _HOLDS * rows


def _orders(
    connection: duckdb.DuckDBPyConnection, name: str, layout: TableLayout, types: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    dates = [column.name for column in layout.of_role(Role.DATE)]
    both = [pair for first in combinations(dates, 2) for pair in (first, first[::-1])]
    if not both:
        return ()
    row = guarded(lambda: connection.execute(orders_sql(name, both, dict(types))).fetchone()) or ()
    return tuple(
        pair
        for pair, filled, reversed_rows in zip(both, row[::2], row[1::2], strict=True)
        if filled >= _ENOUGH and reversed_rows <= _ORDER_HOLDS * filled
    )
