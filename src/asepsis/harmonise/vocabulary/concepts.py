"""Concepts, and the way from any concept to the standard ones that stand for it today.

Invariant: what comes out is standard and valid; a target that was withdrawn is followed to its replacement or not used.
Source: OHDSI, Book of OHDSI, chapter 5: ``Maps to`` leads to an equivalent or wider standard concept, ``Concept
replaced by`` from a withdrawn concept to the one that took its place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

MAPS_TO: Final = "Maps to"
REPLACED_BY: Final = "Concept replaced by"
_MOST_STEPS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """One concept of a vocabulary."""

    id: int
    code: str
    vocabulary: str
    name: str
    domain: str
    is_standard: bool
    is_valid: bool

    @property
    def is_target(self) -> bool:
        """Whether events may carry it: standard and not withdrawn."""
        return self.is_standard and self.is_valid and self.id > 0


class Concepts(Protocol):
    """What is asked of a loaded vocabulary; every question is about many concepts at once."""

    def with_codes(self, vocabulary: str, codes: Collection[str]) -> Mapping[str, tuple[Concept, ...]]:
        """The concepts of each code, exactly as it is written."""
        ...

    def with_ids(self, ids: Collection[int]) -> Mapping[int, Concept]:
        """The concepts of these ids."""
        ...

    def related(self, relationship: str, ids: Collection[int]) -> Mapping[int, tuple[Concept, ...]]:
        """Where a valid relationship leads from each concept."""
        ...

    def mapped_from(self, vocabulary: str, ids: Collection[int]) -> Mapping[int, int]:
        """How many valid concepts of a vocabulary map to each of these."""
        ...

    def ranges(self, vocabulary: str) -> tuple[Concept, ...]:
        """Concepts whose code is a range of categories, such as I30-I52."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The standard concepts that stand for one concept; ``steps`` are the relationships that led there."""

    targets: tuple[Concept, ...]
    steps: tuple[str, ...]
    dead_ends: int

    @property
    def target(self) -> Concept | None:
        """The one target, where there is just one and no way was lost."""
        return self.targets[0] if len(self.targets) == 1 and not self.dead_ends else None


def standings(start: Iterable[Concept], concepts: Concepts) -> dict[int, Standing]:
    """Follow every concept to the standard concepts that stand for it today."""
    paths = {concept.id: _Path(concept) for concept in start}
    for _ in range(_MOST_STEPS):
        open_ids = {concept.id for path in paths.values() for concept in path.open}
        if not open_ids:
            break
        maps, replaced = concepts.related(MAPS_TO, open_ids), concepts.related(REPLACED_BY, open_ids)
        for path in paths.values():
            path.advance(maps, replaced)
    return {number: path.standing for number, path in paths.items()}


class _Path:
    """All ways from one concept that are still followed."""

    def __init__(self, start: Concept) -> None:
        self.open = [] if start.is_target else [start]
        self._targets = {start.id: start} if start.is_target else {}
        self._steps: dict[str, None] = {}
        self._seen = {start.id}
        self._dead_ends = 0

    def advance(self, maps: Mapping[int, tuple[Concept, ...]], replaced: Mapping[int, tuple[Concept, ...]]) -> None:
        """One step along ``Maps to``, or where there is none along ``Concept replaced by``."""
        following: list[Concept] = []
        for concept in self.open:
            step = MAPS_TO if self._others(maps, concept) else REPLACED_BY
            found = self._others(maps, concept) or self._others(replaced, concept)
            if not found:
                self._dead_ends += 1
                continue
            self._steps.setdefault(step)
            following += [each for each in found if each.id not in self._seen]
            self._seen.update(each.id for each in found)
        self._targets |= {concept.id: concept for concept in following if concept.is_target}
        self.open = [concept for concept in following if not concept.is_target]

    @property
    def standing(self) -> Standing:
        """What was found; ways that did not end are dead ends."""
        return Standing(
            targets=tuple(self._targets[number] for number in sorted(self._targets)),
            steps=tuple(self._steps),
            dead_ends=self._dead_ends + len(self.open),
        )

    @staticmethod
    def _others(found: Mapping[int, tuple[Concept, ...]], concept: Concept) -> tuple[Concept, ...]:
        return tuple(each for each in found.get(concept.id, ()) if each.id != concept.id)
