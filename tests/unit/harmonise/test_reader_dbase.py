"""dBase tables: whole columns hold what decoding field by field gives, whatever the code page and the bytes."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.harmonise.readers import dbase
from asepsis.harmonise.readers.batch import records_of
from asepsis.harmonise.readers.record import RecordKind

FIELDS = {"NAME": 5, "EMPTY": 0, "CODE": 3}


def table(body: bytes, count: int) -> bytes:
    header = (
        bytes([3, 99, 1, 1]) + struct.pack("<IHH", count, 33 + 32 * len(FIELDS), 1 + sum(FIELDS.values())) + bytes(20)
    )
    for name, size in FIELDS.items():
        header += name.encode().ljust(11, b"\0") + b"C" + bytes(4) + bytes([size]) + bytes(15)
    return header + b"\r" + body


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.binary(min_size=8, max_size=8), max_size=20),
    encoding=st.sampled_from(["cp437", "cp850", "cp1252", "latin-1", "ascii", "utf-8", "cp932"]),
)
def test_columns_equal_single_fields(rows: list[bytes], encoding: str) -> None:
    data = table(b"".join(b" " + row for row in rows), len(rows))
    records = list(records_of(dbase.read(io.BytesIO(data), encoding=encoding)))
    assert b"".join(record.raw for record in records) == data
    found = [record for record in records if record.kind is RecordKind.DATA]
    assert len(found) == len(rows)
    for record, row in zip(found, rows, strict=True):
        texts = {"name": row[:5], "empty": b"", "code": row[5:]}
        decoded = {name: raw.decode(encoding, "replace") for name, raw in texts.items()}
        lost = {name for name, text in decoded.items() if "\ufffd" in text}
        assert record.fields == {name: None if name in lost else text for name, text in decoded.items()}
        assert set(record.defects) == {f"undecodable@{name}" for name in lost}


def test_a_table_of_many_batches_keeps_its_numbers() -> None:
    count = 40_000
    data = table(b"".join(b" %08d" % number for number in range(count)), count) + b"\x1a"
    batches = list(dbase.read(io.BytesIO(data), encoding="cp850"))
    assert sum(map(len, batches)) == count + 2
    records = list(records_of(batches))
    assert [record.fields for record in records[1:-1:9_999]] == [
        {"name": f"{number:08}"[:5], "empty": "", "code": f"{number:08}"[5:]} for number in range(0, count, 9_999)
    ]


@pytest.mark.parametrize(("flag", "defects"), [(b"*", ("deleted",)), (b"?", ("deletion_flag_unknown",)), (b" ", ())])
def test_the_flag_of_a_record_is_told(flag: bytes, defects: tuple[str, ...]) -> None:
    records = list(records_of(dbase.read(io.BytesIO(table(flag + b"ABCDEFGH", 1)), encoding="cp850")))
    assert records[1].defects == defects


def test_records_beyond_the_declared_count_are_told() -> None:
    records = list(records_of(dbase.read(io.BytesIO(table(b" ABCDEFGH" * 3, 1)), encoding="cp850")))
    assert [record.defects for record in records[1:]] == [(), ("beyond_declared_count",), ("beyond_declared_count",)]
