"""Whole blocks of mainframe records hold what a reader of one record after the other finds, written without numpy."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asepsis.harmonise.mainframe import read_options
from asepsis.harmonise.readers import ebcdic, ebcdic_framing
from asepsis.harmonise.readers.batch import records_of
from asepsis.harmonise.readers.copybook import Layout, Span, Table, parse_copybook
from asepsis.harmonise.readers.ebcdic_values import Coding, decode, decode_cut
from asepsis.harmonise.readers.record import RecordKind
from asepsis.harmonise.section import Section

COPYBOOK = """
       01  REC.
           05  KIND             PIC X.
           05  N                PIC 9.
           05  PERSON.
               10  MRN          PIC 9(3).
               10  NAME         PIC X(3).
           05  VISIT REDEFINES PERSON.
               10  DAYS         PIC S9(4) COMP.
               10  FEE          PIC S9(3) COMP-3.
               10  WARD         PIC XX.
           05  DX REDEFINES PERSON.
               10  CODE         PIC X(4).
           05  CODES OCCURS 0 TO 3 DEPENDING ON N.
               10  M            PIC 9.
               10  PARTS OCCURS 0 TO 2 DEPENDING ON M PIC 99.
           05  FIRST-OF-ALL REDEFINES CODES PIC X(5).
           05  NOTE             PIC X(4).
"""
LAYOUT = parse_copybook(COPYBOOK)
SPANS = {span.name: span for span in LAYOUT.spans}
KINDS = {"P": "person", "V": "visit", "D": "dx"}
PARENTS = {"V": "P", "D": "V"}
SEGMENTS = {"segment_field": "kind", "segments": KINDS}
HIERARCHY = {**SEGMENTS, "segment_parents": PARENTS}
VARIABLE = {"variable_size_occurs": True}
RESULT = tuple[dict[str, str | None] | None, set[str]]
# Every byte becomes one that fields like to hold, so that whole and damaged values both come up often.
LIKELY = bytes.fromhex("f0f1f2f3f0f1c1c4e540400c1d5bff00") * 16
STARTS = st.sampled_from(["", "P", "V", "D", "D", "X"])
RESTS = st.binary(min_size=1, max_size=LAYOUT.length + 3)
BODY = st.builds(lambda kind, rest: kind.encode("cp037") + rest.translate(LIKELY), STARTS, RESTS)
KEYS: list[dict[str, Any]] = [{}, SEGMENTS, HIERARCHY, VARIABLE, VARIABLE | SEGMENTS, VARIABLE | HIERARCHY]


class Reference:
    """The records of one file, each on its own."""

    def __init__(self, keys: dict[str, Any], coding: Coding) -> None:
        self.has_kinds, self.slides = "segments" in keys, "variable_size_occurs" in keys
        self.parents = keys.get("segment_parents", {})
        self.coding = coding
        self.latest: dict[str, dict[str, str | None]] = {}

    def read(self, body: bytes) -> RESULT:
        defects: set[str] = set()
        placed = self.placed(body, defects)
        kind = self.value(SPANS["kind"], placed, set())
        kind = (kind or "").strip(" \0") if self.has_kinds else None
        counts = self.counts(placed, kind, defects)
        fields: dict[str, str | None] = {}
        for span in LAYOUT.spans:
            is_here = all(counts[table] >= element for table, element in span.elements)
            group = group_of(span)
            if self.has_kinds and group is not None and group != KINDS.get(kind or ""):
                is_here = False
            fields[span.name] = self.value(span, placed, defects) if is_here else None
        if kind is not None:
            self.inherit(kind, fields, defects)
        return fields, defects

    def inherit(self, kind: str, fields: dict[str, str | None], defects: set[str]) -> None:
        if kind not in KINDS:
            defects.add("segment_unknown@kind")
            return
        above = kind
        while above in self.parents:
            above = self.parents[above]
            fields.update(self.latest.get(above, {}))
            if above not in self.latest:
                defects.add("segment_orphan@kind")
        if kind in self.parents.values():
            self.latest[kind] = {name: fields[name] for name, span in SPANS.items() if group_of(span) == KINDS[kind]}
        for below, parent in self.parents.items():
            if parent == kind:
                self.latest.pop(below, None)

    def placed(self, body: bytes, defects: set[str]) -> dict[int, int]:
        """The bytes by their place in the longest record."""
        places = self.places(body) if self.slides else list(range(LAYOUT.length))
        if places is None or isinstance(places, str):
            defects.add("occurs_count_out_of_range" if places is None else places)
            return {}
        if body[len(places) :].strip(b"\x40\x20\x00"):
            defects.add("record_longer_than_layout")
        return dict(zip(places, body, strict=False))

    def places(self, body: bytes) -> list[int] | str | None:
        places, counts = list(range(LAYOUT.length)), []
        for table in LAYOUT.tables:
            count = 0
            if all(counts[outer] >= element for outer, element in table.elements):
                first = places.index(LAYOUT.spans[table.counter].offset)
                raw = body[first : first + 1]
                if not raw:
                    return "record_too_short"
                found = in_range(decode(LAYOUT.spans[table.counter], raw, self.coding)[0], table)
                if found is None:
                    return None
                count = found
            counts.append(count)
            gone = range(table.offset + count * table.stride, table.offset + table.maximum * table.stride)
            places = [place for place in places if place not in gone]
        return places

    def counts(self, placed: dict[int, int], kind: str | None, defects: set[str]) -> list[int]:
        counts: list[int] = []
        for table in LAYOUT.tables:
            span = LAYOUT.spans[table.counter]
            count: int | None = 0
            if all(counts[outer] >= element for outer, element in table.elements):
                count = in_range(self.value(span, placed, set()), table)
                if count is None and span.offset in placed:
                    defects.add(f"occurs_count_out_of_range@{span.name}")
            counts.append(count or 0)
        return counts

    def value(self, span: Span, placed: dict[int, int], defects: set[str]) -> str | None:
        raw = bytes(placed[place] for place in range(span.offset, span.offset + span.length) if place in placed)
        if not raw:
            return None
        text, reason = (decode if len(raw) == span.length else decode_cut)(span, raw, self.coding)
        if reason is not None:
            defects.add(f"{reason}@{span.name}")
        return text


def group_of(span: Span) -> str | None:
    return next((name for name in span.path if name in KINDS.values()), None)


def in_range(text: str | None, table: Table) -> int | None:
    count = int(text) if text is not None and text.isdecimal() else -1
    return count if table.minimum <= count <= table.maximum else None


def results(data: bytes, layout: Layout, keys: dict[str, Any], encoding: str) -> Iterator[RESULT]:
    options = read_options(Section(keys, file="source.yaml", key="files.x"), layout)
    batches = ebcdic.read(io.BytesIO(data), layout=layout, encoding=encoding, options=options)
    for record in records_of(batches):
        if record.kind is RecordKind.DATA:
            yield record.fields, set(record.defects)


def words(bodies: list[bytes]) -> bytes:
    return b"".join((len(body) << 16).to_bytes(4) + body for body in bodies)


def blocks(bodies: list[bytes], size: int) -> bytes:
    parts = [words(bodies[first : first + size]) for first in range(0, len(bodies), size)]
    return b"".join((len(part) << 16).to_bytes(4) + part for part in parts)


@settings(max_examples=60, deadline=None)
@example(block_bytes=64, bodies=[b"P1000ABC0NOTE", b"P1"], keys=VARIABLE, encoding="cp1252", size=0)
@example(block_bytes=64, bodies=[b"P1", b"V1", b"D1", b"P0", b"D0"], keys=HIERARCHY, encoding="cp1252", size=2)
@given(
    block_bytes=st.sampled_from([64, 1 << 20]),
    bodies=st.lists(BODY, max_size=12),
    keys=st.sampled_from(KEYS),
    encoding=st.sampled_from(["cp037", "cp1140", "cp1252", "utf-8"]),
    size=st.integers(0, 4),
)
def test_blocks_of_records_hold_what_single_records_hold(
    block_bytes: int, bodies: list[bytes], keys: dict[str, Any], encoding: str, size: int
) -> None:
    data = blocks(bodies, size) if size else words(bodies)
    reference = Reference(keys, Coding(encoding=encoding))
    keys = {"record_format": "VB" if size else "V", **keys}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ebcdic_framing, "_BLOCK_BYTES", block_bytes)
        found = list(results(data, LAYOUT, keys, encoding))
    assert found == [reference.read(body) for body in bodies]


@settings(max_examples=40, deadline=None)
@given(lines=st.lists(st.binary(max_size=9).map(lambda line: line.translate(b"\x40\xf1\xc1\x0d" * 64)), max_size=9))
def test_lines_hold_what_single_lines_hold(lines: list[bytes]) -> None:
    layout = parse_copybook("       01 R.\n           05 A PIC 99.\n           05 B PIC X(4).")
    coding = Coding(encoding="cp037")
    found = list(results(b"".join(line + b"\x25" for line in lines), layout, {"record_format": "D"}, "cp037"))
    wanted: list[RESULT] = []
    for line in lines:
        body, defects = line.removesuffix(b"\x0d"), set()
        if not body:
            defects.add("record_empty")
        if body[6:].strip(b"\x40\x20\x00"):
            defects.add("record_longer_than_layout")
        fields: dict[str, str | None] = {}
        for span in layout.spans:
            raw = body[span.offset : min(span.offset + span.length, 6)]
            how = decode if len(raw) == span.length else decode_cut
            fields[span.name], reason = how(span, raw, coding) if raw else (None, None)
            defects |= {f"{reason}@{span.name}"} if reason is not None else set()
        wanted.append((fields, defects))
    assert found == wanted
