"""How mainframe files are cut into records and kinds of records, and what is named when they are damaged."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from asepsis.engines.harmonise.reading import read_batches
from asepsis.errors.harmonise import LimitExceeded, MappingMalformed
from asepsis.harmonise.entries import read_entry
from asepsis.harmonise.mainframe import read_options
from asepsis.harmonise.readers import ebcdic
from asepsis.harmonise.readers.batch import records_of
from asepsis.harmonise.readers.copybook import parse_copybook
from asepsis.harmonise.readers.record import Limits, Record, RecordKind
from asepsis.harmonise.section import Section

NAME = "01 R. 05 A PIC X(3). 05 B PIC 9(2)."
COMPANY = """
01 R.
   05 KIND PIC X.
   05 COMPANY.
      10 TITLE PIC X(4).
   05 PERSON REDEFINES COMPANY.
      10 FIRST-NAME PIC X(4).
   05 PHONE REDEFINES COMPANY.
      10 DIALLED PIC 9(4).
"""
COLUMNS = """\
000100* A COMMENT                                                       PATIENT1
000200 01  REC.                                                         PATIENT2
000300     05  A  PIC X(2) VALUE 'A. 05 Z PIC X'.                       PATIENT3
AB0400     05  B  PIC X(2) VALUE 'IT''S OPEN AND GOES ON IN THE NEXT LI
000500-        'NE'.
000600D    05  DEBUGGED PIC X(9).
000700     05  C  PIC X(1) VALUE "Q" OCCURS 2
000800         INDEXED BY I J.
000900     66  D RENAMES A THRU B.
001000     88  E VALUE 'X' THRU 'Z'.
       EJECT
       77  F PIC X.
       01  OTHER. 05 G PIC X(3). 05 A PIC X.
"""
TREE: dict[str, Any] = {
    "segment_field": "KIND",
    "segments": {"C": "COMPANY", "P": "PERSON", "T": "PHONE"},
    "segment_parents": {"P": "C", "T": "P"},
}


def coded(text: str) -> bytes:
    return text.encode("cp037")


def read(data: bytes, text: str, encoding: str = "cp037", **keys: Any) -> list[Record]:
    layout = parse_copybook(text)
    section = Section(keys, file="source.yaml", key="files.x")
    options = read_options(section, layout)
    section.close()
    records = list(records_of(ebcdic.read(io.BytesIO(data), layout=layout, encoding=encoding, options=options)))
    assert b"".join(record.raw for record in records) == data
    return records


def values(records: list[Record], name: str) -> list[str | None]:
    return [(record.fields or {}).get(name) for record in records if record.kind is RecordKind.DATA]


def rdw(text: str, *, extra: int = 0) -> bytes:
    return (len(text) + extra).to_bytes(2) + b"\0\0" + coded(text)


def test_bytes_around_all_records_and_around_each_are_left_out() -> None:
    data = b"HEAD" + b"".join(b"<<" + coded(text) + b">" for text in ("ABC01", "DEF02")) + b"END"
    keys: dict[str, Any] = {
        "file_start_offset": 4,
        "file_end_offset": 3,
        "record_start_offset": 2,
        "record_end_offset": 1,
    }
    records = read(data, NAME, **keys)
    assert [(record.kind, record.length) for record in records] == [
        (RecordKind.HEADER, 4),
        (RecordKind.DATA, 8),
        (RecordKind.DATA, 8),
        (RecordKind.HEADER, 3),
    ]
    assert (values(records, "a"), values(records, "b")) == (["ABC", "DEF"], ["01", "02"])


@pytest.mark.parametrize("size", range(10))
def test_a_file_shorter_than_its_edges_is_named(size: int) -> None:
    records = read(b"x" * size, NAME, file_start_offset=4, file_end_offset=6)
    cut = [defect for record in records for defect in record.defects]
    wanted = [] if size == 0 else ["file_header_cut_short"] if size < 4 else ["file_trailer_cut_short"]
    assert cut == ([] if size == 4 else wanted)


def test_a_declared_length_may_be_longer_or_shorter_than_the_layout() -> None:
    longer = read(coded("ABC01zzDEF02zz"), NAME, record_length=7)
    assert (values(longer, "b"), longer[0].defects) == (["01", "02"], ())
    shorter = read(coded("ABC0DEF1"), NAME, record_length=4)
    assert (values(shorter, "a"), values(shorter, "b")) == (["ABC", "DEF"], [None, None])
    assert shorter[0].defects == ("cut_short@b",)


def test_a_final_record_that_is_cut_is_residue() -> None:
    *_, last = read(coded("ABC01AB"), NAME)
    assert (last.kind, last.defects) == (RecordKind.RESIDUE, ("truncated_final_record",))


@pytest.mark.parametrize(("keys", "extra"), [({}, 0), ({"rdw_adjustment": -4}, 4), ({"rdw_adjustment": 2}, -2)])
def test_descriptor_words_with_an_adjustment(keys: dict[str, Any], extra: int) -> None:
    data = rdw("ABC01", extra=extra) + rdw("DEF", extra=extra) + rdw("GHI0", extra=extra)
    records = read(data, NAME, record_format="V", **keys)
    assert (values(records, "a"), values(records, "b")) == (["ABC", "DEF", "GHI"], ["01", None, None])
    assert [record.defects for record in records] == [(), (), ("cut_short@b",)]


@pytest.mark.parametrize(
    ("rest", "defect"),
    [
        (b"\0\x05\0\1" + coded("DEF02"), "rdw_corrupt"),
        (b"\0\0\0\0" + coded("DEF02"), "rdw_corrupt"),
        (b"\0\x09\0\0" + coded("DEF02"), "truncated_final_record"),
        (b"\0\x05", "truncated_final_record"),
    ],
)
def test_a_descriptor_word_that_cannot_be_right_ends_the_file(rest: bytes, defect: str) -> None:
    records = read(rdw("ABC01") + rest, NAME, record_format="V")
    assert [(record.kind, record.defects) for record in records[1:]] == [(RecordKind.RESIDUE, (defect,))]


def test_in_a_blocked_file_an_error_costs_the_rest_of_its_block() -> None:
    good, bad = rdw("ABC01") + rdw("DEF02"), rdw("GHI03") + b"\0\x50\0\0" + coded("JKL04")
    blocks = [len(block).to_bytes(2) + b"\0\0" + block for block in (good, bad, good)]
    records = read(b"".join(blocks), NAME, record_format="VB")
    assert values(records, "a") == ["ABC", "DEF", "GHI", "ABC", "DEF"]
    assert [record.defects for record in records if record.kind is RecordKind.RESIDUE] == [("rdw_beyond_block",)]
    assert sum(record.kind is RecordKind.HEADER for record in records) == 3


@pytest.mark.parametrize(
    ("rest", "defect"),
    [(b"\0\0\0\0abc", "bdw_corrupt"), (b"\0\x63\0\0abc", "bdw_beyond_file"), (b"\0\x09\0", "truncated_final_record")],
)
def test_a_block_that_cannot_be_right_ends_the_file(rest: bytes, defect: str) -> None:
    block = rdw("ABC01")
    records = read(len(block).to_bytes(2) + b"\0\0" + block + rest, NAME, record_format="VB")
    assert [record.defects for record in records if record.kind is RecordKind.RESIDUE] == [(defect,)]


def test_a_large_block_has_four_bytes_of_length() -> None:
    block = rdw("ABC01")
    records = read((0x80000000 + len(block)).to_bytes(4) + block, NAME, record_format="VB")
    assert values(records, "b") == ["01"]


def test_a_field_that_tells_a_wrong_length_ends_the_file() -> None:
    text = "01 R. 05 SIZE PIC 9(2). 05 A PIC X(4)."
    records = read(coded("06ABCD04XY06EFGH00ABCD"), text, record_length_field="size")
    assert values(records, "a") == ["ABCD", "XY", "EFGH"]
    assert records[1].defects == ("cut_short@a",)
    assert records[-1].defects == ("record_length_corrupt",)


@pytest.mark.parametrize("newline", [b"\x15", b"\x25", b"\x0d\x25"])
def test_lines_end_with_new_line_or_line_feed(newline: bytes) -> None:
    records = read(coded("ABC01") + newline + newline + coded("DEF"), NAME, record_format="D")
    assert (values(records, "a"), values(records, "b")) == (["ABC", None, "DEF"], ["01", None, None])
    assert [record.defects for record in records] == [(), ("record_empty",), ()]


def test_what_is_longer_than_its_layout_is_named_unless_blank() -> None:
    records = read(rdw("ABC01X") + rdw("ABC01  "), NAME, record_format="V")
    assert [record.defects for record in records] == [("record_longer_than_layout",), ()]
    alike = read(rdw("ABC01X") + rdw("ABC02Y"), NAME, record_format="V")
    assert [record.defects for record in alike] == [("record_longer_than_layout",)] * 2


def test_a_table_of_variable_size_moves_what_follows_it() -> None:
    text = "01 R. 05 N PIC 9. 05 T OCCURS 1 TO 3 DEPENDING ON N. 10 A PIC X. 10 M PIC 9. 10 U OCCURS 0 TO 2 DEPENDING ON M PIC X. 05 Z PIC X."  # noqa: E501
    records = read(coded("1A0Z") + coded("2A2xyB1vZ") + coded("3A0B0C1wZ"), text, variable_size_occurs=True)
    assert [record.length for record in records] == [4, 9, 9]
    assert values(records, "z") == ["Z", "Z", "Z"]
    assert values(records, "u_1_2") == [None, "y", None]
    assert values(records, "a_2") == [None, "B", "B"]
    assert values(records, "u_3_1") == [None, None, "w"]
    assert all(record.defects == () for record in records)


def test_a_count_out_of_its_range_is_named() -> None:
    text = "01 R. 05 N PIC 9. 05 T PIC X OCCURS 1 TO 3 DEPENDING ON N."
    fixed = read(coded("2ABC4ABC0ABCxABC"), text)
    assert values(fixed, "t_2") == ["B", None, None, None]
    count = "occurs_count_out_of_range@n"
    assert [record.defects for record in fixed] == [(), (count,), (count,), (count, "digits_expected@n")]
    told = read(rdw("2AB") + rdw("7AB") + rdw("3ABC"), text, record_format="V", variable_size_occurs=True)
    assert values(told, "t_1") == ["A", None, "A"]
    assert told[1].defects == ("occurs_count_out_of_range",)
    lost = read(coded("2AB7AB"), text, variable_size_occurs=True)
    assert (lost[-1].kind, lost[-1].defects) == (RecordKind.RESIDUE, ("record_length_corrupt",))


def test_segments_repeat_the_fields_of_their_parents() -> None:
    data = "CacmePanneT0001T0002PbillT0003CbetaPcarlxzzzz"
    records = read(coded(data), COMPANY, **TREE)
    assert values(records, "title") == ["acme"] * 6 + ["beta", "beta", None]
    assert values(records, "first_name") == [None, "anne", "anne", "anne", "bill", "bill", None, "carl", None]
    assert values(records, "dialled") == [None, None, "0001", "0002", None, "0003", None, None, None]
    assert [record.defects for record in records] == [()] * 8 + [("segment_unknown@kind",)]


def test_a_segment_without_its_parent_is_named() -> None:
    records = read(coded("T0001PanneCacmeT0002Pbill"), COMPANY, **TREE)
    orphan = ("segment_orphan@kind",)
    assert [record.defects for record in records] == [orphan, orphan, (), orphan, ()]
    assert values(records, "title") == [None, None, "acme", "acme", "acme"]
    assert values(records, "first_name") == [None, "anne", None, None, "bill"]


def test_parents_are_carried_from_batch_to_batch() -> None:
    blocks = [rdw("Cacme"), rdw("Panne") + rdw("Pbill"), rdw("T0001"), rdw("Cbeta"), rdw("T0002")]
    data = b"".join(len(block).to_bytes(2) + b"\0\0" + block for block in blocks)
    records = [record for record in read(data, COMPANY, record_format="VB", **TREE) if record.kind is RecordKind.DATA]
    assert values(records, "title") == ["acme"] * 4 + ["beta", "beta"]
    assert values(records, "first_name") == [None, "anne", "bill", "bill", None, None]
    assert records[-1].defects == ("segment_orphan@kind",)


def test_floating_point_numbers_of_both_kinds() -> None:
    text = "01 R. 05 S COMP-1. 05 D COMP-2."
    # -118.625 in IBM's hexadecimal format, and in IEEE 754.
    ibm, ieee = bytes.fromhex("c276a000c276a00000000000"), bytes.fromhex("c2ed4000c05da80000000000")
    for data, name in ((ibm, "ibm"), (ieee, "ieee754")):
        (record,) = read(data, text, floating_point_format=name)
        assert record.fields == {"s": "-118.625", "d": "-118.625"}
    (swapped,) = read(ibm[3::-1] + ibm[:3:-1], text, floating_point_format="ibm_little_endian")
    assert swapped.fields == {"s": "-118.625", "d": "-118.625"}
    (endless,) = read(bytes.fromhex("7f8000007ff8000000000000"), text, floating_point_format="ieee754")
    assert endless.defects == ("float_not_finite@s", "float_not_finite@d")


@pytest.mark.parametrize(
    ("picture", "shown", "value"),
    [
        ("ZZ,ZZ9.99-", " 1,234.50-", "-1234.50"),
        ("$$$9.99CR", " $12.34CR", "-12.34"),
        ("$$$9.99CR", "$112.34  ", "112.34"),
        ("+9(3)V99", "+12345", "123.45"),
        ("***9", "**12", "12"),
        ("S9(3).9", "123.M", "-123.4"),
        ("ZZ9", "   ", "   "),
        ("99/99", "12/31", "12/31"),
    ],
)
def test_edited_numbers(picture: str, shown: str, value: str) -> None:
    (record,) = read(coded(shown), f"01 R. 05 A PIC {picture}.")
    assert (record.fields, record.defects) == ({"a": value}, ())


def test_an_edited_number_that_is_none_is_named() -> None:
    (record,) = read(coded("1x3"), "01 R. 05 A PIC ZZ9.")
    assert (record.fields, record.defects) == ({"a": None}, ("edited_number_corrupt@a",))


def test_signs_of_a_file_that_was_converted_to_ascii() -> None:
    records = read(b"12C12L12p12?", "01 R. 05 A PIC S9(3).", "latin-1")
    assert values(records, "a") == ["123", "-123", "-120", None]
    assert records[-1].defects == ("zoned_decimal_corrupt@a",)


def test_a_copybook_in_every_column_of_reference_format() -> None:
    layout = parse_copybook(COLUMNS)
    places = {span.name: (span.offset, span.length) for span in layout.spans}
    assert places == {"rec_a": (0, 2), "b": (2, 2), "c_1": (4, 1), "c_2": (5, 1), "g": (0, 3), "other_a": (3, 1)}
    assert layout.length == 6


@pytest.mark.parametrize(
    "keys",
    [
        {"record_format": "U"},
        {"rdw": "big"},
        {"bdw": "big", "record_format": "V"},
        {"record_length": 7, "record_format": "V"},
        {"record_length": 2_000_000},
        {"file_start_offset": -1},
        {"rdw_adjustment": "x", "record_format": "V"},
        {"record_length_field": "nobody"},
        {"record_length_field": "kind"},
        {"variable_size_occurs": True},
        {"floating_point_format": "ieee754"},
        {**TREE, "segment_field": "nobody"},
        {**TREE, "segment_field": "title"},
        {"segment_field": "KIND", "segments": {}},
        {"segment_field": "KIND", "segments": {"C": "nobody"}},
        {**TREE, "segments": {"C": 1}},
        {**TREE, "segment_parents": {"P": "X"}},
        {**TREE, "segment_parents": {"P": "C", "C": "P"}},
        {**TREE, "segments": {"C": "COMPANY", "P": "COMPANY"}, "segment_parents": {"P": "C"}},
        {"segments": {"C": "COMPANY"}},
    ],
)
def test_a_key_that_contradicts_others_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(MappingMalformed):
        read(b"", COMPANY, **keys)


def test_lines_of_packed_numbers_are_refused() -> None:
    with pytest.raises(MappingMalformed):
        read(b"", "01 R. 05 A PIC S9(3) COMP-3.", record_format="D")


def test_limits_of_records_and_of_their_bytes() -> None:
    layout = parse_copybook(NAME)
    with pytest.raises(LimitExceeded):
        list(ebcdic.read(io.BytesIO(bytes(50)), layout=layout, encoding="cp037", limits=Limits(records=9)))
    options = read_options(Section({"record_format": "V"}, file="source.yaml", key="files.x"), layout)
    limits = Limits(record_bytes=4)
    found = ebcdic.read(io.BytesIO(rdw("ABC01")), layout=layout, encoding="cp037", options=options, limits=limits)
    assert [record.defects for record in records_of(found)] == [("rdw_corrupt",)]


def blocks_of_the_guide() -> tuple[str, dict[str, Any]]:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "read-mainframe-files.md").read_text(encoding="utf-8")
    text, entry = re.findall(r"^```\w+\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return text, yaml.safe_load(entry)["visits"]


def test_the_guide_reads_its_own_example() -> None:
    text, keys = blocks_of_the_guide()
    entry = read_entry(Section(keys, file="source.yaml", key="files.visits"), "visits", {"VISITS.CPY": text})
    visit = coded("V1234567820040229") + bytes.fromhex("000012345c") + coded("2J01.9 E75.2 ")
    result = coded("R12345678GLUCOSE ") + bytes.fromhex("4158000000000000")
    data = b"".join((len(part) + 4).to_bytes(2) + b"\0\0" + part for part in (visit, result))
    first, second = records_of(read_batches(entry, io.BytesIO(data)))
    assert (first.defects, second.defects) == ((), ())
    assert first.fields is not None
    assert second.fields is not None
    assert (first.fields["visit_cost"], first.fields["diag_2"], first.fields["diag_3"]) == ("123.45", "E75.2 ", None)
    assert (second.fields["result_value"], second.fields["visit_date"]) == ("5.5", "20040229")
    assert set(first.fields) == set(entry.field_names)


def test_the_guide_names_every_defect_and_every_key() -> None:
    root = Path(__file__).parents[3]
    page = (root / "docs" / "how-to" / "read-mainframe-files.md").read_text(encoding="utf-8")
    readers = root / "src" / "asepsis" / "harmonise"
    files = [*readers.glob("readers/ebcdic*.py"), readers / "mainframe.py"]
    code = "".join(path.read_text(encoding="utf-8") for path in files)
    endings = "corrupt|short|expected|finite|empty|layout|file|block|range|unknown|orphan|long|record"
    words = rf'"((?:\w+_(?:{endings}))|undecodable)"'
    keys = r'(?:text|choice|flag|values|_bytes|_names|_adjustment)\((?:section, )?"(\w+)"'
    wanted = set(re.findall(words, code)) | set(re.findall(keys, code))
    assert len(wanted) > 30
    assert {word for word in wanted if f"`{word}`" not in page} == set()


def test_more_code_pages_come_with_a_package() -> None:
    pytest.importorskip("ebcdic", reason="the extra ebcdic is not installed")
    assert Section({"encoding": "cp1047"}, file="source.yaml", key="x").encoding("encoding") == "cp1047"
    (record,) = read(b"\xad\xc1\xbd\xf1\xf2", NAME, "cp1047")
    assert record.fields == {"a": "[A]", "b": "12"}


def test_a_counter_counts_only_in_records_of_its_kind() -> None:
    text = "01 R. 05 K PIC X. 05 L. 10 N PIC 9. 10 T PIC X OCCURS 3 DEPENDING ON N. 05 M REDEFINES L PIC X(4)."
    records = read(coded("A2xyzBz9zz"), text, segment_field="K", segments={"A": "L", "B": "M"})
    assert (values(records, "t_2"), values(records, "t_3")) == (["y", None], [None, None])
    assert values(records, "m") == [None, "z9zz"]
    assert [record.defects for record in records] == [(), ()]


def test_a_parent_that_begins_a_batch_is_carried_into_the_next() -> None:
    records = read(coded("Cacme" + "Panne" * 20_000), COMPANY, **TREE)
    assert set(values(records, "title")) == {"acme"}
    assert not any(record.defects for record in records)


def test_what_is_longer_than_its_tables_is_named_too() -> None:
    text = "01 R. 05 N PIC 9. 05 T PIC X OCCURS 1 TO 3 DEPENDING ON N."
    records = read(rdw("2ABC") + rdw("2AB "), text, record_format="V", variable_size_occurs=True)
    assert [record.defects for record in records] == [("record_longer_than_layout",), ()]
