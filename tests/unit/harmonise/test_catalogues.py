"""SAS catalogues: every label with what it stands for; what is no single value has no value, and a cut file no rows."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.engines.harmonise import HarmonisedRun, Resources, harmonise, load_mapping, run_mapping_tests
from asepsis.engines.transcripts.catalogue import LARGEST, CatalogueDamagedError, transcript
from asepsis.engines.transcripts.order import Kind, Order, TooLargeError
from asepsis.errors.harmonise import TableFileDamaged

MAGIC = bytes.fromhex("000000000000000000000000c2ea8163b31411cfbd92080009c7318c181f1011")
HEADER, PAGE = 1024, 4096
Formats = Mapping[str, Sequence[tuple[bytes, str]]]
Row = tuple[str, str, str | None, str]


def stored(value: float) -> bytes:
    """A number as catalogues hold it: in bytes that sort as the numbers do."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", value))
    return struct.pack(">Q", bits ^ (1 << 63) if bits < 1 << 63 else bits ^ ((1 << 64) - 1))


def letter(name: str) -> bytes:
    return bytes(2) + bytes(["_.ABCDEFGHIJKLMNOPQRSTUVWXYZ".index(name)]) + b"\xff" * 5


def text(value: str) -> bytes:
    return value.encode("cp1252").ljust(16)


class Writer:
    """Catalogues of each shape: of narrow or wide words, either order of bytes, blocks in one piece or in several."""

    def __init__(self, *, wide: bool = False, big: bool = False, piece: int = PAGE, per_page: int = 3) -> None:
        self.wide, self.sign, self.piece, self.per_page = wide, ">" if big else "<", piece, per_page

    def catalogue(self, formats: Formats, *, charset: int = 62) -> bytes:
        self.pages = [bytearray(PAGE) for _ in range(3)]
        self.index: list[tuple[int, int]] = []
        for name, labels in formats.items():
            self.index.append(self.put(self.block(name, labels)))
        self.index_pages()
        pad = 4 if self.wide else 0
        head = bytearray(HEADER)
        head[:32] = MAGIC
        head[32] = head[35] = 0x33 if self.wide else 0x22
        head[37], head[39], head[70] = self.sign == "<", ord("1"), charset
        head[84:92] = b"SAS FILE"
        count = "Q" if self.wide else "I"
        struct.pack_into(f"{self.sign}II{count}8x8s", head, 196 + pad, HEADER, PAGE, len(self.pages), b"9.0401M6")
        return bytes(head) + b"".join(self.pages)

    def block(self, name: str, labels: Sequence[tuple[bytes, str]]) -> bytes:
        is_long = len(name) > 8
        head = bytearray((138 if self.wide else 106) + 20)
        head[2] = 0x08 | ((0x20 if self.wide else 0x80) if is_long else 0)
        head[8:16] = name.encode().ljust(8)[:8]
        for at in (46, 54) if self.wide else (42, 46):
            struct.pack_into(f"{self.sign}I", head, at, len(labels))
        body = name.encode().ljust(32) if is_long else b""
        for place, (value, _) in enumerate(reversed(labels)):  # entries may stand in another order than their labels
            entry = bytearray(22)
            struct.pack_into(f"{self.sign}HH", entry, 0, 4, 16 + len(value))
            struct.pack_into(f"{self.sign}I", entry, 14 if self.wide else 10, len(labels) - 1 - place)
            body += bytes(entry) + value
        for _, label in labels:
            written = label.encode("cp1252")
            body += bytes(8) + struct.pack(f"{self.sign}H", len(written)) + written + b"\0"
        return bytes(head) + body

    def put(self, block: bytes) -> tuple[int, int]:
        """Write the pieces of a block, each on a page of its own, the last one first."""
        after = (0, 0)
        size = 32 if self.wide else 16
        for start in reversed(range(0, len(block), self.piece)):
            piece = block[start : start + self.piece]
            page = bytearray(PAGE)
            link = bytearray(size)
            struct.pack_into(f"{self.sign}I", link, 0, after[0])
            struct.pack_into(f"{self.sign}HH", link, 8 if self.wide else 4, after[1], len(piece))
            page[64 : 64 + size + len(piece)] = bytes(link) + piece
            self.pages.append(page)
            after = (len(self.pages), 64)
        return after

    def index_pages(self) -> None:
        """The first page of the index, and others where it is full."""
        size = 212 + (76 if self.wide else 0)
        at, page = 856 + (152 if self.wide else 0), self.pages[1]
        for number, (block_page, place) in enumerate(self.index):
            if number and number % self.per_page == 0:
                page, at = bytearray(PAGE), 16
                self.pages.append(page)
            page[at : at + 4] = b"XLSR"
            struct.pack_into(f"{self.sign}I", page, at + (8 if self.wide else 4), block_page)
            struct.pack_into(f"{self.sign}H", page, at + (16 if self.wide else 8), place)
            page[at + (78 if self.wide else 50)] = ord("O")
            at += size


def written(data: bytes, **more: Any) -> list[Row]:
    order = Order(kind=Kind.STATISTICS, memory=0, seconds=0, form="sas7bcat", **more)
    text = b"".join(transcript(io.BytesIO(data), order)).decode("utf-8", "surrogatepass")
    names, *rows, last = text.removesuffix("\n").split("\n")
    assert names == "format\tkind\tvalue\tlabel"
    assert last == f"\\.\t{len(rows)}"
    return [tuple(None if word == "\\N" else word for word in row.split("\t")) for row in rows]  # type: ignore[misc]


FORMATS: dict[str, list[tuple[bytes, str]]] = {
    "$SEX": [(text("F"), "Female"), (text("M"), "Male")],
    "SMOKER_STATUS_AT_VISIT": [(stored(0.0), "never"), (stored(1.0), "ex"), (stored(2.5), "müde")],
    "REFUSED": [(stored(-7.0), "refused"), (letter("A"), "not asked"), (letter("."), "missing"), (letter("_"), "none")],
    "AGE": [(stored(1.0) + stored(5.0), "young"), (stored(6.0) * 2, "six"), (b"\xff" * 8, "high"), (b"", "rest")],
    "$LONG": [(text("A") + text("C"), "A to C"), (text("D") + b"EFGH", "twenty letters")],
}
READ: list[Row] = [
    ("$SEX", "value", "F", "Female"),
    ("$SEX", "value", "M", "Male"),
    ("SMOKER_STATUS_AT_VISIT", "value", "0", "never"),
    ("SMOKER_STATUS_AT_VISIT", "value", "1", "ex"),
    ("SMOKER_STATUS_AT_VISIT", "value", "2.5", "müde"),
    ("REFUSED", "value", "-7", "refused"),
    ("REFUSED", "missing", ".A", "not asked"),
    ("REFUSED", "missing", ".", "missing"),
    ("REFUSED", "missing", "._", "none"),
    ("AGE", "other", None, "young"),
    ("AGE", "value", "6", "six"),
    ("AGE", "other", None, "high"),
    ("AGE", "other", None, "rest"),
    ("$LONG", "other", None, "A to C"),
    ("$LONG", "other", None, "twenty letters"),
]


@pytest.mark.parametrize(("wide", "big", "piece"), list(product((False, True), (False, True), (PAGE, 100))))
def test_every_label_has_what_it_stands_for_or_nothing(*, wide: bool, big: bool, piece: int) -> None:
    data = Writer(wide=wide, big=big, piece=min(piece, 3000)).catalogue(FORMATS)
    assert sorted(written(data), key=str) == sorted(READ, key=str)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
@settings(max_examples=30)
def test_any_number_comes_back_as_it_was(values: list[float]) -> None:
    rows = written(Writer().catalogue({"N": [(stored(value), "x") for value in values]}))
    assert [float(str(row[2])) for row in rows] == values


def test_the_library_reads_the_same_where_it_is_right(shared_data: Path) -> None:
    """Texts and positive numbers; where a value is negative it gives another one."""
    pyreadstat = pytest.importorskip("pyreadstat", reason="the extra 'tables' is not installed")
    folder = shared_data / "data" / "stat_files" / "sas_catalog"
    files = [path.read_bytes() for path in sorted(folder.glob("*.sas7bcat"))]
    assert len(files) == 2
    positive = {name: FORMATS[name] for name in ("$SEX", "SMOKER_STATUS_AT_VISIT")}
    for data in [*files, *(Writer(wide=wide).catalogue(positive) for wide in (False, True))]:
        _, about = pyreadstat.read_sas7bcat(io.BytesIO(data), output_format="dict")
        theirs = {
            (name, str(value).removesuffix(".0"), label)
            for name, labels in about.value_labels.items()
            for value, label in labels.items()
        }
        assert {(row[0], row[2], row[3]) for row in written(data)} == theirs


def test_an_encoding_that_is_not_known_is_declared_or_the_file_refused() -> None:
    for charset, label in ((0, "m\udcfcde"), (62, "müde"), (60, "müde"), (66, "müde"), (67, "müde"), (61, "mьde")):
        assert written(Writer().catalogue(FORMATS, charset=charset))[4][3] == label
    data = Writer().catalogue(FORMATS, charset=250)
    with pytest.raises(CatalogueDamagedError):
        written(data)
    assert written(data, charset="cp1252")[4][3] == "müde"


def test_a_catalogue_that_was_cut_or_spoilt_is_refused_or_read_whole() -> None:
    data = Writer(piece=100).catalogue(FORMATS)
    for cut in (1, PAGE, len(data) - 300, len(data) - 10, len(data)):
        with pytest.raises(CatalogueDamagedError):
            written(data[:-cut])
    for place in range(196, len(data), 307):
        spoilt = data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]
        try:
            assert {row[1] for row in written(spoilt)} <= {"value", "missing", "other"}
        except CatalogueDamagedError:
            continue


def test_a_block_that_leads_back_to_itself_is_refused() -> None:
    writer = Writer()
    data = bytearray(writer.catalogue({"$SEX": FORMATS["$SEX"]}))
    page, place = writer.index[0]
    at = HEADER + (page - 1) * PAGE + place
    struct.pack_into("<IH", data, at, page, place)
    with pytest.raises(CatalogueDamagedError):
        written(bytes(data))


def test_a_file_larger_than_any_catalogue_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Writer().catalogue(FORMATS)
    monkeypatch.setattr("asepsis.engines.transcripts.catalogue.LARGEST", len(data) - 1)
    assert len(data) < LARGEST
    with pytest.raises(TooLargeError):
        written(data)


SOURCE = """
format: asepsis-mapping/1
source: study
owner: southgate
dataset: southgate-omop
label: synthetic
files:
  study:
    pattern: study.sas7bdat
    reader: statistics
    format: sas7bdat
    extract_date: 2020-01-01
    columns: [id, sexa, sexb]
  formats:
    pattern: formats.sas7bcat
    reader: statistics
    format: sas7bcat
    extract_date: 2020-01-01
    columns: [format, kind, value, label]
"""
PERSON = """
table: person
from: study
person: id
joins:
  sex: {entry: formats, on: {format: "'$A'", value: sexa}, fields: [label]}
fields:
  gender_concept_id: {code_map: sex, from: sex_label}
  year_of_birth: {expr: "1950"}
require:
  - {expr: "sexa is null or sex_label is not null", reason: code_without_label}
"""
CASES = """
from: study
cases:
  - name: a code has the label of its format
    given: {text: "id\\tsexa\\tsexb\\nID1\\t2\\t1\\n\\\\.\\t1\\n"}
    joined: [{entry: formats, given: {text: "format\\tkind\\tvalue\\tlabel\\n$A\\tvalue\\t2\\tFemale\\n"}}]
    expect: {state: accepted, person.gender_concept_id: 8532}
  - name: a code without a label waits
    given: {text: "id\\tsexa\\tsexb\\nID1\\t3\\t1\\n\\\\.\\t1\\n"}
    joined: [{entry: formats, given: {text: "format\\tkind\\tvalue\\tlabel\\n$A\\tvalue\\t2\\tFemale\\n"}}]
    expect: {state: quarantined, reasons: [code_without_label]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "mapping"
    for name, content in {
        "source.yaml": SOURCE,
        "tables/person.yaml": PERSON,
        "tables/identity.yaml": "{table: identity, from: study, person: id, fields: {mrn: {expr: id}}}",
        "codes/sex.csv": "source_code,target_concept_id,grade,note\nFemale,8532,exact,\nMale,8507,exact,\n",
        "tests/study.yaml": CASES,
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def contributed(folder: Path, workdir: Path, catalogue: bytes, data: bytes) -> HarmonisedRun:
    files = {"study.sas7bdat": partial(io.BytesIO, data), "formats.sas7bcat": partial(io.BytesIO, catalogue)}
    small = Resources(memory="256MB", threads=1)
    return harmonise(load_mapping(folder), files, workdir=workdir, run="r", person_key=bytes(32), resources=small)


@pytest.mark.parametrize("system", ["win", pytest.param("linux", marks=pytest.mark.long)])
def test_codes_have_the_labels_of_the_catalogue_beside_them(
    system: str, shared_data: Path, folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pyreadstat", reason="the extra 'tables' is not installed")
    beside = shared_data / "data" / "stat_files" / "sas_catalog"
    data = (beside / f"test_data_{system}.sas7bdat").read_bytes()
    result = contributed(folder, tmp_path, (beside / f"test_formats_{system}.sas7bcat").read_bytes(), data)
    sexes = pq.read_table(result.tables["person"])["gender_concept_id"].to_pylist()
    assert sorted(sexes) == [8507, 8507, 8532]
    [formats] = [file for file in result.books.files if file.path == "formats.sas7bcat"]
    assert (formats.declared, formats.counted, formats.exclusions) == (4, 4, {"looked_up_only": 4})
    with pytest.raises(TableFileDamaged):
        contributed(folder, tmp_path / "cut", (beside / f"test_formats_{system}.sas7bcat").read_bytes()[:-9], data)


def test_a_mapping_with_a_catalogue_is_tried_without_it(folder: Path) -> None:
    assert [trial.differences for trial in run_mapping_tests(folder)] == [(), ()]
