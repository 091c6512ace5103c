"""One count of byte values, and what is read from it; and the fast ways through grammars, beside the slow ones."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asepsis.integrity import notes, spread
from asepsis.integrity.notes import phrases_in
from asepsis.integrity.observation import HEAD, observe
from asepsis.integrity.reading import read_object
from asepsis.integrity.structure import documents
from asepsis.integrity.structure.text import controls_in, is_mostly_text


@given(st.binary(max_size=2_000), st.integers(min_value=1, max_value=200))
def test_entropy_is_shannons(piece: bytes, times: int) -> None:
    sample = piece * times
    shares = [count / len(sample) for count in Counter(sample).values()]
    assert spread.entropy(spread.count(sample)) == pytest.approx(-sum(p * math.log2(p) for p in shares), abs=0.0006)


@given(st.binary(max_size=9_000))
def test_few_controls_in_all_are_few_in_each_block(head: bytes) -> None:
    controls = controls_in(spread.count(head))
    assert controls == sum(byte < 9 or 14 <= byte < 26 or byte in {31, 127} for byte in head)
    if head:
        assert is_mostly_text(head, controls=controls) == is_mostly_text(head, controls=1_000)


@pytest.mark.parametrize("size", [0, 1, 4_096, HEAD - 1, HEAD, HEAD + 1, 3 * HEAD, 2_000_000])
def test_an_indexed_object_has_the_facts_of_observation_whatever_its_size(size: int) -> None:
    content = (b"4711|2013-02-01|A00.9|Cholera|12.5\r\n" * (size // 30 + 1))[:size]
    found = read_object(BytesIO(content), key="k", size=size)
    assert found.facts == observe(BytesIO(content), size=size)
    assert found.entropy == pytest.approx(spread.entropy(spread.count(content)), abs=0.01)


SEGMENT = re.compile(rb"[A-Z][A-Z0-9]{2}(?:[^A-Za-z0-9]|$)")


def faults_line_by_line(content: bytes) -> tuple[str, ...]:
    """HL7 as the standard tells it, slowly."""
    lines = [line.lstrip(b"\x0b\x1c") for line in re.split(rb"[\r\n]+", content.removeprefix(b"\xef\xbb\xbf"))]
    names = [line[:3] for line in lines if SEGMENT.match(line)]
    for opening, closing in ((b"FHS", b"FTS"), (b"BHS", b"BTS")):
        if opening in names and closing not in names:
            return ("format.truncated",)
    last = next((line for line in reversed(lines) if line), b"")
    return ("format.records_damaged",) if names and len(last) < 3 and not SEGMENT.match(last) else ()


PARTS = [
    b"MSH|a",
    b"FHS|",
    b"FTS",
    b"BHS|x",
    b"BTS|1",
    b"BTSx",
    b"xBHS|",
    b"OB",
    b"O",
    b"\x0b",
    b"\x1c",
    b"\r",
    b"\n",
    b"\r\n",
]


@given(st.lists(st.sampled_from([*PARTS, b"\xef\xbb\xbf"]), max_size=8).map(b"".join))
def test_segments_are_found_as_line_by_line(content: bytes) -> None:
    assert documents.hl7_faults(content) == faults_line_by_line(content)


XML = (
    b'<?xml version="1.0"?>',
    b"<a>",
    b"</a>",
    b"<b:c/>",
    b"<a b='1'/>",
    b"&amp;",
    b"&x;",
    b"text",
    b"<!-- c -->",
    b"<![CDATA[x]]>",
    b"<",
    b"\xff",
)


@given(st.lists(st.sampled_from(XML), max_size=8).map(b"".join))
def test_what_the_fast_parser_accepts_has_no_fault_in_the_other(content: bytes) -> None:
    found = documents.xml_faults(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "_is_well_formed", lambda _: False)
        assert documents.xml_faults(content) == found


def test_entities_of_a_document_itself_never_reach_the_fast_parser() -> None:
    def never(_: bytes) -> bool:
        pytest.fail("expat would expand them")

    bomb = b'<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><a>&c;</a>'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "_is_well_formed", never)
        documents.xml_faults(bomb)
        documents.xml_faults(b"<!-- <! -->" + bomb)


def test_fewer_phrases_than_make_a_note_are_none() -> None:
    two = b"your files have been encrypted. pay in bitcoin."
    assert [phrases_in(two, least=least) for least in (1, 2, 3)] == [2, 2, 0]
    assert phrases_in(two + b" do not rename files; use the tor browser", least=3) == 4


JSON = (
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b'{"a":',
    b'"a"',
    b'"\\ud800"',
    b'"\\u00g0"',
    b'"\t"',
    b'"\xff"',
    b"1",
    b"01",
    b"-",
    b"1.",
    b"1e5",
    b"NaN",
    b"-NaN",
    b"-Infinity",
    b"9" * 4_301,
    b"null",
    b"nul",
    b"\x0c",
    b" ",
)


@given(st.lists(st.sampled_from(JSON), max_size=4).map(b"".join))
def test_what_the_fast_parser_of_json_accepts_the_standard_library_reads(piece: bytes) -> None:
    for content in (piece, b'{"a":' + piece + b"}", b'{"a":1}' + piece):
        found = documents.json_faults(content)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(documents, "_is_object", lambda _: False)
            assert documents.json_faults(content) == found


@given(st.integers(min_value=1, max_value=400))
def test_json_of_any_depth_is_read(depth: int) -> None:
    assert documents.json_faults(b'{"a":' * depth + b"1" + b"}" * depth) == ()


NOTE = (
    b"Files have been ENCRYPTED",
    b" private key",
    b" Decryptor",
    b" bitcoin",
    b" xmr",
    b" tor browser",
    b" tox id",
    b" do not rename files",
    b" will be leaked",
    b" permanent loss",
    b" within 3 days",
    b" price doubled",
    b" encrypted key",
    b" within ",
    b"\n",
)


@given(st.lists(st.sampled_from(NOTE), max_size=8).map(b"".join), st.integers(min_value=1, max_value=4))
def test_words_only_spare_the_look_for_phrases(text: bytes, least: int) -> None:
    found = sum(phrase.search(text.lower()) is not None for phrase in notes._PHRASES)
    assert phrases_in(text, least=least) == (found if found >= least else 0)


@given(st.binary(min_size=1, max_size=3_000), st.integers(min_value=1, max_value=60))
def test_some_bytes_are_as_spread_as_all(piece: bytes, times: int) -> None:
    sample = piece * times
    some = spread.count_some(sample)
    assert min(len(sample), 4_000) <= some.sum() + 1 <= max(len(sample), 8_193) + 1
    assert not some[spread.count(sample) == 0].any()


def test_the_entropy_of_packed_content_is_that_of_some_of_it() -> None:
    content = b"\x1f\x8b\x08" + random.Random(1).randbytes(300_000)
    found = read_object(BytesIO(content), key="k", size=len(content))
    assert found.entropy == pytest.approx(8.0, abs=0.05)
