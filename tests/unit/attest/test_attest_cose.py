"""CBOR from outside: what is loose, deep or endless is one error before anything is built from it."""

from __future__ import annotations

import struct

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.attest.cose import read_cbor, read_map, read_sign1
from asepsis.errors.attest import EvidenceMalformed

VALUES = st.recursive(
    st.one_of(st.integers(-(2**63), 2**64 - 1), st.binary(max_size=60), st.text(max_size=20), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.integers(-50, 50) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


def depth(value: object) -> int:
    members = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
    return 1 + max(map(depth, members), default=0)


@given(value=VALUES)
def test_plain_cbor_is_read(value: object) -> None:
    if depth(value) <= 6:
        assert read_cbor(cbor2.dumps(value)) == value


@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_are_one_error(data: bytes) -> None:
    try:
        value = read_cbor(data)
    except EvidenceMalformed:
        return
    assert read_cbor(cbor2.dumps(value)) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x5f\x41\x00\xff",
        b"\x7f\x61a\xff",
        b"\x9f\x00\xff",
        b"\xbf\x00\x00\xff",
        b"\xff",
        b"\x18\x17",
        b"\x19\x00\xff",
        b"\x1a\x00\x00\xff\xff",
        b"\x1b\x00\x00\x00\x00\xff\xff\xff\xff",
        b"\x58\x01\x00",
        b"\x1c",
        b"\x00\x00",
        b"\x41",
        b"\x82\x00",
        b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x9a\x00\x0f\xff\xff" + bytes(1000),
        b"\x81" * 8 + b"\x00",
        b"\x81" * 100_000,
        b"\xa2\x01\x00\x01\x00",
        b"\xa1\x80\x00",
        b"\xa1\xa0\x00",
        b"\xfb" + struct.pack(">d", 1.5),
        b"\xf7",
        b"\xe0",
        b"\xf8\x20",
        b"\x61\xff",
        b"\xc2\x41\x01",
        b"\xc4\x82\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\xd8\x1c\x81\xd8\x1d\x00",
        b"\xd8\x23\x64(a+)",
        b"\xc1\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
    ],
    ids=[
        "nothing",
        "indefinite bytes",
        "indefinite text",
        "indefinite array",
        "indefinite map",
        "break",
        "long form of 23",
        "two bytes of 255",
        "four bytes of 65535",
        "eight bytes of 32 bits",
        "long form of a length",
        "reserved length",
        "trailing",
        "cut bytes",
        "cut array",
        "huge bytes",
        "huge array",
        "huge map",
        "an array beyond the limit",
        "nested beyond the limit",
        "nested without end",
        "repeated key",
        "a list as key",
        "a map as key",
        "float",
        "undefined",
        "simple value",
        "long simple value",
        "broken text",
        "big number",
        "decimal fraction",
        "shared reference",
        "regular expression",
        "a time beyond time",
    ],
)
def test_loose_cbor_is_refused(data: bytes) -> None:
    with pytest.raises(EvidenceMalformed):
        read_cbor(data)


def test_a_message_of_four_parts_is_read_with_or_without_its_tag() -> None:
    parts = [b"\xa1\x01\x38\x22", {}, b"payload", b"signature"]
    bare, tagged = read_sign1(cbor2.dumps(parts)), read_sign1(cbor2.dumps(cbor2.CBORTag(18, parts)))
    assert bare.header == {1: -35}
    assert bare.signed() == tagged.signed() == cbor2.dumps(["Signature1", b"\xa1\x01\x38\x22", b"", b"payload"])


@pytest.mark.parametrize(
    "message",
    [
        [],
        [b"\xa0", {}, b""],
        [b"\xa0", {}, b"", b"", b""],
        [b"\x80", {}, b"", b""],
        [b"", {}, b"", b""],
        [{}, {}, b"", b""],
        [b"\xa0", [], b"", b""],
        [b"\xa0", {}, None, b""],
        [b"\xa0", {}, b"", "x"],
        {},
        7,
        cbor2.CBORTag(1, 7),
    ],
    ids=range(12),
)
def test_other_messages_are_refused(message: object) -> None:
    with pytest.raises(EvidenceMalformed):
        read_sign1(cbor2.dumps(message))


def test_a_map_is_needed_where_a_map_is_needed() -> None:
    with pytest.raises(EvidenceMalformed):
        read_map(b"\x80")
