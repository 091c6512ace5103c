"""Estimates precision and recall without ground truth from a field that the rules in question did not use.

The idea is the silver truth of record linkage practice: national ids judge the pairs that were found by names
and dates, and names judge the pairs that were found by ids. An estimate is given only where enough pairs bear
witness, and it supposes that a missing id says nothing about errors in the other fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from asepsis.domain.linkage import Estimate

FEWEST_WITNESSES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Linked pairs of records of different owners, split by how their national ids compare, and silver pairs."""

    ids_agree: int
    """Linked pairs with alike ids."""
    ids_differ: int
    """Linked pairs with different ids, which a strong rule joined all the same."""
    ids_silent: int
    """Linked pairs where at least one id is missing."""
    judged: int
    """Pairs found by rules without ids, before a different id overruled them, with an id on both sides."""
    judged_alike: int
    silver: int
    """Pairs with the same id and without a conflict: taken for true."""
    silver_found: int
    """Those of them that the rules without ids find too."""
    silver_linked: int


def estimate(evidence: Evidence, *, chance: float) -> Estimate:
    """Estimate quality; ``chance`` is the share of unrelated pairs whose ids agree.

    Precision of the pairs with a silent id is the agreement among judged pairs, ``(agree - chance) / (1 -
    chance)``; pairs with alike ids count as right, those with different ids as wrong. The true pairs with a
    silent id are those found, divided by the share of silver pairs that rules without ids find.
    """
    right = _precision_without_ids(evidence, chance)
    found = _ratio(evidence.silver_found, evidence.silver)
    linked = evidence.ids_agree + evidence.ids_differ + evidence.ids_silent
    precision = recall = None
    if right is not None and linked:
        precision = (evidence.ids_agree + right * evidence.ids_silent) / linked
    if right is not None and found:
        true_silent = right * evidence.ids_silent / found
        true_all = evidence.silver + true_silent
        recall = min(1.0, (evidence.silver_linked + right * evidence.ids_silent) / true_all)
    return Estimate(
        precision=precision,
        recall=recall,
        precision_witnesses=evidence.judged,
        recall_witnesses=evidence.silver,
    )


def _precision_without_ids(evidence: Evidence, chance: float) -> float | None:
    agree = _ratio(evidence.judged_alike, evidence.judged)
    return None if agree is None or chance >= 1 else max(0.0, (agree - chance) / (1 - chance))


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole >= FEWEST_WITNESSES else None
