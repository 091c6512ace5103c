"""Drawing review lists: what being on a list, or not, can say of one person."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.domain.review_list import ReviewPool
from asepsis.linkage.review_draw import MOST_SHARE, RATIO, chances, draw

SECRET = bytes(range(32))
persons = st.frozensets(st.integers(min_value=0, max_value=2**63 - 1), min_size=1, max_size=12)


def pool(everybody: frozenset[int], unsure: frozenset[int] = frozenset()) -> ReviewPool:
    return ReviewPool(persons=tuple(everybody), unsure=unsure)


@given(st.integers(min_value=0, max_value=10**7), st.integers(min_value=1, max_value=1000))
def test_a_list_moves_no_belief_by_more_than_three_bits_up_and_one_bit_down(everybody: int, about: int) -> None:
    unsure, anybody = chances(everybody, about=about)
    assert anybody > 0
    assert unsure / anybody == pytest.approx(RATIO)
    assert RATIO == 2**3
    assert (1 - unsure) / (1 - anybody) >= 1 / 2
    assert unsure <= MOST_SHARE


@given(persons, st.data(), st.binary(min_size=16, max_size=64))
def test_one_person_more_that_a_link_is_unsure_of_changes_nothing_for_anybody_else(
    everybody: frozenset[int], data: st.DataObject, secret: bytes
) -> None:
    unsure = data.draw(st.frozensets(st.sampled_from(sorted(everybody))))
    one = data.draw(st.sampled_from(sorted(everybody)))
    without = set(draw(pool(everybody, unsure - {one}), about=3, secret=secret))
    including = set(draw(pool(everybody, unsure | {one}), about=3, secret=secret))
    assert without <= including <= without | {one}


@given(persons, st.binary(min_size=16, max_size=64))
def test_a_list_has_persons_of_its_owner_alone_and_the_same_secret_draws_the_same(
    everybody: frozenset[int], secret: bytes
) -> None:
    strangers = frozenset(person + 2**63 for person in everybody)
    known = ReviewPool(persons=tuple(sorted(everybody)), unsure=strangers)
    drawn = draw(known, about=1000, secret=secret)
    assert set(drawn) <= everybody
    assert list(drawn) == sorted(drawn)
    assert drawn == draw(pool(everybody, strangers), about=1000, secret=secret)


def test_as_many_are_drawn_as_was_agreed_and_others_by_another_secret() -> None:
    everybody = frozenset(range(20_000))
    unsure = frozenset(range(0, 20_000, 100))
    drawn = set(draw(pool(everybody, unsure), about=500, secret=SECRET))
    assert 400 <= len(drawn - unsure) <= 600
    assert 20 <= len(drawn & unsure) <= 60, "an eighth of chance is one in forty, so that of unsure ones is one in five"
    again = set(draw(pool(everybody, unsure), about=500, secret=SECRET[::-1]))
    assert len(drawn & again) < len(drawn) / 4
