"""The exact ledger as counts, and what a finding about it is. No value of a row is in any of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum


class RowChange(StrEnum):
    """What happened to a row between two snapshots."""

    INSERT = "insert"
    DELETE = "delete"
    UPDATE = "update"


class Severity(IntEnum):
    """How much a divergence weighs; from ``ALARM`` on the newer snapshot is not trusted."""

    NOTICE = 1
    ALARM = 2
    SEVERE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLedger:
    """How many rows of a table were inserted, deleted and updated, and how many cells of each column."""

    table: str
    key: tuple[str, ...]
    rows_before: int
    rows_after: int
    inserted: int = 0
    deleted: int = 0
    updated: int = 0
    cells: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_equal(self) -> bool:
        """Whether both sides hold the same rows."""
        return not (self.inserted or self.deleted or self.updated)


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """A difference between two snapshots that asks for an explanation.

    ``rows`` counts the rows behind it; ``numbers`` is the evidence (counts, factors, shifts, limits); ``conditions`` is
    SQL over the ledger of the table that picks the rows (empty where there are none to show).
    """

    code: str
    severity: Severity
    table: str
    columns: tuple[str, ...] = ()
    rows: int = 0
    numbers: Mapping[str, float] = field(default_factory=dict)
    weight: float = 0.0
    change: RowChange | None = None
    names: Mapping[str, str] = field(default_factory=dict)
