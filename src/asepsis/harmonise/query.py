"""A growing select: computed columns that may use earlier ones, looked-up columns, and what is found about a record.

The time to plan and to run a query grows with its depth, and a mapping easily has a hundred columns: they are laid in
as few layers as their use allows.
"""

# ruff: noqa: S608 - the SQL is written here from checked names and quoted literals; no data enters it

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from asepsis.harmonise.expressions import quote_name
from asepsis.harmonise.said import Findings

_WORD: Final = re.compile(r'"((?:[^"]|"")*)"|\b([a-z_]+)\b')
_LOOKED_UP: Final = re.compile(r'\bt\.(?:"(?:[^"]|"")*"|\w+)')
"""A column of the looked-up table: a record may have another one of that name."""


@dataclass(frozen=True, slots=True)
class Node:
    """One computed column: its SQL, and for a looked-up column the table and when a row of it is the one."""

    sql: str
    table: str = ""
    key: str = ""
    value: str = ""
    equals: str = "="

    @property
    def uses(self) -> frozenset[str]:
        """Every name of the record that occurs."""
        sql = _LOOKED_UP.sub("", self.sql) if self.table else self.sql
        return frozenset(a or b for a, b in _WORD.findall(f"{sql} {self.value}"))


class Query:
    """The select over ``sql`` with every column that was added."""

    def __init__(self, sql: str) -> None:
        self._base = sql
        self._nodes: dict[str, Node] = {}
        self._levels: dict[str, int] = {}
        self.found = Findings()

    @property
    def sql(self) -> str:
        """The select with every column."""
        query = self._base
        for level in range(1, max(self._levels.values(), default=0) + 1):
            query = self._layer(query, [name for name, at in self._levels.items() if at == level])
        return query

    @property
    def uses(self) -> frozenset[str]:
        """Every name that any column uses."""
        return frozenset().union(*(node.uses for node in self._nodes.values()))

    @property
    def nodes(self) -> Mapping[str, Node]:
        """Every column that was added, after those that it uses."""
        return self._nodes

    def add(self, name: str, sql: str) -> None:
        """Add one computed column."""
        self.put(name, Node(sql))

    def look_up(self, columns: Mapping[str, str], *, table: str, key: str, value: str) -> None:
        """Add columns of the row of ``table`` whose ``key`` is the value; ``t`` is that row in their SQL."""
        for name, sql in columns.items():
            self.put(name, Node(sql, table, key, value))

    def put(self, name: str, node: Node) -> None:
        """Add one column of either kind, after those that it uses."""
        self._nodes[name] = node
        self._levels[name] = 1 + max((self._levels.get(used, 0) for used in node.uses if used != name), default=0)

    def _layer(self, below: str, names: list[str]) -> str:
        joins: dict[tuple[str, str, str, str], str] = {}
        columns = []
        for name in names:
            node = self._nodes[name]
            sql = node.sql
            if node.table:
                alias = joins.setdefault((node.table, node.key, node.equals, node.value), f"t{len(joins)}")
                sql = re.sub(r"\bt\.", f"{alias}.", sql)
            columns.append(f"{sql} AS {quote_name(name)}")
        joined_rows = "".join(
            f" LEFT JOIN {table} {t} ON {t}.{key} {equals} {value}" for (table, key, equals, value), t in joins.items()
        )
        return f"SELECT l.*, {', '.join(columns)} FROM ({below}) l{joined_rows}"
