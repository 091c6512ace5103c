"""Attack: tell from the time of an answer what the data are."""

from __future__ import annotations

import ast
import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.errors.contract import ContractForbids
from asepsis.runtime import dialogue
from asepsis.runtime.grid import STEP, Grid


class Time:
    """A clock that stands still unless somebody works or waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def spend(self, seconds: float) -> None:
        self.now += seconds

    @property
    def grid(self) -> Grid:
        return Grid(monotonic=lambda: self.now, pause=self.spend)


@given(spent=st.floats(min_value=0, max_value=600, allow_nan=False))
def test_an_answer_leaves_a_whole_number_of_steps_after_the_work_began(spent: float) -> None:
    time = Time()
    with time.grid.step():
        time.spend(spent)
    steps = (time.now - 1000.0) / STEP
    assert steps == pytest.approx(round(steps), abs=1e-6)
    assert spent - 1e-6 <= time.now - 1000.0 <= spent + STEP + 1e-6


def test_an_error_of_the_work_waits_like_an_answer() -> None:
    time = Time()

    def work() -> None:
        with time.grid.step():
            time.spend(STEP * 1.5)
            raise ContractForbids(contract="c", what="w")

    with pytest.raises(ContractForbids):
        work()
    assert time.now - 1000.0 == STEP * 2


def test_the_runtime_does_its_work_inside_a_step() -> None:
    """Guard: ``grid.step()`` around ``work`` in ``runtime.dialogue``."""
    tree = ast.parse(inspect.getsource(dialogue))
    steps = [
        node for node in ast.walk(tree) if isinstance(node, ast.With) and "grid.step()" in ast.unparse(node.items[0])
    ]
    inside = {id(call) for step in steps for call in ast.walk(step)}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "work"]
    assert calls
    assert all(id(call) in inside for call in calls)
