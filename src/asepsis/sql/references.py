"""The parts of a plan, which sources they refer to, and the renaming of sources."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TypeVar

from asepsis.sql.plan import ColumnRef, Exists, Listed, Source, UnitRef

T = TypeVar("T")


def parts_of(value: object) -> Iterator[object]:
    """All parts of a plan, at any depth, in the order of reading."""
    if isinstance(value, tuple):
        for item in value:
            yield from parts_of(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield value
        for field in dataclasses.fields(value):
            yield from parts_of(getattr(value, field.name))


def sources_of(value: object) -> set[int]:
    """The numbers of the sources that any part of ``value`` refers to."""
    found: set[int] = set()
    pending = [value]
    while pending:
        current = pending.pop()
        if isinstance(current, ColumnRef | UnitRef):
            found.add(current.source)
        elif isinstance(current, Exists):
            found.add(current.outer)
            pending.append(current.rows)
        elif isinstance(current, Listed):
            pending.append(current.argument)
        elif dataclasses.is_dataclass(current) and not isinstance(current, type):
            pending += [getattr(current, field.name) for field in dataclasses.fields(current)]
        elif isinstance(current, tuple | list):
            pending += current
    return found


def renumbered(value: T, numbers: dict[int, int]) -> T:
    """The same plan value with its sources renumbered; unknown numbers stay."""
    return _renumber(value, numbers)  # type: ignore[return-value]


def _renumber(value: object, numbers: dict[int, int]) -> object:
    if isinstance(value, tuple):
        return tuple(_renumber(item, numbers) for item in value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    changed = {field.name: _renumber(getattr(value, field.name), numbers) for field in dataclasses.fields(value)}
    if isinstance(value, ColumnRef | UnitRef):
        changed["source"] = numbers.get(value.source, value.source)
    elif isinstance(value, Source):
        changed["number"] = numbers.get(value.number, value.number)
    elif isinstance(value, Exists):
        changed["inner"] = numbers.get(value.inner, value.inner)
        changed["outer"] = numbers.get(value.outer, value.outer)
    return dataclasses.replace(value, **changed)
