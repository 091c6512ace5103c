"""Draws an owner's review list so that being on it, or not, says little of anybody.

Every person of the owner is drawn with a small chance of its own, and one that a link is unsure of with a chance that
is ``RATIO`` times as large. So whatever somebody believes of one person, the list moves the odds that a link is unsure
of it by at most three bits up and one bit down. This is randomised response (Warner, JASA 60 (1965), pp. 63-69).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from asepsis.domain.review_list import ReviewPool

RATIO: Final = 8
"""How much likelier a person is drawn that a link is unsure of: three bits."""
MOST_SHARE: Final = 0.5
"""The largest chance of a person that a link is unsure of, so that not being drawn is worth one bit at most."""
_BYTES: Final = 8


def chances(persons: int, *, about: int) -> tuple[float, float]:
    """The chance of a person that links are unsure of, and of anybody else, where ``about`` of all are to be drawn."""
    anybody = min(about / max(1, persons), MOST_SHARE / RATIO)
    return RATIO * anybody, anybody


def draw(pool: ReviewPool, *, about: int, secret: bytes) -> tuple[int, ...]:
    """The persons of a list by number; always the same ones for a ``secret`` (16 to 64 bytes)."""
    unsure, anybody = chances(len(pool.persons), about=about)
    return tuple(
        person
        for person in sorted(pool.persons)
        if _lot(person, secret) < (unsure if person in pool.unsure else anybody)
    )


def _lot(person: int, secret: bytes) -> float:
    """A number from 0 up to 1, which nobody can foresee without the secret."""
    lot = blake2b(str(person).encode(), key=secret, digest_size=_BYTES, person=b"asepsis review")
    return int.from_bytes(lot.digest(), "big") / (1 << 8 * _BYTES)
