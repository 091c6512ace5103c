"""The order of divergences: the likeliest cause first, and what only follows from it behind or left out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from asepsis.integrity.records.values import Divergence, Severity

_ABSORBS: Final[Mapping[str, frozenset[str]]] = {
    "rows.copied": frozenset({"rows.inserted_burst", "rows.backdated"}),
    "rows.backdated": frozenset({"rows.inserted_burst", "codes.unknown"}),
    "dates.shifted": frozenset({"dates.future", "dates.reversed", "cells.drip"}),
    "rows.truncated": frozenset({"rows.deleted"}),
    "dates.future": frozenset({"rows.backdated"}),
}
"""What is said by a divergence already, of the same table."""

_ON_SAME_COLUMN: Final[Mapping[str, frozenset[str]]] = {
    "codes.replaced": frozenset({"codes.unknown", "references.orphaned"}),
    "codes.swapped": frozenset({"codes.unknown"}),
    "persons.permuted": frozenset({"references.orphaned"}),
}
_FOLLOWING: Final = frozenset({"cells.drip"})
_PERSONS_PENALTY: Final = 3.0


def ranked(found: Iterable[Divergence], *, persons: str | None) -> list[Divergence]:
    """Divergences in order of severity and weight; columns that changed together in one line."""
    together = _together(list(found))
    kept = [one for one in together if not _is_said(one, together)]
    erased = _erased(kept, persons)
    return sorted(erased, key=lambda one: (-min(one.severity, Severity.ALARM), -_score(one), one.table, one.columns))


def _score(one: Divergence) -> float:
    return one.weight + 0.3 * math.log10(one.rows + 1) + (0.5 if one.severity is Severity.SEVERE else 0.0)


def _together(found: list[Divergence]) -> list[Divergence]:
    """One divergence for columns of a table that changed in the same way in as many rows."""
    merged: dict[tuple[object, ...], Divergence] = {}
    for one in found:
        pattern = round(one.numbers.get("shift", one.numbers.get("ratio", 0.0)), 2)
        key = (one.table, one.code, one.rows, pattern, one.severity)
        known = merged.get(key)
        if known is not None and one.columns:
            columns = tuple(dict.fromkeys((*known.columns, *one.columns)))
            merged[key] = replace(known, columns=columns)
        else:
            merged[key] = one
    return list(merged.values())


def _is_said(one: Divergence, found: list[Divergence]) -> bool:
    for other in found:
        if other is one or other.table != one.table:
            continue
        if other.code == "rows.rolled_back" or one.code in _ABSORBS.get(other.code, ()):
            return True
        on_same = set(other.columns) & set(one.columns)
        if on_same and one.code in _ON_SAME_COLUMN.get(other.code, ()):
            return True
        if one.code in _FOLLOWING and other.severity >= one.severity and other.code not in _FOLLOWING:
            return True
    return False


def _erased(found: list[Divergence], persons: str | None) -> list[Divergence]:
    """Persons who went with all their rows: the persons are the finding, their rows follow."""
    follows = [one for one in found if one.code == "rows.deleted_with_persons"]
    orphaned = any(one.code == "references.orphaned" for one in found)
    result = []
    for one in found:
        is_persons = one.table == persons and one.code == "rows.deleted" and follows and not orphaned
        result.append(replace(one, code="persons.erased") if is_persons else one)
    return result
