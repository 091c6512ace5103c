"""What a new release of the vocabularies does to the code maps of a mapping."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from asepsis.harmonise.vocabulary.code_map import MapRow
from asepsis.harmonise.vocabulary.concepts import Concept, Concepts, Standing, standings

LOCAL: Final = 2_000_000_000
"""Concept ids from here on are a hospital's own (OMOP CDM conventions); no release has them."""


class Change(StrEnum):
    """What happened to the target of a row."""

    GONE = "gone"
    WITHDRAWN = "withdrawn"
    NOT_STANDARD = "no longer standard"
    MOVED = "other domain"
    RENAMED = "other name"
    UNKNOWN = "in neither release"
    ARRIVED = "now there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """One row of a code map whose target changed; ``successors`` stand for it in the new release."""

    file: str
    source_code: str
    concept_id: int
    change: Change
    successors: tuple[int, ...]
    is_reviewed: bool


def deltas(maps: Mapping[str, Iterable[MapRow]], *, old: Concepts, new: Concepts) -> tuple[Delta, ...]:
    """The rows whose target is not in the new release what it was in the old one, by file and code."""
    rows = [(file, row) for file, listed in sorted(maps.items()) for row in listed if _target(row)]
    ids = {_target(row) for _, row in rows if _target(row) < LOCAL}
    before, after = old.with_ids(ids), new.with_ids(ids)
    changed = {number: change for number in ids if (change := _change(before.get(number), after.get(number)))}
    followed = standings([after[number] for number in changed if number in after], new)
    return tuple(
        Delta(
            file=file,
            source_code=row.source_code,
            concept_id=_target(row),
            change=changed[_target(row)],
            successors=tuple(_successors(followed.get(_target(row)))),
            is_reviewed=row.is_reviewed,
        )
        for file, row in rows
        if _target(row) in changed
    )


def _target(row: MapRow) -> int:
    return int(row.target_concept_id) if row.target_concept_id.isdecimal() else 0


def _successors(standing: Standing | None) -> Iterator[int]:
    if standing is not None:
        yield from (concept.id for concept in standing.targets)


def _change(before: Concept | None, after: Concept | None) -> Change | None:
    if before is None:
        return Change.UNKNOWN if after is None else Change.ARRIVED
    if after is None:
        return Change.GONE
    checks = (
        (before.is_valid and not after.is_valid, Change.WITHDRAWN),
        (before.is_standard and not after.is_standard, Change.NOT_STANDARD),
        (before.domain != after.domain, Change.MOVED),
        (before.name != after.name, Change.RENAMED),
    )
    return next((change for happened, change in checks if happened), None)
