"""Names in scope while a statement is bound, and the state of one binding."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlglot import exp

from asepsis.domain.analysis import Argument
from asepsis.domain.catalogue import Catalogue, ColumnType, Use
from asepsis.domain.cells import Relation
from asepsis.domain.release import Cell
from asepsis.sql.plan import Literal, Predicate, Relational, Scalar, UnitRef
from asepsis.sql.refusals import RefusedError

MOST_SOURCES: Final = 24
NAME: Final = re.compile(r"^[a-z_][a-z0-9_]{0,62}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """A bound scalar with what may be done with it.

    ``labels`` are the labels that its codes stand for; ``domain`` is its first value and the first one behind the last.
    """

    scalar: Scalar
    type: ColumnType
    uses: frozenset[Use] = frozenset()
    bin_width: int | None = None
    labels: tuple[Cell, ...] | None = None
    domain: tuple[int, int] | None = None

    @property
    def is_unit(self) -> bool:
        """Whether this is the key of the person."""
        return isinstance(self.scalar, UnitRef)

    @property
    def is_literal(self) -> bool:
        """Whether this is a literal or a parameter."""
        return isinstance(self.scalar, Literal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A subquery of WITH, and the subqueries that it can see itself."""

    query: exp.Expr
    sees: Mapping[str, Named]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One source in scope. ``unit`` is the name of its person column; a look-up table has none."""

    alias: str
    source: int
    columns: Mapping[str, Typed]
    unit: str | None
    outer: bool = False
    single: bool = False


@dataclass(slots=True, kw_only=True)
class Scope:
    """The sources that a clause can name; ``parent`` belongs to the statement around a subquery."""

    names: Mapping[str, Named]
    parent: Scope | None = None
    entries: list[Entry] = field(default_factory=list)

    def resolve(self, node: exp.Column) -> tuple[Typed, Entry, bool]:
        """The column, its source and whether that source is of this very scope. Raises RefusedError."""
        name, alias = name_of(node.this), name_of(node.args["table"]) if node.args.get("table") else ""
        if node.args.get("db") or node.args.get("catalog"):
            raise RefusedError("sql.construct_not_allowed", node)
        found = [entry for entry in self.entries if alias in {"", entry.alias} and name in entry.columns]
        if len(found) > 1 and not all(entry.unit == name for entry in found):
            raise RefusedError("sql.ambiguous_column", node)
        if found:
            return found[0].columns[name], found[0], True
        if self.parent is not None and not (alias and any(entry.alias == alias for entry in self.entries)):
            typed, entry, _ = self.parent.resolve(node)
            return typed, entry, False
        raise RefusedError("sql.unknown_column", node)

    def is_outer(self, source: int) -> bool:
        """Whether the source of that number stands on the outer side of a join."""
        for entry in self.entries:
            if entry.source == source:
                return entry.outer
        return self.parent.is_outer(source) if self.parent else False


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A refused part of the statement; ``part`` can be dropped to get a version that may pass."""

    error: RefusedError
    part: exp.Expr | None


@dataclass(slots=True, kw_only=True)
class Context:
    """The state of one binding; the functions tie the mutually recursive modules together."""

    catalogue: Catalogue
    parameters: Mapping[str, Argument]
    predicate: Callable[[exp.Expr, Scope, Context], Predicate]
    relation: Callable[[exp.Expr, Scope, Context], Related]
    exists: Callable[[exp.Expr, Scope, Context], Predicate]
    listed: Callable[[Typed, exp.Expr, Scope, Context], Predicate]
    used: set[str] = field(default_factory=set)
    sources: int = 0
    problems: list[Problem] = field(default_factory=list)
    moved: list[exp.Expr] = field(default_factory=list)

    def number(self) -> int:
        """The number of a new source. Raises RefusedError when there are too many."""
        if self.sources >= MOST_SOURCES:
            raise RefusedError("sql.too_long")
        self.sources += 1
        return self.sources - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """A bound subquery: its relation and its columns by the author's names, with the person under ``unit``."""

    relation: Relational
    number: int
    unit: str
    columns: Mapping[str, Typed]
    single: bool


def name_of(node: exp.Expr | str | None) -> str:
    """A validated name in lower case; quoted names must be lower case already. Raises RefusedError."""
    if isinstance(node, exp.Identifier):
        text = node.name if node.args.get("quoted") else node.name.lower()
        if NAME.match(text):
            return text
    raise RefusedError("sql.bad_name", node if isinstance(node, exp.Expr) else None)


RELATIONS: Final[dict[type[exp.Expr], Relation]] = {
    exp.EQ: Relation.EQUAL,
    exp.NEQ: Relation.UNEQUAL,
    exp.LT: Relation.LESS,
    exp.LTE: Relation.AT_MOST,
    exp.GT: Relation.MORE,
    exp.GTE: Relation.AT_LEAST,
}
