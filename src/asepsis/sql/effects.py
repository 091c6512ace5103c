"""The parts of a question that may single somebody out: conditions that are tested for having too little effect.

Removing a part means: the condition is left out of a conjunction, or the branch out of a disjunction. A part that
changes a cell by fewer persons than the threshold, nobody included, could serve to isolate a person by comparison
with something that is known from elsewhere (low-effect detection after Diffix, pg_diffix; Gadotti et al., 2019).

Tested are ranges (both bounds of a column together), exclusions, disjunctions and conditions on other rows of the
person. Not tested, because they say nothing beyond what kind of records is asked for: plain equality with or
membership in a list of registered values, conditions on the group keys alone, the presence of a value, and ranges
that cover their whole domain. What such a part can hide is left to the memory of releases, which compares the
persons themselves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Final

from asepsis.domain.cells import Relation
from asepsis.sql.canonical import conjunction, disjunction, flatten_and
from asepsis.sql.domains import RANGES, is_everything
from asepsis.sql.plan import Compare, Exists, Grouping, Listed, Literal, Member, Missing, Or, Predicate, Scalar, Truth

MOST_PARTS: Final = 24


def variants(grouping: Grouping) -> tuple[Predicate, ...]:
    """The condition of a grouping's rows without each of its tested parts in turn."""
    keys = frozenset(grouping.keys)
    return tuple(dict.fromkeys(_without(grouping.rows.where, keys)))


def _without(predicate: Predicate, keys: frozenset[Scalar]) -> Iterator[Predicate]:
    parts = flatten_and(predicate)
    for place, part in enumerate(parts):
        others = (*parts[:place], *parts[place + 1 :])
        if is_tested(part, keys):
            bounded = _range_of(part)
            yield conjunction(other for other in others if bounded is None or _range_of(other) != bounded)
        for milder in _inside(part):
            yield conjunction((*others, milder))


def _inside(part: Predicate) -> Iterator[Predicate]:
    """A part without one of its own branches, or of the conditions on other rows of the person."""
    if isinstance(part, Or):
        for place in range(len(part.items)):
            yield disjunction((*part.items[:place], *part.items[place + 1 :]))
    elif isinstance(part, Exists):
        for where in _without(part.rows.where, frozenset()):
            yield dataclasses.replace(part, rows=dataclasses.replace(part.rows, where=where))


def _range_of(part: Predicate) -> Scalar | None:
    """What a bound bounds; both bounds of one column are one part."""
    bound = isinstance(part, Compare) and isinstance(part.right, Literal) and part.relation in RANGES
    return part.left if bound and isinstance(part, Compare) else None


def is_tested(part: Predicate, keys: frozenset[Scalar]) -> bool:
    """Whether a condition has to have an effect."""
    match part:
        case Truth():
            return False
        case Missing():
            return not part.negated
        case Member() | Listed():
            return part.negated and part.argument not in keys
        case Compare():
            return _is_tested_comparison(part, keys)
        case _:
            return True


def _is_tested_comparison(part: Compare, keys: frozenset[Scalar]) -> bool:
    if isinstance(part.right, Literal):
        plain = part.relation is Relation.EQUAL or is_everything(part.relation, part.right.value)
        return not plain and part.left not in keys
    return not {part.left, part.right} <= keys
