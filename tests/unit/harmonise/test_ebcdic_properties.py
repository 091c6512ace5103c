"""Whatever bytes a mainframe file holds: its records tile it, no error escapes, and columns equal single fields."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.errors.harmonise import CopybookRefused, LimitExceeded
from asepsis.harmonise.mainframe import read_options
from asepsis.harmonise.readers import ebcdic
from asepsis.harmonise.readers.batch import Batch, records_of
from asepsis.harmonise.readers.copybook import Layout, Span, Storage, parse_copybook
from asepsis.harmonise.readers.ebcdic_columns import Block
from asepsis.harmonise.readers.ebcdic_presence import Presence
from asepsis.harmonise.readers.ebcdic_values import Coding, FloatFormat, decode, decode_cut
from asepsis.harmonise.readers.record import RecordKind
from asepsis.harmonise.section import Section

VARIED = """
       01  REC.
           05  KIND             PIC X.
           05  N                PIC 9.
           05  LEN              PIC 9(4) COMP.
           05  AMOUNT           PIC S9(5)V99 COMP-3.
           05  ITEMS OCCURS 0 TO 3 DEPENDING ON N.
               10  M            PIC 9.
               10  PARTS OCCURS 1 TO 2 DEPENDING ON M PIC S9(3).
           05  BODY.
               10  NAME         PIC X(6).
               10  RATE         COMP-2.
           05  OTHER REDEFINES BODY.
               10  PRICE        PIC ZZ9.99-.
               10  COUNTS       PIC S9(4) COMP OCCURS 2.
           05  LAST-ONE         PIC S9(3) SIGN LEADING SEPARATE.
"""
LINES = "01 R. 05 A PIC X(4). 05 B PIC 9(3). 05 C PIC S9(3)."
SEGMENTS = {"segment_field": "kind", "segments": {"A": "body", "B": "other"}, "segment_parents": {"B": "A"}}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"record_length": 50, "record_start_offset": 2, "record_end_offset": 1},
    {"record_length": 20},
    {"variable_size_occurs": True},
    {"variable_size_occurs": True, "file_start_offset": 3, "file_end_offset": 5, "record_start_offset": 1},
    {"record_length_field": "len", "rdw_adjustment": -2},
    {"record_format": "V"},
    {"record_format": "V", "rdw": "little", "rdw_adjustment": -4, "variable_size_occurs": True, **SEGMENTS},
    {"record_format": "VB", "bdw_adjustment": -4, "rdw_adjustment": -4, "record_start_offset": 3},
    {"record_format": "VB", "bdw": "little", "rdw": "little", **SEGMENTS},
    {"floating_point_format": "ieee754_little_endian", **SEGMENTS},
]
CODINGS = [Coding(encoding=name) for name in ("cp037", "cp273", "cp1140", "latin-1", "cp1252", "utf-8")]
NUMBERS = ["9", "S9", "9(4)", "S9(4)", "9(7)V99", "S9(16)V99", "S9(20)", "V9(3)", "SPP9(3)", "S9(3)PP"]
USAGES = ["", "COMP", "COMP-3", "COMP-3U", "COMP-9", "SIGN LEADING", "SIGN TRAILING SEPARATE", "SIGN LEADING SEPARATE"]
OTHERS = ["PIC X(5)", "PIC A", "PIC N(2)", "COMP-1", "COMP-2", "PIC ZZ,ZZ9.99-", "PIC S9(3).9", "PIC -9(4)"]
KINDS = [*(f"PIC {number} {usage}" for number in NUMBERS for usage in USAGES), *OTHERS]
FIELDS = st.sampled_from(KINDS)
# Bytes that fields like to hold, so that whole and damaged values both come up often.
LIKELY = st.sampled_from(bytes.fromhex("f0f1f9c1d5d0c0a0f0404b4e60000c0d0f123c5d7b99ff30394a7d41202d2b2e0080"))
BYTES = st.lists(st.one_of(LIKELY, LIKELY, st.integers(0, 255)), max_size=400).map(bytes)


def batches(data: bytes, layout: Layout, encoding: str = "cp037", **keys: Any) -> list[Batch]:
    options = read_options(Section(keys, file="source.yaml", key="files.x"), layout)
    return list(ebcdic.read(io.BytesIO(data), layout=layout, encoding=encoding, options=options))


def assert_tiles(found: list[Batch], data: bytes) -> None:
    assert b"".join(batch.data for batch in found) == data
    number = offset = 0
    for batch in found:
        assert (batch.number, batch.offset) == (number, offset)
        assert all(one < other for one, other in pairwise([0, *batch.ends.tolist()]))
        assert batch.ends[-1] == len(batch.data)
        assert all(len(values) == len(batch) for values in batch.columns.values())
        for index, kind in batch.kinds.items():
            assert kind is not RecordKind.RESIDUE or batch.defects[index]
        number, offset = number + len(batch), offset + len(batch.data)


@settings(max_examples=100, deadline=None)
@given(parts=st.lists(BYTES.map(lambda part: part[:60]), max_size=8), order=st.sampled_from(["big", "little"]))
def test_records_of_any_lengths_are_told_apart(parts: list[bytes], order: Literal["big", "little"]) -> None:
    layout = parse_copybook(VARIED)
    parts = [part for part in parts if part]
    words = [(len(part) << 16).to_bytes(4, order) for part in parts]
    data = b"".join(word + part for word, part in zip(words, parts, strict=True))
    found = batches(data, layout, record_format="V", rdw=order)
    assert_tiles(found, data)
    assert [record.raw[4:] for record in records_of(found)] == parts
    assert all(record.kind is RecordKind.DATA for record in records_of(found))


@settings(max_examples=100, deadline=None)
@given(data=BYTES, keys=st.sampled_from(OPTIONS))
def test_any_bytes_are_tiled_by_records(data: bytes, keys: dict[str, Any]) -> None:
    layout = parse_copybook(VARIED)
    assert_tiles(batches(data, layout, **keys), data)


@settings(max_examples=60, deadline=None)
@given(data=BYTES, encoding=st.sampled_from(["cp037", "latin-1", "utf-8"]))
def test_any_lines_are_tiled_by_records(data: bytes, encoding: str) -> None:
    assert_tiles(batches(data, parse_copybook(LINES), encoding, record_format="D"), data)


@settings(max_examples=100, deadline=None)
@given(fields=st.lists(FIELDS, min_size=1, max_size=5), data=BYTES, coding=st.sampled_from(CODINGS))
def test_columns_equal_single_fields(fields: list[str], data: bytes, coding: Coding) -> None:
    layout = parse_copybook("01 R.\n" + "\n".join(f"05 F{n} {field}." for n, field in enumerate(fields)))
    whole = data[: len(data) - len(data) % layout.length]
    rows = np.frombuffer(whole, np.uint8).reshape(-1, layout.length)
    block = Block(rows, coding)
    for span in layout.spans:
        array, reasons = block.column(span)
        single = [decode(span, row[span.offset : span.offset + span.length].tobytes(), coding) for row in rows]
        assert array.to_pylist() == [value for value, _ in single]
        assert reasons == {row: reason for row, (_, reason) in enumerate(single) if reason is not None}


@pytest.mark.parametrize("coding", CODINGS, ids=lambda coding: str(coding.encoding))
def test_columns_of_every_kind_equal_single_fields(coding: Coding) -> None:
    """Bytes are drawn so that about half of the numbers are whole: of digits, then of digits and all else."""
    chance = np.random.default_rng(1)
    digits = np.frombuffer("0012345678990".encode(coding.encoding), np.uint8)
    packed = np.frombuffer(bytes.fromhex("00000012347899"), np.uint8)
    ends = np.frombuffer(bytes.fromhex("0c0d1d9f3b4a5e0712d0c0f14e60ffb0") + b"+-{}A", np.uint8)
    for kind in KINDS:
        (span,) = parse_copybook(f"01 R. 05 F {kind}.").spans
        rows = np.concatenate([chance.choice(pool, (60, span.length)) for pool in (digits, packed, ends)])
        rows[chance.random(rows.shape[0]) < 0.5, chance.choice([0, -1])] = chance.choice(ends)
        rows[::3, -1] = chance.choice(ends, len(rows[::3]))
        rows[1::9, 0] = chance.choice(ends, len(rows[1::9]))
        rows[2::50] = chance.integers(0, 256, rows[2::50].shape)
        array, reasons = Block(np.ascontiguousarray(rows), coding).column(span)
        single = [decode(span, row.tobytes(), coding) for row in rows]
        assert array.to_pylist() == [value for value, _ in single]
        assert reasons == {row: reason for row, (_, reason) in enumerate(single) if reason is not None}


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("PIC S9(3) COMP-3", "000d", "0"),
        ("PIC S9(3) COMP-3", "123b", "-123"),
        ("PIC S9(3) COMP-3", "1239", None),
        ("PIC S9V99 COMP-3", "000d", "0.00"),
        ("PIC S9(3)", "f0f0d0", "0"),
        ("PIC S9(3)", "f0f1d0", "-10"),
        ("PIC S9(3)PP COMP-3", "000d", "0"),
        ("PIC S9V9(3) COMP", "fffe", "-0.002"),
        ("PIC S9(18) COMP", "8000000000000000", "-9223372036854775808"),
        ("PIC S9(16)V99 COMP", "8000000000000000", "-92233720368547758.08"),
        ("PIC 9(16)V99 COMP-9", "ffffffffffffffff", "184467440737095516.15"),
    ],
)
def test_numbers_at_their_edges(kind: str, raw: str, value: str | None) -> None:
    (span,) = parse_copybook(f"01 R. 05 F {kind}.").spans
    data, coding = bytes.fromhex(raw), Coding(encoding="cp037")
    array, _ = Block(np.frombuffer(data, np.uint8).reshape(1, -1), coding).column(span)
    assert array.to_pylist() == [value] == [decode(span, data, coding)[0]]


@settings(max_examples=60, deadline=None)
@given(field=FIELDS, data=BYTES, size=st.integers(0, 40))
def test_what_a_short_record_lacks_is_null_and_what_it_cuts_is_named(field: str, data: bytes, size: int) -> None:
    layout = parse_copybook(f"01 R.\n05 A PIC X.\n05 F {field}.\n05 B PIC X.")
    coding = Coding(encoding="cp037")
    row = data[: layout.length].ljust(layout.length, b"\xf1")
    block = Block(np.frombuffer(row, np.uint8).reshape(1, -1), coding, Presence(np.array([size])))
    for span in layout.spans:
        array, reasons = block.column(span)
        raw = row[span.offset : min(span.offset + span.length, max(size, span.offset))]
        wanted: tuple[str | None, str | None] = (None, None)
        if len(raw) == span.length:
            wanted = decode(span, raw, coding)
        elif raw:
            wanted = decode_cut(span, raw, coding)
        assert (array[0].as_py(), reasons.get(0)) == wanted


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.sampled_from("0159 AXPICS()V.-\n*'\"COMP3TOREDFINS"), max_size=200))
def test_any_text_is_a_copybook_or_refused_by_name(text: str) -> None:
    try:
        layout = parse_copybook(text)
    except (CopybookRefused, LimitExceeded):
        return
    assert layout.spans
    assert all(span.offset + span.length <= layout.length for span in layout.spans)


@settings(max_examples=100, deadline=None)
@given(words=st.lists(st.sampled_from(VARIED.split()), min_size=1, max_size=40))
def test_any_words_are_a_copybook_or_refused_by_name(words: list[str]) -> None:
    try:
        layout = parse_copybook(" ".join(words))
    except (CopybookRefused, LimitExceeded):
        return
    assert_tiles(batches(bytes(range(256)), layout, variable_size_occurs=bool(layout.tables)), bytes(range(256)))


@pytest.mark.parametrize("floats", list(FloatFormat))
@settings(max_examples=50, deadline=None)
@given(raw=st.binary(min_size=8, max_size=8))
def test_any_bytes_are_a_finite_number_or_named(floats: FloatFormat, raw: bytes) -> None:
    coding = Coding(encoding="cp037", floats=floats)
    for size in (4, 8):
        span = Span(name="f", offset=0, length=size, storage=Storage.FLOAT, signed=True)
        value, reason = decode(span, raw[:size], coding)
        assert (value is None) == (reason == "float_not_finite")
        assert value is None or np.isfinite(float(value))


FILES = [
    ("test5_copybook.cob", "test5_data/COMP.DETAILS.SEP30.DATA.dat", {"record_format": "V", "rdw": "little"}),
    ("test6_copybook.cob", "test6_data/INTEGR.TYPES.NOV28.DATA.dat", {"floating_point_format": "ieee754"}),
    ("test1_copybook.cob", "test1_data/example.bin", {"variable_size_occurs": True}),
]


@pytest.mark.parametrize(("text", "path", "keys"), FILES)
@settings(max_examples=8, deadline=None)
@given(edits=st.lists(st.tuples(st.integers(0, 8_000), st.integers(0, 3), st.binary(max_size=5)), max_size=8))
def test_damaged_real_files_are_tiled_by_records(
    text: str, path: str, keys: dict[str, Any], edits: list[tuple[int, int, bytes]], shared: Path
) -> None:
    layout = parse_copybook((shared / "ebcdic_cobrix" / text).read_text(encoding="latin-1"))
    data = (shared / "ebcdic_cobrix" / path).read_bytes()[:8_000]
    for place, length, insert in edits:
        data = data[:place] + insert + data[place + length :]
    found = batches(data, layout, **keys)
    assert_tiles(found, data)
    assert len(list(records_of(found))) == sum(map(len, found))
