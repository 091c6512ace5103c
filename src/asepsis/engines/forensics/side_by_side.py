"""Two versions of a table whose rows lie in the order of one whole-number key, read side by side, once.

Rows are matched by their keys and compared value by value, so that nothing rests on a hash, and only rows that may
differ are kept. "May": where NaN stands beside NaN the ledger decides, which says what differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asepsis.integrity.records.ledger_sql import Comparison, empty_sql, keep_sql, ordered_key, read_sql

_BATCH: Final = 16_384
"""Rows of one reading: nine columns of both sides stay in a processor's cache."""

_KEPT: Final = 65_536
"""So many rows are held in memory before they are given to the engine, which spills."""

Keys = np.ndarray[Any, np.dtype[Any]]


class NotInOrderError(Exception):
    """The keys do not ascend; caught in this module."""


def keep_differing_rows(connection: duckdb.DuckDBPyConnection, comparison: Comparison) -> bool:
    """Make ``before_{name}`` and ``after_{name}``: the rows that may differ. Returns whether the rows lie in order.

    If they do not, or have no such key, the tables are to be made in another way.
    """
    if ordered_key(comparison) is None:
        return False
    setting = "preserve_insertion_order"
    (kept,) = connection.execute(f"SELECT current_setting('{setting}')").fetchone() or (False,)
    connection.execute(f"SET {setting} = true")
    try:
        _merge(_Side(connection, comparison, after=False), _Side(connection, comparison, after=True))
    except NotInOrderError:
        return False
    finally:
        connection.execute(f"SET {setting} = {kept}")
    return True


class _Side:
    """The rows of one side that were read and not yet compared, and those that are kept."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, comparison: Comparison, *, after: bool) -> None:
        connection.execute(empty_sql(comparison, after=after))
        reader = connection.cursor().sql(read_sql(comparison, after=after)).to_arrow_reader(_BATCH)
        self._batches: Iterator[pa.RecordBatch] = (batch for batch in reader if batch.num_rows)
        self._connection = connection
        self._key = f"v{[column.name for column in comparison.columns].index(comparison.key[0])}"
        self._keep = keep_sql(comparison, after=after)
        self._kept: list[pa.RecordBatch] = []
        self._rows: pa.RecordBatch = None
        self.keys: Keys = np.empty(0, dtype=np.int64)
        self._read(previous=self.keys)

    def take(self, count: int) -> pa.RecordBatch:
        """The next rows; when they are the last of a reading, the next reading follows."""
        taken, self._rows = self._rows.slice(0, count), self._rows.slice(count)
        previous, self.keys = self.keys[:count], self.keys[count:]
        if not len(self.keys):
            self._read(previous=previous)
        return taken

    def keep(self, rows: pa.RecordBatch) -> None:
        """Keep rows that may differ."""
        if rows.num_rows:
            self._kept.append(rows)
        if sum(batch.num_rows for batch in self._kept) >= _KEPT:
            self.flush()

    def flush(self) -> None:
        """Give the kept rows to the engine."""
        if self._kept:
            self._connection.register("kept", pa.Table.from_batches(self._kept))
            self._connection.execute(self._keep)
            self._connection.unregister("kept")
            self._kept = []

    def _read(self, *, previous: Keys) -> None:
        self._rows = next(self._batches, None)
        if self._rows is None:
            return
        column = self._rows.column(self._key)
        if column.null_count:
            raise NotInOrderError
        self.keys = column.to_numpy()
        ascending = np.concatenate((previous[-1:], self.keys))
        if not (ascending[1:] > ascending[:-1]).all():
            raise NotInOrderError


def _merge(before: _Side, after: _Side) -> None:
    while len(before.keys) and len(after.keys):
        until = min(before.keys[-1], after.keys[-1])
        old_keys, new_keys = (side.keys[: np.searchsorted(side.keys, until, "right")] for side in (before, after))
        old, new = before.take(len(old_keys)), after.take(len(new_keys))
        if not np.array_equal(old_keys, new_keys):
            stays, stayed = np.isin(old_keys, new_keys), np.isin(new_keys, old_keys)
            before.keep(old.filter(pa.array(~stays)))
            after.keep(new.filter(pa.array(~stayed)))
            old, new = old.filter(pa.array(stays)), new.filter(pa.array(stayed))
        if (differing := _differing(old, new)) is not None:
            before.keep(old.filter(differing))
            after.keep(new.filter(differing))
    for side in (before, after):
        while len(side.keys):
            side.keep(side.take(len(side.keys)))
        side.flush()


def _differing(old: pa.RecordBatch, new: pa.RecordBatch) -> pa.Array | None:
    """For each of two equally long lists of rows whether they may differ; ``None`` where all are equal."""
    found = None
    for name in old.schema.names:
        if name not in new.schema.names or old.column(name).equals(new.column(name)):
            continue
        x, y = old.column(name), new.column(name)
        one = pc.fill_null(pc.not_equal(x, y), fill_value=False)
        if x.null_count or y.null_count:
            one = pc.or_(one, pc.xor(x.is_null(), y.is_null()))
        found = one if found is None else pc.or_(found, one)
    return found
