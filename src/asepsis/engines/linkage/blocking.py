"""Blocking: which pairs of records are compared at all.

Two records are a candidate where they share a key; a key value that many records share says little and costs much,
so every key has a budget of pairs that its smallest blocks are taken into first.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Final

import numpy as np
import numpy.typing as npt

from asepsis.engines.linkage.blocks import ODD, Blocks, Hashes
from asepsis.engines.linkage.lines import Flags, Ids, Lines
from asepsis.linkage.stretches import Places, starts
from asepsis.linkage.token_fields import DOMAIN_OF

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
    apart = _apart(lines)
    found: list[npt.NDArray[np.int64]] = []
    uses: list[KeyUse] = []
    with ThreadPoolExecutor(threads) as pool:
        for codes, use in pool.map(lambda number: _use(lines, number, apart), numbers):
            found.append(codes)
            uses.append(use)
        del codes
        ends = [0, *_quantiles(found, threads), len(lines) << _HIGHER]
        parts = list(pool.map(lambda within: _united(found, *within), pairwise(ends)))
    return _joined(parts), uses


def _quantiles(found: Sequence[npt.NDArray[np.int64]], parts: int) -> list[int]:
    """Numbers of pairs that part all that were found into about as many each; two pairs of a line stay together."""
    some = np.sort(np.concatenate([codes[::_SAMPLED] for codes in found]))
    places = np.arange(1, parts) * len(some) // parts
    return [int(code) >> _HIGHER << _HIGHER for code in some[places]] if len(some) else [0] * (parts - 1)


_SAMPLED: Final = 64


def _apart(lines: Lines) -> Ids:
    """By line: two lines with equal numbers cannot be two records of one person that need a link."""
    owner = lines.owner_of[lines.node]
    return np.where(lines.is_free[lines.node], owner, lines.node + np.int32(_OWNERS)).astype(np.int32, copy=False)


_OWNERS: Final = 1 << 8


def _use(lines: Lines, number: int, apart: Ids) -> tuple[npt.NDArray[np.int64], KeyUse]:
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
        one, two = held.take(left, mode="clip"), held.take(right, mode="clip")
        is_kept = apart.take(one, mode="clip") != apart.take(two, mode="clip")
        if key.other is not None:
            is_kept &= side[left] != side[right]
        one, two = one[is_kept], two[is_kept]
        found.append((np.minimum(one, two) << _HIGHER) | (np.maximum(one, two) << _KEY) | number)
    codes = np.concatenate(found)
    return codes, KeyUse(key=key, pairs=len(codes), largest=largest, crowded=crowded)


def _keyed(lines: Lines, columns: Sequence[str]) -> tuple[Places, Hashes]:
    """The lines that have all columns, and one number for the values of each: as digits, or mixed where they are long.

    A mixed number has 64 bits; among 10^7 lines two fall together with a chance of 3 in 10^6.
    """
    values = [lines.columns[name] for name in columns]
    held = np.flatnonzero(np.logical_and.reduce([column > 0 for column in values]))
    sizes = [len(lines.values[DOMAIN_OF.get(name, name)]) + 1 for name in columns]
    is_long = prod(sizes) << len(lines).bit_length() >= 1 << _WIDTH
    keys = np.zeros(len(held), dtype=np.uint64)
    for column, size in zip(values, sizes, strict=True):
        value = column.take(held, mode="clip").astype(np.uint64)
        keys = _mixed(keys ^ value) if is_long else keys * np.uint64(size) + value
    return held, keys


def _mixed(keys: Hashes) -> Hashes:
    mixed = keys * ODD
    return mixed ^ (mixed >> _HALF)


_WIDTH: Final = 64
_HALF: Final = np.uint64(32)
_KEY: Final = (len(KEYS) - 1).bit_length()
_LINE: Final = 29
_HIGHER: Final = _KEY + _LINE
"""Where key, higher line and lower line stand in the number of a pair."""


def _united(found: Sequence[npt.NDArray[np.int64]], least: int, end: int) -> Pairs:
    """Every pair from ``least`` to before ``end`` once, with all its keys."""
    codes = np.concatenate([each[(each >= least) & (each < end)] for each in found])
    codes.sort()
    bits = np.left_shift(np.uint64(1), (codes & ((1 << _KEY) - 1)).view(np.uint64))
    codes >>= _KEY
    first = starts(codes)
    keys = np.bitwise_or.reduceat(bits, first) if len(first) else bits
    pairs = codes[first]
    j = (pairs & ((1 << _LINE) - 1)).astype(np.int32)
    pairs >>= _LINE
    return Pairs(i=pairs.astype(np.int32), j=j, keys=keys, is_late=(keys & _EARLY) == 0)


def _joined(parts: Sequence[Pairs]) -> Pairs:
    return Pairs(
        i=np.concatenate([part.i for part in parts]),
        j=np.concatenate([part.j for part in parts]),
        keys=np.concatenate([part.keys for part in parts]),
        is_late=np.concatenate([part.is_late for part in parts]),
    )


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
