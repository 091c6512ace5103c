"""Conflict rules and clustering on traits alone."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.domain.linkage import Conflict, Grade
from asepsis.linkage.cluster import Clusters, Member, Pair, cluster
from asepsis.linkage.conflicts import conflict
from asepsis.linkage.estimate import Evidence, estimate
from asepsis.linkage.rules import RULES
from asepsis.linkage.traits import Traits, within_one_edit

ANNA = Traits(
    national_id="999501766",
    families=frozenset({"littel"}),
    given="anna",
    given_every="anna",
    given_canonical="anna",
    birth="770821",
    birth_swapped=None,
    year="1977",
    sex="F",
    address="7 marvin",
)
TWIN = replace(ANNA, given="maria", given_every="maria", given_canonical="maria", national_id=None)
GRADES = [Grade.STRONG, Grade.FAIR, Grade.LOOSE]


def test_twins_conflict() -> None:
    assert conflict(ANNA, TWIN) is Conflict.TWINS


def test_twins_conflict_even_with_a_shared_id_at_one_address() -> None:
    assert conflict(ANNA, replace(TWIN, national_id=ANNA.national_id)) is Conflict.TWINS


def test_different_ids_and_birth_dates_conflict() -> None:
    assert conflict(ANNA, replace(ANNA, national_id="123995501", birth="810102")) is Conflict.IDS_AND_BIRTH


def test_different_birth_dates_conflict_without_an_id() -> None:
    assert conflict(ANNA, replace(ANNA, national_id=None, birth="810102")) is Conflict.BIRTH


def test_an_equal_id_and_name_outweigh_a_wrong_birth_date() -> None:
    assert conflict(ANNA, replace(ANNA, birth="810102")) is None


def test_a_hundred_years_are_a_different_birth_date() -> None:
    assert conflict(ANNA, replace(ANNA, national_id=None, year="1877")) is None  # one digit: may be mistyped
    assert conflict(ANNA, replace(ANNA, national_id=None, year="2077")) is Conflict.BIRTH
    assert conflict(ANNA, replace(ANNA, national_id=None, year=None)) is None


def test_different_sex_and_given_name_conflict() -> None:
    other = replace(TWIN, sex="M", families=frozenset({"west"}))
    assert conflict(ANNA, other) is Conflict.SEX_AND_GIVEN
    assert conflict(ANNA, replace(ANNA, sex="M")) is None


@pytest.mark.parametrize("given_name", ["a", "ann", "annna", "anna maria"])
def test_initials_beginnings_and_typing_errors_are_no_conflict(given_name: str) -> None:
    first = given_name.split(maxsplit=1)[0]
    assert conflict(ANNA, replace(ANNA, given=first, given_every=given_name, given_canonical=first)) is None


@given(
    st.sampled_from([ANNA, TWIN]),
    st.builds(
        Traits,
        national_id=st.sampled_from([None, "999501766", "123995501"]),
        families=st.sampled_from([frozenset(), frozenset({"littel"})]),
        given=st.sampled_from([None, "anna", "maria", "m"]),
        birth=st.sampled_from([None, "770821", "810102", "780821"]),
        year=st.sampled_from([None, "1977", "1981"]),
        sex=st.sampled_from([None, "F", "M"]),
        address=st.sampled_from([None, "7 marvin", "9 main"]),
    ),
)
def test_conflict_is_symmetrical(left: Traits, right: Traits) -> None:
    assert conflict(left, right) == conflict(right, left)


@given(st.text("abc", max_size=6), st.integers(0, 6), st.sampled_from("abc"))
def test_one_edit_is_within_one_edit(text: str, at: int, sign: str) -> None:
    assert within_one_edit(text, text[:at] + sign + text[at:])
    assert within_one_edit(text[:at] + sign + text[at:], text)
    assert within_one_edit(text, text[:at] + sign + text[at + 1 :])
    swapped = text[:at] + text[at : at + 2][::-1] + text[at + 2 :]
    assert within_one_edit(text, swapped)


def test_two_edits_are_not() -> None:
    assert not within_one_edit("abcd", "badc")
    assert not within_one_edit("abcd", "abcdef")
    assert not within_one_edit("abcd", "xbcy")


def members(*traits: tuple[int, Traits]) -> dict[int, Member]:
    return {
        node: Member(owner=owner, order=node.to_bytes(2, "big"), traits=(trait,))
        for node, (owner, trait) in enumerate(traits)
    }


def run(table: dict[int, Member], *pairs: tuple[int, int, int]) -> Clusters:
    return cluster(table, [Pair(left=a, right=b, rules=1 << rule) for a, b, rule in pairs], grades=GRADES)


def test_a_chain_never_ties_two_persons_together() -> None:
    bridge = Traits(families=frozenset({"littel"}), birth="770821")
    done = run(members((0, ANNA), (1, bridge), (2, TWIN)), (0, 1, 0), (1, 2, 0))
    assert done.find(0) == done.find(1) != done.find(2)
    assert list(done.refused.values()) == [Conflict.TWINS]


def test_records_of_one_owner_meet_through_strong_rules_only() -> None:
    table = members((0, ANNA), (0, ANNA), (1, ANNA), (2, ANNA))
    weak = run(table, (0, 2, 1), (2, 3, 1), (3, 1, 1))
    assert weak.find(0) != weak.find(1)
    assert Conflict.SAME_OWNER in weak.refused.values()
    strong = run(table, (0, 1, 0), (0, 2, 1))
    assert strong.find(0) == strong.find(1) == strong.find(2)


def test_a_tie_between_two_partners_is_left_open_and_counted() -> None:
    done = run(members((0, ANNA), (1, ANNA), (1, ANNA)), (0, 1, 1), (0, 2, 1))
    assert len({done.find(node) for node in range(3)}) == 3
    assert done.ambiguous == [0, 2, 0]


def test_a_tie_is_resolved_by_a_later_rule_that_knows_more() -> None:
    done = run(members((0, ANNA), (1, ANNA), (1, ANNA)), (0, 1, 1), (0, 2, 1), (0, 2, 2))
    assert done.find(0) == done.find(2) != done.find(1)


@given(st.permutations(list(itertools.combinations(range(6), 2))), st.randoms(use_true_random=False))
def test_the_order_of_pairs_does_not_change_the_partition(order: list[tuple[int, int]], chance: object) -> None:
    bridge = replace(ANNA, given=None, given_canonical=None, given_every=None)
    table = members((0, ANNA), (1, bridge), (2, TWIN), (0, bridge), (1, ANNA), (2, bridge))
    expected = run(table, *[(a, b, (a + b) % 3) for a, b in sorted(order)])
    done = run(table, *[(b, a, (a + b) % 3) for a, b in order])
    assert partition(done) == partition(expected)


def partition(done: Clusters) -> set[frozenset[int]]:
    return {frozenset(done.of(node)) for node in range(6)}


def test_rules_are_named_once_and_the_strong_ones_come_first() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    order = [Grade.STRONG, Grade.FAIR, Grade.LOOSE]
    assert [rule.grade for rule in RULES] == sorted((rule.grade for rule in RULES), key=order.index)
    assert all(rule.reasoning for rule in RULES)


def test_an_estimate_needs_witnesses() -> None:
    few = Evidence(
        ids_agree=5,
        ids_differ=0,
        ids_silent=5,
        judged=19,
        judged_alike=19,
        silver=19,
        silver_found=19,
        silver_linked=19,
    )
    assert estimate(few, chance=0.0).precision is None
    assert estimate(few, chance=0.0).recall is None


def test_an_estimate_weighs_silent_pairs_by_their_witnesses() -> None:
    many = Evidence(
        ids_agree=80,
        ids_differ=0,
        ids_silent=20,
        judged=100,
        judged_alike=90,
        silver=90,
        silver_found=72,
        silver_linked=90,
    )
    result = estimate(many, chance=0.0)
    assert result.precision == pytest.approx(0.98)
    assert result.recall == pytest.approx((90 + 18) / (90 + 18 / 0.8))
