"""One form for equal questions: constants folded, conditions sorted, names gone; its digest names the question."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from datetime import date
from enum import Enum

from asepsis.domain.cells import Relation
from asepsis.sql.plan import And, Compare, Exists, Member, Missing, Or, Predicate, Truth

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
    ordered = tuple(parts[key] for key in sorted(parts))
    if not ordered:
        return Truth(value=True)
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
        case Member() | Missing() | Exists():
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
    ordered = tuple(parts[key] for key in sorted(parts))
    if not ordered:
        return Truth(value=False)
    return ordered[0] if len(ordered) == 1 else Or(items=ordered)


def flatten_and(item: Predicate) -> tuple[Predicate, ...]:
    """The conjuncts of a predicate."""
    return item.items if isinstance(item, And) else () if item == Truth(value=True) else (item,)
