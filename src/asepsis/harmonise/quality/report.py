"""The report of a run as a value and as a document with a stable schema, and how small counts are masked in it.

Invariant of masking: in a masked document no count from 1 to 4 stands, nor does one that follows from a total beside
it. This is care with a page that somebody may forward, not disclosure control: the report stays at the owner.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from asepsis.domain.books import Books, FileBooks
from asepsis.harmonise.quality.checks import FACTS, STRUCTURE, Kind
from asepsis.harmonise.quality.verdict import Result, Status

FORMAT: Final = "asepsis-quality/1"
LEAST: Final = 5
"""The smallest count that a masked report shows; 0 is shown, too."""
_STATES: Final = ("accepted", "merged", "quarantined", "excluded", "header", "context", "residue")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldAccount:
    """How many rows have a value in a field, and how many have the concept 0 where it holds concepts."""

    name: str
    filled: int
    zero: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmappedCodes:
    """Codes of the source without concept: the first ones as (code, rows, persons), and how many there are in all."""

    field: str
    concept: str
    codes: int
    rows: int
    first: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableAccount:
    """What a table holds: rows in all, by field and by year."""

    name: str
    rows: int
    fields: tuple[FieldAccount, ...] = ()
    years: Mapping[int, int]
    unmapped: tuple[UnmappedCodes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityReport:
    """All verdicts on the tables of a run. ``unchecked`` are tables that no check knows."""

    run: str
    as_of: date
    vocabulary: str | None
    results: tuple[Result, ...]
    tables: tuple[TableAccount, ...]
    unchecked: tuple[str, ...] = ()
    books: Books | None = None

    def with_status(self, status: Status) -> tuple[Result, ...]:
        """The results of one status, the worst first."""
        return tuple(sorted((one for one in self.results if one.status is status), key=lambda one: one.weight))

    def as_dict(self) -> dict[str, Any]:
        """The document, with every count as it is."""
        return {
            "format": FORMAT,
            "run": self.run,
            "as_of": self.as_of.isoformat(),
            "masked_below": None,
            "vocabulary": self.vocabulary,
            "summary": {status.value: len(self.with_status(status)) for status in Status},
            "kinds": _kinds(self.results),
            "checks": [_check(one) for status in Status for one in self.with_status(status)],
            "tables": [_table(one) for one in self.tables],
            "unchecked": list(self.unchecked),
            "files": [_file(one) for one in (self.books.files if self.books is not None else ())],
        }


def masked(document: Mapping[str, Any], *, least: int = LEAST) -> dict[str, Any]:
    """The document with small counts, and what would tell them, replaced by null."""
    totals = {one["name"]: one["rows"] for one in document["tables"]}
    return {
        **document,
        "masked_below": least,
        "checks": [_masked_check(one, totals.get(one["table"], 0), least) for one in document["checks"]],
        "tables": [_masked_table(one, least) for one in document["tables"]],
        "files": [_masked_file(one, least) for one in document["files"]],
    }


def mask_series(counts: Mapping[str, int], *, least: int = LEAST) -> dict[str, int | None]:
    """Counts that add up to a known total: what is masked is never alone, and never small in sum."""
    hidden = {name for name, count in counts.items() if 0 < count < least}
    rest = sorted((count, name) for name, count in counts.items() if count >= least)
    while hidden and rest and (len(hidden) == 1 or sum(counts[name] for name in hidden) < least):
        hidden.add(rest.pop(0)[1])
    return {name: None if name in hidden else count for name, count in counts.items()}


def _kinds(results: Sequence[Result]) -> list[dict[str, Any]]:
    counts = Counter((one.check.kind, one.status) for one in results)
    return [
        {
            "kind": kind.value,
            "origin": FACTS[kind].origin,
            "level": FACTS[kind].level,
            "category": FACTS[kind].category,
            "severity": FACTS[kind].severity,
            **{status.value: counts[kind, status] for status in Status},
        }
        for kind in Kind
    ]


def _check(one: Result) -> dict[str, Any]:
    return {
        "id": one.check.id,
        "kind": one.check.kind.value,
        "table": one.check.table,
        "field": one.check.field or None,
        "concept": one.check.concept or None,
        "severity": FACTS[one.check.kind].severity,
        "status": one.status.value,
        "violated": one.violated,
        "rows": one.rows,
        "percent": None if one.violated is None else round(one.share, 4),
        "threshold": one.check.threshold,
        "masked": False,
        "reason": one.reason or None,
    }


def _table(one: TableAccount) -> dict[str, Any]:
    return {
        "name": one.name,
        "rows": one.rows,
        "fields": [{"name": field.name, "filled": field.filled, "zero": field.zero} for field in one.fields],
        "years": {str(year): count for year, count in sorted(one.years.items())},
        "unmapped": [
            {
                "field": codes.field,
                "concept": codes.concept,
                "codes": codes.codes,
                "rows": codes.rows,
                "first": [{"code": code, "rows": rows, "persons": persons} for code, rows, persons in codes.first],
            }
            for codes in one.unmapped
        ],
    }


def _file(one: FileBooks) -> dict[str, Any]:
    return {
        "path": one.path,
        "landed": one.landed,
        "states": {state: getattr(one, state) for state in _STATES},
        "reasons": dict(one.reasons),
        "emitted": dict(one.emitted),
    }


def _is_telling(part: int | None, whole: int, least: int) -> bool:
    """Whether a part, or what is left of the whole, is small."""
    return part is not None and (0 < part < least or 0 < whole - part < least)


def _shown(part: int | None, whole: int, least: int) -> int | None:
    return None if _is_telling(part, whole, least) else part


def _masked_check(one: Mapping[str, Any], total: int, least: int) -> dict[str, Any]:
    if one["rows"] is None or one["kind"] in STRUCTURE:
        return dict(one)
    rows = _shown(one["rows"], max(total, one["rows"]), least)
    violated = _shown(one["violated"], one["rows"], least) if rows is not None else None
    percent = one["percent"] if violated is not None else None
    return {**one, "rows": rows, "violated": violated, "percent": percent, "masked": violated is None}


def _masked_table(one: Mapping[str, Any], least: int) -> dict[str, Any]:
    rows = one["rows"]
    fields = [
        {**field, "filled": _shown(field["filled"], rows, least), "zero": _shown(field["zero"], rows, least)}
        for field in one["fields"]
    ]
    return {
        **one,
        "rows": _shown(rows, rows, least),
        "fields": fields,
        "years": mask_series(one["years"], least=least),
        "unmapped": [_masked_codes(codes, least) for codes in one["unmapped"]],
    }


def _masked_codes(codes: Mapping[str, Any], least: int) -> dict[str, Any]:
    """A code that fewer persons have could name one of them: it is not shown at all."""
    shown = [code for code in codes["first"] if code["persons"] >= least]
    rest = codes["rows"] - sum(code["rows"] for code in shown)
    return {**codes, "rows": None if 0 < rest < least else codes["rows"], "first": shown}


def _masked_file(one: Mapping[str, Any], least: int) -> dict[str, Any]:
    return {
        **one,
        "landed": _shown(one["landed"], one["landed"], least),
        "states": mask_series(one["states"], least=least),
        "reasons": mask_series(one["reasons"], least=least),
        "emitted": {table: _shown(rows, rows, least) for table, rows in one["emitted"].items()},
    }
