"""Updates of one column: whether they are more than usual, and what they have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from asepsis.integrity.records import rates
from asepsis.integrity.records.catalogue import CODES
from asepsis.integrity.records.evidence import ColumnEvidence
from asepsis.integrity.records.layout import Role
from asepsis.integrity.records.values import Divergence, RowChange, Severity

_MOST: Final = 0.8
_ENOUGH: Final = 8
_PERMUTED: Final = 0.5
_BARELY: Final = 0.002
_WITHOUT_ROWS: Final = 10.0
_WITHOUT_SHARE: Final = 0.0005
_WITHOUT_PERSONS: Final = 4.0
_SEVERE_SHARE: Final = 0.05


def column_divergence(
    table: str, now: ColumnEvidence, *, rows_before: int, earlier: Sequence[ColumnEvidence | None]
) -> Divergence | None:
    """The divergence of a column's updates; ``None`` while they are usual. ``earlier`` has one item for each day."""
    limits = _limits(earlier, rows_before, is_person=now.role is Role.PERSON)
    exceeded = [name for name, count in _counts(now).items() if count > limits[name]]
    pattern = next(_patterns(now, rows_before), None)
    if not exceeded and not (pattern is not None and _is_new_pattern(now, earlier)):
        return None
    code, numbers = pattern or ("cells.changed", {})
    severity = Severity.SEVERE if now.rows >= _SEVERE_SHARE * max(rows_before, 1) else Severity.ALARM
    immutable = 1.0 if earlier and not any(earlier) else 0.0
    return Divergence(
        code=code,
        severity=severity,
        table=table,
        columns=(now.column,),
        rows=now.rows,
        numbers={**numbers, "usual": limits["rows"], "sealed": float(now.sealed), "immutable": immutable},
        weight=CODES[code].weight + 0.5 * immutable,
        change=RowChange.UPDATE,
    )


def _counts(one: ColumnEvidence | None) -> dict[str, float]:
    if one is None:
        return {"rows": 0, "sealed": 0, "nulled": 0, "strange": 0, "mixed": 0}
    return {
        "rows": one.rows,
        "sealed": one.sealed,
        "nulled": one.nulled,
        "strange": one.strange,
        "mixed": one.mixed,
    }


def _limits(earlier: Sequence[ColumnEvidence | None], rows: int, *, is_person: bool) -> dict[str, float]:
    without = _WITHOUT_PERSONS if is_person else max(_WITHOUT_ROWS, _WITHOUT_SHARE * rows)
    limits = {}
    for name in _counts(None):
        usual = rates.cap([_counts(day)[name] for day in earlier])
        few = {"strange": 1.0, "mixed": 1.0, "sealed": min(without, _WITHOUT_ROWS)}.get(name, without)
        limits[name] = few if usual is None else usual
    return limits


def _patterns(now: ColumnEvidence, rows_before: int) -> Iterator[tuple[str, Mapping[str, float]]]:
    """What the updates have in common, the most telling first."""
    most = _MOST * now.rows
    if now.strange >= max(most, 1):
        yield "text.not_text", {}
    if now.mixed >= max(most, 1):
        yield "text.lookalikes", {}
    if now.nulled >= most:
        yield "cells.nulled", {}
    if now.role is Role.PERSON:
        yield _of_persons(now, rows_before), {}
    if now.role is Role.DATE and now.shift and now.shift_rows >= most:
        yield "dates.shifted", {"shift": now.shift}
    if now.role is Role.NUMBER:
        yield from _of_numbers(now, most)
    if now.pairs:
        share = now.pair_rows / now.rows
        yield ("codes.swapped" if now.swapped >= most else "codes.replaced"), {"share": share, "pairs": now.pairs}


def _of_numbers(now: ColumnEvidence, most: float) -> Iterator[tuple[str, Mapping[str, float]]]:
    if abs(now.ratio - 1) > _BARELY and now.ratio_rows >= most:
        yield "cells.scaled", {"ratio": now.ratio}
    if now.shift and now.shift_rows >= most:
        yield "cells.shifted", {"shift": now.shift}
    if rates.one_sided(now.up, now.down):
        yield "cells.changed", {"up": float(now.up), "down": float(now.down)}


def _of_persons(now: ColumnEvidence, rows_before: int) -> str:
    if now.swapped >= _MOST * now.rows:
        return "persons.swapped"
    return "persons.permuted" if now.rows >= _PERMUTED * rows_before else "persons.reassigned"


def _is_new_pattern(now: ColumnEvidence, earlier: Sequence[ColumnEvidence | None]) -> bool:
    """One factor or one shift in many rows, where no earlier day had one in as many."""
    if now.role not in {Role.NUMBER, Role.DATE}:
        return False
    rows = max(now.ratio_rows if abs(now.ratio - 1) > _BARELY else 0, now.shift_rows if now.shift else 0)
    before = max((max(day.ratio_rows, day.shift_rows) for day in earlier if day is not None), default=0)
    return rows >= max(_ENOUGH, _MOST * now.rows) and rows > 2 * before + 2
