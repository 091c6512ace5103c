"""One snapshot judged by itself, when no earlier one is at hand: its tables bear witness against each other.

A table is suspect when the others agree and it does not: its ids are not where all others find theirs, it names other
owners for the same ids, it is spelled in another way, it tells of acts after a death, or its digest is not the one
that was listed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from asepsis.integrity.records.catalogue import CODES
from asepsis.integrity.records.ranking import ranked
from asepsis.integrity.records.values import Divergence, Severity

_HOLDS: Final = 0.99
_BROKEN: Final = 0.9
_ENOUGH: Final = 10
_WITNESSES: Final = 2
_SOME: Final = 0.05
_MOST: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Containment:
    """Of ``rows`` with an id in ``table``, ``held`` have one that ``owner`` has, too."""

    column: str
    owner: str
    table: str
    rows: int
    held: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Of ``rows`` values of ``first`` that both tables have, ``same`` go with the same ``second`` in both."""

    first: str
    second: str
    tables: tuple[str, str]
    rows: int
    same: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DateOrder:
    """Of ``rows`` with both dates, ``late`` have the other date after the death."""

    table: str
    death: str
    other: str
    rows: int
    late: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """Of ``rows`` dates in a column, ``iso`` are spelled as ISO 8601 says."""

    table: str
    column: str
    rows: int
    iso: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AloneEvidence:
    """What was measured about one snapshot; ``tables`` with their rows."""

    tables: Mapping[str, int]
    digests_wrong: tuple[str, ...] = ()
    digests_missing: tuple[str, ...] = ()
    containments: tuple[Containment, ...] = ()
    agreements: tuple[Agreement, ...] = ()
    orders: tuple[DateOrder, ...] = ()
    spellings: tuple[Spelling, ...] = ()


def judge_alone(evidence: AloneEvidence) -> list[Divergence]:
    """All divergences of a snapshot from what it says itself, the likeliest cause first."""
    found = [
        *_of_digests(evidence),
        *_of_containments(evidence),
        *_of_agreements(evidence),
        *_of_orders(evidence),
        *_of_spellings(evidence),
    ]
    return ranked(found, persons=None)


def _of_digests(evidence: AloneEvidence) -> Iterator[Divergence]:
    for table in evidence.digests_wrong:
        severity = Severity.ALARM if table in evidence.tables else Severity.NOTICE
        yield _divergence("files.digest_wrong", table, rows=evidence.tables.get(table, 0), severity=severity)
    if evidence.digests_missing:
        yield _divergence("files.missing", "", rows=len(evidence.digests_missing), severity=Severity.NOTICE)


def _of_containments(evidence: AloneEvidence) -> Iterator[Divergence]:
    """An owner is believed when at least two tables find their ids in it."""
    witnesses = Counter((one.column, one.owner) for one in evidence.containments if one.held >= _HOLDS * one.rows)
    for one in evidence.containments:
        broken = one.rows >= _ENOUGH and one.held < _BROKEN * one.rows
        if broken and witnesses[one.column, one.owner] >= _WITNESSES:
            yield _divergence(
                "references.strange",
                one.table,
                columns=(one.column,),
                rows=one.rows - one.held,
                severity=Severity.SEVERE if one.held < _MOST * one.rows else Severity.ALARM,
                names={"owner": one.owner},
                witnesses=witnesses[one.column, one.owner],
                of=one.rows,
            )


def _of_agreements(evidence: AloneEvidence) -> Iterator[Divergence]:  # noqa: C901 - two passes over one list
    """A table that disagrees with at least two others which agree with each other."""
    sound = [one for one in evidence.agreements if one.rows >= _ENOUGH]
    agreeing: dict[tuple[str, str], Counter[str]] = {}
    for one in sound:
        if one.same >= _HOLDS * one.rows:
            agreeing.setdefault((one.first, one.second), Counter()).update(one.tables)
    worst: dict[tuple[str, str, str], tuple[int, int, int]] = {}
    for one in sound:
        known = agreeing.get((one.first, one.second), Counter())
        if one.same >= _BROKEN * one.rows:
            continue
        for table, other in (one.tables, one.tables[::-1]):
            if known[other] and not known[table]:
                rows, of, count = worst.get((table, one.first, one.second), (0, 0, 0))
                worst[table, one.first, one.second] = max(rows, one.rows - one.same), max(of, one.rows), count + 1
    for (table, first, second), (rows, of, count) in worst.items():
        if count >= _WITNESSES:
            yield _divergence(
                "references.disagree",
                table,
                columns=(second,),
                rows=rows,
                severity=Severity.SEVERE,
                names={"first": first},
                witnesses=count,
                of=of,
            )


def _of_orders(evidence: AloneEvidence) -> Iterator[Divergence]:
    for one in evidence.orders:
        if one.rows >= _ENOUGH and one.late > _SOME * one.rows:
            yield _divergence(
                "dates.after_death",
                one.table,
                columns=(one.death, one.other),
                rows=one.late,
                severity=Severity.ALARM,
                of=one.rows,
            )


def _of_spellings(evidence: AloneEvidence) -> Iterator[Divergence]:
    """Where most date columns are spelled as ISO 8601 says, the others were typed again."""
    iso = [one for one in evidence.spellings if one.iso >= _HOLDS * one.rows]
    if len(iso) <= _MOST * len(evidence.spellings):
        return
    by_table: dict[str, list[Spelling]] = {}
    for one in evidence.spellings:
        if one.iso < _BROKEN * one.rows:
            by_table.setdefault(one.table, []).append(one)
    for table, columns in by_table.items():
        yield _divergence(
            "dates.spelled_otherwise",
            table,
            columns=tuple(one.column for one in columns),
            rows=max(one.rows - one.iso for one in columns),
            severity=Severity.ALARM,
        )


def _divergence(
    code: str,
    table: str,
    *,
    rows: int,
    severity: Severity,
    columns: tuple[str, ...] = (),
    names: Mapping[str, str] | None = None,
    **numbers: float,
) -> Divergence:
    return Divergence(
        code=code,
        severity=severity,
        table=table,
        columns=columns,
        rows=rows,
        numbers=numbers,
        weight=CODES[code].weight,
        names=names or {},
    )
