"""Answers leave on a grid of time, so that how long the work took tells little about the data.

Only the number of whole steps shows: it grows with the size of the tables, and an answer from memory may be a step
earlier than one that was computed. Source: Jin et al., arXiv 2112.05307 (timing side channels of private queries).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

STEP: Final = 0.25
"""Seconds between the moments at which an answer may leave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A clock that only goes forward, and how to wait for it; both in seconds."""

    monotonic: Callable[[], float]
    pause: Callable[[float], None]

    @contextmanager
    def step(self) -> Iterator[None]:
        """Leave the block, with an answer or with an error, a whole number of steps after it was entered."""
        begun = self.monotonic()
        try:
            yield
        finally:
            spent = self.monotonic() - begun
            self.pause(math.ceil(spent / STEP) * STEP - spent)
