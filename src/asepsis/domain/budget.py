"""Budgets: how many runs an owner's key desk grants under one contract, counted once each, never refunded.

All versions of a contract share what was used: an amendment changes the limit alone.

A charge belongs to one run *and* one job. The same job of the same run, asked again after a crash, is the same
charge; another job under the same run is another charge.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from asepsis.domain.documents import Document, Fields
from asepsis.domain.names import Digest, PartyId, RunId
from asepsis.errors.desk import BudgetExhausted


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """An owner's budget under one contract: runs allowed in all, and runs charged so far."""

    limit: int
    used: int

    @property
    def remaining(self) -> int:
        """Runs that can still be granted; never below zero."""
        return max(0, self.limit - self.used)

    def to_document(self) -> Document:
        """The document form; :func:`read_budget` reads it."""
        return {"limit": self.limit, "used": self.used}


def read_budget(value: object) -> Budget:
    """Read a budget. Raises DocumentMalformed."""
    fields = Fields(value, document="budget")
    budget = Budget(limit=fields.integer("limit"), used=fields.integer("used"))
    fields.close()
    return budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One run of one job, counted against the owner's budget under all versions of a contract."""

    lineage: Digest
    owner: PartyId
    run: RunId
    job: Digest


def charge(budget: Budget, wanted: Charge, *, charged: AbstractSet[Charge]) -> Budget:
    """The budget after a charge; unchanged where exactly this charge was counted before.

    Raises:
        BudgetExhausted: nothing remains for a new charge.
    """
    if wanted in charged:
        return budget
    if budget.remaining < 1:
        raise BudgetExhausted(owner=wanted.owner, limit=budget.limit)
    return Budget(limit=budget.limit, used=budget.used + 1)
