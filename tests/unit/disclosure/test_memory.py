from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.disclosure.audit import Bounded, audit
from asepsis.disclosure.contributors import WHOLE, Contributors, Population
from asepsis.disclosure.gate import Assessed
from asepsis.disclosure.memory import BLUR, Answered, Candidate, Memory, Shown, held
from asepsis.disclosure.memory_bytes import digest, from_bytes, to_bytes
from asepsis.disclosure.people import People, people
from asepsis.disclosure.profiles import PROFILES, profile_named
from asepsis.disclosure.quotas import FULL, QUOTA, Asked, exceeded
from asepsis.disclosure.releasing import Asking, Behind, assess_method, assess_with_memory, recall
from asepsis.domain.cells import (
    BranchShape,
    CellRow,
    CellTable,
    Contribution,
    KeyOutput,
    MeasureKind,
    MeasureOutput,
    MeasureSpec,
    Shape,
)
from asepsis.domain.finding import Assessment
from asepsis.domain.quotas import Quotas
from asepsis.domain.release import CellAction, Released
from asepsis.domain.sealed import Sealed
from asepsis.errors.disclosure import MemoryMalformedError

STRICT = profile_named("strict-10")
INFINITE = float("inf")


def group(places: Any) -> People:
    return people(np.array(sorted(places), np.uint32))


def shown(identity: str, places: Any, *, counted: bool = True) -> Shown:
    persons = group(places)
    low, high = STRICT.bounds(STRICT.round_count(persons.size))
    return Shown(identity=identity, persons=persons, low=low if counted else 10, high=high if counted else INFINITE)


def candidate(one: Shown, *, table: int = 0, plain: bool = True, effect: int | None = None) -> Candidate:
    return Candidate(shown=one, table=table, plain=plain, effect=effect)


def memory(*earlier: Shown, key: int = 0) -> Memory:
    return Memory(key=key.to_bytes(32), tokens=np.arange(2_000, dtype=np.uint64), shown=earlier)


def judged(new: list[Candidate], remembered: Memory) -> frozenset[int]:
    return held(new, remembered, threshold=10, width=4)


PLACES = st.sets(st.integers(0, 700), max_size=300)


@given(PLACES, PLACES)
def test_sets_of_persons_count_like_sets(left: set[int], right: set[int]) -> None:
    one, other = group(left), group(right)
    assert one.common(other) == len(left & right)
    assert one.apart(other) == len(left ^ right)
    assert set(one.listed().tolist()) == left


@pytest.mark.parametrize("difference", range(10))
@pytest.mark.parametrize("side", ["fewer", "more"])
def test_a_cell_that_differs_by_a_few_persons_or_by_nobody_is_held(difference: int, side: str) -> None:
    base = set(range(300))
    other = set(range(difference, 300)) if side == "fewer" else set(range(300 + difference))
    assert judged([candidate(shown("b", other))], memory(shown("a", base))) == {0}


@pytest.mark.parametrize("difference", [10 + BLUR, 40, 250])
def test_a_cell_that_differs_by_many_is_let_out(difference: int) -> None:
    assert judged([candidate(shown("b", range(difference, 300)))], memory(shown("a", range(300)))) == frozenset()


def test_a_difference_made_of_both_sides_counts_as_a_whole() -> None:
    assert judged([candidate(shown("b", range(4, 304)))], memory(shown("a", range(300)))) == {0}
    assert judged([candidate(shown("b", range(8, 308)))], memory(shown("a", range(300)))) == frozenset()


def test_the_same_cell_again_is_free_unless_it_is_more_exact_and_close_to_another() -> None:
    assert (
        judged([candidate(shown("a", range(300)))], memory(shown("a", range(300)), shown("b", range(305))))
        == frozenset()
    )
    uncounted = memory(shown("a", range(300), counted=False), shown("b", range(305)))
    assert judged([candidate(shown("a", range(300)))], uncounted) == {0}


def test_the_same_cell_of_other_persons_is_no_equal_cell() -> None:
    assert judged([candidate(shown("a", range(301)))], memory(shown("a", range(300)))) == {0}


def test_cells_of_one_table_may_overlap_by_chance_but_composed_ones_may_not() -> None:
    near = [shown("a", range(300)), shown("b", range(1, 300))]
    assert judged([candidate(one) for one in near], memory()) == frozenset()
    assert judged([candidate(one, plain=False) for one in near], memory()) == {1}
    assert judged([candidate(near[0]), candidate(near[1], table=1)], memory()) == {1}


@pytest.mark.parametrize("effect", [*range(10), 10 + BLUR])
def test_a_condition_that_matters_for_a_few_or_for_nobody_holds_the_cell(effect: int) -> None:
    assert judged([candidate(shown("a", range(300)), effect=effect)], memory()) == (frozenset() if effect > 9 else {0})


def test_the_blur_is_secret_stable_and_reaches_its_ends() -> None:
    limits = [memory(key=key).blurred(10, "a", "b") for key in range(200)]
    assert set(limits) == set(range(10, 11 + BLUR))
    assert limits == [memory(key=key).blurred(10, "b", "a") for key in range(200)]


def test_three_counts_that_together_single_a_person_out_are_held_by_the_linear_programs() -> None:
    """Exact counts: everybody, the men or the target, the women or the target. No pair of them is close."""
    exact = lambda places: Bounded(persons=group(places), low=len(places), high=len(places))  # noqa: E731
    cells = [exact(range(200)), exact(range(101)), exact(range(100, 200))]
    assert audit(cells, least=10, width=4).narrow == {1, 2} | {0}
    rounded = [shown(str(place), one.persons.listed().tolist()) for place, one in enumerate(cells)]
    loose = [Bounded(persons=one.persons, low=one.low, high=one.high) for one in rounded]
    assert audit(loose, least=10, width=4).narrow == frozenset()


def test_bounds_from_many_pairs_narrow_and_the_new_cells_are_held() -> None:
    tight = [
        dataclasses.replace(shown(str(place), places), low=len(places), high=len(places))
        for place, places in enumerate([range(200), range(101)])
    ]
    last = dataclasses.replace(shown("new", range(100, 200)), low=100, high=100)
    assert judged([candidate(last)], memory(*tight)) == {0}


def test_an_audit_without_time_holds_what_it_could_not_look_at() -> None:
    exact = lambda places: Bounded(persons=group(places), low=len(places), high=len(places))  # noqa: E731
    assert not audit([exact(range(200)), exact(range(101))], least=102, width=4, seconds=0.0).finished


@settings(max_examples=60)
@given(st.lists(st.sets(st.integers(0, 60), min_size=11), min_size=2, max_size=5))
def test_the_truth_is_within_all_bounds_and_narrow_classes_are_really_narrow(sets: list[set[int]]) -> None:
    """Against a plain solver: every disclosed cell holds a class that no two states of affairs tell apart widely."""
    cells = [Bounded(persons=group(one), low=len(one), high=len(one)) for one in sets]
    found = audit(cells, least=10, width=4)
    assert found.finished
    classes: dict[int, int] = {}
    for person in set().union(*sets):
        signature = sum(1 << place for place, one in enumerate(sets) if person in one)
        classes[signature] = classes.get(signature, 0) + 1
    signatures = sorted(classes)
    matrix = np.array([[signature >> place & 1 for signature in signatures] for place in range(len(sets))], float)
    rank = np.linalg.matrix_rank(matrix)
    fixed = {
        place
        for column, signature in enumerate(signatures)
        if classes[signature] < 10 and np.linalg.matrix_rank(np.delete(matrix, column, 1)) == rank - 1
        for place in range(len(sets))
        if signature >> place & 1
    }
    assert fixed <= found.narrow


def test_bounds_are_those_of_the_rounding() -> None:
    for profile in PROFILES.values():
        for count in range(profile.threshold, 200):
            low, high = profile.bounds(profile.round_count(count))
            assert low <= count <= high
            same = all(profile.round_count(other) == profile.round_count(count) for other in range(low, high + 1))
            assert same or profile.noise
            assert high - low <= profile.width
            assert low == profile.threshold or profile.round_count(low - 1) != profile.round_count(count)


def full() -> Memory:
    answer = Answered(question="q", assessment={"profile": "p", "findings": []}, released=None)
    asked = Asked(question="q", author="alice", skeleton="s", cells=2)
    remembered = memory(shown("a", range(300)), shown("b", range(0, 1500, 70), counted=False), key=7)
    return dataclasses.replace(remembered, asked=(asked,), answers=(answer,))


def test_a_memory_has_one_form_and_is_read_back_whole() -> None:
    data = to_bytes(full())
    again = from_bytes(data)
    assert to_bytes(again) == data
    assert digest(again) == digest(full())
    assert again.asked == full().asked
    assert again.answers == full().answers
    assert [one.persons.listed().tolist() for one in again.shown] == [
        one.persons.listed().tolist() for one in full().shown
    ]
    assert [(one.low, one.high) for one in again.shown] == [(one.low, one.high) for one in full().shown]


@given(st.integers(0, len(to_bytes(full())) - 1), st.integers(1, 255))
def test_a_damaged_memory_is_refused_or_is_another_memory(place: int, change: int) -> None:
    data = bytearray(to_bytes(full()))
    data[place] ^= change
    try:
        read = from_bytes(bytes(data))
    except MemoryMalformedError:
        return
    assert digest(read) != digest(full())


@pytest.mark.parametrize(
    "data",
    [b"", b"asepsis-memory-2\n", to_bytes(full())[:-1], to_bytes(full()) + b"\0", b"asepsis-memory-1\n" + b"\xff" * 16],
)
def test_what_is_no_memory_is_refused(data: bytes) -> None:
    with pytest.raises(MemoryMalformedError):
        from_bytes(data)


def test_persons_keep_their_places_and_new_ones_follow() -> None:
    first, places = Memory(key=bytes(32)).numbered(np.array([50, 40, 2**63 + 1], np.uint64))
    assert places.tolist() == [0, 1, 2]
    second, again = first.numbered(np.array([40, 7, 50], np.uint64))
    assert again.tolist() == [1, 3, 0]
    assert second.tokens.tolist() == [50, 40, 2**63 + 1, 7]


def test_quotas_count_cells_and_variants_of_one_and_of_all() -> None:
    asked = [Asked(question=str(number), author=author, skeleton="s", cells=3) for number, author in enumerate("aab")]
    check = lambda **limits: exceeded(asked, author="a", skeleton="s", quotas=Quotas(**limits))  # noqa: E731
    assert not check()
    assert not check(cells_of_one=7, cells_of_all=10, variants_of_one=3, variants_of_all=4)
    assert check(cells_of_one=6)
    assert check(cells_of_all=9)
    assert check(variants_of_one=2)
    assert check(variants_of_all=3)
    assert not exceeded(asked, author="a", skeleton="other", quotas=Quotas(variants_of_one=1, variants_of_all=1))


SHAPE = Shape(
    columns=("g", "n"),
    branches=(
        BranchShape(
            keys=1,
            measures=(MeasureSpec(kind=MeasureKind.PERSONS),),
            outputs=(KeyOutput(index=0), MeasureOutput(index=0)),
        ),
    ),
)


def table(**groups: Any) -> tuple[Sealed[CellTable], Sealed[Contributors]]:
    rows = tuple(
        CellRow(keys=(key,), persons=len(places), outside=None, measures=(Contribution(persons=len(places)),))
        for key, places in groups.items()
    )
    populations = tuple(
        Population(branch=0, keys=(key,), measures=(0,), places=np.array(places, np.uint32), identity=key, plain=True)
        for key, places in groups.items()
    )
    behind = Contributors(tokens=np.arange(1_000, dtype=np.uint64), populations=populations, skeleton="s")
    return Sealed(CellTable(branches=(rows,))), Sealed(behind)


def asking(question: str = "q", **changes: Any) -> Asking:
    return Asking(author="alice", question=question, data="d", **changes)


def test_a_held_cell_leaves_no_trace_in_a_table() -> None:
    first = table(north=range(200))
    _, remembered = assess_with_memory(*first, SHAPE, STRICT, memory=memory(), asking=asking())
    held_back, _ = assess_with_memory(
        *table(east=range(400, 500), west=range(1, 200)), SHAPE, STRICT, memory=remembered, asking=asking("r")
    )
    absent, _ = assess_with_memory(*table(east=range(400, 500)), SHAPE, STRICT, memory=remembered, asking=asking("r"))
    assert held_back == absent
    assert held_back.use().rows == (("east", 100),)


def test_an_equal_question_gets_the_stored_answer_and_changes_nothing() -> None:
    first, remembered = assess_with_memory(*table(north=range(200)), SHAPE, STRICT, memory=memory(), asking=asking())
    again, after = assess_with_memory(
        *table(north=range(100)), SHAPE, STRICT, memory=from_bytes(to_bytes(remembered)), asking=asking()
    )
    assert again == first
    assert to_bytes(after) == to_bytes(remembered)
    assert recall(remembered, "q") == first
    assert recall(remembered, "other") is None


def test_cells_of_other_snapshots_are_other_cells() -> None:
    _, remembered = assess_with_memory(*table(north=range(200)), SHAPE, STRICT, memory=memory(), asking=asking())
    for places in (range(200), range(201)):
        later = dataclasses.replace(asking("r"), data="e")
        assessed, _ = assess_with_memory(*table(north=places), SHAPE, STRICT, memory=remembered, asking=later)
        assert assessed.released is None


def test_a_list_of_groups_is_remembered_too() -> None:
    shape = Shape(columns=("g",), branches=(BranchShape(keys=1, measures=(), outputs=(KeyOutput(index=0),)),))
    cells = Sealed(CellTable(branches=((CellRow(keys=("a",), persons=50, outside=None, measures=()),),)))
    population = Population(
        branch=0, keys=("a",), measures=(WHOLE,), places=np.arange(50, dtype=np.uint32), identity="i", plain=True
    )
    behind = Sealed(Contributors(tokens=np.arange(60, dtype=np.uint64), populations=(population,), skeleton="s"))
    assessed, remembered = assess_with_memory(cells, behind, shape, STRICT, memory=memory(), asking=asking())
    assert assessed.use().rows == (("a",),)
    assert [one.counted for one in remembered.shown] == [False]
    near = dataclasses.replace(population, identity="j", places=np.arange(51, dtype=np.uint32))
    other = Sealed(Contributors(tokens=np.arange(60, dtype=np.uint64), populations=(near,), skeleton="s"))
    assert assess_with_memory(cells, other, shape, STRICT, memory=remembered, asking=asking("r"))[0].released is None


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 120), st.integers(10, 200)), min_size=1, max_size=12), st.integers(0, 50))
def test_no_two_shown_cells_differ_by_fewer_than_the_threshold(ranges: list[tuple[int, int]], key: int) -> None:
    remembered = memory(key=key)
    for number, (start, length) in enumerate(ranges):
        one = table(g=range(start, start + length))
        population = dataclasses.replace(one[1].unseal().populations[0], identity=f"i{number}")
        behind = Sealed(dataclasses.replace(one[1].unseal(), populations=(population,)))
        _, remembered = assess_with_memory(one[0], behind, SHAPE, STRICT, memory=remembered, asking=asking(str(number)))
    for place, left in enumerate(remembered.shown):
        for right in remembered.shown[:place]:
            assert left.persons.apart(right.persons) >= 10


def persons_behind(*, sites: int | None = None, **persons: Iterable[int]) -> Behind:
    """The persons behind strata; those without a key are behind the whole."""
    populations = tuple(
        Population(
            branch=0,
            keys=() if name == "all" else (name,),
            measures=(0,),
            places=np.array(sorted(who), np.uint32),
            identity=f"id-{name}",
            plain=True,
        )
        for name, who in persons.items()
    )
    cells = tuple(
        CellRow(keys=one.keys, persons=len(one.places), outside=None, measures=(), sites=sites) for one in populations
    )
    contributors = Contributors(tokens=np.arange(300, dtype=np.uint64), populations=populations, skeleton="s")
    return Sealed(CellTable(branches=(cells,))), Sealed(contributors)


F_AND_M: dict[str, Iterable[int]] = {"f": range(20), "m": range(30, 55)}


def counted(
    remembered: Memory, question: str, *, behind: Mapping[str, Iterable[int]] = F_AND_M, **asking: Any
) -> tuple[Assessed, Memory, int]:
    """A method's release with one row for each stratum, and how often it was computed."""
    computed: list[None] = []

    def compute() -> tuple[Assessed, Behind]:
        computed.append(None)
        rows = tuple((name, 20) for name in behind)
        actions = ((CellAction.SHOWN, CellAction.ROUNDED),) * len(rows)
        released = Released(columns=("stratum", "n"), rows=rows, actions=actions, notes=())
        judged = Assessed(released=released, assessment=Assessment(profile=STRICT.label, findings=()))
        return judged, persons_behind(**behind)

    how = Asking(author="a", question=question, data="d", **asking)
    assessed, after = assess_method(compute, STRICT, memory=remembered, asking=how, skeleton="curve")
    return assessed, after, len(computed)


def strata(assessed: Assessed) -> list[object]:
    return [] if assessed.released is None else [row[0] for row in assessed.released.rows]


@pytest.mark.parametrize("more", [0, 1, 5, 9])
def test_a_curve_of_nearly_the_persons_of_a_released_cell_is_held_and_the_other_way_round(more: int) -> None:
    """Guard: ``held`` in ``assess_method``, and its strata in the memory; whether one differs or nobody is the same."""
    cell = table(g=range(40 + more))
    assessed, after = assess_with_memory(*cell, SHAPE, STRICT, memory=memory(), asking=asking("q"))
    assert assessed.released is not None
    held_back, _, _ = counted(after, "curve", behind={"all": range(40)})
    _, after, _ = counted(memory(), "curve", behind={"all": range(40)})
    assert len(after.shown) == 1
    assert assess_with_memory(*cell, SHAPE, STRICT, memory=after, asking=asking("q"))[0].released is None
    none, _, _ = counted(memory(), "curve", behind={})
    assert held_back == none  # as if there were no such curve


def test_one_stratum_is_held_and_the_others_are_shown() -> None:
    _, after, _ = counted(memory(), "q1", behind={"f": range(40)})
    other, after, _ = counted(after, "q2", behind={"g": range(41), "m": range(100, 140)})
    assert strata(other) == ["m"]
    assert [one.persons.size for one in after.shown] == [40, 40]


def test_two_curves_that_differ_by_few_persons_are_not_both_shown() -> None:
    """As two lists of diagnoses would be of which one adds a rare disease; the complement of an arm as well."""
    _, after, _ = counted(memory(), "q1", behind={"all": range(60)})
    assert strata(counted(after, "q2", behind={"everybody": range(63)})[0]) == []
    assert strata(counted(after, "q3", behind={"f": range(55)})[0]) == []  # the others are five


def test_the_same_persons_by_logic_are_shown_again() -> None:
    """Another grid of days over the same curve is a new question about nobody else."""
    _, after, _ = counted(memory(), "q1")
    again, after, _ = counted(after, "q2")
    assert strata(again) == ["f", "m"]
    assert len(after.shown) == 2


def test_a_stratum_of_which_the_persons_are_unknown_stays_inside() -> None:
    """Guard: fail closed in ``_strata``."""

    def compute() -> tuple[Assessed, Behind]:
        released = Released(
            columns=("stratum", "n"), rows=(("x", 20),), actions=((CellAction.SHOWN, CellAction.ROUNDED),), notes=()
        )
        judged = Assessed(released=released, assessment=Assessment(profile=STRICT.label, findings=()))
        return judged, persons_behind(f=range(40))

    assert strata(assess_method(compute, STRICT, memory=memory(), asking=asking("q"), skeleton="curve")[0]) == []


def test_a_method_counts_against_the_quotas_and_is_computed_once_for_equal_questions() -> None:
    first, after, computed = counted(memory(), "q1")
    assert (computed, [(one.skeleton, one.cells) for one in after.asked]) == (1, [("curve", 2)])
    again, same, computed = counted(from_bytes(to_bytes(after)), "q1")
    assert (again, computed, to_bytes(same)) == (first, 0, to_bytes(after))
    refused, unchanged, computed = counted(after, "q2", quotas=Quotas(variants_of_one=1))
    assert (refused.released, refused.assessment.findings, unchanged, computed) == (None, (QUOTA,), after, 0)
    refused, unchanged, _ = counted(after, "q2", quotas=Quotas(cells_of_all=2))
    assert (refused.released, unchanged) == (None, after)


def test_what_the_memory_has_no_room_for_is_not_released() -> None:
    """Guard: ``_bounded``: nothing leaves that the next question would not be compared with."""
    before = memory()
    refused, after, _ = counted(before, "q1", most_bytes=len(to_bytes(before)))
    assert (refused.released, refused.assessment.findings, after) == (None, (FULL,), before)
    released, after, _ = counted(before, "q1", most_bytes=len(to_bytes(before)) + 2_000)
    assert released.released is not None
    assert after is not before


@pytest.mark.parametrize(("sites", "shown"), [(None, []), (1, []), (2, ["f"])])
def test_a_curve_of_one_site_stays_inside_where_the_profile_asks_for_two(sites: int | None, shown: list[str]) -> None:
    """Guard: ``_enough`` in ``assess_method``."""

    def compute() -> tuple[Assessed, Behind]:
        actions = ((CellAction.SHOWN, CellAction.ROUNDED),)
        released = Released(columns=("stratum", "n"), rows=(("f", 20),), actions=actions, notes=())
        judged = Assessed(released=released, assessment=Assessment(profile=STRICT.label, findings=()))
        return judged, persons_behind(sites=sites, f=range(40))

    profile = dataclasses.replace(STRICT, minimum_sites=2)
    assessed, _ = assess_method(compute, profile, memory=memory(), asking=asking("q"), skeleton="curve")
    assert strata(assessed) == shown
