"""Traits: what linkage knows of one record, all normalised, and when two values of a trait are alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_SHORTEST_WITH_TYPO: Final = 4
_SHORTEST_PREFIX: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """The normalised fields of one identity record that decide whether it can be the same person as another.

    ``birth`` is ``yymmdd``; ``year`` is the full year, or ``None`` where the source gave two digits only.
    """

    national_id: str | None = None
    families: frozenset[str] = frozenset()
    given: str | None = None
    given_every: str | None = None
    given_canonical: str | None = None
    birth: str | None = None
    birth_swapped: str | None = None
    year: str | None = None
    sex: str | None = None
    address: str | None = None


def ids_unlike(left: Traits, right: Traits) -> bool:
    """Whether both have a national id and the two are further apart than a typing error."""
    if left.national_id is None or right.national_id is None:
        return False
    return not within_one_edit(left.national_id, right.national_id)


def ids_equal(left: Traits, right: Traits) -> bool:
    """Whether both have the same national id."""
    return left.national_id is not None and left.national_id == right.national_id


def births_equal(left: Traits, right: Traits) -> bool:
    """Whether both birth dates are known and the same; an open century agrees with any."""
    return left.birth is not None and left.birth == right.birth and _years_agree(left, right)


def births_unlike(left: Traits, right: Traits) -> bool:
    """Whether both are known and differ by more than swapped day and month or one digit."""
    if left.birth is None or right.birth is None:
        return False
    if not _years_agree(left, right):
        is_near = left.birth[2:] == right.birth[2:] and _different_signs(left.year or "", right.year or "") == 1
        return not is_near
    return _different_signs(left.birth, right.birth) > 1 and left.birth != right.birth_swapped


def givens_unlike(left: Traits, right: Traits) -> bool:
    """Whether both given names are known and are not forms, initials, beginnings or misspellings of each other."""
    if left.given is None or right.given is None or left.given_canonical == right.given_canonical:
        return False
    if _is_beginning(left.given, right.given) or _is_beginning(right.given, left.given):
        return False
    if set((left.given_every or "").split()) & set((right.given_every or "").split()):
        return False
    is_long = min(len(left.given), len(right.given)) >= _SHORTEST_WITH_TYPO
    return not (is_long and within_one_edit(left.given, right.given))


def within_one_edit(left: str, right: str) -> bool:
    """Whether at most one insertion, deletion, substitution or swap of neighbours lies between two texts.

    The optimal string alignment distance of Damerau (1964), doi:10.1145/363958.363994, cut off at one.
    """
    if left == right:
        return True
    if abs(len(left) - len(right)) > 1:
        return False
    start = next((at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    left, right = left[start:], right[start:]
    return (
        left[1:] == right[1:]
        or left[1:] == right
        or left == right[1:]
        or (left[:2] == right[:2][::-1] and left[2:] == right[2:])
    )


def _is_beginning(short: str, long: str) -> bool:
    return long.startswith(short) and (len(short) == 1 or len(short) >= _SHORTEST_PREFIX)


def _years_agree(left: Traits, right: Traits) -> bool:
    return left.year is None or right.year is None or left.year == right.year


def _different_signs(left: str, right: str) -> int:
    return sum(a != b for a, b in zip(left, right, strict=True))
