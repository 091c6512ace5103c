"""Of whom a link is unsure: the persons of an owner that are another owner's best guess, and an unsure one.

A record makes at most one person of each other owner unsure, the one that it agrees with best. So what one patient of a
hospital can change in the list of another is one person (the fit of the model aside, to which everybody contributes).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from asepsis.domain.names import PartyId
from asepsis.domain.review_list import ReviewPool
from asepsis.engines.linkage.blocking import Pairs
from asepsis.engines.linkage.lines import Flags, Ids, Lines
from asepsis.engines.linkage.scoring import Scored, Weights
from asepsis.linkage.best_first import Numbers
from asepsis.linkage.quality import bits
from asepsis.linkage.stretches import starts

LEAST: Final = 0.1
MOST: Final = 0.9
"""Between these posteriors a pair is unsure."""


def review_pools(owners: Sequence[PartyId], lines: Lines, pairs: Pairs, scored: Scored) -> dict[PartyId, ReviewPool]:
    """The persons of every owner, and those of whom a link is unsure."""
    left, right = (lines.node[side[scored.place]] for side in (pairs.i, pairs.j))
    is_unsure = unsure_nodes(left, right, scored.weight, owner_of=lines.owner_of)
    pools = {}
    for number, owner in enumerate(owners):
        own = lines.owner_of == number
        pools[owner] = ReviewPool(
            persons=tuple(lines.person_of[own].tolist()), unsure=frozenset(lines.person_of[own & is_unsure].tolist())
        )
    return pools


def unsure_nodes(left: Ids, right: Ids, weight: Weights, *, owner_of: Numbers) -> Flags:
    """By node: whether the surest of the records that agree with it best is an unsure match; ``weight`` is in bits."""
    across = owner_of[left] != owner_of[right]
    one = np.concatenate([left[across], right[across]])
    other = np.concatenate([right[across], left[across]])
    bits_of = np.concatenate([weight[across], weight[across]])
    order = np.lexsort((other, -bits_of, owner_of[other], one))
    many = int(owner_of.max(initial=0)) + 1
    best = order[starts((one.astype(np.int64) * many + owner_of[other])[order])]
    most = np.full(len(owner_of), -np.inf)
    np.maximum.at(most, other[best], bits_of[best])
    found: Flags = (most >= bits(LEAST)) & (most < bits(MOST))
    return found
