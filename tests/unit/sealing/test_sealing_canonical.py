"""Canonical bytes follow RFC 8785 and are the only accepted form."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.errors.sealing import DocumentNotCanonical
from asepsis.sealing.canonical import canonical, digest, parse_canonical

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


def test_the_example_of_rfc_8785_comes_out_byte_for_byte() -> None:
    document = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": '\u20ac$\u000f\nA\'B"\\\\"/',
        "literals": [None, True, False],
    }
    assert canonical(document) == (
        b'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        b'"string":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


@given(JSON)
def test_what_was_canonical_reads_back_as_the_same_document(document: object) -> None:
    assert parse_canonical(canonical(document)) == document


def test_the_order_of_keys_does_not_matter_but_a_value_does() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) == hashlib.sha256(b'{"a":1,"b":2}').hexdigest()
    assert digest({"a": 1, "b": 2}) != digest({"a": 1, "b": 3})


@pytest.mark.parametrize("document", [{"a": 2**53}, {1: "a"}, {"a": b"raw"}, {"a": float("nan")}, {"a": "\ud800"}])
def test_what_json_cannot_carry_is_refused_without_quoting_it(document: object) -> None:
    with pytest.raises(DocumentNotCanonical) as refusal:
        canonical(document)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__


@pytest.mark.parametrize(
    "data",
    [b'{"b":1,"a":2}', b'{"a": 1}', b'{"a":1,"a":1}', b'{"a":1}\n', b"[NaN]", b"[1.0]", b"\xff", b"", b"[" * 100_000],
)
def test_any_other_spelling_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentNotCanonical):
        parse_canonical(data)
