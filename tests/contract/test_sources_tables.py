"""One suite over all sources of tables: the same rows, dumped in every way that Asepsis reads."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import sqlite3
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from asepsis.domain.names import RestorePointId
from asepsis.domain.source import EntryType
from asepsis.errors import AsepsisError
from asepsis.errors.source import SourceError
from asepsis.ports import Source, TableSource
from asepsis.sources.registry import open_source

Row = tuple[str | None, ...]
COLUMNS = ("id", "name", "note with space")
PATIENTS: list[Row] = [
    ("1", "Ärzte 患者", None),
    ("2", "", "tab\there"),
    ("3", 'quote " and \\ and \\N', "line\nend\r\nand \\."),
    ("4", "'single'; -- no comment", "\\N"),
    ("5", "a,b);(c", "\x01\x08\x0c\x0b"),
    ("6", "\\", "''"),
]
MANY: list[Row] = [(str(i), f"n{i}", None if i % 3 else "x" * (i % 50)) for i in range(4000)]
TABLES: dict[str, list[Row]] = {"patient": PATIENTS, "many": MANY, "empty": []}


def copied(value: str | None) -> str:
    if value is None:
        return "\\N"
    for plain, escaped in (
        ("\\", "\\\\"),
        ("\t", "\\t"),
        ("\n", "\\n"),
        ("\r", "\\r"),
        ("\x08", "\\b"),
        ("\x0b", "\\v"),
    ):
        value = value.replace(plain, escaped)
    return value


def copy_block(rows: list[Row]) -> str:
    return "".join("\t".join(map(copied, row)) + "\n" for row in rows) + "\\.\n"


def copy_head(table: str) -> str:
    return f'COPY public.{table} (id, name, "note with space") FROM stdin;\n'


def plain_dump(newline: str = "\n") -> str:
    head = "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\nSET client_encoding = 'UTF8';\n"
    head += "CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $_$ SELECT ';\\! no command' $_$;\n"
    head += "COMMENT ON DATABASE x IS E'it\\'s; fine';\n"
    blocks = [
        f"CREATE TABLE public.{table} (\n    id integer DEFAULT 1 NOT NULL,\n    name text,\n"
        '    "note with space" text\n);\n' + copy_head(table) + copy_block(rows)
        for table, rows in TABLES.items()
    ]
    tail = "\n\\unrestrict abc\n--\n-- PostgreSQL database dump complete\n--\n\n"
    return (head + "\n\n".join(blocks) + tail).replace("\n", newline)


def literal(value: str | None) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def inserts_dump() -> str:
    text = "--\n-- PostgreSQL database dump\n--\n"
    for table, rows in TABLES.items():
        text += f'CREATE TABLE public.{table} (id integer, name text, "note with space" text, PRIMARY KEY (id));\n'
        text += "".join(
            f"INSERT INTO public.{table} VALUES ({r[0]}, {literal(r[1])}, {literal(r[2])});\n" for r in rows
        )
    return text + "--\n-- PostgreSQL database dump complete\n--\n"


def number(value: int) -> bytes:
    return struct.pack("<bL", int(value < 0), abs(value))


def text(value: str | None) -> bytes:
    return number(-1) if value is None else number(len(value.encode())) + value.encode()


def archive_head(layout: int, version: int, packing: int = 1) -> bytes:
    packed = bytes([packing]) if version >= 15 else number(-1 if packing else 0)
    head = b"PGDMP\x01" + bytes([version, 0, 4, 8, layout]) + packed
    return head + number(0) * 7 + text("db") + text("15") + text("15") + number(len(TABLES) + 1)


def archive_item(i: int, table: str, version: int, place: bytes) -> bytes:
    item = number(i) + number(1) + text("0") + text("0") + text(table) + text("TABLE DATA") + number(3)
    item += text("") + text("") + text(copy_head(table)) + text("public") + text("")
    if version >= 14:
        item += text("")
    if version >= 16:
        item += number(0)
    return item + text("owner") + text("false") + text("7") + text(None) + place


def lz4_frame(content: bytes) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "lz4") as stream:
        stream.write(content)
    return bytes(out.getvalue())


PACKERS: dict[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: zlib.compress,
    2: lz4_frame,
    3: zstandard.compress,
}


def custom_dump(version: int, *, offsets: bool = True, packing: int = 1) -> bytes:
    def build(places: list[int]) -> tuple[bytes, list[int]]:
        out = archive_head(1, version, packing)
        for i, (table, place) in enumerate(zip(TABLES, places, strict=True), 1):
            out += archive_item(i, table, version, struct.pack("<BQ", 2 if offsets else 1, place if offsets else 0))
        out += archive_item(9, "skipped", version, struct.pack("<BQ", 3, 0)).replace(b"TABLE DATA", b"TABLE ROWS")
        found = []
        for i, rows in enumerate(TABLES.values(), 1):
            found.append(len(out))
            packed = PACKERS[packing]((copy_block(rows) + "\n\n").encode())
            chunks = [packed[at : at + 4096] for at in range(0, len(packed), 4096)]
            out += b"\x01" + number(i) + b"".join(number(len(c)) + c for c in chunks) + number(0)
        return out, found

    return build(build([0] * len(TABLES))[1])[0]


def a_plain(folder: Path) -> Source:
    (folder / "backup-2009-01-02.sql").write_bytes(plain_dump().encode())
    return open_source(f"pgdump:{folder / 'backup-2009-01-02.sql'}")


def a_plain_gz(folder: Path) -> Source:
    (folder / "b.sql.gz").write_bytes(gzip.compress(plain_dump().encode()))
    return open_source(f"pgdump:{folder / 'b.sql.gz'}")


def a_plain_from_windows(folder: Path) -> Source:
    """Line ends are CRLF; those inside of values are escaped and stay as they are."""
    (folder / "b.sql").write_bytes(plain_dump("\r\n").encode())
    return open_source(f"pgdump:{folder / 'b.sql'}")


def inserts(folder: Path) -> Source:
    (folder / "b.sql").write_bytes(inserts_dump().encode())
    return open_source(f"pgdump:{folder / 'b.sql'}")


def a_custom(version: int, *, offsets: bool = True, packing: int = 1) -> Callable[[Path], Source]:
    def make(folder: Path) -> Source:
        (folder / "b.dump").write_bytes(custom_dump(version, offsets=offsets, packing=packing))
        return open_source(f"pgdump:{folder / 'b.dump'}")

    return make


def a_directory(pack: Callable[[bytes], bytes], suffix: str) -> Callable[[Path], Source]:
    def make(folder: Path) -> Source:
        toc = archive_head(3, 14)
        for i, (table, rows) in enumerate(TABLES.items(), 1):
            toc += archive_item(i, table, 14, text(f"{i}.dat"))
            (folder / f"{i}.dat{suffix}").write_bytes(pack((copy_block(rows) + "\n\n").encode()))
        toc += archive_item(9, "skipped", 14, text(None)).replace(b"TABLE DATA", b"TABLE ROWS")
        (folder / "toc.dat").write_bytes(toc)
        return open_source(f"pgdump:{folder}")

    return make


def a_tarred(folder: Path) -> Source:
    """The tar format (-Ft): the files of the directory format in one archive, and a script that nobody runs."""
    (folder / "parts").mkdir()
    a_directory(bytes, "")(folder / "parts")
    (folder / "parts" / "restore.sql").write_text("\\\\! touch canary\\n")
    with tarfile.open(folder / "b.tar", "w", format=tarfile.USTAR_FORMAT) as out:
        for name in ("toc.dat", *(f"{i}.dat" for i in range(1, len(TABLES) + 1)), "restore.sql"):
            out.add(folder / "parts" / name, arcname=name)
    return open_source(f"pgdump:{folder / 'b.tar'}")


def my_literal(value: str | None) -> str:
    if value is None:
        return "NULL"
    for plain, escaped in (("\\", "\\\\"), ("'", "\\'"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        value = value.replace(plain, escaped)
    return f"'{value}'"


def my_dump() -> str:
    out = "-- MySQL dump 10.13  Distrib 8.0\n/*!40101 SET NAMES utf8mb4 */;\n"
    out += "/*M!999999\\- enable the sandbox mode */\nUSE `public`;\n"
    for table, rows in TABLES.items():
        out += f"DROP TABLE IF EXISTS `{table}`;\n"
        out += f"CREATE TABLE `{table}` (\n  `id` int NOT NULL COMMENT 'a, b',\n  `name` varchar(99) DEFAULT '(',\n"
        out += "  `note with space` text,\n  PRIMARY KEY (`id`),\n  KEY `k` (`name`)\n) ENGINE=InnoDB;\n"
        out += f"LOCK TABLES `{table}` WRITE;\n"
        for at in range(0, len(rows), 900):
            out += f"INSERT INTO `{table}` VALUES " + ",".join(
                f"({r[0]},{my_literal(r[1])},{my_literal(r[2])})" for r in rows[at : at + 900]
            )
            out += ";\n"
        out += "UNLOCK TABLES;\n"
    out += "DELIMITER ;;\nCREATE TRIGGER t BEFORE INSERT ON x FOR EACH ROW BEGIN SET @a = '\\\\'; END ;;\nDELIMITER ;\n"
    return out + "-- Dump completed on 2009-01-02 03:04:05\n"


def a_mysqldump(folder: Path) -> Source:
    (folder / "b.sql").write_bytes(my_dump().encode())
    return open_source(f"mysqldump:{folder / 'b.sql'}")


def a_sqlite(folder: Path) -> Source:
    with sqlite3.connect(folder / "b.db") as connection:
        for table, rows in TABLES.items():
            connection.execute(f'CREATE TABLE {table} (id INTEGER PRIMARY KEY, name TEXT, "note with space" TEXT)')
            connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", rows)
    connection.close()
    return open_source(f"sqlite:{folder / 'b.db'}")


MAKERS: dict[str, Callable[[Path], Source]] = {
    "pg-plain": a_plain,
    "pg-plain-gz": a_plain_gz,
    "pg-plain-crlf": a_plain_from_windows,
    "pg-inserts": inserts,
    **{f"pg-custom-1.{version}": a_custom(version) for version in (12, 13, 14, 15, 16)},
    **{f"pg-custom-packing-{packing}": a_custom(16, packing=packing) for packing in (0, 2, 3)},
    "pg-custom-uncompressed": a_custom(14, packing=0),
    "pg-tar": a_tarred,
    "pg-directory-lz4": a_directory(lz4_frame, ".lz4"),
    "pg-custom-piped": a_custom(14, offsets=False),
    "pg-directory": a_directory(bytes, ""),
    "pg-directory-gz": a_directory(gzip.compress, ".gz"),
    "pg-directory-zstd": a_directory(zstandard.compress, ".zst"),
    "mysqldump": a_mysqldump,
    "sqlite": a_sqlite,
}


@pytest.fixture(scope="module")
def made() -> dict[str, Source]:
    return {}


@pytest.fixture(params=MAKERS)
def source(request: pytest.FixtureRequest, made: dict[str, Source], tmp_path_factory: pytest.TempPathFactory) -> Source:
    if request.param not in made:
        made[request.param] = MAKERS[request.param](tmp_path_factory.mktemp("dump"))
    return made[request.param]


@pytest.fixture
def point(source: Source) -> RestorePointId:
    (point,) = source.restore_points()
    assert point.taken_at.utcoffset() is not None
    return point.id


def path_of(source: Source, table: str) -> str:
    return f"/{table}.tsv" if source.kind == "sqlite" else f"/public/{table}.tsv"


def content_of(source: Source, point: RestorePointId, table: str) -> bytes:
    with source.open(point, path_of(source, table)) as file:
        return file.read()


@pytest.mark.parametrize("table", TABLES)
def test_every_row_of_every_table_comes_back(source: Source, point: RestorePointId, table: str, tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_bytes(content_of(source, point, table))
    relation = duckdb.connect().execute(
        "SELECT * FROM read_csv(?, delim='\t', quote='\"', escape='\"', nullstr='\\N', allow_quoted_nulls=false, "
        "header=true, all_varchar=true, auto_detect=false, null_padding=false, "
        "columns={'id': 'VARCHAR', 'name': 'VARCHAR', 'note with space': 'VARCHAR'})",
        [str(tmp_path / "t.tsv")],
    )
    assert relation.fetchall() == TABLES[table]
    assert content_of(source, point, table).split(b"\n", 1)[0] == b"id\tname\tnote with space"


def test_size_and_content_id_are_those_of_the_bytes(source: Source, point: RestorePointId) -> None:
    entries = {entry.path: entry for entry in source.walk(point)}
    for table in TABLES:
        content, entry = content_of(source, point, table), entries[path_of(source, table)]
        assert (entry.type, entry.size) == (EntryType.FILE, len(content))
        assert entry.content_id == hashlib.sha256(content).hexdigest()


def test_entries_come_ordered_with_their_directories(source: Source, point: RestorePointId) -> None:
    paths = [entry.path for entry in source.walk(point)]
    assert paths == sorted(set(paths))
    assert all(not path.rpartition("/")[0] or path.rpartition("/")[0] in paths for path in paths)


def test_a_table_can_be_read_anywhere(source: Source, point: RestorePointId) -> None:
    whole, generator = content_of(source, point, "many"), random.Random(1)
    with source.open(point, path_of(source, "many")) as file:
        assert file.seekable()
        assert not file.writable()
        for _ in range(8):
            start = generator.randrange(len(whole))
            file.seek(start)
            assert file.read(500) == whole[start : start + 500]
        file.seek(-3, os.SEEK_END)
        assert file.read() == whole[-3:]
        with pytest.raises(io.UnsupportedOperation):
            file.write(b"x")


@pytest.mark.parametrize(
    ("path", "code"), [("/no.tsv", "source.path_missing"), ("/../x", "source.path_missing"), ("/", "source.not_a_file")]
)
def test_what_is_no_table_is_refused_by_name(source: Source, point: RestorePointId, path: str, code: str) -> None:
    with pytest.raises(AsepsisError) as caught:
        source.open(point, path)
    assert caught.value.code == code


def test_an_untouched_dump_verifies_and_stays_untouched(source: Source, point: RestorePointId) -> None:
    root = Path(source.uri.partition(":")[2])
    before = state_of(root)
    assert list(source.verify(point)) == []
    assert state_of(root) == before


def test_every_table_is_written_as_parquet_exactly(source: Source, point: RestorePointId, tmp_path: Path) -> None:
    assert isinstance(source, TableSource)
    root = Path(source.uri.partition(":")[2])
    before = state_of(root)
    counts: list[int] = []
    written = {table.path: table for table in source.export(point, tmp_path / "out", reading=counts.append)}
    assert set(written) >= {path_of(source, table) for table in TABLES}
    assert set(written) <= {entry.path for entry in source.walk(point) if entry.path.endswith(".tsv")}
    for table, rows in TABLES.items():
        told = written[path_of(source, table)]
        assert (told.rows, told.columns) == (len(rows), 3)
        content = pq.read_table(tmp_path / "out" / told.file)
        assert content.column_names == ["id", "name", "note with space"]
        assert [tuple(row.values()) for row in content.to_pylist()] == rows
        assert (tmp_path / "out" / told.file).stat().st_mode & 0o777 == 0o600
    assert counts == sorted(counts) != []
    assert state_of(root) == before


def test_tables_that_are_named_are_written_and_no_others(source: Source, point: RestorePointId, tmp_path: Path) -> None:
    assert isinstance(source, TableSource)
    written = source.export(point, tmp_path / "out", only=[path_of(source, "many")])
    assert [(table.path, table.rows) for table in written] == [(path_of(source, "many"), len(MANY))]
    assert [path.suffix for path in (tmp_path / "out").rglob("*") if path.is_file()] == [".parquet"]


def test_tables_are_written_into_an_empty_folder_only(source: Source, point: RestorePointId, tmp_path: Path) -> None:
    assert isinstance(source, TableSource)
    (tmp_path / "mine").write_text("x")
    with pytest.raises(AsepsisError) as caught:
        source.export(point, tmp_path)
    assert caught.value.code == "source.target_not_empty"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_cut_dump_is_never_taken_for_a_whole_one(source: Source, tmp_path: Path) -> None:
    root = Path(source.uri.partition(":")[2])
    copy = tmp_path / root.name
    if root.is_dir():
        copy.mkdir()
        for path in root.iterdir():
            content = path.read_bytes()
            (copy / path.name).write_bytes(content[: len(content) // 2] if path.name.startswith("2.") else content)
    else:
        content = root.read_bytes()
        copy.write_bytes(content[: len(content) * 2 // 3])
    cut = open_source(f"{source.kind}:{copy}")
    faults = [fault.code for fault in cut.verify(RestorePointId(copy.name))]
    assert faults
    assert set(faults) <= {"source.archive_truncated", "source.archive_damaged"}
    with pytest.raises(SourceError):
        list(cut.walk(RestorePointId(copy.name)))
    assert isinstance(cut, TableSource)
    with pytest.raises(SourceError):
        cut.export(RestorePointId(copy.name), tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def state_of(root: Path) -> dict[str, tuple[int, str]]:
    paths = sorted(root.rglob("*")) if root.is_dir() else sorted(root.parent.iterdir())
    return {
        str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in paths
        if path.is_file()
    }
