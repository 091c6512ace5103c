"""Scores compared pairs: the log odds that they are one person, from the fitted classes and the rarity of names.

That two records have the same common name is what a coincidence class expects; that they have the same rare name it
must explain. So the frequency of the agreeing value moves the coincidence classes alone. Weights are in bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from asepsis.engines.linkage.blocking import Pairs
from asepsis.engines.linkage.comparing import BITS, Compared, unpacked
from asepsis.engines.linkage.latent import Fitted, Matrix, fit, weigh
from asepsis.engines.linkage.lines import Flags, Ids, Lines
from asepsis.linkage.classes import CLASSES, COMPARISONS, LatentClass
from asepsis.linkage.stretches import Places

Weights = npt.NDArray[np.float64]
LEAST: Final = -20.0
"""Pairs below this many bits are not kept."""
HANDICAP: Final = 6.0
"""Bits that a pair needs besides where only late keys found it: its like were not counted when fitting."""
UNLIKE_BIRTH: Final = 10.0
"""Bits that a pair needs besides where names and home are equal, the birth dates wholly different, and nothing else
speaks for it: father and son share name and home. It holds where the owners know phones or national ids at all."""
TWIN_CAUTION: Final = 2.0
"""Bits by which twins are held for likelier than the fit says: two patients in one record do more harm than one patient
in two. It holds where the owners know sexes at all; without them a mistyped given name would pass for a twin's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Pairs with their bits."""

    place: npt.NDArray[np.int64]
    """Where the pair stands among those that were compared."""
    weight: Weights


def fit_classes(compared: Compared, *, is_late: Flags, threads: int = 1) -> Fitted:
    """Fit the classes to the patterns of the pairs that are not late."""
    packed, counts = _counted(compared.pattern, ~is_late, threads=threads)
    return fit([unpacked(pattern) for pattern in packed.tolist()], counts.tolist(), comparisons=COMPARISONS)


def score(
    lines: Lines, compared: Compared, fitted: Fitted, *, is_late: Flags, least: float, threads: int = 1
) -> Scored:
    """The pairs that have at least ``least`` bits; in chunks side by side on ``threads``."""
    packed, _ = _counted(compared.pattern, np.ones(len(is_late), dtype=np.bool_), threads=threads)
    known = _Known.of(lines, packed, fitted)

    def part(start: int) -> Scored:
        chunk = slice(start, start + _AT_ONCE)
        of_chunk = Compared(pattern=compared.pattern[chunk], given=compared.given[chunk], family=compared.family[chunk])
        place, weight = known.weights(of_chunk, is_late[chunk], least)
        return Scored(place=place + start, weight=weight)

    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(part, range(0, max(1, len(is_late)), _AT_ONCE)))
    return Scored(
        place=np.concatenate([each.place for each in parts]), weight=np.concatenate([each.weight for each in parts])
    )


_AT_ONCE: Final = 1 << 17
"""As many as the values of which stay in the cache of a processor."""


def _counted(
    patterns: npt.NDArray[np.uint32], among: Flags, *, threads: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """The distinct patterns of some pairs in ascending order, and how many have each."""

    def part(start: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        chunk = slice(start, start + _AT_ONCE)
        return np.unique(patterns[chunk][among[chunk]], return_counts=True)

    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(part, range(0, max(1, len(patterns)), _AT_ONCE)))
    packed, which = np.unique(np.concatenate([found for found, _ in parts]), return_inverse=True)
    counts = np.zeros(len(packed), dtype=np.int64)
    np.add.at(counts, which, np.concatenate([counted for _, counted in parts]))
    return packed, counts


class _Kinds:
    """The places of known patterns: a table for all that begin alike."""

    def __init__(self, packed: npt.NDArray[np.uint32]) -> None:
        heads = np.unique(packed >> _TAIL)
        self._table_of = np.zeros(1 << BITS * len(COMPARISONS) - int(_TAIL), dtype=np.uint32)
        self._table_of[heads] = np.arange(len(heads), dtype=np.uint32) << _TAIL
        self._places = np.zeros(len(heads) << int(_TAIL), dtype=np.int32)
        self._places[self._slots(packed)] = np.arange(len(packed), dtype=np.int32)

    def of(self, patterns: npt.NDArray[np.uint32]) -> Ids:
        """The place of each pattern; all are known."""
        return self._places.take(self._slots(patterns))

    def _slots(self, patterns: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        return self._table_of.take(patterns >> _TAIL) | (patterns & _IN_TAIL)


_TAIL: Final = np.uint32(12)
_IN_TAIL: Final = np.uint32((1 << 12) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is the same for all pairs of a pattern, by its kind, and for all pairs with a name."""

    kinds: _Kinds
    logs: Matrix
    caution: float
    most: Weights
    nameless: Weights
    """The bits of a pair that agrees in no name."""
    less: Weights
    given: Weights
    family: Weights

    @classmethod
    def of(cls, lines: Lines, packed: npt.NDArray[np.uint32], fitted: Fitted) -> _Known:
        logs = weigh(fitted, [unpacked(pattern) for pattern in packed.tolist()], comparisons=COMPARISONS)
        caution = TWIN_CAUTION if np.any(lines.columns["sex"]) else 0.0
        no_name = np.zeros(len(packed))
        return cls(
            kinds=_Kinds(packed),
            logs=logs,
            caution=caution,
            most=_most(logs),
            nameless=_weights(logs, np.arange(len(packed)), no_name, no_name, caution=caution),
            less=np.where(_unlike_birth(lines, packed), UNLIKE_BIRTH, 0.0),
            given=_rarity(lines.columns["given"]),
            family=_rarity(lines.columns["family"]),
        )

    def weights(self, compared: Compared, is_late: Flags, least: float) -> tuple[Places, Weights]:
        """The places of the pairs that have at least ``least`` bits, and their bits."""
        kinds = self.kinds.of(compared.pattern)
        place = np.flatnonzero((self.most >= least)[kinds])
        kind = kinds[place]
        weight = self.nameless[kind]
        named = np.flatnonzero(compared.given[place] | compared.family[place])
        given, family = (
            shift[name[place[named]]] for shift, name in ((self.given, compared.given), (self.family, compared.family))
        )
        weight[named] = _weights(self.logs, kind[named], given, family, caution=self.caution)
        weight -= np.where(is_late[place], HANDICAP, 0.0)
        weight -= self.less[kind]
        kept = weight >= least
        return place[kept], weight[kept]


def found_by_keys(pairs: Pairs, scored: Scored) -> dict[int, float]:
    """The expected true pairs by how many keys found them; late pairs aside."""
    kept = (scored.weight >= _EXPECTED_FROM) & ~pairs.is_late[scored.place]
    many = np.bitwise_count(pairs.keys[scored.place[kept]])
    sums = np.bincount(many, weights=1 / (1 + np.exp2(-scored.weight[kept])))
    return {number: expected for number, expected in enumerate(sums.tolist()) if expected}


_EXPECTED_FROM: Final = -10.0


def _most(logs: Matrix) -> Weights:
    """The most bits that a pattern can have, however rare the names."""
    others = [_log(logs, name) - _MOST_SHIFT[name] for name in _MOST_SHIFT]
    most: Weights = (_log(logs, LatentClass.MATCH) - np.maximum.reduce(others)) / _LN2
    return most


def _weights(logs: Matrix, kind: Places | Ids, given: Weights, family: Weights, *, caution: float) -> Weights:
    """The log odds of a match, in bits; rare names speak against a coincidence, ``caution`` for twins."""
    shifts: Mapping[LatentClass, Weights | float] = {
        LatentClass.NAMESAKE: given + family,
        LatentClass.AREA: given,
        LatentClass.BIRTH_DATE: given + family,
        LatentClass.TWIN: caution * _LN2,
    }
    total = np.zeros(len(kind))
    with np.errstate(over="ignore", divide="ignore"):
        for name in _MOST_SHIFT:
            odds = (_log(logs, name) - _log(logs, LatentClass.MATCH))[kind]
            total += np.exp(odds + shifts[name] if name in shifts else odds)
        weight: Weights = -np.log(total) / _LN2
    return weight


def _log(logs: Matrix, name: LatentClass) -> Weights:
    column: Weights = logs[:, CLASSES.index(name)]
    return column


def _rarity(column: Ids) -> Weights:
    """By value: how much commoner than the average of two equal values it is, as a logarithm; 0 for a missing one."""
    counts = np.bincount(column).astype(np.float64)
    counts[0] = 0.0
    shift = np.zeros(len(counts))
    seen = counts > 0
    shift[seen] = np.clip(np.log(counts[seen] * counts.sum() / (counts**2).sum()), -_RAREST, _COMMONEST)
    return shift


def _unlike_birth(lines: Lines, packed: npt.NDArray[np.uint32]) -> Flags:
    """The patterns of father and son."""
    if not any(np.any(lines.columns[name]) for name in ("phone", "national_id")):
        return np.zeros(len(packed), dtype=np.bool_)
    at = {comparison.name: BITS * number for number, comparison in enumerate(COMPARISONS)}
    level = {name: ((packed >> shift) & ((1 << BITS) - 1)).astype(np.int8) - 1 for name, shift in at.items()}
    found: Flags = (level["given"] == 4) & (level["family"] == 4) & (level["address"] >= 4) & (level["birth"] == 0)  # noqa: PLR2004
    return found & (level["phone"] < 2) & (level["national_id"] < 2)  # noqa: PLR2004 - not equal


_LN2: Final = float(np.log(2))
_RAREST: Final = 6.0
_COMMONEST: Final = 3.0
_MOST_SHIFT: Final = {
    LatentClass.HOUSEHOLD: 0.0,
    LatentClass.NAMESAKE: 2 * _RAREST,
    LatentClass.AREA: _RAREST,
    LatentClass.BIRTH_DATE: 2 * _RAREST,
    LatentClass.ADDRESS: 0.0,
    LatentClass.TWIN: 0.0,
}
"""The classes beside the match, and how far rare names can move each."""
