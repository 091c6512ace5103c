"""How ransomware damages files: patterns of encryption, wiping and encoding, and clean files to apply them to.

A pattern says which bytes of a file it takes. Patterns of known families: the whole file (most), only the head
(LockBit 2,
4 KB; others up to 1 MB), every second 16 bytes (LockFile), every n-th block or share of each block (BlackCat, Royal,
Black
Basta, Play), head and tail, one block. Clean files are real ones, where there are any, and generated ones of every
kind.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import random
import re
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

KB = 1024
Pattern = Callable[[int], Iterator[tuple[int, int]]]


def _head(length: int) -> Pattern:
    return lambda size: iter([(0, min(length, size))])


def _tail(length: int) -> Pattern:
    return lambda size: iter([(max(0, size - length), size)])


def _every(step: int, length: int, *, start: int = 0) -> Pattern:
    return lambda size: ((at, min(at + length, size)) for at in range(start, size, step))


def _middle(length: int) -> Pattern:
    def spans(size: int) -> Iterator[tuple[int, int]]:
        at = size // 2 // 4096 * 4096
        yield at, min(at + length, size)

    return spans


def _both_ends(length: int) -> Pattern:
    def spans(size: int) -> Iterator[tuple[int, int]]:
        yield 0, min(length, size)
        if size > length:
            yield max(length, size - length), size

    return spans


PATTERNS: Mapping[str, Pattern] = {
    "whole": lambda size: iter([(0, size)]),
    "first 512 bytes": _head(512),
    "first 4 KB": _head(4 * KB),
    "first 64 KB": _head(64 * KB),
    "first 1 MB": _head(1024 * KB),
    "last 4 KB": _tail(4 * KB),
    "last 64 KB": _tail(64 * KB),
    "head and tail, 4 KB": _both_ends(4 * KB),
    "every second 16 bytes": _every(32, 16),
    "every second 16 bytes, from the second": _every(32, 16, start=16),
    "every second 64 bytes": _every(128, 64),
    "every third 4 KB": _every(12 * KB, 4 * KB),
    "every second 4 KB, from the second": _every(8 * KB, 4 * KB, start=4 * KB),
    "every sixteenth 4 KB": _every(64 * KB, 4 * KB),
    "first 4 KB of every 64 KB, from the second": _every(64 * KB, 4 * KB, start=64 * KB),
    "half of every 64 KB": _every(64 * KB, 32 * KB),
    "tenth of every 100 KB": _every(100 * KB, 10 * KB),
    "one block of 4 KB in the middle": _middle(4 * KB),
}


def encrypted(content: bytes, pattern: Pattern, dice: random.Random) -> bytes:
    """A stream cipher over the pattern's spans: what it takes is noise."""
    damaged = bytearray(content)
    for start, end in pattern(len(content)):
        damaged[start:end] = dice.randbytes(end - start)
    return bytes(damaged)


OTHERS: Mapping[str, Callable[[bytes, random.Random], bytes]] = {
    "zeros": lambda content, _: bytes(len(content)),
    "one byte over and over": lambda content, dice: bytes((dice.randrange(1, 256),)) * len(content),
    "whole, then base64": lambda content, dice: base64.b64encode(dice.randbytes(len(content))),
}
DAMAGES: Mapping[str, Callable[[bytes, random.Random], bytes]] = {
    **{name: lambda content, dice, p=pattern: encrypted(content, p, dice) for name, pattern in PATTERNS.items()},
    **OTHERS,
}


def real_files(folder: Path, *, largest: int = 6_000_000) -> dict[str, bytes]:
    """The files of a folder, and what is in those that are gzip."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and 64 <= path.stat().st_size <= largest:
            content = path.read_bytes()
            found[str(path)] = content
            if path.suffix == ".gz":
                found[str(path)[:-3]] = gzip.decompress(content)
    return {name: content for name, content in found.items() if 64 <= len(content) <= largest}


def generated_files(dice: random.Random) -> dict[str, bytes]:
    """One of every kind that a checker knows, with content from a seed."""
    return {f"/made/{name}": make(dice) for name, make in MAKERS.items()}


def rows(dice: random.Random, count: int = 1500) -> list[tuple[int, str, str, float]]:
    """Rows of laboratory values."""
    return [
        (
            10_000_000 + number,
            dice.choice(["HDL", "LDL", "Glucose", "Creatinine", "Hämoglobin"]),
            f"{dice.randrange(1985, 2013)}-{dice.randrange(1, 13):02}-{dice.randrange(1, 29):02}",
            round(dice.gauss(100, 20), 1),
        )
        for number in range(count)
    ]


def csv_of(dice: random.Random, encoding: str = "utf-8") -> bytes:
    """Rows as text with semicolons."""
    return "".join(f"{a};{b};{c};{d}\r\n" for a, b, c, d in rows(dice)).encode(encoding)


def dbase_of(dice: random.Random) -> bytes:
    """A dBase III table of two columns."""
    found = rows(dice)
    columns = ((b"MRN", 8), (b"NAME", 20), (b"DAY", 10))
    fields = b"".join(struct.pack("<11sc4sBB14s", name, b"C", b"", length, 0, b"") for name, length in columns)
    header = struct.pack("<BBBBIHH20s", 3, 112, 12, 31, len(found), 32 + 96 + 1, 39, b"") + fields + b"\r"
    body = b"".join(b" " + str(a).encode() + b.encode("cp850").ljust(20) + c.encode() for a, b, c, _ in found)
    return header + body + b"\x1a"


def zip_of(dice: random.Random) -> bytes:
    """An archive as an office program writes it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", '<?xml version="1.0"?><Types/>')
        archive.writestr("xl/worksheets/sheet1.xml", csv_of(dice))
        archive.writestr("media/raw.bin", dice.randbytes(20_000), zipfile.ZIP_STORED)
    return out.getvalue()


def png_of(dice: random.Random) -> bytes:
    """A grey picture of 150 x 100 points."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    lines = b"".join(b"\0" + bytes(min(255, x + dice.randrange(20)) for x in range(150)) for _ in range(100))
    header = struct.pack(">IIBBBBB", 150, 100, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def jpeg_of(dice: random.Random) -> bytes:
    """Segments and packed data as T.81 frames them: the data are noise with every 0xFF stuffed."""
    scan = dice.randbytes(60_000).replace(b"\xff", b"\xff\0")
    tables = b"\xff\xdb\0\x43\0" + bytes(range(1, 65)) + b"\xff\xc0\0\x0b\x08\0\x20\0\x20\x01\x01\x11\0"
    return (
        b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
        + tables
        + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0"
        + scan
        + b"\xff\xd9"
    )


def parquet_of(dice: random.Random) -> bytes:
    """A table as the room writes it, with checksums of pages."""
    a, b, c, d = zip(*rows(dice), strict=True)
    out = io.BytesIO()
    table = pa.table({"id": a, "name": b, "day": c, "value": d})
    pq.write_table(table, out, compression="zstd", write_page_checksum=True)
    return out.getvalue()


def sqlite_of(dice: random.Random) -> bytes:
    """A database with an index and values that need overflow pages."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE lab (id INTEGER PRIMARY KEY, name TEXT, day TEXT, value REAL)")
    connection.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT)")
    connection.execute("CREATE INDEX by_name ON lab (name, day)")
    connection.executemany("INSERT INTO lab VALUES (?, ?, ?, ?)", rows(dice))
    words = ["patient", "reports", "pain", "in", "the", "left", "arm", "since", "yesterday", "no", "fever"]
    notes = [(" ".join(dice.choices(words, k=dice.randrange(20, 3000))),) for _ in range(30)]
    connection.executemany("INSERT INTO note (text) VALUES (?)", notes)
    connection.execute("DELETE FROM lab WHERE id % 7 = 0")
    connection.commit()
    content = connection.serialize()
    connection.close()
    return content


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    """A data element of DICOM, explicit and little."""
    value += b" " * (len(value) % 2)
    long = vr in {b"OB", b"OW", b"SQ", b"UN"}
    length = struct.pack("<2xI" if long else "<H", len(value))
    return struct.pack("<HH", group, number) + vr + length + value


def dicom_of(dice: random.Random, *, jpeg: bool = False) -> bytes:
    """A picture of 100 x 100 points of twelve bits, or the same as JPEG in one fragment."""
    uid = b"1.2.840.10008.1.2.4.50" if jpeg else b"1.2.840.10008.1.2.1"
    syntax = element(2, 0x10, b"UI", uid)
    meta = element(2, 0, b"UL", struct.pack("<I", len(syntax))) + syntax
    item = (
        struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        + element(8, 0x100, b"SH", b"121")
        + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    )
    sequence = struct.pack("<HH2s2xI", 8, 0x1032, b"SQ", 0xFFFFFFFF) + item + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    named = element(8, 0x20, b"DA", b"20130201") + sequence + element(0x10, 0x10, b"PN", b"Doe^Jane")
    size = element(0x28, 0x10, b"US", struct.pack("<H", 100)) + element(0x28, 0x11, b"US", struct.pack("<H", 100))
    spacing = element(0x28, 0x30, b"DS", b"0.5\\0.5")
    if jpeg:
        image = jpeg_of(dice)
        image += b"\0" * (len(image) % 2)
        pixels = struct.pack("<HH2s2xI", 0x7FE0, 0x10, b"OB", 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0)
        pixels += struct.pack("<HHI", 0xFFFE, 0xE000, len(image)) + image + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    else:
        points = [min(4095, abs(int(dice.gauss(1000 + x, 30)))) for _ in range(100) for x in range(100)]
        pixels = element(0x7FE0, 0x10, b"OW", struct.pack(f"<{len(points)}H", *points))
    return bytes(128) + b"DICM" + meta + named + size + spacing + pixels


def pdf_of(dice: random.Random) -> bytes:
    """A document of three pages, packed, with a picture."""
    bodies = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Count 3 /Kids [3 0 R 4 0 R 5 0 R] >>"]
    bodies += [b"<< /Type /Page /Parent 2 0 R /Contents %d 0 R >>" % (6 + page) for page in range(3)]
    for _ in range(3):
        packed = zlib.compress(csv_of(dice))
        bodies.append(b"<< /Length %d /Filter /FlateDecode >>\nstream\n" % len(packed) + packed + b"\nendstream")
    image = jpeg_of(dice)
    head = b"<< /Type /XObject /Filter /DCTDecode /Length %d >>\nstream\n"
    bodies.append(head % len(image) + image + b"\nendstream")
    out, places = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, body in enumerate(bodies, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1) + b"".join(
        b"%010d 00000 n \n" % at for at in places
    )
    return out + table + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(places) + 1, len(out))


def ole_of(dice: random.Random) -> bytes:
    """A compound file with one stream, as older office programs wrote it."""
    text = csv_of(dice, "cp1252")
    text += bytes(-len(text) % 512)
    streams, tables = len(text) // 512, 1
    total = tables + 1 + streams
    table = [0xFFFFFFFD, 0xFFFFFFFE, *range(3, total), 0xFFFFFFFE]
    if total > 128:
        tables = -(-(total + total // 100) // 128)
        total = tables + 1 + streams
        table = [0xFFFFFFFD] * tables + [0xFFFFFFFE] + [*range(tables + 2, total), 0xFFFFFFFE]
    table += [0xFFFFFFFF] * (tables * 128 - len(table))
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
    header += struct.pack("<IIIIIIIII", 0, tables, tables, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    header += struct.pack("<109I", *range(tables), *[0xFFFFFFFF] * (109 - tables))

    def entry(name: str, kind: int, start: int, size: int, child: int) -> bytes:
        text = name.encode("utf-16-le")
        length = len(text) + 2 if name else 0
        links = struct.pack("<III", 0xFFFFFFFF, 0xFFFFFFFF, child)
        return (
            text.ljust(64, b"\0")
            + struct.pack("<HBB", length, kind, 1)
            + links
            + bytes(36)
            + struct.pack("<IQ", start, size)
        )

    entries = entry("Root Entry", 5, 0xFFFFFFFE, 0, 1) + entry("WordDocument", 2, tables + 1, len(text), 0xFFFFFFFF)
    entries += entry("", 0, 0, 0, 0xFFFFFFFF) * 2
    return header + struct.pack(f"<{tables * 128}I", *table) + entries + text


def hl7_of(dice: random.Random) -> bytes:
    """A batch of messages in a file."""
    messages = b"".join(
        b"MSH|^~\\&|LAB|A|B|C|2001||ORU^R01|%d|P|2.3\rPID|1||%d^^^A||Doe^Jane\rOBX|1|NM|%s||%s|mg/dL\r"
        % (n, a, b.encode(), str(d).encode())
        for n, (a, b, _, d) in enumerate(rows(dice, 500))
    )
    return b"FHS|^~\\&|LAB\rBHS|^~\\&|LAB\r" + messages + b"BTS|500\rFTS|1\r"


def x12_of(dice: random.Random) -> bytes:
    """One interchange with one group of many claims."""
    sets = []
    for number in range(200):
        control = f"{number:04}"
        body = [
            f"ST*837*{control}",
            f"BHT*0019*00*{control}*20130201*1200*CH",
            f"NM1*85*2*CLINIC {dice.randrange(99)}*****XX*1234567893",
        ]
        sets += [*body, f"SE*{len(body) + 1}*{control}"]
    isa = "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *130201*1200*^*00501*000000001*0*P*:"
    segments = [isa, "GS*HC*S*R*20130201*1200*1*X*005010X222A1", *sets, "GE*200*1", "IEA*1*000000001"]
    return "".join(f"{segment}~\n" for segment in segments).encode()


def fhir_of(dice: random.Random) -> bytes:
    """Resources, one in a line."""
    return b"".join(
        json.dumps(
            {"resourceType": "Observation", "id": str(a), "code": {"text": b}, "valueQuantity": {"value": d}}
        ).encode()
        + b"\n"
        for a, b, _, d in rows(dice)
    )


def ccda_of(dice: random.Random) -> bytes:
    """A document in Latin-1, as it declares."""
    body = "".join(f"<entry><id root='{a}'/><text>{b} é {d}</text></entry>\n" for a, b, _, d in rows(dice))
    begin = "<?xml version='1.0' encoding='ISO-8859-1'?>\n"
    text = f"{begin}<ClinicalDocument xmlns='urn:hl7-org:v3'>\n{body}</ClinicalDocument>\n"
    return text.encode("latin-1")


MAKERS: Mapping[str, Callable[[random.Random], bytes]] = {
    "lab.csv": csv_of,
    "lab-1252.csv": lambda dice: csv_of(dice, "cp1252"),
    "lab-utf16.txt": lambda dice: csv_of(dice, "utf-16"),
    "lab.csv.gz": lambda dice: gzip.compress(csv_of(dice), mtime=0),
    "DX.DBF": dbase_of,
    "book.xlsx": zip_of,
    "scan.png": png_of,
    "photo.jpg": jpeg_of,
    "lab.parquet": parquet_of,
    "lab.sqlite": sqlite_of,
    "ct.dcm": dicom_of,
    "us.dcm": lambda dice: dicom_of(dice, jpeg=True),
    "letter.pdf": pdf_of,
    "letter.doc": ole_of,
    "oru.hl7": hl7_of,
    "claims.x12": x12_of,
    "observations.ndjson": fhir_of,
    "summary.xml": ccda_of,
    "MAST.DAT": lambda dice: "".join(f"{a}{b[:8]:8}{c}" for a, b, c, _ in rows(dice)).encode("cp037", "replace"),
    "packed.dat": lambda dice: b"".join(struct.pack("<IHHd", a, int(d), 7, d) for a, _, _, d in rows(dice)),
}


def edited(name: str, content: bytes, dice: random.Random) -> bytes:
    """The next version of a file as ordinary work leaves it, in the same format."""
    if name.startswith("/made/"):
        return MAKERS[name.removeprefix("/made/")](dice)
    for ending, edit in _EDITS.items():
        if name.lower().endswith(ending):
            return edit(content, dice)
    sample = content[:4096]
    is_binary = b"\0" in sample or len(sample.translate(None, bytes(range(9)))) < len(sample)
    return _numbers_changed(content, dice) if is_binary else _lines_added(content, dice)


def _lines_added(content: bytes, dice: random.Random) -> bytes:
    """Some lines once more, at the end, where the format allows; else other digits."""
    if content.lstrip()[:1] in b"<{[I" or content.lstrip()[:3] in {b"MSH", b"FHS", b"\xef\xbb\xbf"}:
        return _digits_changed(content, dice)
    lines = content.splitlines(keepends=True)
    if not lines[-1].endswith((b"\n", b"\r")):
        return _digits_changed(content, dice)
    start = dice.randrange(len(lines))
    return content + b"".join(lines[start : start + 1 + len(lines) // 20])


def _digits_changed(content: bytes, dice: random.Random) -> bytes:
    """Some numbers that stand alone as a value get another last digit."""
    changed = bytearray(content)
    places = [found.end(1) - 1 for found in re.finditer(rb"[\"|,:](\d{2,})[\"|,]", content[1000:])]
    for at in dice.sample(places, min(10, len(places))):
        changed[1000 + at] = dice.randrange(49, 58)
    return bytes(changed)


def _numbers_changed(content: bytes, dice: random.Random) -> bytes:
    """Bytes in an unknown binary file take values that occur in it."""
    changed = bytearray(content)
    for _ in range(20):
        changed[dice.randrange(len(content) // 2, len(content))] = dice.choice(content)
    return bytes(changed)


def _packed_again(content: bytes, dice: random.Random) -> bytes:
    return gzip.compress(_lines_added(gzip.decompress(content), dice), compresslevel=dice.randrange(1, 10), mtime=0)


def _table_rewritten(content: bytes, dice: random.Random) -> bytes:
    table = pq.read_table(io.BytesIO(content))
    out = io.BytesIO()
    codec = dice.choice(["zstd", "snappy", "none"])
    pq.write_table(table.slice(0, max(1, table.num_rows - dice.randrange(5))), out, compression=codec)
    return out.getvalue()


def _unchanged(content: bytes, _: random.Random) -> bytes:
    return content


_KEPT = (
    ".x12 .835 .837 .837i .834 .270 .271 .276 .277 .png .jpg .jpeg .gz .zip .whl .xlsx .sas7bdat .mdb .dbf .bz2 .xz "
    ".pdf .db .jp2 .sql"
)
_EDITS: Mapping[str, Callable[[bytes, random.Random], bytes]] = {
    ".csv.gz": _packed_again,
    ".ndjson.gz": _packed_again,
    ".parquet": _table_rewritten,
    **dict.fromkeys(_KEPT.split(), _unchanged),
}
"""Formats without an editor here are left as they are, but for those that are made: they are made anew."""
