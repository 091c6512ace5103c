"""The memory of releases under one contract: which persons stood behind every cell that was ever shown.

A new cell is withheld where it differs from an earlier one, or from one beside it, by fewer persons than a threshold
*or by none at all*: so it cannot be seen whether the condition that makes the difference holds for one person or for
nobody. Cells that are by logic about the same persons are free. The threshold is blurred by a key that is part of
the memory, because a sharp one could be met on purpose. What was shown is never taken back: only new cells are held.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from asepsis.disclosure.audit import MOST_CELLS, Bounded, audit
from asepsis.disclosure.people import People
from asepsis.disclosure.profiles import BLUR
from asepsis.disclosure.quotas import Asked
from asepsis.domain.documents import Document

MOST_RELATED: Final = 8
"""Earlier cells in one audit."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shown:
    """One population of a released cell: the persons, and the bounds of their number that were given away."""

    identity: str
    persons: People
    low: float
    high: float

    @property
    def counted(self) -> bool:
        """Whether the number of persons was shown."""
        return self.high != float("inf")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """A population of a new cell. ``table`` is the number of its grouping; ``plain`` as in ``Population``."""

    shown: Shown
    table: int
    plain: bool
    effect: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The answer to a question, in document form, to be given again to whoever asks it again."""

    question: str
    assessment: Document
    released: Document | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Memory:
    """All releases under one contract. ``key`` blurs thresholds; ``tokens`` name the persons in order of appearance."""

    key: bytes
    tokens: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    shown: tuple[Shown, ...] = ()
    asked: tuple[Asked, ...] = ()
    answers: tuple[Answered, ...] = ()

    def answer(self, question: str) -> Answered | None:
        """The earlier answer to an equal question."""
        return next((answer for answer in self.answers if answer.question == question), None)

    def numbered(self, tokens: NDArray[np.uint64]) -> tuple[Memory, NDArray[np.uint32]]:
        """The memory that knows all these persons, and the place of each of them in it."""
        order = np.argsort(self.tokens, kind="stable")
        known = self.tokens[order]
        found = np.searchsorted(known, tokens)
        inside = found < len(known)
        inside[inside] = known[found[inside]] == tokens[inside]
        places = np.empty(len(tokens), np.uint32)
        places[inside] = order[found[inside]]
        fresh = np.flatnonzero(~inside)
        places[fresh] = len(known) + np.arange(len(fresh))
        return replace(self, tokens=np.concatenate([self.tokens, tokens[fresh]])), places

    def blurred(self, threshold: int, *identities: str) -> int:
        """The threshold of one comparison: secret, and the same whenever it is made again."""
        text = "\n".join(sorted(identities)).encode()
        return threshold + int.from_bytes(hashlib.blake2b(text, key=self.key, digest_size=8).digest()) % (BLUR + 1)


def held(candidates: Sequence[Candidate], memory: Memory, *, threshold: int, width: float) -> frozenset[int]:
    """The places of the candidates that must not be shown."""
    earlier, reach = Index(memory.shown), threshold + BLUR
    out: set[int] = set()
    left: dict[int, Candidate] = {}
    accepted: dict[int, list[Candidate]] = {}
    for place, candidate in enumerate(candidates):
        if earlier.knows(candidate.shown):
            continue
        near = [*earlier.near(candidate.shown, reach), *_beside(candidate, accepted, reach)]
        if _has_little_effect(candidate, memory, threshold) or any(
            candidate.shown.persons.apart(other.persons)
            < memory.blurred(threshold, candidate.shown.identity, other.identity)
            for other in near
        ):
            out.add(place)
        else:
            left[place] = candidate
            accepted.setdefault(candidate.shown.persons.size, []).append(candidate)
    return frozenset(out | _narrowed(left, memory, threshold=threshold, width=width))


def _has_little_effect(candidate: Candidate, memory: Memory, threshold: int) -> bool:
    if candidate.effect is None:
        return False
    return candidate.effect < memory.blurred(threshold, "effect", candidate.shown.identity)


def _beside(candidate: Candidate, accepted: Mapping[int, Sequence[Candidate]], reach: int) -> list[Shown]:
    """Accepted cells of the same result that an author could have composed to differ by a few persons.

    Cells of one table that differ by values of plain columns overlap by chance alone, never by intent. ``accepted`` is
    by size: sets whose sizes differ by ``reach`` differ by as many persons.
    """
    size = candidate.shown.persons.size
    return [
        other.shown
        for near in range(size - reach + 1, size + reach)
        for other in accepted.get(near, ())
        if not (candidate.plain and other.plain and candidate.table == other.table)
        and other.shown.identity != candidate.shown.identity
    ]


class Index:
    """Earlier cells by size, for sets that differ by a few persons differ in size by no more."""

    def __init__(self, shown: Sequence[Shown]) -> None:
        self._shown = sorted(shown, key=lambda one: one.persons.size)
        self._sizes = np.array([one.persons.size for one in self._shown], np.int64)
        self._known: dict[str, list[Shown]] = {}
        for one in shown:
            self._known.setdefault(one.identity, []).append(one)

    def knows(self, new: Shown) -> bool:
        """Whether the very persons were shown by an equal cell, and no less exactly."""
        return any(
            (one.counted or not new.counted) and one.persons.apart(new.persons) == 0
            for one in self._known.get(new.identity, ())
        )

    def near(self, new: Shown, distance: int) -> list[Shown]:
        """Earlier cells of nearly this size, but for the same cell itself."""
        low, high = np.searchsorted(self._sizes, [new.persons.size - distance, new.persons.size + distance + 1])
        window = self._shown[int(low) : int(high)]
        return [one for one in window if one.identity != new.identity or one.persons.apart(new.persons)]


def _narrowed(left: dict[int, Candidate], memory: Memory, *, threshold: int, width: float) -> set[int]:
    """The candidates that, with what is known already, would bound a few persons too tightly."""
    counted = {place: one for place, one in left.items() if one.shown.counted}
    out: set[int] = set()
    places = sorted(counted)
    step = MOST_CELLS - MOST_RELATED
    for start in range(0, len(places), step):
        chunk = places[start : start + step]
        related = _related([counted[place].shown for place in chunk], memory.shown)
        tables = {counted[place].table for place in chunk}
        if not related and len(tables) == 1:
            continue
        cells = [_bounded(one) for one in (*related, *(counted[place].shown for place in chunk))]
        found = audit(cells, least=threshold, width=width)
        if not found.finished:
            out |= set(chunk)
        out |= {chunk[place - len(related)] for place in found.narrow if place >= len(related)}
    return out


def _bounded(shown: Shown) -> Bounded:
    return Bounded(persons=shown.persons, low=shown.low, high=shown.high)


def _related(new: Sequence[Shown], shown: Sequence[Shown]) -> list[Shown]:
    """The counted earlier cells that share most of their persons with the new ones."""
    earlier = [one for one in shown if one.counted]
    if not earlier or not new:
        return []
    places = np.unique(np.concatenate([one.persons.listed() for one in new]))
    union = _dense(places)
    shares = [(one.persons.common(union), place) for place, one in enumerate(earlier)]
    ranked = sorted(
        ((common / (earlier[place].persons.size + len(places) - common), place) for common, place in shares if common),
        reverse=True,
    )
    return [earlier[place] for _, place in ranked[:MOST_RELATED]]


def _dense(places: NDArray[np.uint32]) -> People:
    bits = np.zeros((int(places[-1]) // 64 + 1) * 64, np.uint8)
    bits[places] = 1
    return People(size=len(places), words=np.packbits(bits, bitorder="little").view(np.uint64))
