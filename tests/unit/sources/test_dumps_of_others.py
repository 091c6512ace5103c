"""Dumps that the tools themselves made: PostgreSQL 15 here and now, and those of the shared data where it lies."""

from __future__ import annotations

import os
import pwd
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from asepsis.domain.source import EntryType
from asepsis.ports import Source
from asepsis.sources.registry import open_source

SHARED = Path(os.environ.get("ASEPSIS_SHARED", Path(__file__).parents[4] / "shared"))
PROGRAMS = Path("/usr/lib/postgresql/15/bin")
ROWS = """
CREATE TABLE person (id int PRIMARY KEY, name text, "odd ""name" numeric, b bytea, a text[]);
INSERT INTO person SELECT i, CASE WHEN i % 3 = 0 THEN NULL ELSE E'tab\\tnl\\nq"\\\\x' || i END, i / 7.0, '\\xdeadbeef',
  ARRAY['a,b', NULL, ''] FROM generate_series(1, 20000) i;
CREATE SCHEMA "Odd schema";
CREATE TABLE "Odd schema"."T.x" (a int, g int GENERATED ALWAYS AS (a * 2) STORED);
INSERT INTO "Odd schema"."T.x" VALUES (1), (2);
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $x$ BEGIN RAISE NOTICE '\\! ; $$'; RETURN NULL; END $x$;
CREATE TRIGGER t AFTER INSERT ON person FOR EACH ROW EXECUTE FUNCTION f();
CREATE TABLE parted (d date, v text) PARTITION BY RANGE (d);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2000-01-01') TO ('2001-01-01');
INSERT INTO parted VALUES ('2000-05-05', 'x');
CREATE TABLE nothing ();
SELECT lo_from_bytea(0, 'large');
"""
FORMATS = {
    "plain": ["-Fp"],
    "inserts": ["-Fp", "--inserts"],
    "columns": ["-Fp", "--column-inserts", "--rows-per-insert=7"],
    "custom": ["-Fc"],
    "uncompressed": ["-Fc", "-Z0"],
    "custom-inserts": ["-Fc", "--inserts"],
    "tar": ["-Ft"],
    "tar-inserts": ["-Ft", "--inserts"],
    "directory": ["-Fd"],
    "directory-plain": ["-Fd", "-Z0"],
}


@pytest.fixture(scope="module")
def dumps() -> Iterator[Path]:
    """One dump of one database in every format.

    It lies outside of pytest's folders: every session that starts makes these private, and the server is another user.
    """
    if not (PROGRAMS / "initdb").exists():
        pytest.skip("PostgreSQL 15 makes these dumps and is not installed")
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not start as root and there is no user postgres")
    with tempfile.TemporaryDirectory(prefix="asepsis-pg-") as folder:
        _make_dumps(Path(folder))
        yield Path(folder)


def _make_dumps(folder: Path) -> None:
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if user:
        shutil.chown(folder, "postgres")

    def run(program: str, *arguments: str) -> None:
        command = [*user, str(PROGRAMS / program), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=folder, timeout=120)

    where = ["-h", str(folder), "-U", "postgres"]
    run("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C")
    run(
        "pg_ctl",
        "-D",
        str(folder / "data"),
        "-w",
        "-o",
        f"-k {folder} -c listen_addresses=''",
        "-l",
        str(folder / "log"),
        "start",
    )
    try:
        (folder / "rows.sql").write_text(ROWS)
        run("psql", *where, "-q", "-v", "ON_ERROR_STOP=1", "-f", str(folder / "rows.sql"), "postgres")
        for name, options in FORMATS.items():
            run("pg_dump", *where, *options, "-f", str(folder / f"{name}.dump"), "postgres")
        with (folder / "piped.dump").open("wb") as out:
            command = [*user, str(PROGRAMS / "pg_dump"), *where, "-Fc", "postgres"]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                shutil.copyfileobj(process.stdout, out)  # type: ignore[arg-type]
    finally:
        run("pg_ctl", "-D", str(folder / "data"), "-m", "immediate", "stop")


@pytest.mark.long
@pytest.mark.parametrize("name", [*FORMATS, "piped"])
def test_a_dump_of_postgresql_15_gives_every_row_in_every_format(dumps: Path, name: str) -> None:
    source = open_source(f"pgdump:{dumps / (name + '.dump')}")
    point = source.restore_points()[0].id
    entries = {entry.path: entry for entry in source.walk(point)}
    tables = {path for path, entry in entries.items() if entry.type is EntryType.FILE}
    assert tables >= {"/public/person.tsv", "/Odd schema/T.x.tsv", "/public/parted_1.tsv"}
    content = content_of(source, "/public/person.tsv")
    assert content.startswith(b'id\tname\t"odd ""name"\tb\ta\n')
    plain = open_source(f"pgdump:{dumps / 'plain.dump'}")
    for path in ("/public/person.tsv", "/public/parted_1.tsv"):
        assert content_of(source, path) == content_of(plain, path)
    assert content.count(b"deadbeef") == 20_000
    odd = content_of(source, "/Odd schema/T.x.tsv").splitlines()
    assert odd[0].split(b"\t")[0] == b"a"
    assert [row.split(b"\t")[0] for row in odd[1:]] == [b"1", b"2"]
    assert list(source.verify(point)) == []


def content_of(source: Source, path: str) -> bytes:
    with source.open(source.restore_points()[0].id, path) as file:
        return file.read()


def shared(path: str) -> Path:
    if not (SHARED / path).exists():
        pytest.skip(f"the shared data {path} is not here")
    return SHARED / path


def test_the_postgresql_and_the_sqlite_dump_of_one_database_agree(tmp_path: Path) -> None:
    """SynPUF, ten persons: rows are the same; the two tools write numbers and dates in their own ways."""
    folder = shared("data/synpuf10_sql_dumps")
    with sqlite3.connect(tmp_path / "s.db") as connection:
        connection.executescript((folder / "synpuf-10p.sqlite.sql").read_text())
    connection.close()
    one, other = open_source(f"pgdump:{folder / 'synpuf-10p.pgsql.sql'}"), open_source(f"sqlite:{tmp_path / 's.db'}")
    ours = {e.path.rsplit("/", 1)[1] for e in one.walk(one.restore_points()[0].id) if e.type is EntryType.FILE}
    for table, key in (("person.tsv", 0), ("visit_occurrence.tsv", 0), ("condition_occurrence.tsv", 0)):
        assert table in ours
        rows = [sorted(r.split(b"\t")[key] for r in content_of(s, f"/{table}").splitlines()[1:]) for s in (one, other)]
        assert rows[0] == rows[1] != []


def test_the_pharmacy_dump_of_northgate_gives_all_of_its_rows() -> None:
    source = open_source(f"mysqldump:{shared('data/two_hospitals/hospital_a_legacy/pharmacy.sql')}")
    paths = [e.path for e in source.walk(source.restore_points()[0].id) if e.type is EntryType.FILE]
    assert sum(len(content_of(source, path).splitlines()) - 1 for path in paths) >= 2_669
