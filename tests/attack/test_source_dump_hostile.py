"""A dump from outside tries to run a command, to lose rows without a trace, or to lead out of its folder."""

from __future__ import annotations

import contextlib
import sqlite3
import struct
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.domain.names import RestorePointId
from asepsis.domain.source import EntryType
from asepsis.errors.source import SourceError
from asepsis.ports import Source
from asepsis.sources.limits import Limits
from asepsis.sources.mysqldump.source import MysqlDumpSource
from asepsis.sources.pgdump.source import PgDumpSource
from asepsis.sources.sqlite.source import SqliteSource
from asepsis.sources.tables.tsv import from_copy

COPY = "COPY public.t (a, b) FROM stdin;\n1\tx\n\\.\n"


def pg(folder: Path, text: str | bytes, *, limits: Limits | None = None) -> PgDumpSource:
    (folder / "d.sql").write_bytes(text.encode() if isinstance(text, str) else text)
    return PgDumpSource.at(str(folder / "d.sql"), limits=limits or Limits())


def my(folder: Path, text: str) -> MysqlDumpSource:
    (folder / "d.sql").write_text(text)
    return MysqlDumpSource.at(str(folder / "d.sql"))


def read_all(source: Source) -> dict[str, bytes]:
    (point,) = source.restore_points()
    found = {}
    for entry in source.walk(point.id):
        if entry.type is EntryType.FILE:
            with source.open(point.id, entry.path) as file:
                found[entry.path] = file.read()
    return found


def code_of_reading(source: Source) -> str:
    with pytest.raises(SourceError) as caught:
        read_all(source)
    assert caught.value.__suppress_context__ or caught.value.__cause__ is None
    return caught.value.code


@pytest.mark.parametrize(
    "payload",
    [
        "\\! touch canary\n",
        "\\copy t from program 'touch canary'\n",
        "\\i /etc/passwd\n",
        "\\o |touch canary\n",
        "SELECT 1 \\! touch canary\n;",
        "SELECT 1 \\g |touch canary\n",
        "\\connect `touch canary`\n",
        "\\setenv PAGER x\n",
        "CREATE TABLE t (a int); \\! touch canary\n",
        "COPY t FROM PROGRAM 'touch canary';\n",
        "copy (SELECT 1) to program 'touch canary';\n",
        "\\ir beside.sql\n",
    ],
)
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_command_for_psql_is_refused_by_name(
    tmp_path: Path, payload: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = payload + COPY if place == "before" else COPY + "\n" + payload
    assert code_of_reading(pg(tmp_path, text)) == "source.hostile_statement"
    assert not Path("canary").exists()


@pytest.mark.parametrize(
    "payload", ["\\! touch canary\n", "system touch canary\n", "source /etc/passwd;\n", "\\. x\n", "tee y\n"]
)
def test_a_command_for_mysql_is_refused_by_name(tmp_path: Path, payload: str) -> None:
    good = "CREATE TABLE `t` (`a` int);\nINSERT INTO `t` VALUES (1);\n"
    assert code_of_reading(my(tmp_path, good + payload)) == "source.hostile_statement"
    assert read_all(my(tmp_path, good)) == {"/t.tsv": b"a\n1\n"}


def test_what_looks_like_a_command_inside_of_values_is_a_value(tmp_path: Path) -> None:
    text = "COPY public.t (a) FROM stdin;\n\\\\! touch canary\n\\.\nCOMMENT ON TABLE t IS '\\! no';\n"
    assert read_all(pg(tmp_path, text)) == {"/public/t.tsv": b"a\n\\! touch canary\n"}


@pytest.mark.parametrize(
    "text",
    [
        "COPY public.t (a, b) FROM stdin;\n1\tx\n",
        "COPY public.t (a, b) FROM stdin;\n1",
        "COPY public.t (a, b) FROM stdin",
        "INSERT INTO t (a) VALUES (1), (2",
        "INSERT INTO t (a) VALUES ('open);\n",
        "-- PostgreSQL database dump\n" + COPY,
        "SELECT 1; /* open",
    ],
)
def test_a_dump_that_ends_too_early_is_said_to(tmp_path: Path, text: str) -> None:
    assert code_of_reading(pg(tmp_path, text)) == "source.archive_truncated"


def test_a_mysqldump_without_its_last_line_is_cut(tmp_path: Path) -> None:
    text = "-- MySQL dump 10.13\nCREATE TABLE `t` (`a` int);\nINSERT INTO `t` VALUES (1);\n"
    assert code_of_reading(my(tmp_path, text)) == "source.archive_truncated"


@pytest.mark.parametrize(
    "values",
    ["(1, 2)", "(1), (2) ON CONFLICT DO NOTHING", "(1) (2)", "(1,)", "('a' || 'b')", "((SELECT 1))", "(f(')'))"],
)
def test_rows_that_cannot_be_read_whole_are_damage_and_never_left_out(tmp_path: Path, values: str) -> None:
    text = f"CREATE TABLE t (a text);\nINSERT INTO t VALUES {values};\n"
    assert code_of_reading(pg(tmp_path, text)) == "source.archive_damaged"


def test_a_copy_with_options_is_refused_by_name(tmp_path: Path) -> None:
    text = "COPY t (a) FROM stdin WITH (FORMAT csv);\n1\n\\.\n"
    assert code_of_reading(pg(tmp_path, text)) == "source.unsupported_format"


def test_rows_that_lie_in_a_file_beside_the_dump_are_not_passed_over(tmp_path: Path) -> None:
    assert code_of_reading(pg(tmp_path, "COPY public.t (a) FROM '/var/lib/t.dat';\n")) == "source.unsupported_format"


def test_an_export_of_a_hostile_dump_leaves_nothing(tmp_path: Path) -> None:
    source = pg(tmp_path, COPY + "\\! touch canary\n")
    with pytest.raises(SourceError) as caught:
        source.export(RestorePointId("d.sql"), tmp_path / "out")
    assert caught.value.code == "source.hostile_statement"
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["'latin1'", "'WIN1252'", "LATIN9"])
def test_text_of_a_declared_character_set_is_exported_as_what_it_says(tmp_path: Path, name: str) -> None:
    text = f"SET client_encoding = {name};\n".encode() + "COPY public.t (\u00e4) FROM stdin;\n\u00e9\n\\.\n".encode(
        "latin-1"
    )
    source = pg(tmp_path, text)
    (told,) = source.export(RestorePointId("d.sql"), tmp_path / "out")
    assert pq.read_table(tmp_path / "out" / told.file).to_pylist() == [{"\u00e4": "\u00e9"}]


def test_text_that_is_not_in_its_character_set_is_refused_by_name(tmp_path: Path) -> None:
    for text in (
        b"SET client_encoding = 'UTF8';\nCOPY public.t (a) FROM stdin;\n\xe9\n\\.\n",
        b"COPY t (a) FROM stdin;\n\xe9\n\\.\n",
    ):
        with pytest.raises(SourceError) as caught:
            pg(tmp_path, text).export(RestorePointId("d.sql"), tmp_path / "out")
        assert caught.value.code == "source.text_not_decodable"
        assert pg(tmp_path, text)
    text = b"SET client_encoding = 'KLINGON';\nCOPY public.t (a) FROM stdin;\nx\n\\.\n"
    with pytest.raises(SourceError) as caught:
        pg(tmp_path, text).export(RestorePointId("d.sql"), tmp_path / "out")
    assert caught.value.code == "source.unsupported_format"


def test_an_empty_value_of_a_table_with_one_column_is_a_row(tmp_path: Path) -> None:
    text = 'COPY public.t (a) FROM stdin;\n\n\\N\n"\n\n\\.\n'
    (told,) = pg(tmp_path, text).export(RestorePointId("d.sql"), tmp_path / "out")
    assert told.rows == 4
    assert [row["a"] for row in pq.read_table(tmp_path / "out" / told.file).to_pylist()] == ["", None, '"', ""]


def test_a_dump_of_more_tables_than_files_may_be_open_is_exported(tmp_path: Path) -> None:
    text = "".join(COPY.replace("public.t", f"public.t{i}") for i in range(450))
    told = pg(tmp_path, text).export(RestorePointId("d.sql"), tmp_path / "out")
    assert sum(table.rows for table in told) == 450
    assert len(list((tmp_path / "out").rglob("*.parquet"))) == 450


def test_a_table_whose_name_is_a_path_stays_in_its_place(tmp_path: Path) -> None:
    text = 'COPY ".."."../x" (a) FROM stdin;\n1\n\\.\n'
    assert code_of_reading(pg(tmp_path, text)) == "source.hostile_path"
    assert list(read_all(pg(tmp_path, 'COPY "a/b"."../x%" (a) FROM stdin;\n1\n\\.\n'))) == ["/a%2Fb/..%2Fx%25.tsv"]


def test_rows_of_one_table_in_several_places_come_together(tmp_path: Path) -> None:
    text = COPY + "SELECT 1;\n" + COPY.replace("1\tx", "2\ty") + "INSERT INTO public.t (a, b) VALUES (3, 'z');"
    assert read_all(pg(tmp_path, text)) == {"/public/t.tsv": b"a\tb\n1\tx\n2\ty\n3\tz\n"}


def test_a_statement_without_end_is_stopped(tmp_path: Path) -> None:
    source = pg(tmp_path, "SELECT '" + "x" * 5_000_000, limits=Limits(metadata_bytes=1_500_000))
    assert code_of_reading(source) == "source.limit_exceeded"


def test_a_dump_changed_after_its_first_reading_is_noticed(tmp_path: Path) -> None:
    source = pg(tmp_path, COPY)
    with source.open(RestorePointId("d.sql"), "/public/t.tsv") as file:
        path = tmp_path / "d.sql"
        path.write_bytes(path.read_bytes().replace(b"1\tx", b"2\tx"))
        with pytest.raises(SourceError) as caught:
            file.read()
    assert caught.value.code == "source.object_damaged"


@settings(max_examples=150, deadline=None)
@given(position=st.integers(0, 400), value=st.integers(0, 255), data=st.sampled_from(["pg", "my"]))
def test_no_mutation_of_a_dump_gives_anything_but_rows_or_a_named_error(
    tmp_path: Path, position: int, value: int, data: str
) -> None:
    text = "CREATE TABLE t (a int, b text);\nINSERT INTO t VALUES (1, 'x\\\\'), (2, NULL);\n" + (
        COPY if data == "pg" else ""
    )
    content = bytearray(text.encode())
    content[position % len(content)] = value
    (tmp_path / "d.sql").write_bytes(content)
    with contextlib.suppress(SourceError):
        read_all((PgDumpSource if data == "pg" else MysqlDumpSource).at(str(tmp_path / "d.sql")))


@given(st.lists(st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=8)), min_size=1, max_size=4))
def test_every_copy_line_decodes_to_the_values_it_was_made_of(values: list[str | None]) -> None:
    escapes = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
    fields = ["\\N" if v is None else "".join(escapes.get(c, c) for c in v) for v in values]
    line = from_copy(("\t".join(fields) + "\n").encode()).decode()
    assert unpacked(line) == values


def unpacked(line: str) -> list[str | None]:
    """An RFC 4180 line, read character by character."""
    values: list[str | None] = []
    place, line = 0, line.removesuffix("\n") + "\t"
    while place < len(line):
        if line[place] == '"':
            end = place + 1
            while line[end] != '"' or line[end + 1] == '"':
                end += 2 if line[end] == '"' else 1
            values.append(line[place + 1 : end].replace('""', '"'))
            place = end + 2
        else:
            end = line.index("\t", place)
            values.append(None if line[place:end] == "\\N" else line[place:end])
            place = end + 1
    return values


def number(value: int) -> bytes:
    return struct.pack("<bL", int(value < 0), abs(value))


def text(value: str | None) -> bytes:
    return number(-1) if value is None else number(len(value.encode())) + value.encode()


def directory_toc(file: str) -> bytes:
    head = b"PGDMP\x01\x0e\x00\x04\x08\x05" + number(-1) + number(0) * 7 + text("") * 3 + number(1)
    item = number(1) * 2 + text("0") * 2 + text("t") + text("TABLE DATA") + number(3) + text("") * 2
    return (
        head + item + text("COPY public.t (a) FROM stdin;\n") + text("public") + text("") * 4 + text(None) + text(file)
    )


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("../secret", "source.hostile_path"),
        ("/etc/passwd", "source.hostile_path"),
        ("", "source.hostile_path"),
        ("link.dat", "source.unsupported_format"),
        ("missing.dat", "source.object_missing"),
    ],
)
def test_a_table_of_contents_that_points_elsewhere_is_refused(tmp_path: Path, file: str, code: str) -> None:
    (tmp_path / "secret").write_bytes(b"1\n\\.\n")
    folder = tmp_path / "dump"
    folder.mkdir()
    (folder / "toc.dat").write_bytes(directory_toc(file))
    (folder / "link.dat").symlink_to(tmp_path / "secret")
    assert code_of_reading(PgDumpSource.at(str(folder))) == code


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"PGDMP\x01\x30\x00\x04\x08\x01", "source.unsupported_format"),
        (b"PGDMP\x01\x0e\x00\x04\x08\x03", "source.unsupported_format"),
        (b"PGDMP\x01\x0e\x00\x07\x08\x01", "source.archive_damaged"),
        (b"PGDMP\x01\x0e", "source.archive_truncated"),
        (directory_toc("x").replace(b"\x08\x05", b"\x08\x01", 1)[:60], "source.archive_truncated"),
    ],
)
def test_an_archive_of_another_kind_is_refused_by_name(tmp_path: Path, content: bytes, code: str) -> None:
    assert code_of_reading(pg(tmp_path, content)) == code


def test_a_table_of_contents_that_claims_too_much_is_stopped(tmp_path: Path) -> None:
    head = b"PGDMP\x01\x0e\x00\x04\x08\x01" + number(-1) + number(0) * 7 + text("") * 3
    assert code_of_reading(pg(tmp_path, head + number(1 << 30))) == "source.limit_exceeded"
    assert code_of_reading(pg(tmp_path, head[:-5] + number(1 << 31))) == "source.limit_exceeded"


def database(folder: Path, *statements: str) -> SqliteSource:
    connection = sqlite3.connect(folder / "d.db")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return SqliteSource.at(str(folder / "d.db"))


def test_views_and_triggers_of_a_database_never_run(tmp_path: Path) -> None:
    source = database(
        tmp_path,
        "CREATE TABLE t (a)",
        "INSERT INTO t VALUES (1)",
        "CREATE VIEW v AS SELECT load_extension('x') FROM t",
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM t; END",
    )
    assert sorted(read_all(source)) == ["/schema.sql", "/t.tsv"]


def test_a_virtual_table_is_listed_and_never_read(tmp_path: Path) -> None:
    source = database(tmp_path, "CREATE VIRTUAL TABLE f USING fts5(a)", "INSERT INTO f VALUES ('x')")
    point = source.restore_points()[0].id
    assert {entry.path: entry.type for entry in source.walk(point)}["/f.tsv"] is EntryType.OTHER


def test_changes_that_wait_in_a_journal_are_not_left_out_silently(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "d.db")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t (a)")
    connection.commit()
    source = SqliteSource.at(str(tmp_path / "d.db"))
    before = sorted(tmp_path.iterdir())
    assert code_of_reading(source) == "source.unfinished_write"
    assert sorted(tmp_path.iterdir()) == before
    connection.close()


def test_a_damaged_page_of_a_database_is_found(tmp_path: Path) -> None:
    source = database(
        tmp_path, "CREATE TABLE t (a, b)", *("INSERT INTO t VALUES (1, randomblob(900))" for _ in range(30))
    )
    content = bytearray((tmp_path / "d.db").read_bytes())
    content[4096 * 3 : 4096 * 3 + 100] = b"\xff" * 100
    (tmp_path / "d.db").write_bytes(content)
    assert [fault.code for fault in source.verify(RestorePointId("d.db"))] == ["source.archive_damaged"]


def test_noise_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "d.db").write_bytes(b"noise" * 100)
    assert code_of_reading(SqliteSource.at(str(tmp_path / "d.db"))) == "source.not_a_repository"


def test_types_of_a_database_come_back_as_text(tmp_path: Path) -> None:
    source = database(
        tmp_path, "CREATE TABLE t (a)", "INSERT INTO t VALUES (0.1), (12), (x'00ff'), (NULL), ('\\N'), ('')"
    )
    assert read_all(source)["/t.tsv"] == b'a\n0.1\n12\n\\x00ff\n\\N\n"\\N"\n\n'
