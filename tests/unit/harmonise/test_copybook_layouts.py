from __future__ import annotations

import io
from pathlib import Path

import pytest

from asepsis.errors.harmonise import CopybookRefused, LimitExceeded
from asepsis.harmonise.readers import ebcdic
from asepsis.harmonise.readers.batch import records_of
from asepsis.harmonise.readers.copybook import Layout, Storage, parse_copybook
from asepsis.harmonise.readers.record import Record

EXAMPLE = """
      * A COMMENT
       01  REC.
           05  KEY-NO           PIC 9(4).
           05  AMOUNT           PIC S9(5)V99 COMP-3.
           05  HALF             PIC S9(4) COMP.
           05  FULL             PIC 9(9) BINARY.
           05  LONG             PIC S9(18) COMP-4.
           05  ZONED            PIC S9(3)V9.
           05  PRICE            PIC 99V99.
           05  FILLER           PIC X(2) VALUE SPACES.
           05  LINES            OCCURS 2 TIMES.
               10  CODE         PIC XX.
               10  QTY          PIC 9.
           05  OTHER            REDEFINES LINES.
               10  BOTH         PIC X(6).
               88  IS-EMPTY     VALUE SPACES.
           05  LAST-ONE         PIC X.
"""


def read(stream: io.BytesIO, *, layout: Layout, encoding: str) -> list[Record]:
    return list(records_of(ebcdic.read(stream, layout=layout, encoding=encoding)))


def test_offsets_follow_storage_occurs_and_redefines() -> None:
    layout = parse_copybook(EXAMPLE)
    places = {span.name: (span.offset, span.length) for span in layout.spans}
    assert places == {
        "key_no": (0, 4),
        "amount": (4, 4),
        "half": (8, 2),
        "full": (10, 4),
        "long": (14, 8),
        "zoned": (22, 4),
        "price": (26, 4),
        "code_1": (32, 2),
        "qty_1": (34, 1),
        "code_2": (35, 2),
        "qty_2": (37, 1),
        "both": (32, 6),
        "last_one": (38, 1),
    }
    assert layout.length == 39


def test_numbers_are_decoded_with_sign_and_scale() -> None:
    layout = parse_copybook(EXAMPLE)
    raw = "0042".encode("cp037") + bytes.fromhex("0012345d") + (-2).to_bytes(2, "big", signed=True)
    raw += (7).to_bytes(4, "big") + (-(10**17)).to_bytes(8, "big", signed=True)
    raw += bytes.fromhex("f0f1f2d3") + "1234".encode("cp037") + "  AB1CD2Z".encode("cp037")
    (record,) = read(io.BytesIO(raw), layout=layout, encoding="cp037")
    assert record.defects == ()
    assert record.fields is not None
    assert record.fields["amount"] == "-123.45"
    assert (record.fields["half"], record.fields["full"], record.fields["long"]) == ("-2", "7", str(-(10**17)))
    assert (record.fields["zoned"], record.fields["price"]) == ("-12.3", "12.34")
    assert (record.fields["code_1"], record.fields["qty_2"], record.fields["both"]) == ("AB", "2", "AB1CD2")


def test_what_is_no_number_becomes_null_with_a_named_defect() -> None:
    layout = parse_copybook("01 R. 05 P PIC S9(3) COMP-3. 05 Z PIC S9(2). 05 D PIC 9(2).")
    raw = bytes.fromhex("1a3c") + bytes.fromhex("f1a1") + "X1".encode("cp037")
    (record,) = read(io.BytesIO(raw), layout=layout, encoding="cp037")
    assert record.fields == {"p": None, "z": "11", "d": "X1"}
    assert set(record.defects) == {"packed_decimal_corrupt@p", "digits_expected@d"}
    (broken,) = read(io.BytesIO(bytes.fromhex("123c") + b"Q1" + b"\xf1\xf1"), layout=layout, encoding="cp037")
    assert broken.defects == ("zoned_decimal_corrupt@z",)


@pytest.mark.parametrize(
    "text",
    [
        "01 R. 05 A PIC X(2) SYNCHRONIZED.",
        "01 R. 05 A PIC X(2) VALUE 'A' SYNC.",
        "01 R. 05 A OCCURS 2 INDEXED BY I SYNC PIC X.",
        "01 R. 05 A COMP-1 PIC 9.",
        "01 R. 05 A COMP-1. 10 B PIC X.",
        "01 R. 05 A PIC G(3).",
        "01 R. 05 A PIC 9.9.9.",
        "01 R. 05 A PIC 9VP9.",
        "01 R. 05 A PIC X COMP-3.",
        "01 R. 05 A POINTER.",
        "01 R. 05 A PIC X VALUE.",
        "01 R. 05 A PIC X VALUE 'OPEN.",
        "01 R. 05 A PIC 9 SIGN MIDDLE.",
        "01 R. 05 N PIC 9. 05 A OCCURS 5 TO 1 TIMES DEPENDING ON N PIC X.",
        "01 R. 05 N PIC X. 05 A OCCURS 1 TO 5 TIMES DEPENDING ON N PIC X.",
        "01 R. 05 A OCCURS 1 TO 5 TIMES DEPENDING ON N PIC X. 05 N PIC 9.",
        "01 R. 05 A OCCURS 1 TO 5 TIMES PIC X.",
        "01 R. 05 A PIC X OCCURS 0.",
        "01 R. 05 A PIC X REDEFINES A.",
        "01 R. 05 A PIC X. 05 B REDEFINES C PIC X.",
        "01 R. 05 A PIC X. 05 A PIC X.",
        "01 R. 05 A PIC X. 10 B PIC X.",
        "77 A PIC X.",
        "66 A RENAMES B.",
        "01 R. 05 A.",
        "01 R. 05 A PIC 9(99).",
        "01 R. 05 A PIC SX.",
        "",
        "nonsense",
        "      -    05 A PIC X.",
    ],
)
def test_an_unknown_clause_is_one_clear_error(text: str) -> None:
    with pytest.raises(CopybookRefused):
        parse_copybook(text)


def test_a_record_that_grows_without_bound_is_refused() -> None:
    with pytest.raises(LimitExceeded):
        parse_copybook("01 R. 05 A OCCURS 9999 TIMES. 10 B OCCURS 9999 TIMES. 15 C PIC X.")


def test_the_example_of_northgate_has_131_bytes() -> None:
    folder = Path(__file__).parents[3] / "examples" / "mappings" / "northgate"
    layout = parse_copybook((folder / "PATMAST.CPY").read_text(encoding="utf-8"))
    assert layout.length == 131
    assert layout.spans[-2].storage is Storage.PACKED
