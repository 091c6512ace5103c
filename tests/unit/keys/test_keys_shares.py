"""Recovery shares: enough make the key whole, fewer say nothing, wrong ones are refused."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.errors.keys import SharesRefused
from asepsis.keys.shares import _inverse, _times, restore, split

KEY = bytes(range(32))


@settings(max_examples=40)
@given(secret=st.binary(min_size=1, max_size=40), needed=st.integers(2, 4), more=st.integers(0, 3))
def test_any_enough_shares_make_the_key_whole(secret: bytes, needed: int, more: int) -> None:
    shares = split(secret, shares=needed + more, needed=needed, randomness=secrets.token_bytes)
    for chosen in combinations(shares, needed):
        assert restore(chosen) == secret
    assert restore(shares[::-1]) == secret


def test_two_of_three() -> None:
    one, two, three = split(KEY, shares=3, needed=2, randomness=secrets.token_bytes)
    assert restore([three, one]) == restore([two, three]) == KEY
    for alone in (one, two, three):
        with pytest.raises(SharesRefused):
            restore([alone])
        assert alone.share != KEY


def test_one_share_is_as_likely_for_every_key() -> None:
    """Over all random coefficients, a share of any key takes every value once: it says nothing."""
    for secret in (b"\x00", b"\x5a", b"\xff"):
        values = Counter(
            split(secret, shares=3, needed=2, randomness=lambda _, byte=byte: bytes([byte]))[1].share  # type: ignore[misc]
            for byte in range(256)
        )
        assert set(values.values()) == {1}
        assert len(values) == 256


@given(place=st.integers(0, 31), bit=st.integers(0, 7))
def test_a_changed_share_is_refused(place: int, bit: int) -> None:
    one, two, _ = split(KEY, shares=3, needed=2, randomness=secrets.token_bytes)
    changed = bytearray(one.share)
    changed[place] ^= 1 << bit
    with pytest.raises(SharesRefused):
        restore([replace(one, share=bytes(changed)), two])


def test_shares_that_do_not_belong_together_are_refused() -> None:
    one, two, _ = split(KEY, shares=3, needed=2, randomness=secrets.token_bytes)
    other, _, _ = split(KEY[::-1], shares=3, needed=2, randomness=secrets.token_bytes)
    again, _, _ = split(KEY, shares=3, needed=2, randomness=secrets.token_bytes)
    for bad in (
        [],
        [one, one],
        [two, other],
        [two, again],
        [replace(one, number=0), two],
        [replace(one, number=3), two],
    ):
        with pytest.raises(SharesRefused):
            restore(bad)


@pytest.mark.parametrize(("shares", "needed"), [(3, 1), (2, 3), (256, 2), (0, 0)])
def test_other_numbers_of_shares_are_refused(shares: int, needed: int) -> None:
    with pytest.raises(SharesRefused):
        split(KEY, shares=shares, needed=needed, randomness=secrets.token_bytes)


def test_no_share_shows_in_a_repr() -> None:
    one, *_ = split(KEY, shares=3, needed=2, randomness=secrets.token_bytes)
    assert one.share.hex() not in repr(one)
    assert repr(one.share) not in repr(one)


def test_the_field_is_that_of_aes() -> None:
    assert _times(0x57, 0x83) == 0xC1  # FIPS 197, section 4.2
    assert all(_times(value, _inverse(value)) == 1 for value in range(1, 256))
