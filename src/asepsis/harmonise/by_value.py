"""Columns that depend on one field alone are computed once for each of its values, not for each record.

Codes, dates, units and persons recur; most of a mapping judges them one at a time. The values of such a field go into a
table with all that follows from them, and records look their columns up. Invariant: a query that was divided has the
same wanted columns with the same values.
"""

# ruff: noqa: S608 - the SQL is written here from checked names and quoted literals; no data enters it

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from asepsis.harmonise.expressions import quote_name
from asepsis.harmonise.query import Node, Query

SAMPLE: Final = 50_000
"""How many records of each file are looked at."""
LEAST_RECORDS: Final = 10_000
"""Below this, further statements cost more than they save."""
LEAST_REPEATS: Final = 4
"""How often each value must occur on average."""

_OF_RECORDS: Final = frozenset(
    {"file_id", "rec_no", "byte_off", "byte_len", "kind", "defects", "raw", "text", "content"}
)
_LEAST_COLUMNS: Final = 2
_VALUE: Final = "value"


def recurring(fields: Sequence[str], records: int, distinct: Sequence[int]) -> tuple[str, ...]:
    """The fields whose values recur often enough, given how many different values each has."""
    if records < LEAST_RECORDS:
        return ()
    return tuple(name for name, values in zip(fields, distinct, strict=True) if values * LEAST_REPEATS <= records)


def divide(
    query: Query, records: str, fields: Collection[str], *, wanted: Collection[str], prefix: str
) -> tuple[Query, dict[str, str]]:
    """The query without what depends on one of these fields alone, and a select for each table that it looks up.

    ``wanted`` are the columns that must be in the result; tables are called ``prefix`` and the field.
    """
    homes = _homes(query.nodes, frozenset(fields))
    tables: dict[str, str] = {}
    divided, left = Query(records), dict(query.nodes)
    for name in fields:
        members = {column for column, home in homes.items() if home == {name}}
        if len(members) < _LEAST_COLUMNS:
            continue
        table, shown = quote_name(f"{prefix}{name}"), _shown(query.nodes, members, wanted)
        tables[table] = _values(query.nodes, homes, records, (name, members, shown))
        for column in shown:
            looked_up = Node(f"t.{quote_name(column)}", table, _VALUE, quote_name(name), "IS NOT DISTINCT FROM")
            divided.put(column, looked_up)
        left = {column: node for column, node in left.items() if column not in members}
    for column, node in left.items():
        divided.put(column, node)
    return divided, tables


def _homes(nodes: Mapping[str, Node], fields: frozenset[str]) -> dict[str, frozenset[str]]:
    """What each column depends on: fields that recur, and ``""`` for anything else of a record."""
    homes: dict[str, frozenset[str]] = {}
    for name, node in nodes.items():
        found: set[str] = set()
        for used in node.uses - {name}:
            if used in nodes:
                found |= homes[used]
            elif used in fields:
                found.add(used)
            elif used.startswith("f.") or used in _OF_RECORDS:
                found.add("")
        homes[name] = frozenset(found)
    return homes


def _shown(nodes: Mapping[str, Node], members: Collection[str], wanted: Collection[str]) -> list[str]:
    """The members that anything else needs."""
    others = frozenset().union(*(node.uses for name, node in nodes.items() if name not in members))
    return [name for name in nodes if name in members and (name in wanted or name in others)]


def _values(
    nodes: Mapping[str, Node],
    homes: Mapping[str, frozenset[str]],
    records: str,
    part: tuple[str, Collection[str], Sequence[str]],
) -> str:
    """Select the values of a field with the columns that are shown; what depends on nothing is computed again."""
    field, members, shown = part
    value = quote_name(field)
    query = Query(f"SELECT DISTINCT {value} FROM ({records})")
    for name, node in nodes.items():
        if name in members or not homes[name]:
            query.put(name, node)
    columns = ", ".join(quote_name(name) for name in shown)
    return f"SELECT {value} AS {_VALUE}, {columns} FROM ({query.sql})"
