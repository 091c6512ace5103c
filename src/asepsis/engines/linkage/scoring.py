"""Scores compared pairs: the log odds that they are one person, from the fitted classes and the rarity of names.

That two records have the same common name is what a coincidence class expects; that they have the same rare name it
must explain. So the frequency of the agreeing value moves the coincidence classes alone. Weights are in bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from asepsis.engines.linkage.blocking import Pairs
from asepsis.engines.linkage.comparing import BITS, Compared, unpacked
from asepsis.engines.linkage.latent import Fitted, Matrix, fit, weigh
from asepsis.engines.linkage.lines import Flags, Ids, Lines
from asepsis.linkage.classes import CLASSES, COMPARISONS, LatentClass

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


def fit_classes(compared: Compared, *, is_late: Flags) -> Fitted:
    """Fit the classes to the patterns of the pairs that are not late."""
    packed, counts = np.unique(compared.pattern[~is_late], return_counts=True)
    return fit([unpacked(pattern) for pattern in packed.tolist()], counts.tolist(), comparisons=COMPARISONS)


def score(lines: Lines, compared: Compared, fitted: Fitted, *, is_late: Flags, least: float) -> Scored:
    """The pairs that have at least ``least`` bits."""
    encoded = pa.array(compared.pattern).dictionary_encode()
    packed, kinds = encoded.dictionary.to_numpy(), encoded.indices.to_numpy()
    logs = weigh(fitted, [unpacked(pattern) for pattern in packed.tolist()], comparisons=COMPARISONS)
    place = np.flatnonzero((_most(logs) >= least)[kinds])
    kind = kinds[place]
    given = _rarity(lines.columns["given"])[compared.given[place]]
    family = _rarity(lines.columns["family"])[compared.family[place]]
    caution = TWIN_CAUTION if np.any(lines.columns["sex"]) else 0.0
    weight = _weights(logs, kind, given, family, caution=caution)
    weight -= np.where(is_late[place], HANDICAP, 0.0)
    weight -= np.where(_unlike_birth(lines, packed)[kind], UNLIKE_BIRTH, 0.0)
    kept = weight >= least
    return Scored(place=place[kept], weight=weight[kept])


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


def _weights(logs: Matrix, kind: npt.NDArray[np.int32], given: Weights, family: Weights, *, caution: float) -> Weights:
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
