"""Splitting: settled records become OMOP rows, identities, provenance and the tables of the owner, all in Parquet.

Invariant: the order of rows is fixed by person, date and place in the source, so that equal inputs give equal files.
"""

# ruff: noqa: S608 - the SQL is written here from checked names and quoted literals; no data enters it

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from collections.abc import Mapping as MappingOf
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from asepsis.engines.harmonise.guard import guarded
from asepsis.engines.harmonise.land import Landed
from asepsis.engines.harmonise.owner_tables import owner_tables
from asepsis.engines.harmonise.standing import Standing
from asepsis.engines.harmonise.texts import treat_texts
from asepsis.errors.harmonise import HarmoniseFailed
from asepsis.harmonise.expressions import enum_of, quote_text
from asepsis.harmonise.mapping import Mapping
from asepsis.harmonise.omop import IDENTITY, PERIOD, TARGETS, Target
from asepsis.harmonise.partners import all_partners
from asepsis.harmonise.said import Kind, list_of
from asepsis.harmonise.several_rows import ROW
from asepsis.harmonise.spec_columns import GRADE
from asepsis.harmonise.staging import EntryPlan, code_table, final_table

_PERSON_BATCH: Final = 50_000
_ID_BYTES: Final = 8
_DROPPED_BITS: Final = 2
_MOST_WORDS: Final = 100
_ORIGIN: Final = ("file_id", "rec_no", "byte_off", ROW, "grade", "said")


def create_code_tables(connection: duckdb.DuckDBPyConnection, mapping: Mapping) -> None:
    """Load the code maps and an empty table of persons."""
    with guarded("codes"):
        connection.execute("CREATE OR REPLACE TABLE persons (person_key VARCHAR, person_id BIGINT)")
        graded = f"SELECT * REPLACE (grade::{GRADE} AS grade) FROM batch"
        for name, codes in mapping.codes.items():
            rows = pa.table(
                {
                    "source_code": pa.array([row.source_code for row in codes.rows], pa.string()),
                    "target_concept_id": pa.array([row.concept_id for row in codes.rows], pa.int32()),
                    "grade": pa.array([str(row.grade) for row in codes.rows], pa.string()),
                }
            )
            connection.register("batch", rows)
            connection.execute(f"CREATE OR REPLACE TABLE {code_table(name)} AS {graded}")
            connection.unregister("batch")


def settle(connection: duckdb.DuckDBPyConnection, plan: EntryPlan, *, twins: str | None = None) -> None:
    """Give every data record of an entry its state; ``twins`` names those that repeat records of an earlier run."""
    with guarded("stage"):
        if not _answer(connection, plan.has_records()):
            _execute(connection, plan.unite())
            return
        _execute(connection, plan.begin())
        found = connection.execute(plan.survey()).fetchall()
        _execute(connection, plan.divide(len(found)))
        for row in found:
            settling = plan.settling(*plan.surveyed(row))
            _execute(connection, settling.look_up())
            few = [table for table, question in settling.has_few().items() if _answer(connection, question)]
            _execute(connection, settling.settle(few))
        _execute(connection, plan.unite())
        if twins is not None:
            _execute(connection, plan.merge_into_earlier(twins))
        _execute(connection, plan.finish())


def _execute(connection: duckdb.DuckDBPyConnection, statements: Iterable[str]) -> None:
    for statement in statements:
        connection.execute(statement)


def _answer(connection: duckdb.DuckDBPyConnection, question: str) -> bool:
    row = connection.execute(question).fetchone()
    return row is not None and bool(row[0])


def settle_nothing(connection: duckdb.DuckDBPyConnection, plan: EntryPlan) -> None:
    """Let the engine judge every statement of an entry on an empty table."""
    with guarded("stage"):
        _execute(connection, (*plan.begin(), *plan.divide(2)))
        settling = plan.settling(plan.everything())
        _execute(connection, (*settling.look_up(), *settling.settle()))
        _execute(connection, (*plan.unite(), *plan.finish()))


def identify(connection: duckdb.DuckDBPyConnection, plan: EntryPlan, *, person_key: bytes) -> None:
    """Give each accepted person an id: keyed BLAKE2b (RFC 7693) of the patient key, cut to 62 bits.

    Raises:
        HarmoniseFailed: two patient keys share an id.
    """
    with guarded("identify"):
        keys = connection.cursor().execute(plan.person_keys())
        while rows := keys.fetchmany(_PERSON_BATCH):
            names = [str(row[0]) for row in rows]
            ids = pa.array([_person_id(name, person_key) for name in names], pa.int64())
            connection.register("batch", pa.table({"person_key": pa.array(names, pa.string()), "person_id": ids}))
            connection.execute("INSERT INTO persons SELECT * FROM batch")
            connection.unregister("batch")
        clash = connection.execute("SELECT count(*) - count(DISTINCT person_id) FROM persons").fetchone()
    if clash is None or clash[0]:
        raise HarmoniseFailed(stage="identify", failure="person ids collide")


def _person_id(key: str, secret: bytes) -> int:
    digest = hashlib.blake2b(key.encode(), key=secret, digest_size=_ID_BYTES, person=b"asepsis person")
    return int.from_bytes(digest.digest(), "big") >> _DROPPED_BITS


def write_outputs(
    connection: duckdb.DuckDBPyConnection,
    mapping: Mapping,
    landed: Sequence[Landed],
    *,
    standing: Standing,
    folder: Path,
    run: str,
) -> dict[str, int]:
    """Write every output of the run into ``folder`` and return the rows of each."""
    with guarded("split"):
        create_files(connection, landed)
        tables = sorted({spec.table for spec in mapping.tables})
        for table in tables:
            connection.execute(_number(mapping, table, standing))
        treat_texts(connection, mapping)
        outputs = {table: clinical(table, filled_columns(mapping, table)) for table in tables}
        if mapping.spans:
            connection.execute(periods(mapping))
            outputs[PERIOD] = clinical(PERIOD, tuple(TARGETS[PERIOD].columns))
        connection.execute(list_noted(tables))
        outputs |= owner_tables(mapping, run, standing) | {"provenance": _provenance(tables, mapping, landed, run)}
        outputs["partners"] = all_partners(mapping)
        return copy_all(connection, outputs, folder)


def copy_all(connection: duckdb.DuckDBPyConnection, outputs: MappingOf[str, str], folder: Path) -> dict[str, int]:
    """Write each select to the Parquet file of its name and return the rows of each."""
    return {name: _copy(connection, sql, folder / f"{name}.parquet") for name, sql in sorted(outputs.items())}


def create_files(connection: duckdb.DuckDBPyConnection, landed: Sequence[Landed]) -> None:
    """The numbers of the files of a run."""
    connection.execute("CREATE OR REPLACE TABLE files (file_id INTEGER, file VARCHAR)")
    for item in landed:
        connection.execute("INSERT INTO files VALUES (?, ?)", [item.file_id, item.path])


def filled_columns(mapping: Mapping, table: str) -> tuple[str, ...]:
    """The columns of a target table that any table file fills, in the order of the target."""
    specs = [spec for spec in mapping.tables if spec.table == table]
    filled = {column.name for spec in specs for column in spec.fields if mapping.writes(spec, column)}
    return tuple(name for name in TARGETS[table].columns if name in filled)


def _number(mapping: Mapping, table: str, standing: Standing) -> str:
    """All rows of a target table in their final order, numbered."""
    specs = [spec for spec in mapping.tables if spec.table == table]
    constant = {"tie"} if len(specs) == 1 else set()
    constant |= set() if any(mapping.files[spec.entry].several_rows for spec in specs) else {ROW}
    rows = emitted(mapping, table, filled_columns(mapping, table), standing)
    ordered = f"SELECT * FROM ({rows}) ORDER BY {order_of(table, constant=constant)}"
    return f"CREATE OR REPLACE TABLE {final_table(table)} AS SELECT row_number() OVER () AS n, * FROM ({ordered})"


def emitted(mapping: Mapping, table: str, columns: Sequence[str], standing: Standing) -> str:
    """Every row of a target table; ``tie`` orders those of one record, which several table files may make.

    Empty if no table file fills the table.
    """
    accepted = standing.in_state("accepted")
    specs = list(enumerate(spec for spec in mapping.tables if spec.table == table))
    some = [(tie, spec) for tie, spec in specs if spec.entry in accepted]
    return " UNION ALL ".join(
        f"SELECT *, {tie}::USMALLINT AS tie FROM ({EntryPlan(mapping, mapping.files[spec.entry]).emit(spec, columns)})"
        for tie, spec in some or specs[:1]
    )


def order_of(table: str, *, constant: Collection[str] = ()) -> str:
    """What the rows of a target table are ordered by; it leaves no choice. What is ``constant`` orders nothing."""
    keys = ("person_id", TARGETS[table].at, "file_id", "rec_no", ROW, "tie")
    return ", ".join(name for name in keys if name and name not in constant)


def periods(mapping: Mapping) -> str:
    """One period per person, from the first to the last event that the mapping names.

    A birth counts from the first day of its month: the exact date is an identifier and stays in the identity table.
    """
    events = " UNION ALL ".join(
        f"SELECT person_id, {_event(span.table, span.column)} AS day FROM final_{span.table}" for span in mapping.spans
    )
    return (
        f"CREATE OR REPLACE TABLE final_{PERIOD} AS SELECT row_number() OVER (ORDER BY person_id) AS n, person_id, "
        "min(day) AS observation_period_start_date, max(day) AS observation_period_end_date, "
        f"{mapping.period_type_concept_id} AS period_type_concept_id "
        f"FROM ({events}) WHERE day IS NOT NULL GROUP BY person_id"
    )


def _event(table: str, column: str) -> str:
    return f"date_trunc('month', {column})::DATE" if table == IDENTITY else column


def clinical(table: str, filled: Sequence[str]) -> str:
    """The columns of the target; the rows stand in their order already, and DuckDB keeps it."""
    columns = ", ".join(
        f"({_cell(TARGETS[table], name, filled)})::{sql_type} AS {name}"
        for name, sql_type in TARGETS[table].columns.items()
    )
    return f"SELECT {columns} FROM {final_table(table)}"


def _cell(target: Target, name: str, filled: Sequence[str]) -> str:
    if name == target.key and target.counted:
        return "n"
    value = name if name in filled or name == "person_id" else "NULL"
    return f"coalesce({value}, 0)" if name in target.zero else value


def list_noted(tables: Sequence[str]) -> str:
    """What provenance shows of what is said: few different texts are taken apart, and many rows look theirs up."""
    texts = " UNION ".join(f"SELECT said FROM {final_table(table)}" for table in tables)
    lists = f"{list_of(Kind.FLAGGED)} AS flags, {list_of(Kind.REPAIRED)} AS repairs"
    return f"CREATE OR REPLACE TEMP TABLE noted AS SELECT said, {lists} FROM ({texts})"


def _provenance(tables: Sequence[str], mapping: Mapping, landed: Sequence[Landed], run: str) -> str:
    """Where every row comes from; what is the same for many rows is a word, which the engine writes as a number."""
    parts = " UNION ALL ".join(
        f"SELECT {_word(table, tables)} AS target_table, "
        f"{'n' if TARGETS[table].counted else 'person_id'} AS target_id, {', '.join(_ORIGIN)} FROM final_{table}"
        for table in tables
    )
    return (
        f"SELECT target_table, target_id::BIGINT AS target_id, {_word(run)} AS run, f.file, rec_no, byte_off, "
        f"{ROW}, grade, flags, repairs, {_word(mapping.digest)} AS mapping FROM ({parts}) "
        f"JOIN ({_named_files(landed)}) f USING (file_id) LEFT JOIN noted USING (said)"
    )


def _named_files(landed: Sequence[Landed]) -> str:
    """The names of files as words, unless there are many: the words are written with each group of rows."""
    if not 0 < len(landed) <= _MOST_WORDS:
        return "FROM files"
    return f"SELECT file_id, file::{enum_of(item.path for item in landed)} AS file FROM files"


def _word(text: str, words: Sequence[str] = ()) -> str:
    """A text that is one of these words, or always the same."""
    return f"{quote_text(text)}::{enum_of(words or (text,))}"


def _copy(connection: duckdb.DuckDBPyConnection, sql: str, path: Path) -> int:
    connection.execute(
        f"COPY ({sql}) TO {quote_text(str(path))} (FORMAT parquet, PARQUET_VERSION v2, COMPRESSION zstd)"
    )
    row = connection.execute(f"SELECT count(*) FROM read_parquet({quote_text(str(path))})").fetchone()
    return int(row[0]) if row is not None else 0
