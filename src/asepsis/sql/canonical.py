"""One form for equal questions: constants folded, conditions sorted, names gone; its digest names the question."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from datetime import date
from enum import Enum

from asepsis.domain.cells import Relation
from asepsis.sql.plan import (
    EVERYTHING,
    And,
    Compare,
    Exists,
    Listed,
    Literal,
    Measure,
    Member,
    Missing,
    Or,
    Predicate,
    Scalar,
    Truth,
    Value,
)

_OPPOSITE = {
    Relation.EQUAL: Relation.UNEQUAL,
    Relation.UNEQUAL: Relation.EQUAL,
    Relation.LESS: Relation.AT_LEAST,
    Relation.AT_LEAST: Relation.LESS,
    Relation.MORE: Relation.AT_MOST,
    Relation.AT_MOST: Relation.MORE,
}
MIRRORED = {
    Relation.EQUAL: Relation.EQUAL,
    Relation.UNEQUAL: Relation.UNEQUAL,
    Relation.LESS: Relation.MORE,
    Relation.MORE: Relation.LESS,
    Relation.AT_MOST: Relation.AT_LEAST,
    Relation.AT_LEAST: Relation.AT_MOST,
}


def canonical_text(value: object) -> str:
    """A deterministic text of a plan value."""
    return json.dumps(_document(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest(value: object) -> str:
    """SHA-256 of the canonical text, in hex."""
    return hashlib.sha256(canonical_text(value).encode()).hexdigest()


def _document(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _document(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"is": type(value).__name__, **fields}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return {"date": value.isoformat()}
    if isinstance(value, tuple | list):
        return [_document(item) for item in value]
    return value


def conjunction(items: Iterable[Predicate]) -> Predicate:
    """All of the predicates, flattened, folded, sorted and without repetition."""
    parts: dict[str, Predicate] = {}
    for item in items:
        for part in item.items if isinstance(item, And) else (item,):
            if isinstance(part, Truth):
                if not part.value:
                    return part
                continue
            parts[canonical_text(part)] = part
    merged = _listed(parts.values(), excluded=True)
    ordered = tuple(merged[key] for key in sorted(merged))
    if not ordered:
        return EVERYTHING
    return ordered[0] if len(ordered) == 1 else And(items=ordered)


def disjunction(items: Iterable[Predicate]) -> Predicate:
    """Any of the predicates, flattened, folded, sorted and without repetition."""
    return negation(conjunction(negation(item) for item in items))


def negation(item: Predicate) -> Predicate:
    """The opposite, pushed down to the leaves (valid in three-valued logic)."""
    match item:
        case Truth():
            return Truth(value=not item.value)
        case Compare():
            return dataclasses.replace(item, relation=_OPPOSITE[item.relation])
        case And():
            return _joined([negation(part) for part in item.items])
        case Or():
            return conjunction([negation(part) for part in item.items])
        case Member() | Listed() | Missing() | Exists():
            return dataclasses.replace(item, negated=not item.negated)


def _joined(items: list[Predicate]) -> Predicate:
    parts: dict[str, Predicate] = {}
    for item in items:
        for part in item.items if isinstance(item, Or) else (item,):
            if isinstance(part, Truth):
                if part.value:
                    return part
                continue
            parts[canonical_text(part)] = part
    merged = _listed(parts.values(), excluded=False)
    ordered = tuple(merged[key] for key in sorted(merged))
    if not ordered:
        return Truth(value=False)
    return ordered[0] if len(ordered) == 1 else Or(items=ordered)


def _listed(parts: Iterable[Predicate], *, excluded: bool) -> dict[str, Predicate]:
    """The parts by their texts; equal tests of one column become one list.

    ``a <> 1 AND a <> 2`` is ``a NOT IN (1, 2)`` and ``a = 1 OR a = 2`` is ``a IN (1, 2)``, for missing values too.
    """
    kept: list[Predicate] = []
    lists: dict[str, tuple[Scalar, set[Value]]] = {}
    for part in parts:
        argument, values = _values(part, excluded=excluded)
        if argument is None:
            kept.append(part)
        else:
            lists.setdefault(canonical_text(argument), (argument, set()))[1].update(values)
    for argument, found in lists.values():
        relation = Relation.UNEQUAL if excluded else Relation.EQUAL
        ordered = tuple(sorted(found))
        single = Compare(relation=relation, left=argument, right=Literal(value=ordered[0]))
        kept.append(single if len(ordered) == 1 else Member(argument=argument, values=ordered, negated=excluded))
    return {canonical_text(part): part for part in kept}


def _values(part: Predicate, *, excluded: bool) -> tuple[Scalar | None, tuple[Value, ...]]:
    if isinstance(part, Member) and part.negated is excluded:
        return part.argument, part.values
    relation = Relation.UNEQUAL if excluded else Relation.EQUAL
    if isinstance(part, Compare) and part.relation is relation and isinstance(part.right, Literal):
        return part.left, (part.right.value,)
    return None, ()


def flatten_and(item: Predicate) -> tuple[Predicate, ...]:
    """The conjuncts of a predicate."""
    return item.items if isinstance(item, And) else () if item == EVERYTHING else (item,)


def rows_of(measure: Measure) -> Predicate:
    """The rows that a measure is about: of those of its condition, the ones with a value."""
    if measure.argument is None:
        return measure.where
    return conjunction([measure.where, Missing(argument=measure.argument, negated=True)])
