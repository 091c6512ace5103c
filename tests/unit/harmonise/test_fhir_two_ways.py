"""Resources that are read, cut and landed many at once come out as those that are looked at alone."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asepsis.engines.harmonise import HarmonisedRun, Resources, harmonise
from asepsis.engines.harmonise import land as landing
from asepsis.engines.harmonise.guard import connect
from asepsis.engines.harmonise.land import HashedStream, create_landed, land
from asepsis.engines.harmonise.split import create_code_tables, settle
from asepsis.harmonise.entries import FileEntry, read_entry
from asepsis.harmonise.extraction import extract, landed_table
from asepsis.harmonise.jsonpaths import compile_paths
from asepsis.harmonise.mapping import Mapping
from asepsis.harmonise.readers import lines, ndjson
from asepsis.harmonise.readers.gunzip import gunzip
from asepsis.harmonise.readers.lines import Lines, read_lines
from asepsis.harmonise.readers.record import Limits
from asepsis.harmonise.section import Section
from asepsis.harmonise.staging import EntryPlan, settled_table

PATHS = {
    "id": "id",
    "status": "status",
    "code": "code.coding[0].code",
    "number": "valueQuantity.value",
    "system": "code.coding[system=s].code",
    "second": "component[1].valueQuantity.value",
}
SIMPLE = {name: path for name, path in PATHS.items() if "=" not in path}
WHOLE = (
    b'{"id":"a","status":"final","code":{"coding":[{"system":"s","code":"1"}]},"valueQuantity":{"value":%s}}\n',
    b'{"id":"b","component":[{},{"valueQuantity":{"value":%s}}]}\n',
)
NUMBERS = (b"1", b"1.50", b"-0", b"1E5", b"1e999", b"0.1", b"123456789012345678901234567890.5", b"01", b'"x"', b"null")
ODD = (
    b'{"id":"a","id":"b"}\n',
    b'{"status":["final"],"code":{"coding":{}}}\n',
    b'{"code":{"coding":[]},"status":true}\n',
    b'{"code":"x","valueQuantity":[1]}\n',
    b'{"id":"a\\u0000b"}\n',
    b'{"id":"\\ud800"}\n',
    b'{"id":"a\0b"}\n',
    b'{"id":"\xc3\x28"}\n',
    b'{"id":"\xc3\xbc"}\n',
    b'{"id":NaN}\n',
    b'{"id":"x",}\n',
    b'{"id":"x"}{"id":"y"}\n',
    b' {"id" : "blank"}\r\n',
    b'[{"id":"x"}]\n',
    b"null\n",
    b"{}\n",
    b" \n",
    b"\x1a",
    b'{"a":' * 230 + b"1" + b"}" * 230 + b"\n",
    b'{"a":' * 190 + b"1" + b"}" * 190 + b"\n",
)
RESOURCES = st.one_of(
    st.builds(lambda form, number: form % number, st.sampled_from(WHOLE), st.sampled_from(NUMBERS)),
    st.sampled_from(ODD),
    st.tuples(st.sampled_from(WHOLE), st.integers(0, 60), st.sampled_from(b'"{}[],:\\ 0a\n')).map(
        lambda x: (x[0] % b"1")[: x[1]] + bytes([x[2]]) + (x[0] % b"1")[x[1] + 1 :]
    ),
)


def entry(paths: dict[str, str]) -> FileEntry:
    values: dict[str, Any] = {
        "reader": "ndjson",
        "pattern": "*.x",
        "extract_date": dt.date(2020, 1, 1),
        "encoding": "utf-8",
        "paths": paths,
    }
    return read_entry(Section(values, file="source.yaml", key="files.x"), "x", {})


def landed(data: bytes, paths: dict[str, str]) -> tuple[duckdb.DuckDBPyConnection, FileEntry]:
    found = entry(paths)
    connection = connect(Path(":memory:"), scratch=Path("/nonexistent"), memory="256MB", threads=1)
    create_landed(connection, found)
    land(connection, found, file=(0, "f"), opener=partial(io.BytesIO, data), progress=lambda _: None)
    return connection, found


def fields_at_once(data: bytes, paths: dict[str, str] = PATHS) -> list[tuple[Any, ...]]:
    connection, found = landed(data, paths)
    try:
        names = ", ".join(f'"f.{name}"' for name in paths)
        return connection.execute(f"SELECT rec_no, defects, {names} FROM ({extract(found)}) ORDER BY 1").fetchall()
    finally:
        connection.close()


def fields_alone(data: bytes, paths: dict[str, str]) -> list[tuple[Any, ...]]:
    """Each record parsed by a statement of its own, out of its landed text."""
    connection, _ = landed(data, paths)
    view = compile_paths(paths, file="source.yaml")
    taken = f"CASE WHEN starts_with(ltrim(text), '{{') THEN try({view.taken}) END"
    parsed = f"SELECT {taken} AS j FROM (SELECT ?::VARCHAR AS text)"
    try:
        rows = []
        records = f"SELECT rec_no, defects, text FROM {landed_table('x')} WHERE kind = 'data' ORDER BY 1"
        for number, defects, text in connection.execute(records).fetchall():
            columns = ", ".join(["j IS NULL", *view.columns.values()])
            row = connection.execute(f"SELECT {columns} FROM ({parsed})", [text]).fetchone() or ()
            rows.append((number, ["not_json"] if row[0] and not defects else defects, *row[1:]))
        return rows
    finally:
        connection.close()


@settings(max_examples=15, deadline=None)
@given(st.lists(RESOURCES, min_size=5, max_size=20), st.sampled_from([PATHS, SIMPLE]))
def test_resources_parsed_at_once_have_the_fields_of_each_alone(resources: list[bytes], paths: dict[str, str]) -> None:
    data = b"".join(resources)
    assert fields_at_once(data, paths) == fields_alone(data, paths)


@settings(max_examples=15, deadline=None)
@given(st.lists(RESOURCES, min_size=5, max_size=20))
def test_paths_give_the_same_alone_and_beside_one_with_a_condition(resources: list[bytes]) -> None:
    """A number beyond 1e20 is written in one of two ways."""
    data = b"".join(resources)
    system = 2 + list(PATHS).index("system")
    rows = [(*row[:system], *row[system + 1 :]) for row in fields_at_once(data)]
    assert [comparable(row) for row in rows] == [comparable(row) for row in fields_at_once(data, SIMPLE)]


@pytest.mark.parametrize("paths", [PATHS, SIMPLE])
def test_of_two_members_of_one_name_the_first_is_read(paths: dict[str, str]) -> None:
    """As the reference says."""
    [row] = fields_at_once(b'{"id":"first","status":"final","id":"second"}\n', paths)
    assert row[:4] == (0, [], "first", "final")


def test_a_record_with_two_members_of_one_name_is_accepted_once(
    riverside: Mapping, run: Callable[..., HarmonisedRun]
) -> None:
    patient = b'{"resourceType":"Patient","id":"p","gender":"female","birthDate":"1970-01-31","gender":"male"}\n'
    done = run(riverside, {"Patient.ndjson": patient, "Condition.ndjson": b""})
    (row,) = pq.read_table(done.tables["person"], columns=["gender_concept_id"]).to_pylist()
    assert row == {"gender_concept_id": 8532}


def comparable(row: Sequence[Any]) -> list[Any]:
    """Long numbers by their value."""
    return [float(value) if isinstance(value, str) and value[:3] in {"123", "1.2"} else value for value in row]


LARGE = b"".join(WHOLE[0] % str(number).encode() for number in range(50))


@pytest.mark.parametrize(
    ("odd", "ways"),
    [
        (b"", ["quick", "quick"]),
        (b"\n", ["careful", "quick"]),
        (b"[]\n", ["careful", "quick"]),
        (b" {}\n", ["careful", "quick"]),
        (b'{"id":\n', ["quick", "careful", "careful"]),
    ],
)
def test_the_quick_way_is_left_where_a_record_is_odd_and_for_good_where_one_is_broken(
    odd: bytes, ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "_ROW_GROUP", 1)
    monkeypatch.setattr(lines, "_BLOCK", len(LARGE + odd))
    statements: list[str] = []

    class Listening:
        def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
            self._connection = connection

        def execute(self, sql: str) -> Any:
            statements.append("careful" if "try(" in sql else "quick")
            return self._connection.execute(sql)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

    found = entry(PATHS)
    with connect(Path(":memory:"), scratch=Path("/nonexistent"), memory="256MB", threads=1) as connection:
        create_landed(connection, found)
        data = partial(io.BytesIO, LARGE + odd + LARGE)
        listening = cast("duckdb.DuckDBPyConnection", Listening(connection))
        land(listening, found, file=(0, "f"), opener=data, progress=lambda _: None)
        count = connection.execute(f"SELECT count(*) FROM {landed_table('x')}").fetchone()
    assert (count, statements) == ((100 + bool(odd),), ways)


def test_what_is_no_resource_is_known_by_its_reason() -> None:
    data = b'{"id":"a"}\n[1]\n{"id":\n{"id":"\xff"}\n\n' + b'{"a":' * 230 + b"1" + b"}" * 230 + b"\n"
    found = {row[0]: row[1] for row in fields_at_once(data)}
    assert found == {0: [], 1: ["not_json"], 2: ["not_json"], 3: ["not_utf8"], 5: ["nested_too_deep"]}


@pytest.mark.parametrize(("rows", "size"), [(1, 1 << 30), (7, 1 << 30), (1 << 30, 100), (1 << 30, 1 << 30)])
def test_batches_that_wait_for_others_land_whole(rows: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"".join(form % number for number in NUMBERS for form in (*WHOLE, *WHOLE))
    expected = fields_at_once(data)
    monkeypatch.setattr(lines, "_BLOCK", 256)
    monkeypatch.setattr(landing, "_ROW_GROUP", rows)
    monkeypatch.setattr(landing, "_MOST_WAITING", size)
    assert fields_at_once(data) == expected
    assert len(expected) == data.count(b"\n")


def cut(data: bytes, *, any_end: bool, limit: int) -> list[tuple[int, bytes, bool]]:
    found = []
    for block in read_lines(io.BytesIO(data), limits=Limits(record_bytes=limit), any_end=any_end):
        starts = block.starts.tolist()
        found += [(block.offset + start, block.line(at), at in block.too_long) for at, start in enumerate(starts)]
    return found


@settings(max_examples=60, deadline=None)
@given(
    data=st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r", b"\r\n"]), max_size=40).map(b"".join),
    any_end=st.booleans(),
    block=st.integers(1, 12),
)
def test_lines_do_not_depend_on_where_blocks_end(data: bytes, any_end: bool, block: int) -> None:  # noqa: FBT001
    expected = cut(data, any_end=any_end, limit=1000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_BLOCK", block)
        assert cut(data, any_end=any_end, limit=1000) == expected
        assert b"".join(line for _, line, _ in cut(data, any_end=any_end, limit=5)) == data
    assert b"".join(line for _, line, _ in expected) == data
    assert [line for _, line, _ in expected] == (
        data.splitlines(keepends=True) if any_end else io.BytesIO(data).readlines()
    )


@settings(max_examples=60, deadline=None)
@given(
    pieces=st.lists(st.tuples(st.sampled_from([b"[", b"{", b"a", b"}", b"\n"]), st.integers(1, 150)), max_size=12),
    nesting=st.integers(0, 130),
)
def test_lines_with_many_brackets_are_found_in_windows_as_one_by_one(
    pieces: list[tuple[bytes, int]], nesting: int
) -> None:
    data = b"".join(sign * count for sign, count in pieces)
    for block in read_lines(io.BytesIO(data), limits=Limits()):
        counts = [block.line(index).count(b"[") + block.line(index).count(b"{") for index in range(len(block))]
        assert ndjson._suspects(block, nesting) == [at for at, count in enumerate(counts) if count > nesting]


def test_brackets_are_counted_across_pieces() -> None:
    line = b"[" * 300 + b"\n"
    data = b"a" * (ndjson._PIECE - 150) + b"\n" + line + b"a" * ndjson._PIECE + b"\n" + line
    (block,) = read_lines(io.BytesIO(data), limits=Limits())
    assert isinstance(block, Lines)
    assert ndjson._suspects(block, 200) == [1, 3]


class OnlyReads:
    """A stream that can only ``read``, and gives less than is asked."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self._inner.read(min(size, 7))


@pytest.mark.parametrize("data", [b"", b"a", b"ab", b"a line\n" * 50])
def test_a_stream_that_only_reads_is_read_and_hashed_whole(data: bytes) -> None:
    streams = [cast("BinaryIO", OnlyReads(data)), cast("BinaryIO", io.BytesIO(data))]
    hashed = [HashedStream(stream) for stream in streams]
    assert [gunzip(io.BufferedReader(stream), name="f").read() for stream in hashed] == [data, data]
    assert len({str(stream.finish()) for stream in hashed}) == 1


def outcome(mapping: Mapping, files: dict[str, bytes], folder: Path) -> dict[str, bytes]:
    opened: dict[str, Callable[[], Any]] = {path: partial(io.BytesIO, data) for path, data in files.items()}
    folder.mkdir()
    harmonise(mapping, opened, workdir=folder, run="r", person_key=bytes(32), resources=Resources(threads=1))
    return {path.name: path.read_bytes() for path in sorted((folder / "r").iterdir()) if path.is_file()}


def test_records_with_one_combination_of_answers_need_no_staging(
    riverside: Mapping, sources: dict[str, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laboratory = {
        path: b"".join(line for line in data.splitlines(keepends=True) if b"laboratory" in line or path[0] != "O")
        for path, data in sources["riverside"].items()
    }
    plain = outcome(riverside, laboratory, tmp_path / "plain")
    divide = EntryPlan.divide
    monkeypatch.setattr(EntryPlan, "divide", lambda plan, combinations: divide(plan, max(2, combinations)))
    assert outcome(riverside, laboratory, tmp_path / "staged") == plain


def test_what_a_part_does_not_have_is_false_or_null(riverside: Mapping) -> None:
    resource = {"resourceType": "Observation", "status": "final", "subject": {"reference": "Patient/nobody"}}
    survey = {**resource, "category": [{"coding": [{"code": "survey"}]}], "effectiveDateTime": "2010-01-01"}
    data = (json.dumps(survey) + "\n").encode()
    connection = connect(Path(":memory:"), scratch=Path("/nonexistent"), memory="256MB", threads=1)
    try:
        create_code_tables(connection, riverside)
        found = riverside.files["observation"]
        create_landed(connection, found)
        land(connection, found, file=(0, "f"), opener=partial(io.BytesIO, data), progress=lambda _: None)
        settle(connection, EntryPlan(riverside, found))
        columns = (
            '"measurement?emit", "measurement=measurement_date", "observation?emit", "observation=observation_date"'
        )
        row = connection.execute(f"SELECT {columns} FROM {settled_table(found.name)}").fetchone()
    finally:
        connection.close()
    assert row == (False, None, True, dt.date(2010, 1, 1))
