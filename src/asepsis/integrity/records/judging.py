"""From evidence to divergences: what is unusual for these tables by their own history, and what names a cause.

Three layers. *Rules* need no history: a key twice, a reference that leads nowhere, text that is none. *Patterns* name a
cause once a count is unusual: one factor, one shift, an exchange, a whole group gone. *Rates* say what is unusual;
without history they fall back on small fixed limits, and the report says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from asepsis.integrity.records import rates
from asepsis.integrity.records.catalogue import CODES
from asepsis.integrity.records.columns import column_divergence
from asepsis.integrity.records.evidence import PairEvidence, SchemaChange, TableEvidence
from asepsis.integrity.records.ranking import ranked
from asepsis.integrity.records.values import Divergence, RowChange, Severity

_SCHEMA: Final = {
    "schema.table_gone": Severity.SEVERE,
    "schema.column_gone": Severity.SEVERE,
    "schema.type_changed": Severity.ALARM,
}
_TRUNCATED: Final = 0.3
_NEARLY_ALL: Final = 0.9
_FEW_GROUPS: Final = 3
_FEW: Final = 3
_MANY_UNKNOWN: Final = 10


@dataclass(frozen=True, slots=True)
class History:
    """Evidence of earlier pairs of snapshots, the oldest first, and how many questions of a kind are asked today."""

    pairs: Sequence[PairEvidence] = ()
    tables: int = 1
    drifts: int = 1

    def of(self, table: str, measure: Callable[[TableEvidence], float]) -> list[float]:
        """A measure of a table on the earlier days."""
        return [measure(pair.tables[table]) for pair in self.pairs if table in pair.tables]

    def limit(self, table: str, measure: Callable[[TableEvidence], float], *, without: float) -> float:
        """The greatest usual value of a measure; ``without`` where there is too little history."""
        usual = rates.cap(self.of(table, measure))
        return without if usual is None else usual

    def has(self, table: str) -> bool:
        """Whether there is enough history to say what is usual."""
        return len(self.of(table, lambda _: 0.0)) >= rates.ENOUGH_DAYS


def judge(now: PairEvidence, earlier: Sequence[PairEvidence] = (), *, persons: str | None = None) -> list[Divergence]:
    """All divergences of a pair of snapshots, the likeliest cause first."""
    history = History(earlier, tables=len(now.tables), drifts=sum(len(one.drifts) for one in now.tables.values()))
    found = [*map(_of_schema, now.schema), *_of_merges(now, history), *_of_tickets(now)]
    for evidence in now.tables.values():
        if evidence.inserted or evidence.deleted or evidence.updated or evidence.orphans:
            for rule in _RULES:
                found += rule(evidence, history)
            found += _of_updates(evidence, history)
    found = [one for one in found if not _is_announced(one, now)]
    return ranked(found, persons=persons)


def _is_announced(one: Divergence, now: PairEvidence) -> bool:
    return one.code == "values.drift" and {(one.table, column) for column in one.columns} <= now.announced


def _of_schema(change: SchemaChange) -> Divergence:
    severity = Severity.NOTICE if change.ticket else _SCHEMA.get(change.kind, Severity.NOTICE)
    columns = (change.column,) if change.column else ()
    return Divergence(code=change.kind, severity=severity, table=change.table, columns=columns)


def _of_merges(now: PairEvidence, history: History) -> Iterator[Divergence]:
    usual = rates.cap([float(pair.merges + pair.unmerges) for pair in history.pairs])
    count = now.merges + now.unmerges
    if usual is not None and count > usual:
        yield _divergence("persons.merges_many", "", rows=count, usual=usual)


def _of_tickets(now: PairEvidence) -> Iterator[Divergence]:
    for one in now.explained:
        if one.refused:
            yield Divergence(
                code="tickets.exceeded",
                severity=Severity.ALARM,
                table=one.table,
                rows=one.rows,
                names={"ticket": one.by},
                weight=CODES["tickets.exceeded"].weight,
            )


def _of_deletions(evidence: TableEvidence, history: History) -> Iterator[Divergence]:
    table, ledger, rows = evidence.ledger.table, evidence.ledger, evidence.deleted
    if evidence.same_as is not None:
        yield _divergence(
            "rows.rolled_back",
            table,
            rows=max(rows, 1),
            severity=Severity.SEVERE,
            change=RowChange.DELETE,
            names={"same_as": evidence.same_as},
        )
        return
    usual = history.limit(table, lambda e: e.deleted, without=max(10.0, 0.001 * ledger.rows_before))
    sealed = history.limit(table, lambda e: e.deleted_sealed, without=10.0)
    if rows <= usual and evidence.deleted_sealed <= sealed:
        return
    numbers = {
        "usual": usual,
        "sealed": float(evidence.deleted_sealed),
        "before": float(ledger.rows_before),
        "left": float(ledger.rows_after),
    }
    code = "rows.deleted"
    columns: tuple[str, ...] = ()
    gone = [group for group in evidence.gone if group.rows >= _NEARLY_ALL * rows and group.groups <= _FEW_GROUPS]
    if ledger.rows_after <= _TRUNCATED * ledger.rows_before:
        code = "rows.truncated"
    elif gone:
        best = min(gone, key=lambda group: (group.groups, group.column))
        code, columns, numbers["groups"] = "rows.group_deleted", (best.column,), float(best.groups)
    elif evidence.of_gone_persons >= _NEARLY_ALL * rows:
        code = "rows.deleted_with_persons"
    yield _divergence(code, table, columns=columns, rows=rows, change=RowChange.DELETE, numbers=numbers)


def _of_insertions(evidence: TableEvidence, history: History) -> Iterator[Divergence]:
    table = evidence.ledger.table
    for code, measure, without in (
        ("rows.copied", _copied, 20.0),
        ("rows.backdated", _late, max(20.0, 0.05 * evidence.ledger.rows_before)),
        ("rows.inserted_burst", _inserted, float("inf")),
    ):
        usual = history.limit(table, measure, without=without)
        if measure(evidence) > usual:
            rows = int(measure(evidence))
            severity = Severity.NOTICE if code == "rows.inserted_burst" and rows < 2 * usual else Severity.ALARM
            yield _divergence(code, table, rows=rows, change=RowChange.INSERT, usual=usual, severity=severity)
    if evidence.duplicate_keys > history.limit(table, lambda e: e.duplicate_keys, without=0.0):
        yield _divergence("keys.duplicated", table, rows=evidence.duplicate_keys, change=RowChange.INSERT)


def _of_dates(evidence: TableEvidence, history: History) -> Iterator[Divergence]:
    table = evidence.ledger.table
    usual = history.limit(table, lambda e: e.future, without=float(_FEW - 1))
    if evidence.future > usual:
        yield _divergence("dates.future", table, rows=evidence.future, usual=usual, names={"rows_are": "future"})
    for pair, rows in evidence.reversed.items():
        usual = history.limit(table, lambda e, pair=pair: e.reversed.get(pair, 0), without=float(_FEW - 1))  # type: ignore[misc]
        if rows > usual:
            yield _divergence("dates.reversed", table, columns=pair, rows=rows, usual=usual)


def _of_references(evidence: TableEvidence, history: History) -> Iterator[Divergence]:
    table = evidence.ledger.table
    for column, rows in evidence.orphans.items():
        usual = history.limit(table, lambda e, c=column: e.orphans.get(c, 0), without=0.0)  # type: ignore[misc]
        if rows > usual:
            yield _divergence("references.orphaned", table, columns=(column,), rows=rows, usual=usual)


def _of_values(evidence: TableEvidence, history: History) -> Iterator[Divergence]:
    table = evidence.ledger.table
    for code, of, least in (
        ("text.not_text", _strange, 1.0),
        ("text.lookalikes", _mixed, 0.0),
        ("codes.unknown", _unknown, float(_MANY_UNKNOWN)),
    ):
        for column, rows in of(evidence).items():
            usual = history.limit(table, lambda e, of=of, c=column: of(e).get(c, 0), without=least)  # type: ignore[misc]
            if rows > max(usual, least):
                severity = Severity.NOTICE if code == "codes.unknown" else Severity.ALARM
                yield _divergence(
                    code, table, columns=(column,), rows=rows, severity=severity, usual=usual, change=RowChange.INSERT
                )


def _of_drifts(evidence: TableEvidence, history: History) -> Iterator[Divergence]:
    table = evidence.ledger.table
    if not history.has(table):
        return
    seen: set[str] = set()
    for drift in sorted(evidence.drifts, key=lambda one: -abs(one.deviations)):
        past = [
            one.deviations
            for pair in history.pairs
            if table in pair.tables
            for one in pair.tables[table].drifts
            if (one.column, one.by) == (drift.column, drift.by)
        ]
        usual = rates.shift_limit(past, groups=drift.groups, families=history.drifts)
        if drift.column not in seen and abs(drift.deviations) > usual:
            seen.add(drift.column)
            yield _divergence(
                "values.drift",
                table,
                columns=(drift.column,),
                rows=drift.rows,
                change=RowChange.INSERT,
                names={"within": f" within one value of {drift.by}" if drift.by else "", "by": drift.by},
                deviations=drift.deviations,
                shift=drift.shift,
            )


def _of_updates(evidence: TableEvidence, history: History) -> Iterator[Divergence]:
    table = evidence.ledger.table
    for column in evidence.columns:
        divergence = column_divergence(
            table,
            column,
            rows_before=evidence.ledger.rows_before,
            earlier=[
                next((own for own in pair.tables[table].columns if own.column == column.column), None)
                for pair in history.pairs
                if table in pair.tables
            ],
        )
        if divergence is not None:
            yield divergence
    old_edits = history.of(table, lambda e: e.updated_sealed)
    if rates.drips(old_edits, evidence.updated_sealed, families=history.tables):
        yield _divergence("cells.drip", table, rows=evidence.updated_sealed, change=RowChange.UPDATE)


def _divergence(  # noqa: PLR0913 - a divergence has so many parts
    code: str,
    table: str,
    *,
    rows: int,
    columns: tuple[str, ...] = (),
    severity: Severity = Severity.ALARM,
    change: RowChange | None = None,
    names: Mapping[str, str] | None = None,
    numbers: Mapping[str, float] | None = None,
    **more: float,
) -> Divergence:
    return Divergence(
        code=code,
        severity=severity,
        table=table,
        columns=columns,
        rows=rows,
        numbers={**(numbers or {}), **more},
        weight=CODES[code].weight,
        change=change,
        names=names or {},
    )


def _copied(evidence: TableEvidence) -> float:
    return evidence.copied


def _late(evidence: TableEvidence) -> float:
    return evidence.late


def _inserted(evidence: TableEvidence) -> float:
    return evidence.inserted


def _strange(evidence: TableEvidence) -> Mapping[str, int]:
    return evidence.strange


def _mixed(evidence: TableEvidence) -> Mapping[str, int]:
    return evidence.mixed


def _unknown(evidence: TableEvidence) -> Mapping[str, int]:
    return evidence.unknown


_RULES: Final[tuple[Callable[[TableEvidence, History], Iterator[Divergence]], ...]] = (
    _of_deletions,
    _of_insertions,
    _of_dates,
    _of_references,
    _of_values,
    _of_drifts,
)
