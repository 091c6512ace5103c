"""A growing select: computed columns that may use earlier ones, looked-up columns, and what is found about a record.

The time to plan and to run a query grows with its depth, and a mapping easily has a hundred columns: they are laid in
as few layers as their use allows.
"""

# ruff: noqa: S608 - the SQL is written here from checked names and quoted literals; no data enters it

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from asepsis.harmonise.expressions import quote_name, quote_text

_WORD: Final = re.compile(r'"((?:[^"]|"")*)"|\b([a-z_]+)\b')

Finding = tuple[str, str]
"""A condition, and the list of what is found where it holds."""


def when(condition: str, reason: str) -> Finding:
    """One reason where the condition holds."""
    return condition, f"CASE WHEN {condition} THEN [{quote_text(reason)}] ELSE [] END"


def any_of(found: list[Finding]) -> str:
    """Whether anything is found."""
    return " OR ".join(f"({condition})" for condition, _ in dict(found).items()) or "FALSE"


def joined(found: list[Finding], sql_type: str = "VARCHAR[]") -> str:
    """All that was found, sorted and once each. The lists are built only for the few records that have something."""
    if not found:
        return f"[]::{sql_type}"
    lists = f"list_sort(list_distinct(flatten([{', '.join(item for _, item in found)}])))::{sql_type}"
    return f"CASE WHEN {any_of(found)} THEN {lists} ELSE []::{sql_type} END"


@dataclass(slots=True)
class Findings:
    """What can be found about a record, by where it leads."""

    quarantine: list[Finding] = field(default_factory=list)
    last_resort: list[Finding] = field(default_factory=list)
    exclude: list[Finding] = field(default_factory=list)
    flags: list[Finding] = field(default_factory=list)
    repairs: list[Finding] = field(default_factory=list)
    rejects: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Node:
    """One computed column: its SQL, and for a looked-up column the table, its key, and the column that is looked up."""

    sql: str
    table: str = ""
    key: str = ""
    value: str = ""

    @property
    def uses(self) -> frozenset[str]:
        """Every name that occurs."""
        return frozenset(a or b for a, b in _WORD.findall(f"{self.sql} {self.value}"))


class Query:
    """The select over ``sql`` with every column that was added."""

    def __init__(self, sql: str) -> None:
        self._base = sql
        self._nodes: dict[str, _Node] = {}
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
    def names(self) -> frozenset[str]:
        """Every column that was added."""
        return frozenset(self._nodes)

    def add(self, name: str, sql: str) -> None:
        """Add one computed column."""
        self._put(name, _Node(sql))

    def look_up(self, columns: Mapping[str, str], *, table: str, key: str, value: str) -> None:
        """Add columns of the row of ``table`` whose ``key`` is the value; ``t`` is that row in their SQL."""
        for name, sql in columns.items():
            self._put(name, _Node(sql, table, key, value))

    def _put(self, name: str, node: _Node) -> None:
        self._nodes[name] = node
        self._levels[name] = 1 + max((self._levels.get(used, 0) for used in node.uses if used != name), default=0)

    def _layer(self, below: str, names: list[str]) -> str:
        joins: dict[tuple[str, str, str], str] = {}
        columns = []
        for name in names:
            node = self._nodes[name]
            sql = node.sql
            if node.table:
                alias = joins.setdefault((node.table, node.key, node.value), f"t{len(joins)}")
                sql = re.sub(r"\bt\.", f"{alias}.", sql)
            columns.append(f"{sql} AS {quote_name(name)}")
        joined_rows = "".join(
            f" LEFT JOIN {table} {t} ON {t}.{key} = {value}" for (table, key, value), t in joins.items()
        )
        return f"SELECT l.*, {', '.join(columns)} FROM ({below}) l{joined_rows}"
