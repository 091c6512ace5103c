"""What a predefined method is: a name, typed parameters, the columns it reads, and how it is released."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from asepsis.disclosure.gate import Assessed
from asepsis.disclosure.profiles import Profile
from asepsis.domain.catalogue import Catalogue
from asepsis.domain.sealed import Sealed
from asepsis.errors.sql import MethodTableError
from asepsis.methods.parameters import Parameter, Value


class Tabular(Protocol):
    """A table that can be read row by row."""

    def to_pylist(self) -> list[dict[str, Any]]:
        """All rows."""


class Statements(Protocol):
    """An engine that runs a method's own generated SQL."""

    def statement(self, text: str, parameters: Mapping[str, object]) -> Sealed[Any]:
        """The sealed result, as a :class:`Tabular`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One predefined method. ``tables`` names the columns that it reads.

    ``persons`` is a query that counts the persons behind its result, by stratum where it has strata: by what the
    author chose, before anything that the method itself leaves out. The memory of releases compares those.
    """

    name: str
    summary: str
    parameters: tuple[Parameter, ...]
    tables: Mapping[str, tuple[str, ...]]
    release: Callable[[Statements, Mapping[str, Value], Profile], Assessed]
    persons: Callable[[Mapping[str, Value]], str]

    def require_tables(self, catalogue: Catalogue) -> None:
        """Raise MethodTableError unless the contract offers every column that the method reads."""
        for name, columns in self.tables.items():
            table = catalogue.table(name)
            for column in columns:
                found = None if table is None else table.column(column)
                if found is None or not found.uses:
                    raise MethodTableError(method=self.name, table=name, column=column)
