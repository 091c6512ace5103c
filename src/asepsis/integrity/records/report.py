"""The report of a comparison: as a document for programs, as lines for people, as events of a timeline.

It holds names of tables and columns and counts; the rows themselves are in the owner's private file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from asepsis.integrity.records.catalogue import CODES, sentence
from asepsis.integrity.records.evidence import PairEvidence
from asepsis.integrity.records.values import Divergence, TableLedger

FORMAT: Final = "asepsis/comparison/1"


def comparison_document(evidence: PairEvidence, divergences: Sequence[Divergence], **more: Any) -> dict[str, Any]:
    """The whole comparison; ``more`` are fields that the caller knows (verdict, roots, what was not checked)."""
    return {
        "format": FORMAT,
        **more,
        "divergences": [divergence_document(one, number) for number, one in enumerate(divergences, start=1)],
        "explained": [
            {"by": one.by, "table": one.table, "rows": one.rows, "refused": one.refused} for one in evidence.explained
        ],
        "merges": evidence.merges,
        "unmerges": evidence.unmerges,
        "schema": [{"code": one.kind, "table": one.table, "column": one.column} for one in evidence.schema],
        "ledger": [_ledger(one.ledger) for one in evidence.tables.values()],
    }


def alone_document(tables: Mapping[str, int], divergences: Sequence[Divergence], **more: Any) -> dict[str, Any]:
    """One snapshot judged by itself."""
    return {
        "format": FORMAT,
        **more,
        "divergences": [divergence_document(one, number) for number, one in enumerate(divergences, start=1)],
        "tables": dict(tables),
    }


def divergence_document(one: Divergence, number: int) -> dict[str, Any]:
    """A divergence with its sentence and what to do next."""
    return {
        "number": number,
        "code": one.code,
        "severity": one.severity.name.lower(),
        "table": one.table,
        "columns": list(one.columns),
        "rows": one.rows,
        "numbers": {name: _plain(value) for name, value in one.numbers.items()},
        "says": sentence(one),
        "next": CODES[one.code].next,
    }


def timeline(
    divergences: Sequence[Divergence],
    days: Sequence[tuple[str, str, str, int]],
    *,
    found_at: datetime,
    source: str,
) -> Iterator[str]:
    """Events as JSON lines that Timesketch imports: ``message``, ``datetime``, ``timestamp_desc`` and tags.

    One for each divergence at the time of the newer snapshot, one for each day whose events were changed. Source:
    https://timesketch.org/guides/user/import-from-json-csv/.
    """
    for number, one in enumerate(divergences, start=1):
        yield _event(
            sentence(one),
            found_at.isoformat(),
            "Divergence between two snapshots",
            {"code": one.code, "severity": one.severity.name.lower(), "divergence": number, "table": one.table},
            source,
        )
    for table, day, change, rows in days:
        yield _event(
            f"{rows} rows of {table} with events of this day: {change}",
            f"{day}T00:00:00+00:00",
            "Event time of changed rows",
            {"table": table, "change": change, "rows": rows},
            source,
        )


def _event(message: str, at: str, described: str, more: Mapping[str, object], source: str) -> str:
    document = {"message": message, "datetime": at, "timestamp_desc": described, "source": source, "tag": ["asepsis"]}
    return json.dumps({**document, **more}, ensure_ascii=False)


def _ledger(one: TableLedger) -> dict[str, Any]:
    return {
        "table": one.table,
        "key": list(one.key),
        "rows_before": one.rows_before,
        "rows_after": one.rows_after,
        "inserted": one.inserted,
        "deleted": one.deleted,
        "updated": one.updated,
        "cells": dict(one.cells),
    }


def _plain(value: float) -> float | int | None:
    if value in {float("inf"), float("-inf")}:
        return None
    return int(value) if float(value).is_integer() else round(value, 6)
