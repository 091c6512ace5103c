"""What was measured about the differences of two snapshots, as counts: the ground on which divergences are judged.

Rows that a merge of persons or a change ticket explains are counted apart and are in no other count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from asepsis.integrity.records.layout import Role, TableLayout
from asepsis.integrity.records.values import TableLedger


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnEvidence:
    """Updates of one column: how many rows, how many of them sealed, and what they have in common.

    ``ratio`` and ``shift`` (of numbers; of dates in days) are the most common ones, with the rows that have them;
    ``pair_rows`` are rows of the most common pair of old and new value, ``swapped`` rows that exchange two values.
    """

    column: str
    role: Role
    rows: int
    sealed: int = 0
    nulled: int = 0
    up: int = 0
    down: int = 0
    ratio: float = 1.0
    ratio_rows: int = 0
    shift: float = 0.0
    shift_rows: int = 0
    pairs: int = 0
    pair_rows: int = 0
    swapped: int = 0
    strange: int = 0
    mixed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneGroup:
    """Values of a column whose rows (ten or more each) are all gone; ``rows`` in ``groups`` such values."""

    column: str
    rows: int
    groups: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """New values of ``column`` in that of ``groups`` which moved most, by ``by``: in standard errors, over persons."""

    column: str
    by: str
    deviations: float
    shift: float
    rows: int
    groups: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TableEvidence:
    """One table's ledger and what was measured about it."""

    ledger: TableLedger
    layout: TableLayout
    inserted: int = 0
    deleted: int = 0
    updated: int = 0
    late: int = 0
    deleted_sealed: int = 0
    updated_sealed: int = 0
    of_gone_persons: int = 0
    future: int = 0
    reversed: Mapping[tuple[str, str], int] = field(default_factory=dict)
    orphans: Mapping[str, int] = field(default_factory=dict)
    duplicate_keys: int = 0
    copied: int = 0
    unknown: Mapping[str, int] = field(default_factory=dict)
    strange: Mapping[str, int] = field(default_factory=dict)
    mixed: Mapping[str, int] = field(default_factory=dict)
    columns: tuple[ColumnEvidence, ...] = ()
    gone: tuple[GoneGroup, ...] = ()
    drifts: tuple[Drift, ...] = ()
    same_as: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaChange:
    """A table or column that came, went or changed its type; ``kind`` is a code of the catalogue."""

    kind: str
    table: str
    column: str | None = None
    ticket: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Rows of a table that a merge or a ticket explains; ``refused`` says that the ticket covers fewer rows."""

    by: str
    table: str
    rows: int
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PairEvidence:
    """Everything measured about two snapshots.

    ``announced`` are columns, with their tables, whose values a ticket in force changes: new values follow the change.
    """

    tables: Mapping[str, TableEvidence]
    schema: tuple[SchemaChange, ...] = ()
    merges: int = 0
    unmerges: int = 0
    explained: tuple[Explained, ...] = ()
    announced: frozenset[tuple[str, str]] = frozenset()
    unchecked: tuple[str, ...] = ()
