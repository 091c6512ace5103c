"""Trials of a mapping: the given/expect rows in its ``tests`` folder, run through the real staging and splitting."""

# ruff: noqa: S608 - the SQL is written here from checked names and quoted literals; no data enters it

from __future__ import annotations

import datetime as dt
import io
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from asepsis.engines.harmonise.guard import IN_MEMORY, connect, guarded
from asepsis.engines.harmonise.land import create_landed, insert
from asepsis.engines.harmonise.load import load_mapping, read_yaml
from asepsis.engines.harmonise.reading import read_batches
from asepsis.engines.harmonise.split import create_code_tables, identify, settle
from asepsis.errors.harmonise import MappingMalformed
from asepsis.harmonise.entries import FileEntry, Reader
from asepsis.harmonise.mapping import Mapping
from asepsis.harmonise.readers.batch import Batch, ends_of
from asepsis.harmonise.said import Kind, list_of
from asepsis.harmonise.section import Section
from asepsis.harmonise.several_rows import ROW
from asepsis.harmonise.staging import EntryPlan, settled_table

_TRIAL_KEY: Final = bytes(32)
_TRIED: Final = 0
"""The file of the record that is tried; those that are joined stand in files of their own."""
_SAID: Final = ("state", "reasons", "flags", "repairs")

_Given = tuple[FileEntry, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One test of a mapping; ``differences`` names the keys where the outcome is not the expected one."""

    file: str
    name: str
    differences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether everything came out as expected."""
        return not self.differences


def run_mapping_tests(folder: Path) -> tuple[Trial, ...]:
    """Run every test of a mapping folder.

    Raises:
        MappingMalformed: a test file is not valid.
    """
    mapping = load_mapping(folder)
    mapping = mapping.asked(mapping.free_text)
    names = sorted(path.name for path in (folder / "tests").glob("*.yaml"))
    return tuple(trial for name in names for trial in _trials(mapping, folder, f"tests/{name}"))


def _trials(mapping: Mapping, folder: Path, file: str) -> Iterator[Trial]:
    top = Section(read_yaml(folder, file), file=file, key="the top")
    name = top.text("from")
    if name not in mapping.files:
        raise top.malformed("from", "source.yaml has no such file entry")
    entry = mapping.files[name]
    for case in top.items("cases"):
        yield _trial(mapping, entry, case, file)
    top.close()


def _trial(mapping: Mapping, entry: FileEntry, case: Section, file: str) -> Trial:
    title, persons = case.text("name"), case.names("persons")
    given, expected = _plain(case, "given"), _plain(case, "expect")
    joined = tuple(_joined(mapping, entry, case))
    _check_expected(mapping, entry, case, expected)
    case.close()
    with tempfile.TemporaryDirectory(prefix="asepsis-trial-") as scratch:
        connection = connect(IN_MEMORY, scratch=Path(scratch), memory="256MB", threads=1)
        try:
            _land(connection, mapping, [(entry, given), *joined])
            outcome = _run(connection, mapping, entry, persons)
        finally:
            connection.close()
    differences = tuple(key for key, value in expected.items() if _text(outcome.get(key)) != _text(value))
    return Trial(file=file, name=title, differences=differences)


def _joined(mapping: Mapping, entry: FileEntry, case: Section) -> Iterator[_Given]:
    """The records of other files that values are looked up in."""
    known = {join.entry for spec in mapping.specs_of(entry.name) for join in spec.joins}
    for item in case.items("joined"):
        name, given = item.text("entry"), _plain(item, "given")
        item.close()
        if name not in known:
            raise item.malformed("entry", "no table file that reads the entry of this test joins it")
        yield mapping.files[name], given


def _check_expected(mapping: Mapping, entry: FileEntry, case: Section, expected: dict[str, Any]) -> None:
    """Refuse what can never be found, and would pass unnoticed where nothing is expected of it."""
    if not expected:
        raise case.malformed("expect", "a test that expects nothing shows nothing")
    known = set(_SAID)
    for spec in mapping.specs_of(entry.name):
        columns = ("person_id", "rows", *spec.target.columns)
        known |= {spec.table, *(f"{spec.table}.{column}" for column in columns)}
    unknown = sorted(set(expected) - known)
    if unknown:
        problem = "no table file that reads the entry of this test has such a table or column"
        raise case.malformed(f"expect.{unknown[0]}", problem)


def _plain(case: Section, key: str) -> dict[str, Any]:
    value = case.values(key)
    if not all(isinstance(item, str | int | float | bool | list | dt.date | None) for item in value.values()):
        raise MappingMalformed(file=case.file, key=key, problem="only plain values and lists are allowed")
    return value


def _land(connection: duckdb.DuckDBPyConnection, mapping: Mapping, given: list[_Given]) -> None:
    """Land what is given, the record that is tried first."""
    for known in mapping.files.values():
        create_landed(connection, known)
    for number, (entry, record) in enumerate(given, start=_TRIED):
        for batch in _batches(entry, record):
            insert(connection, entry, batch, file_id=number)


def _run(
    connection: duckdb.DuckDBPyConnection, mapping: Mapping, entry: FileEntry, persons: tuple[str, ...]
) -> dict[str, Any]:
    """State, reasons, flags and repairs of the last record, then the values of its first rows as ``table.column``."""
    create_code_tables(connection, mapping)
    plan = EntryPlan(mapping, entry)
    with guarded("trial"):
        for number, person in enumerate(persons):
            connection.execute("INSERT INTO persons VALUES (?, ?)", [person, number])
    settle(connection, plan)
    if plan.defines_persons:
        identify(connection, plan, person_key=_TRIAL_KEY)
    with guarded("trial"):
        reasons = f"list_sort({list_of(Kind.EXCLUDED)} || {list_of(Kind.QUARANTINED)}) AS reasons"
        columns = f"state, {reasons}, {list_of(Kind.FLAGGED)} AS flags, {list_of(Kind.REPAIRED)} AS repairs"
        last = f"WHERE file_id = {_TRIED} ORDER BY rec_no DESC LIMIT 1"
        outcome = _first(connection, f"SELECT rec_no, {columns} FROM {settled_table(entry.name)} {last}")
        for spec in mapping.specs_of(entry.name):
            rows = f"({plan.emit(spec)}) WHERE file_id = {_TRIED} AND rec_no = {outcome.get('rec_no', 0)}"
            first = _first(connection, f"SELECT * FROM {rows} ORDER BY {ROW} LIMIT 1")
            outcome |= {f"{spec.table}.{name}": value for name, value in first.items()}
            outcome[spec.table] = bool(first) or bool(outcome.get(spec.table))
            count = _first(connection, f"SELECT count(*) AS n FROM {rows}")
            outcome[f"{spec.table}.rows"] = outcome.get(f"{spec.table}.rows", 0) + count.get("n", 0)
    return outcome


def _first(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    cursor = connection.execute(sql)
    row = cursor.fetchone()
    return {} if row is None else dict(zip([item[0] for item in cursor.description or []], row, strict=True))


def _batches(entry: FileEntry, given: dict[str, Any]) -> Iterator[Batch]:
    """What is given: the text of a file (``text``, or ``json`` for one resource), or the decoded fields of a record."""
    text = given.get("json", given.get("text"))
    if text is not None:
        if entry.is_text or entry.reader in {Reader.SQLDUMP, Reader.X12, Reader.CCDA}:
            return read_batches(entry, io.BytesIO(str(text).encode(entry.encoding, "replace")))
        raise MappingMalformed(file="tests/", key="text", problem="the fields of a binary record are expected")
    fields = {name: None if value is None else str(value) for name, value in given.items()}
    unknown = sorted(set(fields) - set(entry.field_names))
    if unknown or entry.is_text:
        name = unknown[0] if unknown else "text"
        raise MappingMalformed(file="tests/", key=name, problem="the file entry has no such field, or needs a text")
    raw = json.dumps(fields, sort_keys=True).encode()
    columns = {name: [value] for name, value in fields.items()}
    return iter((Batch(number=0, offset=0, data=raw, ends=ends_of([len(raw)]), columns=columns),))


def _text(value: Any) -> str:
    if isinstance(value, list):
        return json.dumps([_text(item) for item in value])
    return "null" if value is None else str(value)
