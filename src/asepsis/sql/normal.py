"""The normal form of a grouping: inner sources in a fixed order, numbers in the order of reading, conditions sorted."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from asepsis.sql.canonical import canonical_text, conjunction, disjunction, flatten_and
from asepsis.sql.plan import And, Grouping, Or, Rows, Source
from asepsis.sql.references import parts_of, renumbered, sources_of

T = TypeVar("T")


def normalised(grouping: Grouping) -> Grouping:
    """The same question in normal form, so that equal questions have equal digests."""
    ordered = _rebuilt(grouping)
    numbers = {number: place for place, number in enumerate(_numbers(ordered))}
    return _rebuilt(renumbered(ordered, numbers))


def _rebuilt(value: T) -> T:
    return _rebuild(value)  # type: ignore[return-value]


def _rebuild(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(_rebuild(item) for item in value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    changed = {field.name: _rebuild(getattr(value, field.name)) for field in dataclasses.fields(value)}
    built = dataclasses.replace(value, **changed)
    if isinstance(built, And):
        return conjunction(built.items)
    if isinstance(built, Or):
        return disjunction(built.items)
    return dataclasses.replace(built, sources=_ordered(built)) if isinstance(built, Rows) else built


def _ordered(rows: Rows) -> tuple[Source, ...]:
    """Inner sources first, by their content and their own conditions; the other sources keep their order."""
    inner = [source for source in rows.sources if not source.outer and source.key is None]
    others = [source for source in rows.sources if source.outer or source.key is not None]

    def rank(source: Source) -> str:
        own = [part for part in flatten_and(rows.where) if sources_of(part) == {source.number}]
        texts = sorted(canonical_text(renumbered(part, {source.number: 0})) for part in own)
        return canonical_text(source.relation) + "".join(texts)

    return (*sorted(inner, key=rank), *others)


def _numbers(value: object) -> list[int]:
    """The source numbers in the order of reading."""
    return list(dict.fromkeys(part.number for part in parts_of(value) if isinstance(part, Source)))
