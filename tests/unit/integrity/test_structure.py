"""Every checker takes what is sound, and finds what was cut off or changed in the middle."""

from __future__ import annotations

import base64
import bz2
import io
import lzma
import random
import sqlite3
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from functools import cache

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from asepsis.domain.integrity import ObjectFacts
from asepsis.domain.source import Verdict
from asepsis.integrity.judgement import judge
from asepsis.integrity.observation import observe
from asepsis.integrity.structure import images, tables
from asepsis.integrity.structure.cursor import Cursor
from encryption_patterns import MAKERS, csv_of, dicom_of, element, jpeg_of, png_of, rows


def facts_of(content: bytes) -> ObjectFacts:
    return observe(io.BytesIO(content), size=len(content))


def tar_of(dice: random.Random) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for number in range(40):
            content = csv_of(dice)[:2000]
            member = tarfile.TarInfo(f"a-long-name-of-a-folder/{number}/" + "x" * 120)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


MADE: dict[str, Callable[[random.Random], bytes]] = {
    **MAKERS,
    "a.xz": lambda dice: lzma.compress(csv_of(dice)),
    "a.bz2": lambda dice: bz2.compress(csv_of(dice)) + bz2.compress(b"more"),
    "a.zst": lambda dice: zstandard.ZstdCompressor(write_checksum=True).compress(csv_of(dice)),
    "a.tar": tar_of,
}
FORMATS = {
    "lab.csv": "text",
    "lab-1252.csv": "text",
    "lab-utf16.txt": "text",
    "lab.csv.gz": "gzip",
    "DX.DBF": "dbase",
    "book.xlsx": "zip",
    "scan.png": "png",
    "photo.jpg": "jpeg",
    "lab.parquet": "parquet",
    "lab.sqlite": "sqlite",
    "ct.dcm": "dicom",
    "us.dcm": "dicom",
    "letter.pdf": "pdf",
    "letter.doc": "ole",
    "oru.hl7": "hl7v2",
    "claims.x12": "x12",
    "observations.ndjson": "fhir",
    "summary.xml": "ccda",
    "MAST.DAT": "ebcdic",
    "packed.dat": "unknown",
    "a.xz": "xz",
    "a.bz2": "bzip2",
    "a.zst": "zstd",
    "a.tar": "tar",
}
ENDLESS = {"lab.csv", "lab-1252.csv", "lab-utf16.txt", "MAST.DAT", "packed.dat"}
"""Nothing in these says where they end."""
LOOSE = {"lab.sqlite", "letter.doc", "ct.dcm", "packed.dat", "a.tar", "MAST.DAT", "photo.jpg", "us.dcm"}
"""Some of the content of these may be anything: a few bytes of it are not found without the version before."""


@cache
def made(name: str) -> bytes:
    return MADE[name](random.Random(11))


@pytest.mark.parametrize("name", MADE)
def test_a_sound_object_is_known_checked_and_clean(name: str) -> None:
    facts = facts_of(made(name))
    assert (facts.format, facts.faults) == (FORMATS[name], ())
    assert facts.is_checked == (name != "packed.dat")
    assert judge(f"/x/{name}", facts).verdict is Verdict.CLEAN


@pytest.mark.parametrize("name", sorted(MADE.keys() - ENDLESS))
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_what_was_cut_off_is_found(name: str, share: float) -> None:
    facts = facts_of(made(name)[: int(len(made(name)) * share)])
    assert facts.format == FORMATS[name]
    assert facts.faults


@pytest.mark.parametrize("name", sorted(MADE.keys() - LOOSE))
def test_a_few_bytes_changed_in_the_middle_are_found(name: str) -> None:
    dice, content = random.Random(5), made(name)
    for _ in range(5):
        at = dice.randrange(len(content) // 3, len(content) * 2 // 3)
        changed = content[:at] + dice.randbytes(120) + content[at + 120 :]
        assert facts_of(changed).faults, at


@pytest.mark.parametrize("name", sorted(LOOSE))
def test_a_block_of_noise_in_the_middle_is_found_beside_the_version_before(name: str) -> None:
    dice, content = random.Random(5), made(name)
    for _ in range(5):
        at = dice.randrange(len(content) // 3, len(content) * 2 // 3)
        changed = content[:at] + dice.randbytes(4096) + content[at + 4096 :]
        assert judge(f"/{name}", facts_of(changed), before=facts_of(content)).verdict is not Verdict.CLEAN, at


def test_any_changed_byte_of_a_png_is_found() -> None:
    content = bytearray(png_of(random.Random(1)))
    for at in range(8, len(content), 97):
        content[at] ^= 1
        assert facts_of(bytes(content)).faults
        content[at] ^= 1


def test_noise_among_pixels_is_found_without_any_history() -> None:
    content, dice = made("ct.dcm"), random.Random(3)
    changed = content[:10_001] + dice.randbytes(4096) + content[14_097:]
    assert facts_of(changed).faults == ("pixels.noise",)


def test_a_letter_in_a_decimal_of_dicom_is_damage() -> None:
    content = made("ct.dcm").replace(b"0.5\\0.5", b"0.5\\0x5")
    assert facts_of(content).faults == ("format.structure_damaged",)


def test_dicom_elements_out_of_order_are_damage() -> None:
    content = dicom_of(random.Random(1))
    at = content.index(element(0x28, 0x10, b"US", struct.pack("<H", 100)))
    assert facts_of(content[:at] + element(8, 0x16, b"UI", b"1.2") + content[at:]).faults == (
        "format.structure_damaged",
    )


def test_a_deflated_dicom_file_is_followed() -> None:
    syntax = element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1.99")
    body = zlib.compressobj(wbits=-15)
    packed = body.compress(element(8, 0x20, b"DA", b"20130201") + element(0x10, 0x10, b"PN", b"Doe")) + body.flush()
    content = bytes(128) + b"DICM" + element(2, 0, b"UL", struct.pack("<I", len(syntax))) + syntax + packed
    assert facts_of(content).faults == ()
    assert facts_of(content[:-6]).faults


def test_packets_of_jpeg_2000_hold_no_marker() -> None:
    sound = random.Random(2).randbytes(40_000).replace(b"\xff", b"\x00")
    assert images.are_packets(b"\xff\x4f" + sound + b"\xff\xd9")
    assert not images.are_packets(b"\xff\x4f" + sound + random.Random(2).randbytes(4096) + b"\xff\xd9")


def test_a_jpeg_whose_scan_is_cut_is_truncated() -> None:
    assert facts_of(jpeg_of(random.Random(4))[:5000]).faults == ("format.truncated",)


def test_a_zip_whose_directory_names_what_is_not_there_is_damaged() -> None:
    content = made("book.xlsx")
    at = content.rindex(b"media/raw.bin")
    assert facts_of(content[:at] + b"media/rab.bin" + content[at + 13 :]).faults == ("format.structure_damaged",)


def test_a_zip_of_streamed_members_is_followed() -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.content = b""

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.content += bytes(data)  # type: ignore[call-overload]
            return len(data)  # type: ignore[arg-type]

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", csv_of(random.Random(1)))
        archive.writestr("b.txt", b"b")
    assert facts_of(pipe.content).faults == ()
    assert facts_of(pipe.content[:900] + b"xxxx" + pipe.content[904:]).faults


def test_a_database_that_moves_its_pages_is_sound() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA page_size = 512")
    connection.execute("PRAGMA auto_vacuum = FULL")
    connection.execute("CREATE TABLE lab (id INTEGER PRIMARY KEY, name TEXT, day TEXT, value REAL)")
    connection.executemany("INSERT INTO lab VALUES (?, ?, ?, ?)", rows(random.Random(1)))
    connection.commit()
    content = connection.serialize()
    assert facts_of(content).faults == ()
    assert facts_of(content[:512] + b"\x09" * 512 + content[1024:]).faults == ("format.structure_damaged",)


def test_a_page_of_parquet_is_measured_by_its_checksum() -> None:
    out = io.BytesIO()
    pq.write_table(
        pa.table({"x": list(range(5000))}), out, compression="none", write_page_checksum=True, use_dictionary=False
    )
    content = bytearray(out.getvalue())
    content[20_000] ^= 1
    assert facts_of(bytes(content)).faults == ("format.structure_damaged",)


def test_text_of_a_column_must_be_text() -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({"x": ["abcdefgh" * 20] * 50}), out, compression="none", use_dictionary=False)
    content = out.getvalue()
    at = content.index(b"abcdefgh") + 800
    assert facts_of(content[:at] + b"\xff\xfe\xff" + content[at + 3 :]).faults == ("format.structure_damaged",)


def test_a_declared_encoding_is_kept_to() -> None:
    text = "<?xml version='1.0' encoding='{}'?><a>" + "환자 기록 " * 500 + "</a>"
    for encoding in ("euc-kr", "utf-8"):
        content = text.format(encoding).encode(encoding)
        assert facts_of(content).faults == ()
        assert "format.encoding_broken" in facts_of(content[:2001] + b"\xff\xff\xff" + content[2004:]).faults


def test_utf_8_once_begun_is_kept_to() -> None:
    content = "Ä;Ö;Ü\n".encode() * 20_000
    assert facts_of(content).faults == ()
    assert facts_of(content + b"\xc4;\xd6\n").faults == ("format.encoding_broken",)


def test_separators_below_space_are_text() -> None:
    content = b"\x011008\x02HDL\x01524\n" * 4000
    assert (facts_of(content).format, facts_of(content).faults) == ("text", ())


def test_a_batch_without_its_trailer_is_truncated() -> None:
    assert facts_of(made("oru.hl7").removesuffix(b"BTS|500\rFTS|1\r")).faults == ("format.truncated",)


@pytest.mark.parametrize(
    ("was", "now"), [(b"SE*4*0007", b"SE*5*0007"), (b"GE*200*1", b"GE*199*1"), (b"SE*4*0100", b"SE*4*0101")]
)
def test_a_wrong_count_or_control_number_of_x12_is_found(was: bytes, now: bytes) -> None:
    assert facts_of(made("claims.x12").replace(was, now)).faults == ("format.record_count_wrong",)


def test_a_cursor_gives_back_what_it_looked_at() -> None:
    cursor = Cursor(iter([b"ab", b"", b"cde", b"f"]))
    assert (cursor.peek(4), cursor.position) == (b"abcd", 0)
    assert (cursor.take(3), cursor.position) == (b"abc", 3)
    cursor.put_back(b"c")
    assert (cursor.take(2), cursor.rest(), cursor.position) == (b"cd", b"ef", 6)
    with pytest.raises(EOFError):
        cursor.take(1)


def test_an_object_too_large_to_be_held_is_not_said_to_be_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LARGEST_HELD", 10)
    monkeypatch.setattr("asepsis.integrity.observation.LARGEST_HELD", 10)
    facts = facts_of(made("lab.parquet"))
    assert (facts.format, facts.faults, facts.is_checked) == ("parquet", (), False)


def test_a_wiped_file_is_compromised_whatever_its_kind() -> None:
    for name in ("packed.dat", "lab.csv"):
        before = facts_of(made(name))
        for value in (b"\0", b"a"):
            wiped = facts_of(value * len(made(name)))
            assert judge("/data/x", wiped, before=before).verdict is Verdict.COMPROMISED, (name, value)


def test_text_that_became_base64_is_suspect() -> None:
    before = facts_of(made("packed.dat"))
    coded = facts_of(base64.b64encode(random.Random(1).randbytes(20_000)))
    assert judge("/data/x", coded, before=before).reasons == ("format.changed",)
    assert "content.entropy_rose" in judge("/x.csv", coded, before=facts_of(made("lab.csv"))).reasons
