"""Change tickets: what an owner signed beforehand, so that a legitimate bulk change explains itself.

A ticket is narrow by construction: one kind of change to one table (or ``*``, for the removal of persons), the columns
that may change, at most so many rows, and optionally the values that the rows must have and the factor between old and
new numbers. Rows that do not fit stay unexplained; if more rows fit than the ticket allows, it explains none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from asepsis.errors.recovery import TicketRefused
from asepsis.integrity.records.evidence_sql import LedgerSql
from asepsis.integrity.records.layout import Role
from asepsis.integrity.records.ledger_sql import literal

FORMAT: Final = "asepsis/change-ticket/1"
ANY_TABLE: Final = "*"
_FIELDS: Final = frozenset({"format", "id", "reason", "table", "kind", "columns", "rows_at_most", "where", "factor"})
_KINDS: Final = frozenset({"insert", "delete", "update", "schema"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeTicket:
    """A change that was announced; ``where`` are the values that rows must have, by column, as text."""

    id: str
    reason: str
    table: str
    kind: str
    columns: tuple[str, ...] = ()
    rows_at_most: int = 0
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    factor: float | None = None

    def to_document(self) -> dict[str, object]:
        """The canonical content, over which the signature is made."""
        return {
            "format": FORMAT,
            "id": self.id,
            "reason": self.reason,
            "table": self.table,
            "kind": self.kind,
            "columns": list(self.columns),
            "rows_at_most": self.rows_at_most,
            "where": {column: list(values) for column, values in self.where.items()},
            "factor": self.factor,
        }


def read_ticket(document: object, *, name: str) -> ChangeTicket:
    """Read the content of a ticket. Raises TicketRefused."""
    if not isinstance(document, dict) or document.get("format") != FORMAT or not set(document) <= _FIELDS:
        raise TicketRefused(ticket=name, problem=f"it is no {FORMAT}")
    where = document.get("where") or {}
    factor = document.get("factor")
    columns = document.get("columns") or []
    texts = [document.get(key) for key in ("id", "reason", "table", "kind")]
    sound = (
        all(isinstance(text, str) and text for text in texts)
        and document.get("kind") in _KINDS
        and isinstance(document.get("rows_at_most", 0), int)
        and isinstance(columns, list)
        and isinstance(where, dict)
        and (factor is None or isinstance(factor, int | float))
    )
    if not sound:
        raise TicketRefused(ticket=name, problem="a field is missing or has the wrong type")
    return ChangeTicket(
        id=str(texts[0]),
        reason=str(texts[1]),
        table=str(texts[2]).lower(),
        kind=str(texts[3]),
        columns=tuple(map(str, columns)),
        rows_at_most=int(document.get("rows_at_most", 0)),
        where={str(column): tuple(map(str, values)) for column, values in where.items()},
        factor=None if factor is None else float(factor),
    )


def explains_table(ticket: ChangeTicket, table: str) -> bool:
    """Whether a ticket speaks of changes to rows of a table."""
    return ticket.kind != "schema" and ticket.table in {ANY_TABLE, table}


def ticket_condition(ticket: ChangeTicket, sql: LedgerSql) -> str | None:
    """The rows of a ledger that fit a ticket; ``None`` if the table lacks a column that the ticket names."""
    named = {*ticket.where, *(ticket.columns if ticket.kind == "update" else ())}
    if not named <= sql.index.keys():
        return None
    side = "a" if ticket.kind == "insert" else "b"
    tests = ["explained IS NULL", f"change = {literal(ticket.kind)}"]
    if ticket.kind == "update":
        tests += [f"NOT ({sql.changed(name)})" for name in sql.index if name not in ticket.columns]
    for name, values in ticket.where.items():
        listed = ", ".join(map(literal, values))
        tests.append(f"CAST({side}{sql.index[name]} AS VARCHAR) IN ({listed})")
    if ticket.factor is not None:
        tests += [_by_factor(name, ticket.factor, sql) for name in ticket.columns if _is_number(name, sql)]
    return " AND ".join(tests)


def _is_number(name: str, sql: LedgerSql) -> bool:
    return sql.layout.column(name).role is Role.NUMBER


def _by_factor(name: str, factor: float, sql: LedgerSql) -> str:
    x, y = sql.number("b", name), sql.number("a", name)
    return f"(NOT c{sql.index[name]} OR abs({y} - {x} * {factor!r}) <= 0.0051 + 1e-6 * abs({y}))"
