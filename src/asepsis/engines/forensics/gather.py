"""Evidence about one table: the questions of ``evidence_sql``, asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb

from asepsis.engines.forensics.drift import measure_drifts
from asepsis.engines.query.guard import guarded
from asepsis.integrity.records.evidence import ColumnEvidence, GoneGroup, TableEvidence
from asepsis.integrity.records.evidence_sql import LedgerSql
from asepsis.integrity.records.layout import Family, Role
from asepsis.integrity.records.merges_sql import gone_persons_sql
from asepsis.integrity.records.values import TableLedger

_ENOUGH_DELETED: Final = 10
_PAIRED: Final = frozenset({Role.CODE, Role.PERSON, Role.REFERENCE, Role.OTHER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A table with its ledger made, and what its evidence needs beside it."""

    sql: LedgerSql
    ledger: TableLedger
    orders: Sequence[tuple[str, str]]
    persons: LedgerSql | None = None
    attributes: Sequence[tuple[str, str]] = ()


def gather(connection: duckdb.DuckDBPyConnection, asked: Asked) -> TableEvidence:
    """All counts about a table that changed. Raises EngineError."""
    sql, ledger = asked.sql, asked.ledger
    if ledger.is_equal:
        return TableEvidence(ledger=ledger, layout=sql.layout)
    orders = [pair for pair in asked.orders if set(pair) <= sql.index.keys()]
    inserted, deleted, updated, late, deleted_sealed, updated_sealed, future, *reversed_dates = _row(
        connection, sql.counts(orders)
    )
    texts = _texts(connection, sql)
    codes = [c.name for c in sql.layout.of_role(Role.CODE) if inserted or ledger.cells.get(c.name)]
    has_rest = any(column.name not in sql.layout.key for column in sql.layout.columns)
    return TableEvidence(
        ledger=ledger,
        layout=sql.layout,
        inserted=inserted,
        deleted=deleted,
        updated=updated,
        late=late,
        deleted_sealed=deleted_sealed,
        updated_sealed=updated_sealed,
        of_gone_persons=_of_gone_persons(connection, asked) if deleted else 0,
        future=future,
        reversed={pair: count for pair, count in zip(orders, reversed_dates, strict=True) if count},
        copied=_row(connection, sql.copied())[0] if inserted and sql.layout.key and has_rest else 0,
        unknown=_nonzero({name: _row(connection, sql.unknown(name))[0] for name in codes}),
        strange=_nonzero({name: counts[2] for name, counts in texts.items()}),
        mixed=_nonzero({name: counts[3] for name, counts in texts.items()}),
        columns=tuple(
            evidence
            for name in ledger.cells
            if (evidence := _column(connection, sql, name, texts.get(name, (0, 0, 0, 0)))).rows
        ),
        gone=_gone(connection, sql) if deleted >= _ENOUGH_DELETED else (),
        drifts=measure_drifts(connection, sql, asked.attributes) if inserted else (),
    )


def _column(
    connection: duckdb.DuckDBPyConnection, sql: LedgerSql, name: str, texts: tuple[int, int, int, int]
) -> ColumnEvidence:
    rows, sealed, nulled, up, down, ratio, ratio_rows, shift, shift_rows = _row(connection, sql.updates(name))
    role = sql.layout.column(name).role
    pairs, pair_rows, swapped = _row(connection, sql.pairs(name)) if role in _PAIRED and rows else (0, 0, 0)
    return ColumnEvidence(
        column=name,
        role=role,
        rows=rows,
        sealed=sealed,
        nulled=nulled,
        up=up,
        down=down,
        ratio=float(ratio or 1.0),
        ratio_rows=ratio_rows or 0,
        shift=float(shift or 0.0),
        shift_rows=shift_rows or 0,
        pairs=pairs or 0,
        pair_rows=pair_rows or 0,
        swapped=int(swapped or 0),
        strange=texts[0],
        mixed=texts[1],
    )


def _texts(connection: duckdb.DuckDBPyConnection, sql: LedgerSql) -> dict[str, tuple[int, int, int, int]]:
    names = [c.name for c in sql.layout.columns if c.family is Family.TEXT and c.name in sql.index]
    if not names:
        return {}
    counts = _row(connection, sql.texts(names))
    return {name: tuple(counts[4 * index : 4 * index + 4]) for index, name in enumerate(names)}


def _gone(connection: duckdb.DuckDBPyConnection, sql: LedgerSql) -> tuple[GoneGroup, ...]:
    columns = [c.name for c in (*sql.layout.of_role(Role.CODE), *sql.layout.of_role(Role.REFERENCE)) if c.distinct > 1]
    found = []
    for name in columns:
        rows, groups = _row(connection, sql.gone(name))
        if rows:
            found.append(GoneGroup(column=name, rows=int(rows), groups=groups))
    return tuple(found)


def _of_gone_persons(connection: duckdb.DuckDBPyConnection, asked: Asked) -> int:
    if asked.persons is None or asked.sql.layout.person is None or asked.sql.layout.person not in asked.sql.index:
        return 0
    return int(_row(connection, gone_persons_sql(asked.sql, asked.persons))[0])


def _nonzero(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def _row(connection: duckdb.DuckDBPyConnection, text: str) -> tuple[Any, ...]:
    return guarded(lambda: connection.execute(text).fetchone()) or ()
