"""Who a cell is about, in logic alone: equal identities mean the same persons whatever the data are.

The persons of joined rows are those who satisfy each independent group of conditions, so a cell is written as a set
of statements "has a row of this table with …". That a cell of a grouped table, a filtered count and an EXISTS are
about the same persons is seen without looking at any data; where it is not seen, the memory of releases treats them
as different questions, which is the strict side.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Final

from asepsis.domain.cells import Relation
from asepsis.sql.canonical import canonical_text, conjunction, digest, flatten_and
from asepsis.sql.plan import (
    Bin,
    ColumnRef,
    Compare,
    DatePart,
    Exists,
    Grouping,
    Literal,
    LookupScan,
    Member,
    Missing,
    PeriodStart,
    Predicate,
    Projection,
    Rows,
    Scalar,
    Source,
    TableScan,
    Truth,
    Value,
)
from asepsis.sql.references import renumbered, sources_of

_PEOPLE: Final = "person"
"""The table that has a row of every person."""


def identity(grouping: Grouping, where: Predicate, values: tuple[Value | None, ...]) -> str:
    """The identity of the persons of a cell: those with rows of these key values where the predicate holds."""
    keys = frozenset(grouping.keys)
    given = [part for part in flatten_and(grouping.rows.where) if not _about(part, keys)]
    chosen = [_equal(key, value) for key, value in zip(grouping.keys, values, strict=True)]
    rows = dataclasses.replace(grouping.rows, where=conjunction([*given, where, *chosen]))
    atoms = set(_atoms(rows))
    everybody = canonical_text([TableScan(table=_PEOPLE, unit="person_id")])
    return digest(sorted(atoms - {everybody}) or [everybody])


def plain_keys(grouping: Grouping) -> bool:
    """Whether all keys are columns of tables, or their bins and calendar parts: nothing an author could compose."""
    tables = {source.number for source in grouping.rows.sources if isinstance(source.relation, TableScan | LookupScan)}
    return all(_plain(key, tables) for key in grouping.keys)


def skeleton(groupings: Iterable[Grouping]) -> str:
    """The question without its literals: questions of one skeleton are variants of each other."""
    return digest([_blank(grouping) for grouping in groupings])


def _plain(key: Scalar, tables: set[int]) -> bool:
    if isinstance(key, Bin | DatePart | PeriodStart):
        return _plain(key.argument, tables)
    return isinstance(key, ColumnRef) and key.source in tables


def _blank(value: object) -> object:
    if isinstance(value, Literal):
        return Literal(value=0)
    if isinstance(value, Member):
        return dataclasses.replace(value, values=())
    if isinstance(value, tuple):
        return tuple(_blank(item) for item in value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    return dataclasses.replace(value, **{f.name: _blank(getattr(value, f.name)) for f in dataclasses.fields(value)})


def _about(part: Predicate, keys: frozenset[Scalar]) -> bool:
    """Whether a condition is about the keys alone, and so true of every cell that there is."""
    if isinstance(part, Member):
        return part.argument in keys
    if isinstance(part, Compare):
        sides = {part.left, part.right}
        return bool(sides & keys) and all(side in keys or isinstance(side, Literal) for side in sides)
    return False


def _equal(key: Scalar, value: Value | None) -> Predicate:
    if value is None:
        return Missing(argument=key)
    return Compare(relation=Relation.EQUAL, left=key, right=Literal(value=value))


def _atoms(rows: Rows) -> Iterator[str]:
    """One text per independent group of sources with the conditions that tie them."""
    parts = list(flatten_and(rows.where))
    used = {other.number: sources_of((other.key, other.matches)) - {other.number} for other in rows.sources}
    sources = [_needed(source, parts, set().union(*used.values())) for source in rows.sources]
    parts += [part for source in sources if source and not source.outer for part in flatten_and(source.matches)]
    free = [part for part in parts if isinstance(part, Exists) and _is_free(part)]
    for exists in free:
        yield from _atoms(exists.rows)
    rest = [part for part in parts if part not in free]
    for group in _groups([source for source in sources if source is not None], rest):
        tied = [part for part in rest if sources_of(part) & {source.number for source in group}]
        yield from _atom(group, tied)
    for part in rest:
        if not sources_of(part):
            yield canonical_text(part)


def _needed(source: Source, parts: list[Predicate], tied: set[int]) -> Source | None:
    """An outer join that nothing depends on changes no person; one whose value must be there is an inner one."""
    if not source.outer:
        return source
    touching = [part for part in parts if source.number in sources_of(part)]
    if not touching:
        return None if source.number not in tied else source
    if any(_rejects_missing(part) for part in touching if sources_of(part) == {source.number}):
        return dataclasses.replace(source, outer=False)
    return source


def _rejects_missing(part: Predicate) -> bool:
    if isinstance(part, Missing):
        return part.negated
    return isinstance(part, Compare | Member)


def _is_free(part: Exists) -> bool:
    """Whether a condition on other rows is tied to the outside by the person alone."""
    inside = {source.number for source in part.rows.sources}
    ties = [(source.key, source.matches) for source in part.rows.sources]
    return not part.negated and sources_of((part.rows.where, *ties)) <= inside


def _groups(sources: list[Source], parts: list[Predicate]) -> Iterator[list[Source]]:
    """Sources that conditions, keys of look-ups or outer joins tie together; the person alone ties nothing."""
    groups = [{source.number} for source in sources]
    ties = [sources_of(part) for part in parts]
    ties += [sources_of((source.key, source.matches)) | {source.number} for source in sources]
    for tie in ties:
        joined = [group for group in groups if group & tie]
        groups = [group for group in groups if not group & tie]
        groups += [set().union(*joined)] if joined else []
    for group in groups:
        yield [source for source in sources if source.number in group]


def _atom(group: list[Source], parts: list[Predicate]) -> Iterator[str]:
    if len(group) == 1 and isinstance(group[0].relation, Projection) and not parts and not group[0].outer:
        yield from _atoms(group[0].relation.rows)
        return
    ordered = sorted(group, key=lambda source: canonical_text(source.relation))
    numbers = {source.number: place for place, source in enumerate(ordered)}
    where = renumbered(conjunction(parts), numbers)
    relations: list[object] = [source.relation for source in ordered]
    if len(ordered) > 1 or where != Truth(value=True):
        outer = [(source.outer, source.key, source.matches if source.outer else None) for source in ordered]
        relations.append([where, renumbered(tuple(outer), numbers)])
    yield canonical_text(relations)
