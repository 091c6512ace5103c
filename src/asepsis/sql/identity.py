"""Who a cell is about, in logic alone: equal identities mean the same persons whatever the data are.

The persons of joined rows are those who satisfy each independent group of conditions, so a cell is written as a set
of statements "has a row of this table with …". That a cell of a grouped table, a filtered count and an EXISTS are
about the same persons is seen without looking at any data; where it is not seen, the memory of releases treats them
as different questions, which is the strict side.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
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
    Listed,
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
    Value,
)
from asepsis.sql.references import renumbered, sources_of

_PEOPLE: Final = "person"
"""The table that has a row of every person."""


class Identities:
    """The identities of the cells of one grouping: the persons with rows of some key values where a predicate holds.

    What does not depend on the values is worked out once.
    """

    def __init__(self, grouping: Grouping, where: Predicate) -> None:
        keys = frozenset(grouping.keys)
        given = [part for part in flatten_and(grouping.rows.where) if not _about(part, keys)]
        self._keys = grouping.keys
        self._rows = dataclasses.replace(grouping.rows, where=conjunction([*given, where]))
        self._atoms: dict[tuple[bool, ...], tuple[_Atom, ...]] = {}

    def of(self, values: tuple[Value | None, ...]) -> str:
        """The identity of the cell with these key values."""
        missing = tuple(value is None for value in values)
        if missing not in self._atoms:
            pins = tuple(
                _Pin(key=place, scalar=key, missing=gone)
                for place, (key, gone) in enumerate(zip(self._keys, missing, strict=True))
            )
            self._atoms[missing] = tuple(_atoms(self._rows, pins))
        texts = {atom.text(values) for atom in self._atoms[missing]}
        return digest(sorted(texts - {_EVERYBODY}) or [_EVERYBODY])


def identity(grouping: Grouping, where: Predicate, values: tuple[Value | None, ...]) -> str:
    """The identity of the persons of one cell."""
    return Identities(grouping, where).of(values)


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
    if isinstance(part, Member | Listed):
        return part.argument in keys
    if isinstance(part, Compare):
        sides = {part.left, part.right}
        return bool(sides & keys) and all(side in keys or isinstance(side, Literal) for side in sides)
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pin:
    """A key that has one value in the cell, or none."""

    key: int
    scalar: Scalar
    missing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Atom:
    """One statement about a person: relations, conditions and outer joins as texts, and the keys that it pins."""

    relations: tuple[str, ...]
    parts: frozenset[str] = frozenset()
    outer: str = ""
    pins: tuple[tuple[int, str], ...] = ()

    def text(self, values: tuple[Value | None, ...]) -> str:
        pinned = {_pinned(scalar, values[key]) for key, scalar in self.pins}
        return "\n".join([*self.relations, self.outer, *sorted(self.parts | pinned)])


def _pinned(scalar: str, value: Value | None) -> str:
    """The text of the condition that a scalar, given by its text, has this value: as if it had been written."""
    if value is None:
        return f'{{"argument":{scalar},"is":"Missing","negated":false}}'
    right = canonical_text(Literal(value=value))
    return f'{{"is":"Compare","left":{scalar},"relation":"{Relation.EQUAL.value}","right":{right}}}'


def _atoms(rows: Rows, pins: tuple[_Pin, ...] = ()) -> Iterator[_Atom]:
    """One atom per independent group of sources with the conditions that tie them."""
    parts = list(flatten_and(rows.where))
    used = {other.number: sources_of((other.key, other.matches)) - {other.number} for other in rows.sources}
    sources = [_needed(source, parts, pins, set().union(*used.values())) for source in rows.sources]
    parts += [part for source in sources if source and not source.outer for part in flatten_and(source.matches)]
    free = [part for part in parts if isinstance(part, Exists) and _is_free(part)]
    for exists in free:
        yield from _atoms(exists.rows)
    rest = [part for part in parts if part not in free]
    needed = [source for source in sources if source is not None]
    for group in _groups(needed, [*map(sources_of, rest), *(sources_of(pin.scalar) for pin in pins)]):
        inside = {source.number for source in group}
        tied = [part for part in rest if sources_of(part) & inside]
        yield from _atom(group, tied, [pin for pin in pins if sources_of(pin.scalar) & inside])
    for part in rest:
        if not sources_of(part):
            yield _Atom(relations=(), parts=frozenset({canonical_text(part)}))


def _needed(source: Source, parts: list[Predicate], pins: tuple[_Pin, ...], tied: set[int]) -> Source | None:
    """An outer join that nothing depends on changes no person; one whose value must be there is an inner one."""
    if not source.outer:
        return source
    touching = [part for part in parts if source.number in sources_of(part)]
    pinned = [pin for pin in pins if source.number in sources_of(pin.scalar)]
    if not touching and not pinned:
        return None if source.number not in tied else source
    present = any(isinstance(pin.scalar, ColumnRef) and not pin.missing for pin in pinned)
    if present or any(_rejects_missing(part) for part in touching if sources_of(part) == {source.number}):
        return dataclasses.replace(source, outer=False)
    return source


def _rejects_missing(part: Predicate) -> bool:
    if isinstance(part, Missing):
        return part.negated
    if isinstance(part, Listed) and part.negated:
        return False
    return isinstance(part, Compare | Member | Listed) and '"Choice"' not in canonical_text(part)


def _is_free(part: Exists) -> bool:
    """Whether a condition on other rows is tied to the outside by the person alone."""
    inside = {source.number for source in part.rows.sources}
    ties = [(source.key, source.matches) for source in part.rows.sources]
    return not part.negated and sources_of((part.rows.where, *ties)) <= inside


def _groups(sources: list[Source], ties: list[set[int]]) -> Iterator[list[Source]]:
    """Sources that conditions, keys of look-ups or outer joins tie together; the person alone ties nothing."""
    groups = [{source.number} for source in sources]
    ties = ties + [sources_of((source.key, source.matches)) | {source.number} for source in sources]
    for tie in ties:
        joined = [group for group in groups if group & tie]
        groups = [group for group in groups if not group & tie]
        groups += [set().union(*joined)] if joined else []
    for group in groups:
        yield [source for source in sources if source.number in group]


def _atom(group: list[Source], parts: list[Predicate], pins: list[_Pin]) -> Iterator[_Atom]:
    alone = not parts and not pins and len(group) == 1 and not group[0].outer
    if alone and isinstance(group[0].relation, Projection):
        yield from _atoms(group[0].relation.rows)
        return
    ordered = sorted(group, key=lambda source: canonical_text(source.relation))
    numbers = {source.number: place for place, source in enumerate(ordered)}
    joined = [(source.outer, source.key, source.matches if source.outer else None) for source in ordered]
    yield _Atom(
        relations=tuple(canonical_text(source.relation) for source in ordered),
        parts=frozenset(canonical_text(part) for part in flatten_and(renumbered(conjunction(parts), numbers))),
        outer=canonical_text(renumbered(tuple(joined), numbers)) if len(ordered) > 1 or ordered[0].outer else "",
        pins=tuple((pin.key, canonical_text(renumbered(pin.scalar, numbers))) for pin in pins),
    )


_EVERYBODY: Final = _Atom(relations=(canonical_text(TableScan(table=_PEOPLE, unit="person_id")),)).text(())
