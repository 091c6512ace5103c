"""A histogram of scores that counts every record once: by the band of its best pair, and why that pair agrees.

Pairs are not counted: one record may have many, and a band of twelve pairs may be about one person.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np
import numpy.typing as npt

from asepsis.domain.linkage import ScoreBand
from asepsis.engines.linkage.blocking import Pairs
from asepsis.engines.linkage.comparing import Compared, unpacked
from asepsis.engines.linkage.latent import Fitted, weigh
from asepsis.engines.linkage.lines import Lines
from asepsis.engines.linkage.scoring import Scored
from asepsis.linkage.classes import CLASSES, COMPARISONS, LatentClass
from asepsis.linkage.stretches import Places

EDGES: Final = (-20, -15, -10, -5, 0, 5, 10, 15, 20)
"""Where the bands begin, in bits; the last one has no end. A pair of no bits is one person or not with equal odds."""


def score_bands(
    lines: Lines, pairs: Pairs, scored: Scored, compared: Compared, fitted: Fitted
) -> tuple[ScoreBand, ...]:
    """Count the records that have a pair, by band and latent class; every band is there, whether it has records or not.

    That one is there would else tell of its first record.
    """
    node = lines.node.astype(np.intp)
    sides = (node[pairs.i[scored.place]], node[pairs.j[scored.place]])
    best = _best(sides, scored.weight, nodes=len(lines.owner_of))
    with_pair = np.flatnonzero(best >= 0)
    chosen = best[with_pair]
    band = np.searchsorted(EDGES, scored.weight[chosen], side="right") - 1
    reason = _why(compared.pattern[scored.place[chosen]], scored.weight[chosen], fitted)
    counted = Counter(zip(band.tolist(), reason.tolist(), strict=True))
    return tuple(
        ScoreBand(lowest=lowest, why=why.value, records=counted[at, number])
        for number, why in enumerate(CLASSES)
        for at, lowest in enumerate(EDGES)
        if (why is LatentClass.MATCH) == (lowest >= 0)
    )


def _best(sides: tuple[Places, Places], weight: npt.NDArray[np.float64], *, nodes: int) -> Places:
    """By node the place of its best pair; -1 for a node without any."""
    most = np.full(nodes, -np.inf)
    for side in sides:
        np.maximum.at(most, side, weight)
    best = np.full(nodes, -1, dtype=np.int64)
    for side in sides:
        places = np.flatnonzero(weight == most[side])
        best[side[places]] = places
    return best


def _why(pattern: npt.NDArray[np.uint32], weight: npt.NDArray[np.float64], fitted: Fitted) -> npt.NDArray[np.int64]:
    """The class that explains a pair best: a match where it has the odds, else the likeliest of the others."""
    packed, kind = np.unique(pattern, return_inverse=True)
    logs = weigh(fitted, [unpacked(one) for one in packed.tolist()], comparisons=COMPARISONS).copy()
    match = CLASSES.index(LatentClass.MATCH)
    logs[:, match] = -np.inf
    why: npt.NDArray[np.int64] = np.where(weight >= 0, match, np.argmax(logs, axis=1)[kind])
    return why
