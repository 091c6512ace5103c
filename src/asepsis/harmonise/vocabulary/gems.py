"""ICD-9 to ICD-10 by the General Equivalence Mappings of CMS: what a code may become, with the flags of each entry.

Invariant: a combination is never taken apart, an alternative is never picked; both are left to a person.
Source: CMS, Diagnosis Code Set General Equivalence Mappings, Documentation and User's Guide (2018): the five flags are
approximate, no map, combination, scenario and choice list.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from asepsis.harmonise.vocabulary.codes import AS_WRITTEN, category_of, category_size, spellings

_SHOWN: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class GemEntry:
    """One line of a GEM file, codes without dots."""

    source: str
    target: str
    approximate: bool
    no_map: bool
    combination: bool
    scenario: int
    choice: int


class Route(StrEnum):
    """How the tables lead from a code to others."""

    ONE = "one code"
    ALTERNATIVES = "alternatives"
    COMBINATION = "combination"
    NO_MAP = "no map"
    CATEGORY = "category"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """What a code may become. ``targets`` are codes, or categories on that route; ``way`` says what was repaired."""

    route: Route
    targets: tuple[str, ...]
    exact: bool
    way: str

    @property
    def is_single(self) -> bool:
        """Whether the tables leave one code or one category."""
        return len(self.targets) == 1 and self.route in {Route.ONE, Route.CATEGORY}

    @property
    def note(self) -> str:
        """What a person should know about the route."""
        listed = "+".join(self.targets[:_SHOWN]) + ("+…" if len(self.targets) > _SHOWN else "")
        repaired = "" if self.way == AS_WRITTEN else f"; {self.way}"
        if self.route in {Route.NO_MAP, Route.ABSENT}:
            words = {Route.NO_MAP: "GEM: no map", Route.ABSENT: "not in GEM"}
            return words[self.route] + repaired
        return f"GEM {self.route}: {listed}{repaired}"


class Gems:
    """The entries of one GEM file."""

    def __init__(self, entries: Iterable[GemEntry], *, source: str, target: str) -> None:
        self.source = source
        self.target = target
        self._entries: dict[str, list[GemEntry]] = {}
        for entry in entries:
            self._entries.setdefault(entry.source, []).append(entry)
        self._ordered = sorted(self._entries)

    @property
    def codes(self) -> tuple[str, ...]:
        """Every source code, in order."""
        return tuple(self._ordered)

    def __len__(self) -> int:
        """How many source codes there are."""
        return len(self._entries)

    def translate(self, code: str) -> Translation:
        """What a code, however it is written, may become; a code without entry by its category."""
        candidates = [(each.code.replace(".", ""), each.way) for each in spellings(code, self.source)]
        for candidate, way in candidates:
            if candidate in self._entries:
                return _by_flags(self._entries[candidate], way)
        for candidate, way in candidates:
            entries = self._category(candidate)
            if entries:
                found = {category_of(entry.target, self.target) for entry in entries if not entry.no_map}
                route = Route.CATEGORY if found else Route.NO_MAP
                return Translation(route=route, targets=tuple(sorted(found)), exact=False, way=way)
        return Translation(route=Route.ABSENT, targets=(), exact=False, way=AS_WRITTEN)

    def _category(self, code: str) -> list[GemEntry]:
        """All that lies under a code, or, where nothing does, under its category."""
        size = category_size(code, self.source)
        return [] if len(code) < size else self._below(code) or self._below(code[:size])

    def _below(self, prefix: str) -> list[GemEntry]:
        found: list[GemEntry] = []
        for index in range(bisect_left(self._ordered, prefix), len(self._ordered)):
            if not self._ordered[index].startswith(prefix):
                break
            found += self._entries[self._ordered[index]]
        return found


def read_entry(row: Mapping[str, str], *, source: str, target: str) -> GemEntry | None:
    """One line of a GEM table with named columns; null where a flag is not a digit."""
    flags = [row.get(name, "") for name in ("approximate", "no_map", "combination", "scenario", "choice_list")]
    if not row.get(source) or not all(flag.isdecimal() and len(flag) == 1 for flag in flags):
        return None
    approximate, no_map, combination, scenario, choice = map(int, flags)
    return GemEntry(
        source=row[source].strip().replace(".", ""),
        target=(row.get(target) or "").strip().replace(".", ""),
        approximate=bool(approximate),
        no_map=bool(no_map),
        combination=bool(combination),
        scenario=scenario,
        choice=choice,
    )


def _by_flags(entries: list[GemEntry], way: str) -> Translation:
    usable = [entry for entry in entries if not entry.no_map and entry.target]
    single = {entry.target: entry for entry in usable if not entry.combination}
    together = any(entry.combination for entry in usable)
    if len(single) == 1 and not together:
        (entry,) = single.values()
        return Translation(route=Route.ONE, targets=(entry.target,), exact=not entry.approximate, way=way)
    if single:
        return Translation(route=Route.ALTERNATIVES, targets=tuple(sorted(single)), exact=False, way=way)
    if usable:
        targets = tuple(dict.fromkeys(entry.target for entry in sorted(usable, key=_place)))
        return Translation(route=Route.COMBINATION, targets=targets, exact=False, way=way)
    return Translation(route=Route.NO_MAP, targets=(), exact=False, way=way)


def _place(entry: GemEntry) -> tuple[int, int]:
    return entry.scenario, entry.choice
