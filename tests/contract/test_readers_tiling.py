"""One contract for every reader: the records tile the stream, whatever the stream is."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.errors.harmonise import LimitExceeded, SourceFileDamaged
from asepsis.harmonise.readers import ccda, dbase, delimited, ebcdic, hl7v2, ndjson, sqldump, x12
from asepsis.harmonise.readers.batch import Batch, records_of
from asepsis.harmonise.readers.copybook import parse_copybook
from asepsis.harmonise.readers.gunzip import gunzip
from asepsis.harmonise.readers.hl7fields import Hl7Path
from asepsis.harmonise.readers.lines import Decoding
from asepsis.harmonise.readers.record import Limits, Record, RecordKind
from asepsis.harmonise.readers.x12paths import parse_path
from asepsis.harmonise.readers.xpaths import compile_xpath

LAYOUT = parse_copybook(
    "01 R. 05 A PIC 9(4). 05 B PIC X(3). 05 C PIC S9(3) COMP-3. 05 D PIC S9(4) COMP. 05 E PIC S9(2)."
)
LATIN = Decoding(encoding="latin-1")
HL7_PATHS = {"test": Hl7Path("OBX", 3, component=1), "patient": Hl7Path("PID", 3)}
Reader = Callable[[BinaryIO], Iterator[Batch]]

ENTRY, CODE, CLAIM = compile_xpath("//entry"), compile_xpath("act/@code"), parse_path("NM1[QC|IL]-9")
WANTED = ccda.Wanted(frames={"entry": ENTRY} if ENTRY else {}, paths={"code": CODE} if CODE else {})

READERS: dict[str, Reader] = {
    "ebcdic": lambda stream: ebcdic.read(stream, layout=LAYOUT, encoding="cp037"),
    "ebcdic with wide characters": lambda stream: ebcdic.read(stream, layout=LAYOUT, encoding="utf-8"),
    "dbase": lambda stream: dbase.read(stream, encoding="cp850"),
    "dbase with wide characters": lambda stream: dbase.read(stream, encoding="shift_jis"),
    "ndjson": lambda stream: ndjson.read(stream, limits=Limits(record_bytes=64, nesting=3)),
    "delimited": lambda stream: delimited.read(
        stream, decoding=LATIN, header=(";", ("a", "b")), limits=Limits(record_bytes=64)
    ),
    "delimited with mixed encodings": lambda stream: delimited.read(
        stream, decoding=Decoding(encoding="cp1250", mixed=True), skip_header=True
    ),
    "hl7v2": lambda stream: hl7v2.read(
        stream, decoding=LATIN, segments=["OBX"], paths=HL7_PATHS, limits=Limits(record_bytes=64)
    ),
    "mysql": lambda stream: sqldump.read(
        stream,
        dialect=sqldump.Dialect.MYSQL,
        table="rx",
        columns=("a", "b"),
        decoding=LATIN,
        limits=Limits(record_bytes=64),
    ),
    "postgres": lambda stream: sqldump.read(
        stream, dialect=sqldump.Dialect.POSTGRES, table="rx", columns=("a", "b"), decoding=LATIN
    ),
}

READERS["x12"] = lambda stream: x12.read(
    stream,
    encoding="utf-8",
    segments=["CLM"],
    paths={"patient": CLAIM} if CLAIM else {},
    limits=Limits(record_bytes=400, nesting=3),
)
READERS["ccda"] = lambda stream: ccda.read(stream, encoding="latin-1", wanted=WANTED, limits=Limits(nesting=5))


def dbase_bytes(rows: int) -> bytes:
    header = bytes([3, 99, 1, 1]) + rows.to_bytes(4, "little") + (97).to_bytes(2, "little") + (10).to_bytes(2, "little")
    header = header.ljust(32, b"\0")
    for name, size in (("CODE", 6), ("SEX", 3)):
        header += name.encode().ljust(11, b"\0") + b"C" + bytes(4) + bytes([size, 0]) + bytes(14)
    return header + b"\r" + b" ABCDEFMMM" * rows + b"\x1a"


WHOLE = {
    "ebcdic": ("0042ABC".encode("cp037") + bytes.fromhex("123c") + b"\0\7" + bytes.fromhex("f1d2")) * 5,
    "dbase": dbase_bytes(5),
    "ndjson": b'{"a":[1,{"b":"c"}]}\n\n{"a":"\xc3\xa9"}\r\n{"x":' + b"1" * 90 + b"}\n",
    "delimited": b'A;B\r\n1;2\r\n\r\n"x;\xe4\n' + b"9" * 70 + b"\n3;4",
    "hl7v2": b"FHS|^~\\&|X\r\nMSH|^~\\&|A\rPID|1||7\r\nOBX|1|NM|K\nZZ1|x\rMSH|^~\\&|B\rBTS|1\rFTS|1",
    "mysql": b"-- dump\nINSERT INTO `rx` VALUES (1,'a\\'b'),(2,NULL);\nINSERT INTO other VALUES (1);\n",
    "postgres": b"SET x;\nCOPY public.rx (a, b) FROM stdin;\n1\t\\N\n2\ta\\tb\n\\.\nCOPY z FROM stdin;\n1\n\\.\n",
}

WHOLE["x12"] = (
    b"ISA*00*          *00*          *ZZ*A              *ZZ*B              *200101*1200*^*00501*000000001*0*T*:~\r\n"
    b"GS*HC*A*B*1*1*1*X*5~ST*837*1~HL*1**22~NM1*IL*1*A*****MI*S~CLM*C1*9~LX*1~~SE*6*1~GE*2*1~IEA*1*000000001~\n?"
)
WHOLE["ccda"] = (
    b'<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"><entry><act code="\xe9"/></entry>'
    b"<!-- <entry> --><entry/></ClinicalDocument>\n"
)


class Dribble(io.BytesIO):
    """Gives fewer bytes than asked for, as sockets and decompressors do."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size, 7) if size is not None and size > 7 else size)


def check(reader: Reader, content: bytes, stream: BinaryIO) -> list[Record]:
    records = list(records_of(reader(stream)))
    assert b"".join(record.raw for record in records) == content
    offset = 0
    for number, record in enumerate(records):
        assert (record.number, record.offset, record.length) == (number, offset, len(record.raw))
        assert record.length > 0
        offset += record.length
    return records


@pytest.mark.parametrize("name", READERS)
@given(content=st.binary(max_size=600))
@settings(max_examples=60)
def test_any_bytes_are_tiled(name: str, content: bytes) -> None:
    check(READERS[name], content, io.BytesIO(content))
    check(READERS[name], content, Dribble(content))


@st.composite
def mutated(draw: st.DrawFn, content: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        kind = draw(st.sampled_from(["flip", "cut", "insert", "drop"]))
        if kind == "flip" and data:
            data[place] ^= draw(st.integers(1, 255))
        elif kind == "cut":
            del data[place:]
        elif kind == "insert":
            data[place:place] = draw(st.binary(max_size=9))
        else:
            del data[place : place + draw(st.integers(1, 9))]
    return bytes(data)


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
@settings(max_examples=60)
def test_mutated_files_are_tiled(name: str, data: st.DataObject) -> None:
    content = data.draw(mutated(WHOLE[name.split(maxsplit=1)[0]]))
    check(READERS[name], content, io.BytesIO(content))


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("ebcdic", 5 * "d"),
        ("dbase", "h" + 5 * "d" + "h"),
        ("ndjson", "dhdrr"),
        ("delimited", "hdhdrrd"),
        ("hl7v2", "hccdxxhh"),
        ("mysql", "hhddhx"),
        ("postgres", "hhddhhxh"),
        ("x12", "hhhccxxxhxhr"),
        ("ccda", "cdcdc"),
    ],
)
def test_whole_files_have_the_records_that_they_should(name: str, kinds: str) -> None:
    records = check(READERS[name], WHOLE[name], io.BytesIO(WHOLE[name]))
    shown = ["x" if record.kind is RecordKind.DATA and record.defects else record.kind[0] for record in records]
    assert "".join(shown) == kinds


def test_deleted_and_surplus_dbase_records_are_marked() -> None:
    content = bytearray(dbase_bytes(3))
    content[97] = ord("*")
    content[4:8] = (2).to_bytes(4, "little")
    records = list(records_of(dbase.read(io.BytesIO(bytes(content)), encoding="cp850")))
    assert [record.defects for record in records] == [(), ("deleted",), (), ("beyond_declared_count",), ()]
    assert records[2].fields == {"code": "ABCDEF", "sex": "MMM"}


def test_a_json_bomb_of_brackets_is_a_defect() -> None:
    (record,) = records_of(ndjson.read(io.BytesIO(b'{"a":' + b"[" * 5000 + b"}\n")))
    assert record.defects == ("nested_too_deep",)
    (flat,) = records_of(ndjson.read(io.BytesIO(b'{"a":"' + b"[" * 5000 + b'"}\n')))
    assert flat.defects == ()


@pytest.mark.parametrize("base", ["ebcdic", "dbase", "ndjson"])
def test_the_number_of_records_is_limited(base: str) -> None:
    limits = Limits(records=2)
    reader = {
        "ebcdic": lambda stream: ebcdic.read(stream, layout=LAYOUT, encoding="cp037", limits=limits),
        "dbase": lambda stream: dbase.read(stream, encoding="cp850", limits=limits),
        "ndjson": lambda stream: ndjson.read(stream, limits=limits),
    }[base]
    with pytest.raises(LimitExceeded):
        list(reader(io.BytesIO(WHOLE[base])))


@given(st.binary(max_size=3000), st.integers(1, 400))
@settings(max_examples=60)
def test_gunzip_gives_the_same_bytes_plain_packed_and_in_members(content: bytes, size: int) -> None:
    members = gzip.compress(content[:size]) + gzip.compress(content[size:])
    assert gunzip(Dribble(gzip.compress(content)), name="f").read() == content
    assert gunzip(io.BytesIO(members), name="f").read() == content
    if content[:2] != b"\x1f\x8b":
        assert gunzip(Dribble(content), name="f").read() == content


@given(st.binary(min_size=1, max_size=500), st.data())
@settings(max_examples=60)
def test_a_damaged_gzip_member_is_refused_or_whole(content: bytes, data: st.DataObject) -> None:
    packed = gzip.compress(content, mtime=0)
    broken = data.draw(mutated(packed))
    if broken[:2] != b"\x1f\x8b":
        return
    try:
        read = gunzip(io.BytesIO(broken), name="f").read()
    except SourceFileDamaged:
        return
    assert read == content or broken == b""


def test_a_decompression_bomb_is_stopped() -> None:
    bomb = gzip.compress(bytes(5_000_000))
    with pytest.raises(LimitExceeded):
        gunzip(io.BytesIO(bomb), name="f", max_bytes=1_000_000).read()
