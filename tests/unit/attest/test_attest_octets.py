"""Reading binary structures: never beyond the end, never past a limit, and nothing is left over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.attest.octets import Octets
from asepsis.errors.attest import EvidenceMalformed


def octets(data: bytes) -> Octets:
    return Octets(data, part="a test", order="little")


@given(data=st.binary(max_size=20), length=st.integers(-5, 30))
def test_bytes_are_taken_if_they_are_there(data: bytes, length: int) -> None:
    cursor = octets(data)
    if 0 <= length <= len(data):
        assert cursor.take(length) == data[:length]
        assert cursor.rest() == data[length:]
        cursor.close()
    else:
        with pytest.raises(EvidenceMalformed, match="a test"):
            cursor.take(length)


def test_numbers_are_read_in_the_order_of_their_bytes() -> None:
    assert octets(b"\x01\x02").number(2) == 0x0201
    assert Octets(b"\x01\x02", part="", order="big").number(2) == 0x0102


@pytest.mark.parametrize("data", [b"\x03\x00ab", b"\x04\x00abcd"], ids=["cut", "beyond the limit"])
def test_sized_bytes_are_whole_and_within_their_limit(data: bytes) -> None:
    assert octets(b"\x03\x00abc").sized(2, limit=3) == b"abc"
    with pytest.raises(EvidenceMalformed):
        octets(data).sized(2, limit=3)


def test_what_is_left_over_or_does_not_hold_is_refused() -> None:
    with pytest.raises(EvidenceMalformed):
        octets(b"x").close()
    with pytest.raises(EvidenceMalformed):
        octets(b"").require(bool([]))
    octets(b"").require(bool([1]))
