"""Sticky noise follows from the question, is the same on every machine, and fits rounding and the memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.disclosure.contributors import Contributors, Population
from asepsis.disclosure.curves import Curve, Step, assess_curves
from asepsis.disclosure.gate import Assessed, assess
from asepsis.disclosure.memory import Memory
from asepsis.disclosure.profiles import PROFILES, Profile, Rounding, profile_named, strictest
from asepsis.disclosure.releasing import Asking, assess_with_memory
from asepsis.disclosure.sticky import sticky
from asepsis.domain.cells import (
    BranchShape,
    CellRow,
    CellTable,
    Contribution,
    KeyOutput,
    Margins,
    MeasureKind,
    MeasureOutput,
    MeasureSpec,
    Shape,
)
from asepsis.domain.sealed import Sealed

NOISY = profile_named("strict-10-noise")
KEY = bytes(range(32))
SPECS = tuple(MeasureSpec(kind=kind) for kind in (MeasureKind.PERSONS, MeasureKind.ROWS, MeasureKind.SUM))
SHAPE = Shape(
    columns=("g", "n", "r", "s"),
    branches=(
        BranchShape(keys=1, measures=SPECS, outputs=(KeyOutput(index=0), *(MeasureOutput(index=i) for i in range(3)))),
    ),
)


def answer(
    identity: str, persons: int = 203, *, question: str = "q", memory: Memory | None = None, data: str = "d"
) -> tuple[Assessed, Memory]:
    """A table of one cell."""
    one = Contribution(persons=persons, rows=persons, total=persons, absolute=persons, largest=(1, 1))
    cells = CellTable(branches=((CellRow(keys=("x",), persons=persons, outside=None, measures=(one,) * 3),),))
    places = np.arange(persons, dtype=np.uint32)
    behind = Population(branch=0, keys=("x",), measures=(0, 1, 2), places=places, identity=identity, plain=True)
    contributors = Contributors(tokens=np.arange(9000, dtype=np.uint64), populations=(behind,), skeleton="s")
    asking = Asking(author="a", question=question, data=data)
    known = Memory(key=KEY) if memory is None else memory
    return assess_with_memory(Sealed(cells), Sealed(contributors), SHAPE, NOISY, memory=known, asking=asking)


def number(assessed: Assessed) -> object:
    return assessed.use().rows[0][1]


def test_every_way_to_ask_for_the_same_persons_gets_the_same_number() -> None:
    """Guard: the identity in ``with_noise``: another question, asked of another memory or of this one."""
    first, after = answer("i")
    assert number(answer("i", question="other words", memory=after)[0]) == number(first)
    assert number(answer("i", question="other words")[0]) == number(first)


def test_other_questions_snapshots_and_keys_get_other_noise() -> None:
    """Guard: each of them in the key of the noise; the same persons behind it change nothing."""
    assert len({number(answer(f"i{place}")[0]) for place in range(40)}) > 3
    assert len({number(answer("i", data=f"d{place}")[0]) for place in range(40)}) > 3
    assert len({sticky(bytes([place]) * 32, "i", deviation=4) for place in range(40)}) > 3


def test_a_number_for_each_record_is_no_second_sample() -> None:
    """Guard: one noise for persons and records, else their mean would be closer than either."""
    for place in range(30):
        row = answer(f"i{place}")[0].use().rows[0]
        assert row[1] == row[2]
        assert row[3] == pytest.approx(row[2])


def test_noise_is_a_discrete_normal_number_within_three_deviations() -> None:
    drawn = Counter(sticky(KEY, str(place), deviation=4) for place in range(20_000))
    assert set(drawn) <= set(range(-12, 13))
    whole = sum(exp(-value * value / 32) for value in range(-12, 13))
    expected = {value: 20_000 * exp(-value * value / 32) / whole for value in range(-12, 13)}
    assert sum((drawn[value] - wanted) ** 2 / wanted for value, wanted in expected.items()) < 52  # 24 degrees, p 0.001


def test_noise_is_the_same_on_every_machine() -> None:
    assert [sticky(KEY, str(place), deviation=4) for place in range(8)] == [1, 1, 5, 2, 3, -2, -4, 0]


MIDDLE = replace(NOISY, rounding=Rounding.MIDPOINT, base=6)


@given(st.integers(10, 500), st.integers(-12, 12), st.sampled_from([NOISY, MIDDLE]))
def test_the_true_count_is_always_within_the_bounds_that_the_memory_keeps(
    count: int, noise: int, rules: Profile
) -> None:
    """Guard: ``reach`` in ``bounds``."""
    low, high = rules.bounds(rules.noisy_count(count, noise))
    assert low <= count <= high
    assert rules.noisy_count(count, noise) >= rules.round_count(rules.threshold)
    assert rules.width == rules.base - 1 + 24


def test_one_person_more_is_held_as_without_noise() -> None:
    _, after = answer("i", 203)
    for more in (0, 1, 9):
        assert answer("j", 203 + more, question="r", memory=after)[0].released is None
    assert answer("j", 260, question="r", memory=after)[0].released is not None


def test_counts_without_noise_margins_and_curves_stay_inside() -> None:
    """Guard: ``contribution.noise is None``, and noise in ``complemented`` and ``assess_curves``."""
    one = Contribution(persons=200, rows=200, total=200, absolute=200, largest=(1, 1))
    cells = CellTable(branches=((CellRow(keys=("x",), persons=200, outside=None, measures=(one,) * 3),),))
    assert assess(Sealed(cells), SHAPE, NOISY).released is None
    assert assess(Sealed(cells), SHAPE, PROFILES["strict-10"]).released is not None
    noisy = CellTable(branches=((replace(cells.branches[0][0], measures=(replace(one, noise=1),) * 3),),))
    assert assess(Sealed(noisy), SHAPE, NOISY).released is not None
    margins = replace(SHAPE, margins=(Margins(branches=(0,), keys=((0,),), personal=(True,)),))
    assert assess(Sealed(noisy), margins, NOISY).released is None
    curve = Curve(stratum="all", steps=(Step(day=9, events=100, censored=0), Step(day=20, events=0, censored=100)))
    for profile, shown in ((NOISY, False), (PROFILES["strict-10"], True)):
        found = assess_curves(Sealed((curve,)), profile, columns=("g", "n"), derive=lambda one: [(one.persons,)])
        assert (found.released is not None) == shown


def test_no_noise_where_no_profile_asks_for_it_and_the_most_where_several_do() -> None:
    assert {name for name, profile in PROFILES.items() if profile.noise} == {"strict-10-noise"}
    assert strictest([NOISY, PROFILES["cms-11"]]).noise == 4
    assert "disclosure.noise" in {finding.code for finding in answer("i")[0].assessment.findings}
