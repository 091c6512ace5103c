# ruff: noqa: S608 - quoted names
"""Digests of tables, whatever the order of their rows; sorting spills to disk, so memory stays bounded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import duckdb
import pyarrow as pa

from asepsis.engines.query.guard import guarded
from asepsis.integrity.records.roots import row_digest_sql, table_digest


def digest_of(connection: duckdb.DuckDBPyConnection, relation: str, *, table: str, columns: Mapping[str, str]) -> bytes:
    """The digest of a relation as the content of a table. Raises EngineError."""
    return guarded(lambda: _digest(connection, relation, table, columns))


def _digest(connection: duckdb.DuckDBPyConnection, relation: str, table: str, columns: Mapping[str, str]) -> bytes:
    content, rows = hashlib.sha256(), 0
    text = f"SELECT {row_digest_sql(columns)} AS digest FROM {relation} ORDER BY digest"
    for batch in connection.cursor().sql(text).to_arrow_reader(1 << 16):
        rows += batch.num_rows
        texts = batch.column(0).cast(pa.large_string())
        start = texts.offset * 64
        content.update(texts.buffers()[2].to_pybytes()[start : start + 64 * batch.num_rows] if batch.num_rows else b"")
    return table_digest(table, columns, rows=rows, content=content.digest())
