"""What is done at once for plain lines and for recurring values gives what is done for each record alone."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.engines.harmonise import Resources, harmonise
from asepsis.engines.harmonise.guard import connect
from asepsis.engines.harmonise.land import create_landed, insert
from asepsis.engines.harmonise.reading import read_batches
from asepsis.harmonise import by_value
from asepsis.harmonise.by_value import divide, recurring
from asepsis.harmonise.entries import FileEntry, read_entry
from asepsis.harmonise.extraction import extract, landed_table
from asepsis.harmonise.mapping import Mapping
from asepsis.harmonise.query import Query
from asepsis.harmonise.section import Section

PIECES = st.sampled_from(
    [b";", b";", b"a", b"12", b" ", b'"', b'""', b"\\", b"\\N", b"\r", b"\0", "ü".encode(), b"\xfc"]
)
LINES = st.lists(st.lists(PIECES, max_size=7).map(b"".join), max_size=12)


def entry(**more: object) -> FileEntry:
    values: dict[str, Any] = {
        "reader": "delimited",
        "pattern": "*.x",
        "extract_date": dt.date(2020, 1, 1),
        "columns": ["a", "b", "c"],
        "delimiter": ";",
        "encoding": "latin-1",
        "mixed": True,
        **more,
    }
    return read_entry(Section(values, file="source.yaml", key="files.x"), "x", {})


def dump() -> FileEntry:
    values = {
        "reader": "sqldump",
        "pattern": "*.x",
        "extract_date": dt.date(2020, 1, 1),
        "columns": ["a", "b", "c"],
        "encoding": "utf-8",
        "dialect": "postgres",
        "table": "t",
    }
    return read_entry(Section(values, file="source.yaml", key="files.x"), "x", {})


def fields(found: FileEntry, data: bytes, *, plainly: bool) -> tuple[list[Any], int]:
    """Defects and fields of every data record, and how many lines were plain."""
    connection = connect(Path(":memory:"), scratch=Path("/nonexistent"), memory="256MB", threads=1)
    try:
        create_landed(connection, found)
        for batch in read_batches(found, io.BytesIO(data)):
            insert(connection, found, batch, file_id=0)
        plain = connection.execute(f"SELECT count(*) FROM {landed_table('x')} WHERE plain").fetchone()
        if not plainly:
            connection.execute(f"UPDATE {landed_table('x')} SET plain = NULL")
        select = f'SELECT rec_no, defects, "f.a", "f.b", "f.c" FROM ({extract(found)}) ORDER BY rec_no'
        return connection.execute(select).fetchall(), plain[0] if plain else 0
    finally:
        connection.close()


@settings(max_examples=25, deadline=None)
@given(
    lines=LINES,
    end=st.sampled_from([b"\n", b"\r\n"]),
    options=st.sampled_from([{}, {"quote": '"'}, {"overflow": True}]),
)
def test_a_plain_line_has_the_fields_that_all_the_rules_give_it(
    lines: list[bytes], end: bytes, options: dict[str, object]
) -> None:
    found, data = entry(**options), end.join([*lines, b"p;q;r"])
    assert fields(found, data, plainly=True)[0] == fields(found, data, plainly=False)[0]


@settings(max_examples=15, deadline=None)
@given(lines=LINES)
def test_a_plain_line_of_a_dump_has_the_fields_that_all_the_rules_give_it(lines: list[bytes]) -> None:
    rows = [line.replace(b";", b"\t") for line in lines]
    data = b"\n".join([b"COPY t (a, b, c) FROM stdin;", *rows, b"p\tq\tr", b"\\.", b""])
    assert fields(dump(), data, plainly=True)[0] == fields(dump(), data, plainly=False)[0]


def test_most_lines_are_plain_and_those_that_only_look_so_are_not() -> None:
    data = b'a;b;c\n1;2;3\r\n1;"2";3\n1;2\n1;2;3;4\n1;\xfc;3\n1;\r2;3\n4;5;6'
    assert fields(entry(quote='"'), data, plainly=True)[1] == 3


def outcome(mapping: Mapping, files: dict[str, bytes], folder: Path) -> dict[str, Any]:
    """What every file that a contribution writes says."""
    opened: dict[str, Callable[[], Any]] = {path: partial(io.BytesIO, data) for path, data in files.items()}
    folder.mkdir()
    harmonise(mapping, opened, workdir=folder, run="r", person_key=bytes(32), resources=Resources(threads=1))
    return {path.name: content(path) for path in sorted((folder / "r").iterdir()) if path.is_file()}


def content(path: Path) -> Any:
    """The rows of a table (whether a column has nulls is no part of them); of the result, all but digests."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        return table.cast(pa.schema([column.with_nullable(nullable=True) for column in table.schema]))
    found = json.loads(path.read_text(encoding="utf-8"))
    return {name: value for name, value in found.items() if name != "outputs"}


@pytest.mark.parametrize("hospital", ["northgate", "riverside"])
def test_records_that_are_judged_by_value_are_those_that_are_judged_one_by_one(
    hospital: str,
    request: pytest.FixtureRequest,
    sources: dict[str, dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mapping: Mapping = request.getfixturevalue(hospital)
    monkeypatch.setattr(by_value, "LEAST_RECORDS", 10**12)
    one_by_one = outcome(mapping, sources[hospital], tmp_path / "one by one")
    monkeypatch.setattr(by_value, "LEAST_RECORDS", 0)
    monkeypatch.setattr(by_value, "LEAST_REPEATS", 0)
    assert len(one_by_one) > 10
    assert outcome(mapping, sources[hospital], tmp_path / "by value") == one_by_one


@pytest.mark.long
@pytest.mark.parametrize(("hospital", "folder"), [("northgate", "hospital_a_legacy"), ("riverside", "hospital_b_fhir")])
def test_whole_hospitals_are_judged_by_value_as_one_by_one(
    hospital: str,
    folder: str,
    shared: Path,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = {path.name: path.read_bytes() for path in (shared / "two_hospitals" / folder).iterdir()}
    mapping: Mapping = request.getfixturevalue(hospital)
    monkeypatch.setattr(by_value, "LEAST_RECORDS", 10**12)
    one_by_one = outcome(mapping, files, tmp_path / "one by one")
    monkeypatch.setattr(by_value, "LEAST_RECORDS", 0)
    assert outcome(mapping, files, tmp_path / "by value") == one_by_one


def test_what_depends_on_one_field_moves_to_its_values_and_the_rest_stays() -> None:
    query = Query("SELECT * FROM r")
    query.add("constant", "try(1)")
    query.add("day", 'try(trim("f.day"))')
    query.add("sure", "day IS NOT NULL AND constant = 1")
    query.add("both", "sure AND \"f.other\" = 'x'")
    query.add("place", "rec_no + 1")
    divided, tables = divide(query, "SELECT * FROM r", ["f.day", "f.other"], wanted=["both", "place"], prefix="v_")
    assert list(tables) == ['"v_f.day"']
    assert set(divided.nodes) == {"sure", "constant", "both", "place"}
    assert '"f.other"' not in tables['"v_f.day"']


def test_what_is_looked_up_by_one_field_moves_to_its_values_whatever_it_is_called() -> None:
    query = Query("SELECT * FROM r")
    query.look_up({"name": 't."f.name"'}, table="joined", key="join_key", value='"f.code"')
    query.add("short", "trim(name)")
    divided, tables = divide(query, "SELECT * FROM r", ["f.code"], wanted=["short"], prefix="v_")
    assert set(divided.nodes) == {"short"}
    assert "JOIN joined" in tables['"v_f.code"']
    assert "f.name" not in query.uses


def test_values_recur_where_each_occurs_often_in_enough_records() -> None:
    enough = by_value.LEAST_RECORDS
    assert recurring(["a", "b"], enough, [enough // by_value.LEAST_REPEATS, enough // 2]) == ("a",)
    assert recurring(["a", "b"], enough - 1, [1, 1]) == ()
