"""Which token tables can be linked at all; and loads them into an engine: ``rec`` (lines), ``node`` (persons)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

import duckdb
import pyarrow as pa

from asepsis.domain.names import PartyId
from asepsis.errors.linkage import OneOwnerOnly, PersonIdMissing, TokensNotComparable, TokensUnreadable
from asepsis.linkage.token_fields import RECORDS, VARIANTS
from asepsis.linkage.tokens import TokenTable


def check_comparable(tables: Mapping[PartyId, TokenTable], *, may_be_one: bool) -> None:
    """Refuse tables between which equality means nothing, and runs with nobody to link to.

    Raises TokensNotComparable, TokensUnreadable, PersonIdMissing, OneOwnerOnly.
    """
    for owner, table in sorted(tables.items()):
        if not _has(table.records, RECORDS) or not _has(table.variants, VARIANTS):
            raise TokensUnreadable(owner=owner)
        missing = table.records["person_id"].null_count
        if missing:
            raise PersonIdMissing(owner=owner, count=missing)
    for owner, other in pairwise(sorted(tables)):
        one, two = tables[owner].header, tables[other].header
        for what in ("version", "epoch", "key_check"):
            if getattr(one, what) != getattr(two, what):
                raise TokensNotComparable(owner=owner, other=other, what=what.replace("_", " "))
    filled = sum(len(table.records) > 0 for table in tables.values())
    if filled < (1 if may_be_one else 2):
        raise OneOwnerOnly(count=filled)


def load(
    connection: duckdb.DuckDBPyConnection, tables: Mapping[PartyId, TokenTable], *, free: frozenset[PartyId]
) -> None:
    """Fill ``rec`` and ``node``; owners are numbered in the order of their names."""
    connection.register("tokens", RECORDS.empty_table())
    connection.execute("CREATE TABLE raw AS SELECT 0::INTEGER AS line, 0::UTINYINT AS owner, * FROM tokens")
    lines = 0
    for number, owner in enumerate(sorted(tables)):
        connection.register("tokens", tables[owner].records.select(RECORDS.names))
        connection.execute(
            f"INSERT INTO raw SELECT (row_number() OVER () - 1 + {lines})::INTEGER, {number}, * FROM tokens"  # noqa: S608
        )
        lines += len(tables[owner].records)
    connection.unregister("tokens")
    numbers = [number for number, owner in enumerate(sorted(tables)) if owner in free]
    connection.execute(_NODES, [numbers])
    connection.execute(_RECORDS)
    connection.execute("DROP TABLE raw")


def _has(table: pa.Table, schema: pa.Schema) -> bool:
    names = table.schema.names
    return all(names.count(field.name) == 1 and table.schema.field(field.name).type == field.type for field in schema)


_RECORDS: Final = """
CREATE TABLE rec AS SELECT raw.* EXCLUDE (person_id), node FROM raw JOIN node USING (owner, person_id)
"""
_NODES: Final = """
CREATE TABLE node AS
SELECT (row_number() OVER (ORDER BY owner, person_id) - 1)::INTEGER AS node, owner, person_id,
    list_contains(?::UTINYINT[], owner) AS is_free
FROM (SELECT DISTINCT owner, person_id FROM raw)
"""
