"""The files of Cobrix (AbsaOSS/cobrix, Apache-2.0) are read as Cobrix reads them: its expected output is the truth.

Our records are flat texts and Cobrix's are nested and typed, so that each expected value is looked up by its place.
"""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any

import numpy as np
import pytest

from asepsis.harmonise.mainframe import read_options
from asepsis.harmonise.readers import ebcdic
from asepsis.harmonise.readers.batch import records_of
from asepsis.harmonise.readers.copybook import Layout, parse_copybook
from asepsis.harmonise.readers.record import Record, RecordKind
from asepsis.harmonise.section import Section

# Cobrix's code pages "common" and "common_extended": what all EBCDIC pages share, everything else a space.
MARKS = bytes.fromhex("4b4c4d4e4f505a5b5c5d5e60616a6b6c6d6e6f 797a7b7c7d7e7f a1b0babb c0cad0e0")
LETTERS = bytes([*range(0x81, 0x8A), *range(0x91, 0x9A), *range(0xA2, 0xAA)])
CAPITALS = bytes([*range(0xC1, 0xCA), *range(0xD1, 0xDA), *range(0xE2, 0xEA)])
CODED = bytes([0x0D, 0x25, *MARKS, *LETTERS, *CAPITALS, *range(0xF0, 0xFA)])
CHARS = "\n\r" + ".<(+|&!$*);-/|,%_>?" + "`:#@'=\"" + "~^[]" + "{-}\\" + ascii_lowercase + ascii_uppercase + digits
SHARED = dict(zip(CODED, CHARS, strict=True))
CONTROLS = bytes.fromhex(
    "00010203 1a091a20 1a1a1a0b 0c0a0e0f 10111213 1a1a081a 18191a1a 1c1d1e1f"
    "20202020 200d171b 20202020 20050607 20201620 20202004 20202020 14152020"
).decode("ascii")
# What Java's String.trim takes away: everything up to the space.
TRIMMED = bytes(range(33)).decode("ascii")
PAGES = {
    "cobrix_common": "".join(SHARED.get(byte, " ") for byte in range(256)),
    "cobrix_common_extended": CONTROLS + "".join(SHARED.get(byte, " ") for byte in range(64, 256)),
}


@pytest.fixture(autouse=True)
def code_pages() -> Iterator[None]:
    def find(name: str) -> codecs.CodecInfo | None:
        table = PAGES.get(name)
        if table is None:
            return None
        mapping = {ord(char): byte for byte, char in enumerate(table)}
        return codecs.CodecInfo(
            name=name,
            encode=lambda text, errors="strict": codecs.charmap_encode(text, errors, mapping),
            decode=lambda data, errors="strict": codecs.charmap_decode(data, errors, table),
        )

    codecs.register(find)
    yield
    codecs.unregister(find)


@pytest.fixture
def cobrix(shared: Path) -> Path:
    folder = shared / "ebcdic_cobrix"
    if not folder.is_dir():
        pytest.skip("the files of Cobrix are not here (set ASEPSIS_SHARED)")
    return folder


def copybook(folder: Path, name: str) -> str:
    return (folder / name).read_text(encoding="latin-1")


def read(data: bytes, text: str, encoding: str = "cobrix_common", **keys: Any) -> tuple[Layout, list[Record]]:
    layout = parse_copybook(text)
    section = Section(keys, file="source.yaml", key="files.x")
    options = read_options(section, layout)
    section.close()
    records = list(records_of(ebcdic.read(io.BytesIO(data), layout=layout, encoding=encoding, options=options)))
    assert b"".join(record.raw for record in records) == data
    return layout, records


def expected(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line, parse_float=Decimal) for line in path.read_text(encoding="latin-1").splitlines()]


def leaves(value: Any, name: str = "", suffix: str = "") -> Iterator[tuple[str, Any]]:
    """Every elementary value of Cobrix's JSON under the name that it has here."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, key.lower(), suffix)
    elif isinstance(value, list):
        for number, item in enumerate(value, start=1):
            yield from leaves(item, name, f"{suffix}_{number}")
    else:
        yield name + suffix, value


def differences(record: Record, truth: dict[str, Any], *, trim: str | None = TRIMMED) -> list[str]:
    """The fields whose values are not those of Cobrix, and those that only one side has."""
    assert record.fields is not None
    values = {name: value for name, value in record.fields.items() if value is not None}
    found = []
    for name, wanted in leaves(truth):
        ours = values.pop(name, None)
        if isinstance(wanted, str):
            same = ours is not None and (ours.strip(trim) if trim is not None else ours) == wanted
        elif name.startswith("float"):
            same = ours is not None and bool(np.float32(ours) == np.float32(str(wanted)))
        elif name.startswith("double"):
            same = ours is not None and bool(np.isclose(float(ours), float(wanted), rtol=1e-14))
        else:
            same = ours is not None and ours.strip() != "" and Decimal(ours) == Decimal(str(wanted))
        if not same:
            found.append(name)
    return found + sorted(values)


def without(truth: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in truth.items() if name not in names}


@pytest.mark.parametrize("number", ["1", "2"])
def test_tables_that_depend_on_a_count(number: str, cobrix: Path) -> None:
    data = (cobrix / f"test{number}_data" / "example.bin").read_bytes()
    _, records = read(data, copybook(cobrix, f"test{number}_copybook.cob"))
    truth = expected(cobrix / "test1_expected" / "test1.txt")
    assert len(records) == len(truth) == 10
    assert [differences(*pair) for pair in zip(records, truth, strict=True)] == [[]] * 10


def test_the_second_file_of_test2_differs_in_its_ids_only(cobrix: Path) -> None:
    text = copybook(cobrix, "test2_copybook.cob")
    _, first = read((cobrix / "test2_data" / "example.bin").read_bytes(), text)
    _, second = read((cobrix / "test2_data" / "example2.bin").read_bytes(), text)
    assert [record.defects for record in second] == [()] * 10
    changed = {
        name
        for one, other in zip(first, second, strict=True)
        for name, value in (one.fields or {}).items()
        if value != (other.fields or {})[name]
    }
    assert changed == {"id"}


@pytest.mark.parametrize(
    ("name", "trim"),
    [
        ("test3", str.strip),
        ("test3_trim_none", str),
        ("test3_trim_left", str.lstrip),
        ("test3_trim_right", str.rstrip),
        ("test3_trim_both", str.strip),
    ],
)
def test_texts_and_binary_amounts(name: str, trim: Any, cobrix: Path) -> None:
    data = (cobrix / "test3_data" / "TRAN2.AUG31.DATA.dat").read_bytes()
    _, records = read(data, copybook(cobrix, "test3_copybook.cob"))
    chosen = [record for record in records if (record.fields or {})["signature"] == "S9276511"][:60]
    truth = expected(cobrix / "test3_expected" / f"{name}.txt")
    assert len(records) == 1000
    for record, wanted in zip(chosen, truth, strict=True):
        assert record.fields is not None
        texts = {field: trim(value) for field, value in record.fields.items() if field not in {"wealth_qfy", "amount"}}
        assert differences(record._replace(fields={**record.fields, **texts}), wanted, trim=None) == []


@pytest.mark.parametrize(
    ("name", "encoding", "trim"),
    [("printable", "cobrix_common", TRIMMED), ("non_printable", "cobrix_common_extended", None)],
)
def test_code_pages(name: str, encoding: str, trim: str | None, cobrix: Path) -> None:
    data = (cobrix / "test8_data" / "TRAN2.MAR14.DATA.dat").read_bytes()
    _, records = read(data, copybook(cobrix, "test8_copybook.cob"), encoding)
    truth = expected(cobrix / "test8_expected" / f"test8_{name}.txt")
    assert [differences(*pair, trim=trim) for pair in zip(records, truth, strict=False)] == [[]] * 60


GENERATED = ("File_Id", "Record_Id", "Record_Byte_Length", "Seg_Id0", "Seg_Id1")
SEGMENT_IDS: dict[str, Any] = {"segment_field": "SEGMENT-ID", "segments": {"C": "STATIC-DETAILS", "P": "CONTACTS"}}


def generated(records: list[Record], prefix: str, *, children: bool, word: int) -> list[dict[str, Any]]:
    """The columns that Cobrix makes up: numbers of records and of the latest record of the root segment."""
    found = []
    root, count = 0, 0
    for record in records:
        is_root = ((record.fields or {})["segment_id"] or "").strip() == "C"
        root, count = (record.number, 0) if is_root else (root, count + 1)
        made = {
            "File_Id": 0,
            "Record_Id": record.number,
            "Record_Byte_Length": record.length - word,
            "Seg_Id0": f"{prefix}_0_{root}",
        }
        found.append(made | ({"Seg_Id1": f"{prefix}_0_{root}_L1_{count}"} if children and not is_root else {}))
    return found


@pytest.mark.parametrize(
    ("name", "prefix", "children"), [("test5", "A", True), ("test5a", "B", False), ("test5b", "A", True)]
)
def test_descriptor_words_and_all_redefinitions(name: str, prefix: str, *, children: bool, cobrix: Path) -> None:
    data = (cobrix / "test5_data" / "COMP.DETAILS.SEP30.DATA.dat").read_bytes()
    _, records = read(data, copybook(cobrix, "test5_copybook.cob"), record_format="V", rdw="little")
    truth = expected(cobrix / "test5_expected" / f"{name}.txt")
    assert len(records) == 1000
    made = generated(records[:60], prefix, children=children, word=4)
    assert made == [{key: value for key, value in row.items() if key in GENERATED} for row in truth]
    unlike = [differences(record, without(row, *GENERATED)) for record, row in zip(records, truth, strict=False)]
    # Cobrix refuses an unsigned binary number of four bytes above 2**31 - 1, which Java's int cannot hold; we read it.
    assert {name for found in unlike for name in found} == {"taxpayer_num"}
    for record, row, found in zip(records, truth, unlike, strict=False):
        if found:
            assert "TAXPAYER_NUM" not in row["STATIC_DETAILS"]["TAXPAYER"]
            assert int((record.fields or {})["taxpayer_num"] or 0) > 2**31 - 1


def test_segments_fill_their_own_redefinition(cobrix: Path) -> None:
    data = (cobrix / "test5_data" / "COMP.DETAILS.SEP30.DATA.dat").read_bytes()
    text = copybook(cobrix, "test5_copybook.cob")
    _, records = read(data, text, record_format="V", rdw="little", **SEGMENT_IDS)
    truth = expected(cobrix / "test5_expected" / "test5c.txt")
    made = generated(records[:60], "B", children=False, word=4)
    assert made == [{key: value for key, value in row.items() if key in GENERATED} for row in truth]
    unlike = [differences(record, without(row, *GENERATED)) for record, row in zip(records, truth, strict=False)]
    assert {name for found in unlike for name in found} == {"taxpayer_num"}


def test_a_field_of_the_record_tells_its_length(cobrix: Path) -> None:
    """The expected output was made with a second copybook, which has the descriptor word as two fields."""
    data = (cobrix / "test5_data" / "COMP.DETAILS.SEP30.DATA.dat").read_bytes()
    fields = "01  COMPANY-DETAILS.\n            05  FILLER PIC X(2).\n            05  RECORD-LENGTH PIC 9(4) COMP-9.\n"
    text = copybook(cobrix, "test5_copybook.cob").replace("01  COMPANY-DETAILS.\n", fields)
    _, records = read(data, text, record_length_field="RECORD-LENGTH", rdw_adjustment=4)
    truth = expected(cobrix / "test5_expected" / "test5d.txt")
    made = generated(records[:60], "A", children=True, word=0)
    assert made == [{key: value for key, value in row.items() if key in GENERATED} for row in truth]
    unlike = [differences(record, without(row, *GENERATED)) for record, row in zip(records, truth, strict=False)]
    assert {name for found in unlike for name in found} == {"taxpayer_num"}


def test_every_type_of_number(cobrix: Path) -> None:
    data = (cobrix / "test6_data" / "INTEGR.TYPES.NOV28.DATA.dat").read_bytes()
    _, records = read(data, copybook(cobrix, "test6_copybook.cob"), floating_point_format="ieee754")
    truth = expected(cobrix / "test6_expected" / "test6.txt")
    assert len(records) == len(truth) == 100
    assert [(differences(*pair), pair[0].defects) for pair in zip(records, truth, strict=True)] == [([], ())] * 100


@pytest.mark.parametrize("name", ["test24", "test24b"])
def test_every_field_has_the_bytes_that_cobrix_shows(name: str, cobrix: Path) -> None:
    """The debugging output of Cobrix has the bytes of every field: in hexadecimal, or as base64."""
    data = (cobrix / "test24_data" / "INTEGR.TYPES.NOV28.DATA.dat").read_bytes()
    layout, records = read(data, copybook(cobrix, "test24_copybook.cob"), floating_point_format="ieee754")
    truth = expected(cobrix / "test24_expected" / f"{name}.txt")
    for record, row in zip(records, truth, strict=False):
        plain = {key: value for key, value in row.items() if not key.endswith("_debug")}
        assert differences(record, plain) == []
        for span in layout.spans:
            raw = record.raw[span.offset : span.offset + span.length]
            shown = row[f"{span.name.upper()}_debug"]
            assert shown in {raw.hex().upper(), codecs.encode(raw, "base64").decode().replace("\n", "")}
    assert truth


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("test6_copybook.cob", "test6_expected/test6_layout.txt"),
        ("test24_copybook.cob", "test24_expected/test24_layout.txt"),
        ("test19_display_num.cob", "test19_display_num_expected/test19_layout.txt"),
    ],
)
def test_places_of_fields(text: str, places: str, cobrix: Path) -> None:
    layout = parse_copybook(copybook(cobrix, text))
    lines = re.findall(
        r"^\s*(\d+) (\S+) .*?\d+\s+(\d+)\s+\d+\s+(\d+)\s*$", (cobrix / places).read_text(encoding="utf-8"), re.MULTILINE
    )
    truth = {name.lower(): (int(start) - 1, int(size)) for _, name, start, size in lines}
    ours = {span.name: (span.offset, span.length) for span in layout.spans}
    assert ours == {name: place for name, place in truth.items() if name in ours}
    assert {name for name in truth if name not in ours and not name.endswith("_debug")} <= {"record", "filler"}


def test_numbers_in_characters(cobrix: Path) -> None:
    """The bytes of test 19 are not in the folder: they are written here from the rows whose fields are all numbers."""
    truth = expected(cobrix / "test19_display_num_expected" / "test19.txt")[:5]
    data = b"".join(
        f"{row['WS_DATE_NUM']:08} {row['WS_DATE_ALPHA']:10} {row['WS_ACCT_ALPHA']:8} {row['WS_AMOUNT_NUMERIC']:010} "
        f"{int(row['WS_AMOUNT_FRACTION'] * 100):010} {row['WS_NAME_ALPHABET']:10} {row['WS_AMOUNT_FRACTION2']:11}"
        f"{'':7}".encode("cp037")
        for row in truth
    )
    _, records = read(data, copybook(cobrix, "test19_display_num.cob"), "cp037")
    rows = [without(row, *GENERATED) for row in truth]
    assert [differences(*pair) for pair in zip(records, rows, strict=True)] == [[]] * 5
    assert all(record.kind is RecordKind.DATA for record in records)
