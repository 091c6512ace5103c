"""Every file of the shared data that a text or message reader can read is landed whole, as it is and mutated.

What is landed is counted in the table itself, byte for byte. Mainframe files and binary tables have tests of their own
(``test_ebcdic_cobrix``, ``test_transcript_statistics``, ``_excel``, ``_access``).
"""

from __future__ import annotations

import datetime as dt
import gzip
import io
import os
import random
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from asepsis.engines.harmonise.guard import connect
from asepsis.engines.harmonise.land import create_landed, land
from asepsis.errors import AsepsisError
from asepsis.harmonise.entries import FileEntry, Reader, Shape
from asepsis.harmonise.extraction import landed_table
from asepsis.harmonise.readers.sqldump import Dialect

SHARED = Path(os.environ.get("ASEPSIS_SHARED", Path(__file__).parents[3] / "shared")) / "data"
BASE = FileEntry(name="f", pattern="*", reader=Reader.NDJSON, encoding="utf-8", extract_date=dt.date(2020, 1, 1))
MUTANTS = int(os.environ.get("ASEPSIS_MUTATIONS", "2"))
LARGEST_MUTATED = 1 << 20


def delimited(data: bytes) -> FileEntry:
    header = data.split(b"\n", 1)[0].decode("latin-1")
    delimiter = max(",;\t|", key=header.count)
    columns = tuple(f"c{n}" for n in range(header.count(delimiter) + 1))
    shape = Shape(delimiter=delimiter, quote='"', mixed=True)
    return replace(BASE, reader=Reader.DELIMITED, encoding="latin-1", columns=columns, shape=shape)


def fixed_width(_: bytes) -> FileEntry:
    shape = Shape(places={"a": (1, 4), "b": (5, 9)})
    return replace(BASE, reader=Reader.FIXED_WIDTH, encoding="cp1252", shape=shape)


def hl7(_: bytes) -> FileEntry:
    paths = {"patient": "PID-3.1", "code": "OBX-3.1", "value": "OBX-5", "sender": "MSH-3"}
    return replace(BASE, reader=Reader.HL7V2, encoding="latin-1", paths=paths, shape=Shape(segments=("OBX", "PV1")))


def x12(_: bytes) -> FileEntry:
    return replace(
        BASE, reader=Reader.X12, encoding="latin-1", paths={"claim": "CLM-1"}, shape=Shape(segments=("CLM",))
    )


def ccda(_: bytes) -> FileEntry:
    return replace(
        BASE, reader=Reader.CCDA, paths={"code": "code/@code"}, shape=Shape(frames={"seen": "//observation"})
    )


def dump(dialect: Dialect) -> Callable[[bytes], FileEntry]:
    shape = Shape(dialect=dialect, table="person", delimiter="\t")
    return lambda _: replace(BASE, reader=Reader.SQLDUMP, encoding="utf-8", columns=("a", "b"), shape=shape)


def dbase(_: bytes) -> FileEntry:
    return replace(BASE, reader=Reader.DBASE, encoding="cp850", columns=("a",))


KINDS: dict[str, tuple[tuple[str, ...], Callable[[bytes], FileEntry]]] = {
    "delimited": (("*.csv", "*.CSV", "*.tsv", "*.csv.gz", "*.tsv.gz"), delimited),
    "fixed width": (("*.txt", "*.txt.gz"), fixed_width),
    "NDJSON": (("*.ndjson", "*.ndjson.gz"), lambda _: replace(BASE, paths={"id": "id"})),
    "HL7 v2": (("*.hl7", "*.hl7.gz"), hl7),
    "X12": (("*.83*", "*.27*"), x12),
    "C-CDA": (("*.xml", "*.xml.gz", "*.XML.gz"), ccda),
    "MySQL": (("*.sql", "*.sql.gz"), dump(Dialect.MYSQL)),
    "PostgreSQL": (("*.sql", "*.sql.gz"), dump(Dialect.POSTGRES)),
    "dBase": (("*.dbf", "*.DBF"), dbase),
    "copybook": (("*.cob", "*.CPY"), lambda _: replace(BASE, reader=Reader.COPYBOOK)),
    "FHIR manifest": (("two_hospitals/**/manifest.json",), lambda _: replace(BASE, reader=Reader.FHIR_MANIFEST)),
}


def files(patterns: tuple[str, ...]) -> Iterator[Path]:
    if not SHARED.is_dir():
        pytest.skip("the shared data are not here (set ASEPSIS_SHARED)")
    for pattern in patterns:
        yield from sorted(path for path in SHARED.rglob(pattern) if path.is_file() and "attestation" not in path.parts)


def plain(data: bytes) -> bytes:
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def landed(connection: duckdb.DuckDBPyConnection, entry: FileEntry, data: bytes) -> tuple[int, int, int]:
    """The size of the file, the bytes that stand in the table, and the records; nothing may overlap or be missing."""
    create_landed(connection, entry)
    result = land(connection, entry, file=(0, "f"), opener=lambda: io.BytesIO(data), progress=lambda _: None)
    row = connection.execute(
        "SELECT coalesce(sum(byte_len), 0), count(*), count(*) FILTER (byte_off <> before) "
        "FROM (SELECT byte_len, byte_off, "
        f"coalesce(lag(byte_off + byte_len) OVER (ORDER BY rec_no), 0) AS before FROM {landed_table('f')})"
    ).fetchone()
    assert row is not None
    assert row[2] == 0
    return result.size, int(row[0]), int(row[1])


def mutated(data: bytes, chance: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(chance.randrange(1, 12)):
        place = chance.randrange(len(found) + 1)
        change = chance.randrange(5)
        if change == 0 and place < len(found):
            found[place] = chance.randrange(256)
        elif change == 1:
            del found[place : place + chance.randrange(200)]
        elif change == 2:
            found[place:place] = chance.randbytes(chance.randrange(9))
        elif change == 3:
            found[place:place] = found[place : place + chance.randrange(300)]
        else:
            del found[place:]
    return bytes(found)


LONG = ("C-CDA",)
SOME = [pytest.param(kind, marks=pytest.mark.long) if kind in LONG else kind for kind in KINDS]


@pytest.mark.parametrize("kind", SOME)
def test_every_byte_of_every_file_is_landed(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    patterns, entry_of = KINDS[kind]
    connection = connect(Path(":memory:"), scratch=tmp_path, memory="512MB", threads=1)
    count = size = records = 0
    for path in files(patterns):
        data = path.read_bytes()
        own_size, in_table, found = landed(connection, entry_of(plain(data)), data)
        assert own_size == in_table == len(plain(data)), path.name
        count, size, records = count + 1, size + in_table, records + found
    connection.close()
    assert count
    with capsys.disabled():
        sys.stdout.write(f"\n  {kind}: {count} files, {size:,} bytes in {records:,} records, none lost")


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_every_byte_of_a_mutated_file_is_landed_or_the_file_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    patterns, entry_of = KINDS[kind]
    connection = connect(Path(":memory:"), scratch=tmp_path, memory="512MB", threads=1)
    for path in files(patterns):
        data = plain(path.read_bytes())[:LARGEST_MUTATED]
        chance = random.Random(zlib.crc32(path.name.encode()))
        for _ in range(MUTANTS):
            mutant = mutated(data, chance)
            try:
                own_size, in_table, _ = landed(connection, entry_of(data), mutant)
            except AsepsisError:
                continue
            assert own_size == in_table == len(mutant), path.name
    connection.close()
