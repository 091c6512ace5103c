"""Review of links that the model is unsure of: what a linkage draws for the owners to look at on their own records.

A list names persons of its owner and nothing else: no field, no partner, no score. It is drawn once under a contract
and all its versions, and being on it says little of anybody (see ``asepsis.linkage.review_draw``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from asepsis.domain.analysis import Analysis, AnalysisKind
from asepsis.domain.names import PartyId

ARGUMENT: Final = "review"
"""Under which name a linkage states that it draws review lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewPool:
    """All persons of one owner that a linkage read, and those of whom a link is unsure; never leaves the runtime."""

    persons: tuple[int, ...]
    unsure: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewList:
    """One owner's list, sealed (HPKE) to the owner's key."""

    owner: PartyId
    sealed: bytes


def draws_lists(analysis: Analysis) -> bool:
    """Whether an analysis is a linkage that draws review lists."""
    return analysis.kind is AnalysisKind.LINKAGE and ARGUMENT in analysis.arguments
