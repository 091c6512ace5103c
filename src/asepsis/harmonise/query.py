"""A growing select: computed columns that may use earlier ones, looked-up columns, and what is found about a record.

The time to plan and to run a query grows with its depth, and a mapping easily has a hundred columns: they are laid in
as few layers as their use allows.
"""

# ruff: noqa: S608 - the SQL is written here from checked names and quoted literals; no data enters it

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from asepsis.harmonise.expressions import quote_name, quote_text

_WORD: Final = re.compile(r'"((?:[^"]|"")*)"|\b([a-z_]+)\b')

Finding = tuple[str, str]
"""A condition, and the list of what is found where it holds."""


class Reason(NamedTuple):
    """A condition, and the one literal that is found where it holds."""

    condition: str
    literal: str


def when(condition: str, reason: str) -> Reason:
    """One reason where the condition holds."""
    return Reason(condition, quote_text(reason))


def any_of(found: Sequence[Finding]) -> str:
    """Whether anything is found."""
    return " OR ".join(f"({condition})" for condition in dict.fromkeys(item[0] for item in found)) or "FALSE"


def joined(found: Sequence[Finding], sql_type: str = "VARCHAR[]") -> str:
    """All that was found, sorted and once each. Lists are built only for the few records that have something.

    Literals are sorted and merged here, so that only lists that come from the data are sorted per record.
    """
    literals = _by_literal([item for item in found if isinstance(item, Reason)])
    lists = [item for item in found if not isinstance(item, Reason)]
    named = ", ".join(f"CASE WHEN {condition} THEN {literal} END" for literal, condition in sorted(literals.items()))
    known = f"list_filter([{named}], lambda x: x IS NOT NULL)" if literals else "[]"
    whens = []
    if lists:
        parts = ", ".join([*(item for _, item in lists), known])
        whens.append(f"WHEN {any_of(lists)} THEN list_sort(list_distinct(flatten([{parts}])))::{sql_type}")
    if literals:
        conditions = " OR ".join(f"({condition})" for condition in literals.values())
        whens.append(f"WHEN {conditions} THEN {known}::{sql_type}")
    return f"CASE {' '.join(whens)} ELSE []::{sql_type} END" if whens else f"[]::{sql_type}"


def _by_literal(reasons: Sequence[Reason]) -> dict[str, str]:
    """One condition for each literal."""
    found: dict[str, list[str]] = {}
    for reason in reasons:
        found.setdefault(reason.literal, []).append(f"({reason.condition})")
    return {literal: " OR ".join(dict.fromkeys(conditions)) for literal, conditions in found.items()}


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
class Node:
    """One computed column: its SQL, and for a looked-up column the table and when a row of it is the one."""

    sql: str
    table: str = ""
    key: str = ""
    value: str = ""
    equals: str = "="

    @property
    def uses(self) -> frozenset[str]:
        """Every name that occurs."""
        return frozenset(a or b for a, b in _WORD.findall(f"{self.sql} {self.value}"))


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
