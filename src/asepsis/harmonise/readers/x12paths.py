"""Paths into X12 segments, and the loops of the transaction sets that health care uses.

``NM1[QC|IL]-9`` is element 9 of an NM1 segment whose element 1 is QC or IL; ``CLM-5.1`` a component of a composite;
``SV2-3[1].2`` a component of the second repetition; ``HL[3=22]-1`` asks another element than the first;
``NM1[IL]/N4-3`` is element 3 of the N4 that stands after an NM1 of that kind, before the next NM1 of the same loop.
Source of the loops: ASC X12N implementation guides 005010X222, X223, X221, X279, X212, X220 and their 4010 forms.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

_SELECTED: Final = r"([A-Z][A-Z0-9]{1,2})(?:\[(?:(\d{1,2})=)?([^\]\[]{1,60})\])?"
_PATH: Final = re.compile(rf"(?:{_SELECTED}/)?{_SELECTED}-(\d{{1,2}})(?:\[(\d{{1,2}})\])?(?:\.(\d{{1,2}}))?")

LOOPS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "270": {"EQ": ("HL",)},
    "271": {"EB": ("HL",)},
    "276": {"TRN": ("HL",), "SVC": ("TRN",)},
    "277": {"TRN": ("HL",), "SVC": ("TRN",)},
    "834": {"INS": ("ST",), "HD": ("INS",)},
    "835": {"LX": ("ST",), "CLP": ("LX", "ST"), "SVC": ("CLP",), "PLB": ("ST",)},
    "837": {"CLM": ("HL", "ST"), "SBR": ("CLM",), "LX": ("CLM",), "SVD": ("LX",)},
}
"""For each transaction set: which segment begins a loop, and in which loops (the innermost that is open); HL always."""


class Separators(NamedTuple):
    """What divides elements, repetitions (4010 has none), components and segments of one interchange."""

    element: str
    repetition: str | None
    component: str
    terminator: str


@dataclass(frozen=True, slots=True)
class Selector:
    """A segment by its name, and by the first component of one of its elements."""

    segment: str
    element: int
    values: frozenset[str]

    def takes(self, words: Sequence[str], separators: Separators) -> bool:
        """Whether a segment of this name, split into its elements, is meant."""
        if not self.values:
            return True
        found = words[self.element] if self.element < len(words) else ""
        return found.split(separators.component, 1)[0] in self.values


@dataclass(frozen=True, slots=True)
class Path:
    """One value of a segment: element and component count from 1, repetition from 0."""

    after: Selector | None
    selector: Selector
    element: int
    repetition: int
    component: int | None

    def value(self, words: Sequence[str], separators: Separators) -> str | None:
        """The value in a segment that is split into its elements; what is empty is nothing."""
        if self.element >= len(words):
            return None
        text = words[self.element]
        if separators.repetition is not None and self.selector.segment != "ISA":
            text = _nth(text.split(separators.repetition), self.repetition)
        elif self.repetition:
            return None
        if self.component is not None:
            text = _nth(text.split(separators.component), self.component - 1)
        return text.rstrip(" ") or None


@lru_cache(maxsize=1024)
def parse_path(text: str) -> Path | None:
    """Understand a path; ``None`` where it is not one."""
    match = _PATH.fullmatch(text)
    if match is None:
        return None
    after = _selector(match[1], match[2], match[3]) if match[1] else None
    component = int(match[9]) if match[9] else None
    element = int(match[7])
    if not element or component == 0 or "0" in (match[2], match[5]):
        return None
    return Path(after, _selector(match[4], match[5], match[6]), element, int(match[8] or 0), component)


def _selector(segment: str, element: str | None, values: str | None) -> Selector:
    return Selector(segment, int(element or 1), frozenset(values.split("|")) if values else frozenset())


def _nth(parts: Sequence[str], place: int) -> str:
    return parts[place] if place < len(parts) else ""
