"""Budgets and charges as values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.domain.budget import Budget, Charge, charge
from asepsis.domain.names import Digest, PartyId, RunId
from asepsis.errors import Kind
from asepsis.errors.desk import BudgetExhausted


def one(run: str) -> Charge:
    return Charge(lineage=Digest("c"), owner=PartyId("northgate"), run=RunId(run), job=Digest("j"))


@given(runs=st.lists(st.sampled_from("abcdef")), limit=st.integers(0, 8))
def test_distinct_charges_are_counted_once_and_never_beyond_the_limit(runs: list[str], limit: int) -> None:
    budget, charged = Budget(limit=limit, used=0), set[Charge]()
    for run in runs:
        try:
            budget = charge(budget, one(run), charged=charged)
        except BudgetExhausted:
            assert len(charged) == limit
            assert one(run) not in charged
        else:
            charged.add(one(run))
        assert budget.used == len(charged) <= limit


def test_a_spent_budget_has_the_kind_exhausted() -> None:
    with pytest.raises(BudgetExhausted) as caught:
        charge(Budget(limit=1, used=1), one("a"), charged=set())
    assert caught.value.kind is Kind.EXHAUSTED


def test_nothing_remains_of_a_budget_that_was_lowered_below_its_use() -> None:
    assert Budget(limit=1, used=5).remaining == 0
