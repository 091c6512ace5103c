"""The revert patch as SQL text that PostgreSQL, SQLite and DuckDB read: values are literals, names are quoted.

A row is named by its key, and by ``IS NOT DISTINCT FROM`` where a part of the key may be missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal

from asepsis.integrity.records.ledger_sql import literal, quoted


def delete_statement(table: str, key: Mapping[str, object]) -> str:
    """Take out every row with this key."""
    return f"DELETE FROM {quoted(table)} WHERE {_where(key)};"  # noqa: S608 - quoted names and literals


def update_statement(table: str, key: Mapping[str, object], values: Mapping[str, object]) -> str:
    """Give some columns of the row with this key their old values."""
    pairs = ", ".join(f"{quoted(name)} = {sql_literal(value)}" for name, value in values.items())
    return f"UPDATE {quoted(table)} SET {pairs} WHERE {_where(key)};"  # noqa: S608 - quoted names and literals


def insert_statement(table: str, columns: Sequence[str], row: Sequence[object]) -> str:
    """Put a row back."""
    names, values = ", ".join(map(quoted, columns)), ", ".join(map(sql_literal, row))
    return f"INSERT INTO {quoted(table)} ({names}) VALUES ({values});"  # noqa: S608 - quoted names and literals


def recreate_statements(table: str, columns: Mapping[str, str], *, exists: bool) -> list[str]:
    """Make an empty table with these columns in place of what there is."""
    drop = [f"DROP TABLE {quoted(table)};"] if exists else []
    listed = ", ".join(f"{quoted(name)} {type_name}" for name, type_name in columns.items())
    return [*drop, f"CREATE TABLE {quoted(table)} ({listed});"]


def sql_literal(value: object) -> str:
    """A value as SQL; a number that no literal can write is cast from its name."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float) and not math.isfinite(value):
        return f"CAST('{value}' AS DOUBLE PRECISION)"
    if isinstance(value, int | float | Decimal):
        return repr(value) if not isinstance(value, Decimal) else str(value)
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    return literal(value.isoformat(" ") if isinstance(value, datetime) else _plain(value))


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date | time) else str(value)


def _where(key: Mapping[str, object]) -> str:
    return " AND ".join(
        f"{quoted(name)} IS NULL" if value is None else f"{quoted(name)} = {sql_literal(value)}"
        for name, value in key.items()
    )
