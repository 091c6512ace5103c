from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.disclosure.counts import protect_counts
from asepsis.disclosure.gate import Assessed, Outcome, assess
from asepsis.disclosure.measures import dominated
from asepsis.disclosure.profiles import PROFILES, Concentration, Profile, Rounding, profile_named, strictest
from asepsis.domain.cells import (
    ArithmeticOutput,
    BranchShape,
    CellRow,
    CellTable,
    Comparing,
    ConstantOutput,
    Contribution,
    KeyOutput,
    MeasureKind,
    MeasureOutput,
    MeasureSpec,
    Operator,
    Ordering,
    Relation,
    Shape,
)
from asepsis.domain.finding import Severity
from asepsis.domain.release import CellAction, Released
from asepsis.domain.sealed import Sealed
from asepsis.errors.disclosure import UnknownProfileError, WithheldError

STRICT = profile_named("strict-10")
PERSONS = MeasureSpec(kind=MeasureKind.PERSONS)
PART = MeasureSpec(kind=MeasureKind.PERSONS, partial=True)
MEAN = MeasureSpec(kind=MeasureKind.MEAN)
SUM = MeasureSpec(kind=MeasureKind.SUM)
ROWS = MeasureSpec(kind=MeasureKind.ROWS)


def spread(persons: int, value: float = 50.0) -> Contribution:
    """Equal contributions of one record each."""
    total = persons * value
    top = value if persons else 0.0
    return Contribution(
        persons=persons, rows=persons, total=total, absolute=total, largest=(top, top), squares=total * value
    )


def cell(persons: int, *measures: Contribution, keys: tuple[str, ...] = (), outside: int | None = None) -> CellRow:
    return CellRow(keys=keys, persons=persons, outside=outside, measures=measures)


def judged(
    cells: list[CellRow], *specs: MeasureSpec, profile: Profile = STRICT, keys: int = 0, **shape: object
) -> Assessed:
    outputs = (
        *(KeyOutput(index=place) for place in range(keys)),
        *(MeasureOutput(index=place) for place in range(len(specs))),
    )
    branch = BranchShape(keys=keys, measures=specs, outputs=outputs, having=shape.pop("having", None))  # type: ignore[arg-type]
    whole = Shape(columns=tuple(f"c{place}" for place in range(len(outputs))), branches=(branch,), **shape)  # type: ignore[arg-type]
    return assess(Sealed(CellTable(branches=(tuple(cells),))), whole, profile)


def shown(assessed: Assessed) -> tuple[tuple[object, ...], ...]:
    return assessed.use().rows


@given(st.integers(0, 9))
def test_a_count_below_the_threshold_looks_like_zero(count: int) -> None:
    assert judged([cell(count, Contribution(persons=count))], PERSONS) == judged([cell(0, Contribution())], PERSONS)


def test_nothing_shown_is_a_value_and_its_use_raises() -> None:
    assessed = judged([cell(9, Contribution(persons=9))], PERSONS)
    assert assessed.outcome is Outcome.SUPPRESSED
    assert assessed.assessment.severity is Severity.REFUSE
    with pytest.raises(WithheldError):
        assessed.use()


def test_the_threshold_itself_is_shown_rounded() -> None:
    assessed = judged([cell(12, Contribution(persons=12))], PERSONS)
    assert shown(assessed) == ((10,),)
    assert assessed.use().actions == ((CellAction.ROUNDED,),)


@given(st.lists(st.integers(0, 9), max_size=4), st.lists(st.integers(10, 500), min_size=1, max_size=4))
def test_small_groups_leave_no_trace(small: list[int], large: list[int]) -> None:
    big = [cell(n, Contribution(persons=n), keys=(f"g{place}",)) for place, n in enumerate(large)]
    few = [cell(n, Contribution(persons=n), keys=(f"s{place}",)) for place, n in enumerate(small)]
    assert judged(big + few, PERSONS, keys=1) == judged(big, PERSONS, keys=1)


@given(st.integers(0, 60), st.integers(0, 60))
def test_a_part_is_withheld_when_the_rest_is_small(part: int, rest: int) -> None:
    row = cell(part + rest, Contribution(persons=part + rest), Contribution(persons=part))
    assessed = judged([row], PERSONS, PART)
    if part + rest < 10:
        assert assessed.released is None
    else:
        assert (shown(assessed)[0][1] is not None) == (part >= 10 and rest >= 10)


def test_a_part_with_no_rest_looks_like_a_part_with_a_small_rest() -> None:
    full = judged([cell(100, Contribution(persons=100), Contribution(persons=100))], PERSONS, PART)
    most = judged([cell(100, Contribution(persons=100), Contribution(persons=93))], PERSONS, PART)
    assert full == most


def test_a_total_that_two_persons_dominate_is_withheld() -> None:
    rich = Contribution(persons=20, rows=20, total=1000, absolute=1000, largest=(600, 350))
    assert judged([cell(20, rich)], SUM).released is None
    assert judged([cell(20, rich)], MEAN).released is None
    assert judged([cell(20, spread(20))], SUM).released is not None


def test_records_of_one_person_cannot_make_a_group_large() -> None:
    busy = Contribution(persons=11, rows=1010, total=1010, absolute=1010, largest=(1000, 1))
    assert judged([cell(11, busy)], ROWS).released is None


def test_fewer_providers_or_sites_than_asked_for_are_withheld_and_so_are_unknown_ones() -> None:
    """Guard: ``too_few_affiliations``, for the cell as a whole and for each of its measures."""
    sites = profile_named("strict-10-sites+strict-10-providers")
    assert (sites.minimum_providers, sites.minimum_sites) == (2, 2)

    def at(providers: int | None, places: int | None) -> Contribution:
        return replace(spread(50), providers=providers, sites=places)

    def asked(whole: Contribution, part: Contribution) -> Released | None:
        row = replace(cell(50, part), providers=whole.providers, sites=whole.sites)
        return judged([row], PERSONS, profile=sites).released

    assert asked(at(2, 2), at(2, 2)) is not None
    for few in (at(1, 2), at(2, 1), at(None, 2), at(2, None), at(0, 0)):
        assert asked(few, at(2, 2)) is None
        assert asked(at(2, 2), few) is None
    one, empty = (judged([row], PERSONS, profile=sites) for row in (cell(50, at(1, 1)), cell(0, Contribution())))
    assert one == empty
    assert {"disclosure.providers", "disclosure.sites"} <= {each.code for each in one.assessment.findings}
    assert shown(judged([cell(50, spread(50))], PERSONS)) == ((50,),)


@settings(max_examples=300)
@given(
    st.lists(st.one_of(st.integers(0, 40), st.floats(0, 1e9, allow_subnormal=False)), min_size=1, max_size=12),
    st.integers(1, 5),
    st.sampled_from([0.3, 0.5, 0.75, 0.9]),
    st.data(),
)
def test_any_number_of_persons_is_weighed_exactly(
    values: list[float], persons: int, share: float, data: st.DataObject
) -> None:
    """Against fractions over all subsets: the rule holds iff some ``persons`` of them have more than the share."""
    rule = replace(STRICT, concentrations=(Concentration(persons=persons, share=share),), percent=0.0)
    known = sorted(values, reverse=True)[: max(2, persons)]
    whole = sum(map(Fraction, values))
    if Fraction(float(whole)) != whole:
        whole = Fraction(float(whole))  # what an engine can tell of the total
    subsets = combinations(map(Fraction, values), min(persons, len(values)))
    expected = max(sum(part) for part in subsets) > Fraction(str(share)) * whole
    one = Contribution(persons=len(values), absolute=float(whole), largest=tuple(map(float, known)))
    assert dominated(one, rule) == expected
    if len(values) > 1 and persons > 1:
        fewer = replace(one, largest=one.largest[: data.draw(st.integers(0, min(persons, len(values)) - 1))])
        assert dominated(fewer, rule)  # not known is not enough


@pytest.mark.parametrize("share", [0.5, 0.9, 0.1])
def test_exactly_the_share_is_not_more_than_the_share(share: float) -> None:
    """Guard: whole numbers in ``dominated``: 0.1 * 30 is more than 3 in floating point."""
    rule = replace(STRICT, concentrations=(Concentration(persons=1, share=share),), percent=0.0)
    for total in (30, 70, 10**15, 10**16 + 10):
        part = total * round(share * 10) // 10
        exact = Contribution(persons=20, absolute=total, largest=(part, 0))
        assert not dominated(exact, rule)
        assert dominated(replace(exact, largest=(part + max(1, total // 10**15), 0)), rule)


def test_both_rules_hold_where_neither_follows_from_the_other() -> None:
    joined = profile_named("essnet+strict-10")
    assert joined is PROFILES["essnet"]
    assert {(rule.persons, rule.share) for rule in joined.concentrations} == {(1, 0.5), (2, 0.9)}
    assert joined.needs.largest == 2
    three = replace(STRICT, concentrations=(Concentration(persons=3, share=0.8),))
    assert strictest([three, STRICT]).concentrations == three.concentrations  # (2, 0.9) follows
    assert strictest([three, STRICT]).needs.largest == 3
    rich = Contribution(persons=20, rows=20, total=1000, absolute=1000, largest=(501, 20))
    assert judged([cell(20, rich)], SUM, profile=joined).released is None
    assert judged([cell(20, rich)], SUM).released is not None


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_dominance_is_monotone_in_the_rest(largest: float, second: float, rest: float) -> None:
    second = min(largest, second)
    one = Contribution(largest=(largest, second), absolute=largest + second + rest)
    more = Contribution(largest=(largest, second), absolute=largest + second + rest + 1000)
    assert dominated(one, STRICT) or not dominated(more, STRICT)


def test_a_sum_is_no_more_exact_than_the_count_beside_it() -> None:
    assert shown(judged([cell(12, spread(12, 50))], SUM)) == ((500.0,),)
    assert shown(judged([cell(12, spread(12, 50))], MEAN)) == ((50.0,),)


def test_derived_values_come_from_rounded_parts() -> None:
    ratio = ArithmeticOutput(operator=Operator.DIVIDE, left=MeasureOutput(index=1), right=MeasureOutput(index=0))
    branch = BranchShape(keys=0, measures=(PERSONS, PART), outputs=(ratio,))
    row = cell(101, Contribution(persons=101), Contribution(persons=33))
    shape = Shape(columns=("share",), branches=(branch,))
    assert shown(assess(Sealed(CellTable(branches=((row,),))), shape, STRICT)) == ((35 / 100,),)


def test_order_limit_and_having_see_protected_values_only() -> None:
    rows = [cell(n, Contribution(persons=n), keys=(name,)) for name, n in (("b", 22), ("a", 21), ("c", 40))]
    order = (Ordering(output=MeasureOutput(index=0), descending=True),)
    # 22 and 21 are both 20 after rounding: their true order must not show.
    assert [row[0] for row in shown(judged(rows, PERSONS, keys=1, order=order))] == ["c", "b", "a"]
    assert [row[0] for row in shown(judged(rows[::-1], PERSONS, keys=1, order=order, limit=1))] == ["c"]
    exact = Comparing(relation=Relation.EQUAL, left=MeasureOutput(index=0), right=ConstantOutput(value=21))
    assert judged(rows, PERSONS, keys=1, having=exact).released is None
    rounded = Comparing(relation=Relation.EQUAL, left=MeasureOutput(index=0), right=ConstantOutput(value=20))
    assert len(shown(judged(rows, PERSONS, keys=1, having=rounded))) == 2


def test_what_one_owner_alone_does_not_know_can_be_asked_to_be_large() -> None:
    owners = profile_named("strict-10-owners")
    lone = cell(50, Contribution(persons=50), outside=0)
    few = cell(50, Contribution(persons=50), outside=4)
    assert judged([lone], PERSONS, profile=owners) == judged([few], PERSONS, profile=owners)
    assert judged([lone], PERSONS, profile=owners).released is None
    assert judged([cell(50, Contribution(persons=50), outside=5)], PERSONS, profile=owners).released is not None
    assert judged([cell(50, Contribution(persons=50))], PERSONS, profile=owners).released is not None


def test_a_variance_needs_degrees_of_freedom() -> None:
    spec = MeasureSpec(kind=MeasureKind.DEVIATION)
    values = [float(value) for value in range(11)]
    squares = sum(value * value for value in values)
    enough = Contribution(persons=11, rows=11, total=55, absolute=55, largest=(10, 9), squares=squares)
    assert shown(judged([cell(11, enough)], spec)) == ((3.32,),)
    assert judged([cell(10, spread(10))], spec).released is None


def test_a_quantile_needs_persons_on_both_sides_and_falls_on_its_grid() -> None:
    spec = MeasureSpec(kind=MeasureKind.QUANTILE, resolution=5)
    good = Contribution(persons=40, rows=40, total=51.7, below=20, above=20)
    assert shown(judged([cell(40, good)], spec)) == ((50.0,),)
    thin = Contribution(persons=40, rows=40, total=51.7, below=39, above=9)
    assert judged([cell(40, thin)], spec).released is None


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -float("inf")])
def test_a_value_that_is_no_number_is_withheld(value: float) -> None:
    odd = Contribution(persons=20, rows=20, total=value, absolute=1000, largest=(50, 50))
    assert judged([cell(20, odd)], MEAN).released is None


@given(st.integers(0, 10_000))
def test_rounding_keeps_every_count_in_its_band(count: int) -> None:
    nearest, midpoint = PROFILES["strict-10"], PROFILES["opensafely-mid6"]
    assert nearest.round_count(count) % 5 == 0
    assert abs(nearest.round_count(count) - count) <= 2
    assert midpoint.round_count(count) in ({0} if count == 0 else {count // 6 * 6 + 3, (count - 1) // 6 * 6 + 3})


CONCENTRATION = st.builds(Concentration, persons=st.integers(1, 4), share=st.sampled_from([0.5, 0.75, 0.9]))
PROFILE = st.builds(
    Profile, name=st.sampled_from("ab"), version=st.just(1), threshold=st.integers(5, 20),
    rounding=st.sampled_from(Rounding), base=st.integers(5, 10),
    concentrations=st.lists(CONCENTRATION, max_size=1).map(tuple), percent=st.floats(0, 0.3),
    digits=st.integers(2, 4), freedom=st.integers(5, 15), outside=st.integers(0, 5),
    minimum_providers=st.integers(0, 3), minimum_sites=st.integers(0, 3),
)  # fmt: skip


@given(PROFILE, PROFILE)
def test_the_strictest_profile_is_no_milder_than_any_of_them(left: Profile, right: Profile) -> None:
    merged = strictest([left, right])
    for side in (left, right):
        assert merged.threshold >= side.threshold
        assert merged.base >= side.base
        assert all(any(one.implies(rule) for one in merged.concentrations) for rule in side.concentrations)
        assert merged.minimum_providers >= side.minimum_providers
        assert merged.minimum_sites >= side.minimum_sites
        assert merged.percent >= side.percent
        assert merged.digits <= side.digits
        assert merged.freedom >= side.freedom
        assert merged.outside >= side.outside
    assert strictest([left]) is left
    assert strictest([left, left]) == left


def test_the_strictest_rules_of_all_owners_hold_where_their_profiles_are_joined() -> None:
    joined = profile_named("strict-10-owners+cms-11+opensafely-mid6")
    assert (joined.threshold, joined.base, joined.rounding, joined.outside) == (11, 6, Rounding.MIDPOINT, 5)
    assert joined == profile_named("opensafely-mid6+cms-11+strict-10-owners")
    assert joined.digest not in {profile.digest for profile in PROFILES.values()}
    assert profile_named("strict-10+strict-10") is STRICT
    assert judged([cell(10, Contribution(persons=10))], PERSONS, profile=joined).released is None
    for name in ("strict-10+", "+", "strict-10+weak-1", ""):
        with pytest.raises(UnknownProfileError):
            profile_named(name)


def test_profiles_have_names_and_digests_of_their_own() -> None:
    assert len({profile.digest for profile in PROFILES.values()}) == len(PROFILES)
    assert STRICT.label.startswith("strict-10@1:")
    with pytest.raises(UnknownProfileError):
        profile_named("weak-1")


def test_named_counts_below_the_threshold_look_like_zero() -> None:
    small, _ = protect_counts(Sealed({"linked": 90, "unsure": 3}), profile="strict-10")
    none, _ = protect_counts(Sealed({"linked": 90, "unsure": 0}), profile="strict-10")
    assert small == none
    assert small.rows == (("linked", 90), ("unsure", None))


def test_a_list_of_groups_without_any_measure_keeps_the_threshold() -> None:
    assert judged([cell(9, keys=("rare",))], keys=1).released is None
    assert shown(judged([cell(9, keys=("rare",)), cell(10, keys=("common",))], keys=1)) == (("common",),)
