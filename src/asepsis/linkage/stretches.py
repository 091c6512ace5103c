"""Where the stretches of equal numbers begin in a sorted column."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]


def starts(ordered: npt.NDArray[np.int64] | npt.NDArray[np.uint64]) -> Places:
    """The place of the first of each stretch of equal numbers; none of an empty column."""
    return np.flatnonzero(np.concatenate([[len(ordered) > 0], ordered[1:] != ordered[:-1]])[: len(ordered)])
