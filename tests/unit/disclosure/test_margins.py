"""Tables with margins: an attacker who tries everything learns no withheld cell too closely."""

from __future__ import annotations

from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.disclosure import complements as choosing
from asepsis.disclosure.additive import Additive, Sum, Target
from asepsis.disclosure.attacker import bounds, demands, unmet
from asepsis.disclosure.complements import complements
from asepsis.disclosure.gate import Assessed, Outcome, assess
from asepsis.disclosure.margins import complemented
from asepsis.disclosure.profiles import profile_named
from asepsis.domain.cells import (
    BranchShape,
    CellRow,
    CellTable,
    Contribution,
    KeyOutput,
    MarginOutput,
    Margins,
    MeasureKind,
    MeasureOutput,
    MeasureSpec,
    Shape,
)
from asepsis.domain.release import CellAction
from asepsis.domain.sealed import Sealed

STRICT = profile_named("strict-10")
COUNT = MeasureSpec(kind=MeasureKind.PERSONS)
SUM = MeasureSpec(kind=MeasureKind.SUM)
COUNTS = st.sampled_from([0, 0, 1, 3, 8, 9, 10, 11, 14, 30, 52])


def row_of(*values: int) -> Additive:
    """Cells of one row and, last, their sum; what is small is withheld."""
    cells = [*values, sum(values)]
    shown = {place: STRICT.bounds(STRICT.round_count(value)) for place, value in enumerate(cells) if value >= 10}
    return Additive(
        cells=len(cells),
        sums=(Sum(whole=len(values), parts=tuple(range(len(values))), exact=True),),
        shown=shown,
        targets=tuple(Target(cell=place, high=4, small=9) for place in range(len(cells)) if place not in shown),
        asked=frozenset(range(len(cells))),
    )


def square(values: list[list[int]]) -> Additive:
    """A table of two dimensions with both margins and the total."""
    height, width = len(values), len(values[0])
    rows = [tuple(row * width + column for column in range(width)) for row in range(height)]
    first = height * width
    sums = [Sum(whole=first + row, parts=rows[row], exact=True) for row in range(height)]
    sums += [
        Sum(whole=first + height + column, parts=tuple(row[column] for row in rows), exact=True)
        for column in range(width)
    ]
    total = first + height + width
    sums.append(Sum(whole=total, parts=tuple(range(first, first + height)), exact=True))
    sums.append(Sum(whole=total, parts=tuple(range(first + height, total)), exact=True))
    cells = [value for row in values for value in row]
    cells += [sum(row) for row in values] + [sum(row[column] for row in values) for column in range(width)]
    cells.append(sum(map(sum, values)))
    shown = {place: STRICT.bounds(STRICT.round_count(value)) for place, value in enumerate(cells) if value >= 10}
    targets = tuple(Target(cell=place, high=4, small=9) for place in range(len(cells)) if place not in shown)
    return Additive(
        cells=len(cells), sums=tuple(sums), shown=shown, targets=targets, asked=frozenset(range(len(cells)))
    )


def everything(system: Additive, hidden: frozenset[int], most: int) -> list[list[int]]:
    """All states of affairs of a row that the shown bounds allow, tried one by one."""
    (one,) = system.sums
    ranges = []
    for place in one.parts:
        known = place in system.shown and place not in hidden
        low, high = system.shown[place] if known else (0, most)
        ranges.append(range(int(low), int(high) + 1))
    whole = system.shown[one.whole] if one.whole in system.shown and one.whole not in hidden else (0, most * 9)
    return [[*parts, sum(parts)] for parts in product(*ranges) if whole[0] <= sum(parts) <= whole[1]]


@given(st.lists(st.sampled_from([0, 2, 5, 9, 10, 12, 17]), min_size=2, max_size=3))
@settings(max_examples=25, deadline=None)
def test_an_attacker_who_tries_all_states_of_affairs_learns_no_withheld_cell_closely(values: list[int]) -> None:
    system = row_of(*values)
    choice = complements([system], prices=dict.fromkeys(system.shown, 1.0))
    assert choice is not None
    states = everything(system, choice.hidden, 40)
    assert [*values, sum(values)] in states
    withheld = [place for place in range(len(values)) if place not in system.shown]
    for place in withheld:
        seen = {state[place] for state in states}
        assert min(seen) == 0
        assert max(seen) >= 4
        others = [other for other in withheld if other != place]
        # Who knows that all others are empty does not learn the number more closely than rounding tells.
        alone = {state[place] for state in states if not any(state[other] for other in others)}
        small = {value for value in alone if value < 10}
        assert not small or not others or min(alone) > 9 or max(small) - min(small) >= 4


@given(st.lists(st.sampled_from([0, 3, 9, 10, 13, 21]), min_size=2, max_size=3))
@settings(max_examples=10, deadline=None)
def test_bounds_by_linear_programs_are_those_of_trying_everything(values: list[int]) -> None:
    system = row_of(*values)
    states = everything(system, frozenset(), 60)
    for place in range(len(values)):
        seen = [state[place] for state in states]
        if max(seen) < 60:
            assert bounds(system, frozenset(), place) == (min(seen), max(seen))


@given(st.lists(st.lists(COUNTS, min_size=2, max_size=2), min_size=2, max_size=2))
@settings(max_examples=20, deadline=None)
def test_no_cheaper_choice_protects_the_table(values: list[list[int]]) -> None:
    system = square(values)
    prices = {place: 1 + place / 100 for place in system.shown}
    choice = complements([system], prices=prices)
    assert choice is not None
    assert choice.least
    found = demands(system, seconds=5)
    assert not unmet(system, choice.hidden, found, seconds=5)
    price = sum(prices[place] for place in choice.hidden)
    for size in range(len(choice.hidden) + 1):
        for cells in combinations(system.shown, size):
            if sum(prices[place] for place in cells) < price - 1e-9:
                assert unmet(system, frozenset(cells), found, seconds=5)


@given(st.lists(st.lists(COUNTS, min_size=3, max_size=3), min_size=2, max_size=3))
@settings(max_examples=15, deadline=None)
def test_the_fallback_protects_as_well_and_is_no_cheaper(values: list[list[int]]) -> None:
    system = square(values)
    prices = dict.fromkeys(system.shown, 1.0)
    best = complements([system], prices=prices)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choosing, "MOST_COLUMNS", 0)
        other = complements([system], prices=prices)
    assert best is not None
    assert other is not None
    assert not unmet(system, other.hidden, demands(system, seconds=5), seconds=5)
    assert not best.least or len(best.hidden) <= len(other.hidden)


def test_where_nothing_can_be_hidden_nothing_protects() -> None:
    assert demands(row_of(9, 12), seconds=5)
    assert complements([row_of(9, 12)], prices={}) is None


def test_a_choice_counts_only_when_the_attacker_has_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    system = row_of(9, 12, 12)
    prices = dict.fromkeys(system.shown, 1.0)
    monkeypatch.setattr(choosing, "_least", lambda *_, **__: frozenset())
    choice = complements([system], prices=prices)
    assert choice is not None
    assert choice.hidden
    assert not choice.least
    monkeypatch.setattr(choosing, "_enough", lambda *_, **__: frozenset())
    assert complements([system], prices=prices) is None


# -- whole tables through the gate


def family(spec: MeasureSpec = COUNT, *, personal: bool = True) -> Shape:
    """ROLLUP-like: town and sex, town, sex, everybody."""
    outputs = (KeyOutput(index=0), KeyOutput(index=1), MeasureOutput(index=0))
    fine = BranchShape(keys=2, measures=(spec,), outputs=outputs)
    town = BranchShape(keys=1, measures=(spec,), outputs=(KeyOutput(index=0), MarginOutput(), MeasureOutput(index=0)))
    sex = BranchShape(keys=1, measures=(spec,), outputs=(MarginOutput(), KeyOutput(index=0), MeasureOutput(index=0)))
    everybody = BranchShape(keys=0, measures=(spec,), outputs=(MarginOutput(), MarginOutput(), MeasureOutput(index=0)))
    margins = Margins(branches=(0, 1, 2, 3), keys=((0, 1), (0,), (1,), ()), personal=(personal, personal))
    return Shape(columns=("town", "sex", "n"), branches=(fine, town, sex, everybody), margins=(margins,))


def contribution(persons: int, value: float = 50.0) -> Contribution:
    total, top = persons * value, value if persons else 0.0
    return Contribution(persons=persons, rows=persons, total=total, absolute=total, largest=(top, top))


def table_of(values: dict[tuple[str, str], int]) -> CellTable:
    """Cells and margins, those of nobody left out as an engine does."""
    branches: list[dict[tuple[str, ...], int]] = [{}, {}, {}, {}]
    for (town, sex), count in values.items():
        for place, keys in enumerate(((town, sex), (town,), (sex,), ())):
            branches[place][keys] = branches[place].get(keys, 0) + count
    return CellTable(
        branches=tuple(
            tuple(
                CellRow(keys=keys, persons=count, outside=None, measures=(contribution(count),))
                for keys, count in branch.items()
                if count
            )
            for branch in branches
        )
    )


def judged(values: dict[tuple[str, str], int], shape: Shape | None = None) -> Assessed:
    return assess(Sealed(table_of(values)), family() if shape is None else shape, STRICT)


BIG = {("n", "f"): 60, ("n", "m"): 52, ("n", "x"): 52, ("s", "f"): 70, ("s", "m"): 81, ("s", "x"): 33}


def test_a_table_of_large_cells_is_shown_with_all_its_margins_and_marks_them() -> None:
    released = judged(BIG).use()
    assert len(released.rows) == 6 + 2 + 3 + 1
    assert released.actions[-1] == (CellAction.MARGIN, CellAction.MARGIN, CellAction.ROUNDED)
    assert {row[2] for row in released.rows if row[0] is None and row[1] is None} == {350}


def test_a_small_cell_takes_another_one_with_it_where_sums_would_give_it_away() -> None:
    alone = {("n", "f"): 9, ("n", "m"): 12, ("n", "x"): 12, ("s", "f"): 70, ("s", "m"): 81, ("s", "x"): 33}
    released = judged(alone).use()
    shown = {row[:2]: row[2] for row in released.rows}
    assert ("n", "f") not in shown
    assert len(shown) < 11
    unprotected = complemented(table_of(alone), Shape(columns=(), branches=family().branches), STRICT, {})
    assert not unprotected.hidden


def test_groups_of_few_and_of_nobody_lead_to_the_same_choice() -> None:
    """Worlds whose cells by themselves would show the same are told apart by nothing."""
    found: dict[str, list[tuple[Assessed, frozenset[object]]]] = {}
    for first, second in product(range(4), repeat=2):
        world = {**BIG, ("n", "f"): first, ("s", "f"): second, ("w", "f"): 61, ("w", "m"): 61}
        table = table_of(world)
        before = [
            (place, row.keys, STRICT.round_count(row.persons))
            for place, branch in enumerate(table.branches)
            for row in branch
            if row.persons >= STRICT.threshold
        ]
        margins = complemented(table, family(), STRICT, {})
        assessed = assess(Sealed(table), family(), STRICT, margins=margins)
        found.setdefault(repr(sorted(before)), []).append((assessed, margins.hidden))
    assert max(map(len, found.values())) >= 4
    assert any(hidden for worlds in found.values() for _, hidden in worlds)
    for worlds in found.values():
        assert all(world == worlds[0] for world in worlds)


def test_sums_of_values_are_protected_like_counts() -> None:
    values = {("n", "f"): 9, ("n", "m"): 12, ("s", "f"): 70, ("s", "m"): 81}
    shown = {row[:2] for row in judged(values, family(SUM)).use().rows}
    assert ("n", "f") not in shown
    assert not {("n", "m"), ("n", None)} <= shown
    assert not {("s", "f"), (None, "f")} <= shown or ("n", None) not in shown


def test_persons_who_stand_in_several_groups_are_not_added_up() -> None:
    assert judged(BIG, family(personal=False)).outcome is Outcome.RELEASED
    apart = table_of(BIG)
    fewer = tuple(
        CellRow(keys=row.keys, persons=90, outside=None, measures=(contribution(90),)) for row in apart.branches[1]
    )
    overlapping = CellTable(branches=(apart.branches[0], fewer, *apart.branches[2:]))
    assert assess(Sealed(overlapping), family(personal=False), STRICT).outcome is Outcome.RELEASED


def test_a_table_that_contradicts_itself_is_not_released() -> None:
    apart = table_of(BIG)
    wrong = tuple(
        CellRow(keys=row.keys, persons=500, outside=None, measures=(contribution(500),)) for row in apart.branches[1]
    )
    torn = {**BIG, ("n", "f"): 3}
    cells = CellTable(branches=(table_of(torn).branches[0], wrong, *apart.branches[2:]))
    assessed = assess(Sealed(cells), family(), STRICT)
    assert assessed.released is None
    assert assessed.assessment.findings[-1].code == "disclosure.margins_open"


def test_a_table_with_too_many_cells_is_refused_with_advice() -> None:
    values = {(f"t{place}", sex): 40 for place in range(250) for sex in ("f", "m")}
    assessed = judged(values)
    assert assessed.assessment.findings[-1].code == "disclosure.margins_open"
    assert assessed.assessment.findings[-1].advice


def test_what_was_released_before_is_not_hidden_in_vain() -> None:
    values = {("n", "f"): 9, ("n", "m"): 12, ("n", "x"): 12, ("s", "f"): 70, ("s", "m"): 81, ("s", "x"): 33}
    free = complemented(table_of(values), family(), STRICT, {})
    assert free.hidden
    bound = complemented(table_of(values), family(), STRICT, {}, known=free.hidden)
    assert not bound.hidden & free.hidden
    assert bound.hidden or not bound.protected
