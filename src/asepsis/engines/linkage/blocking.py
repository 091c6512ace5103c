"""Blocking: which pairs of records are compared at all.

Two records are a candidate where they share a key; a key value that many records share says little and costs much,
so every key has a budget of pairs that its smallest blocks are taken into first.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from asepsis.engines.linkage.blocks import Blocks
from asepsis.engines.linkage.lines import Flags, Ids, Lines
from asepsis.linkage.stretches import Places, starts

LARGEST_BLOCK: Final = 126
"""Records that may share one key value: 63 of one owner and 63 of another make 4,000 pairs."""
PAIRS_PER_RECORD: Final = 1.5
SECONDARY_PAIRS_PER_RECORD: Final = 0.3
FLOOR: Final = 100_000
"""Pairs that every key may have, however few the records."""
SMALL: Final = 100_000
"""Records up to which the late keys are used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Columns that are equal in two records; ``other`` are those of the second record where they are not the same."""

    columns: tuple[str, ...]
    other: tuple[str, ...] | None = None
    is_secondary: bool = False
    is_late: bool = False
    """For small sets only. Its pairs are scored, with a handicap, but the classes are not fitted to them."""


def _primary(*columns: str) -> Key:
    return Key(columns=columns)


def _secondary(*columns: str) -> Key:
    return Key(columns=columns, is_secondary=True)


def _late(*columns: str) -> Key:
    return Key(columns=columns, is_secondary=True, is_late=True)


KEYS: Final = (
    _primary("birth", "given_initial"),
    _primary("birth", "family_sound"),
    _primary("birth", "postal_code"),
    _primary("birth", "city"),
    _primary("given", "family"),
    _primary("family", "given_three"),
    _primary("given", "family_four"),
    _primary("given_sound", "family_sound", "birth_sorted_days"),
    _primary("family", "postal_code"),
    _primary("street", "number"),
    _primary("street", "given_three"),
    _primary("city", "number", "given_three"),
    _primary("postal_code", "number"),
    _primary("phone"),
    _primary("national_id"),
    Key(columns=("given", "family"), other=("family", "given")),
    _secondary("given", "postal_code"),
    _secondary("birth", "number"),
    _secondary("city", "family_sound"),
    _secondary("city", "given_sound"),
    _secondary("birth_year_month", "given_three"),
    _secondary("birth_year_day", "given_three"),
    _secondary("birth_short_year", "birth_sorted_days", "given_three"),
    _late("birth"),
    _late("family", "birth_short_year"),
    _late("given", "birth_short_year"),
    _late("family_sound", "birth_sorted_days"),
    _late("street"),
    _late("second_line"),
    _late("postal_code", "birth_short_year"),
    _late("city", "birth_sorted_days"),
    _late("city", "birth_short_year"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """What one key gave: its pairs, the largest block that was taken, and how many blocks were left out."""

    key: Key
    pairs: int
    largest: int
    crowded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Pairs of lines, the lower line first."""

    i: Ids
    j: Ids
    keys: npt.NDArray[np.uint64]
    """The keys that found the pair, as bits in the order of ``KEYS``."""
    is_late: Flags
    """Whether late keys alone found it."""

    def __len__(self) -> int:
        """How many pairs."""
        return len(self.i)


def find_candidates(lines: Lines, *, threads: int) -> tuple[Pairs, list[KeyUse]]:
    """The pairs of lines that share a key and may be one person: not two lines of one owner that lists everybody once.

    The keys are used side by side on ``threads``.
    """
    numbers = [number for number, key in enumerate(KEYS) if len(lines) <= SMALL or not key.is_late]
    with ThreadPoolExecutor(threads) as pool:
        found, uses = zip(*pool.map(lambda number: _use(lines, number), numbers), strict=True)
    return _united(np.concatenate(found)), list(uses)


def _use(lines: Lines, number: int) -> tuple[npt.NDArray[np.int64], KeyUse]:
    """The pairs of one key, each as one number: the lower line, the higher line and the key."""
    key = KEYS[number]
    held, keys = _keyed(lines, key.columns)
    side = np.zeros(len(held), dtype=np.bool_)
    if key.other is not None:
        other, other_keys = _keyed(lines, key.other)
        side = np.repeat([False, True], [len(held), len(other)])
        held, keys = np.concatenate([held, other]), np.concatenate([keys, other_keys])
    blocks = Blocks(keys)
    share = SECONDARY_PAIRS_PER_RECORD if key.is_secondary else PAIRS_PER_RECORD
    largest, crowded = _largest(blocks.by_size(), max(FLOOR, len(lines) * share))
    found = [np.array([], dtype=np.int64)]
    for left, right in blocks.pairs(largest):
        is_kept = _may_be_one(lines, held[left], held[right])
        if key.other is not None:
            is_kept &= side[left] != side[right]
        one, two = held[left[is_kept]], held[right[is_kept]]
        found.append(np.minimum(one, two) << _HIGHER | np.maximum(one, two) << _KEY | number)
    codes = np.concatenate(found)
    return codes, KeyUse(key=key, pairs=len(codes), largest=largest, crowded=crowded)


def _keyed(lines: Lines, columns: Sequence[str]) -> tuple[Places, npt.NDArray[np.uint64]]:
    """The lines that have all columns, and one number for the values of each."""
    values = [lines.columns[name] for name in columns]
    held = np.flatnonzero(np.logical_and.reduce([column > 0 for column in values]))
    keys = np.zeros(len(held), dtype=np.uint64)
    for column in values:
        keys = (keys ^ column[held].astype(np.uint64)) * _ODD
        keys ^= keys >> _HALF
    return held, keys


_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_HALF: Final = np.uint64(32)


def _may_be_one(lines: Lines, left: Places, right: Places) -> Flags:
    one, two = lines.node[left], lines.node[right]
    may: Flags = (one != two) & ((lines.owner_of[one] != lines.owner_of[two]) | ~lines.is_free[one])
    return may


_KEY: Final = (len(KEYS) - 1).bit_length()
_LINE: Final = 29
_HIGHER: Final = _KEY + _LINE
"""Where key, higher line and lower line stand in the number of a pair."""


def _united(codes: npt.NDArray[np.int64]) -> Pairs:
    """Every pair once, with all its keys."""
    codes.sort()
    pairs, numbers = codes >> _KEY, codes & ((1 << _KEY) - 1)
    first = starts(pairs)
    bits = np.left_shift(np.uint64(1), numbers.astype(np.uint64))
    keys = np.bitwise_or.reduceat(bits, first) if len(first) else bits
    i, j = pairs[first] >> _LINE, pairs[first] & ((1 << _LINE) - 1)
    return Pairs(i=i.astype(np.int32), j=j.astype(np.int32), keys=keys, is_late=(keys & _EARLY) == 0)


_EARLY: Final = np.uint64(sum(1 << number for number, key in enumerate(KEYS) if not key.is_late))


def _largest(sizes: Sequence[tuple[int, int]], budget: float) -> tuple[int, int]:
    """The largest block that the budget allows, and how many blocks are larger. Pairs are those of two owners."""
    pairs, largest, taken = 0.0, 0, 0
    for size, blocks in sizes:
        pairs += blocks * size * size / 4
        if size > LARGEST_BLOCK or pairs > budget:
            break
        largest, taken = size, taken + blocks
    return largest, sum(blocks for _, blocks in sizes) - taken
