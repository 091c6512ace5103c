"""Sticky noise: small whole numbers that follow from the question, so that asking again tells nothing new.

The noise of a count is a function of the contract's key, the snapshots, and the *identity* of the cell: its canonical
question, by logic alone. So every way to ask for the same persons gets the same number, and never does the set of
persons itself decide: noise that is keyed on it lets equal answers prove equal sets (Gadotti et al., When the signal
is in the noise, USENIX Security 2019). Counts of persons and of records of one cell are moved by the same number.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from decimal import Decimal, localcontext
from functools import cache
from itertools import accumulate
from typing import Final

from asepsis.disclosure.contributors import WHOLE, Contributors
from asepsis.disclosure.profiles import Profile
from asepsis.domain.cells import CellRow, CellTable

_DIGITS: Final = 60
_BITS: Final = 128
_DOMAIN: Final = b"asepsis sticky noise 1"


def with_noise(table: CellTable, behind: Contributors, profile: Profile, *, key: bytes, data: str) -> CellTable:
    """The cells with the noise of every measure whose persons are known; ``data`` names the snapshots."""
    if not profile.noise:
        return table
    found = {
        (one.branch, one.keys, place): sticky(key, f"{one.identity}@{data}", deviation=profile.noise)
        for one in behind.populations
        for place in one.measures
        if place != WHOLE
    }
    branches = tuple(
        tuple(
            _moved(row, {place: found.get((branch, row.keys, place)) for place in range(len(row.measures))})
            for row in rows
        )
        for branch, rows in enumerate(table.branches)
    )
    return CellTable(branches=branches)


def sticky(key: bytes, question: str, *, deviation: int) -> int:
    """A whole number from a discrete normal distribution of this standard deviation, cut off at three of them.

    HMAC-SHA256 of the question under the key chooses it, by exact decimal arithmetic: the same on every machine.
    """
    digest = hmac.new(
        key, _DOMAIN + b"\0" + str(deviation).encode() + b"\0" + question.encode(), hashlib.sha256
    ).digest()
    chosen = int.from_bytes(digest[: _BITS // 8])
    table = _distribution(deviation)
    return next(value for value, below in table if chosen < below)


@cache
def _distribution(deviation: int) -> tuple[tuple[int, int], ...]:
    """Every value, with the number below which a draw of 128 bits means it."""
    reach = 3 * deviation
    with localcontext() as context:
        context.prec = _DIGITS
        weights = [
            (Decimal(-value * value) / Decimal(2 * deviation * deviation)).exp() for value in range(-reach, reach + 1)
        ]
        whole = sum(weights)
        ends = [int(part / whole * 2**_BITS) for part in accumulate(weights)]
    ends[-1] = 2**_BITS
    return tuple(zip(range(-reach, reach + 1), ends, strict=True))


def _moved(row: CellRow, noise: dict[int, int | None]) -> CellRow:
    measures = tuple(replace(measure, noise=noise[place]) for place, measure in enumerate(row.measures))
    return replace(row, measures=measures)
