"""From the engine's numbers of longer persons to the persons of each length."""

from __future__ import annotations

from asepsis.domain.private import offered
from asepsis.sql.private import PrivateGrouping


def lengths_of(private: PrivateGrouping, longer: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """By vector, the persons of each offered length, from the numbers of persons whose part is longer than each."""
    found, rest = [], list(longer)
    for vector in private.vectors:
        sizes = len(offered(vector.spec.norm)) if vector.spec.unbought else 0
        tails, rest = [*rest[:sizes], 0], rest[sizes:]
        found.append(tuple(tails[place] - tails[place + 1] for place in range(len(tails) - 1)))
    return tuple(found)
