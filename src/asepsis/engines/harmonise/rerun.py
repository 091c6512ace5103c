"""A rerun: the quarantined records of an earlier run are judged under a corrected mapping, without the backup.

Invariant: rows of the earlier run stay as they are; ids and order are those of a whole run, and so are the books, which
balance over the original files. What a rerun may not change, it refuses (see ``kept``).
"""

# ruff: noqa: S608 - the SQL is written here from checked names and quoted literals; no data enters it

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import duckdb

from asepsis.domain.books import Books
from asepsis.domain.names import RunId
from asepsis.engines.harmonise import accounts
from asepsis.engines.harmonise.guard import IN_MEMORY, connect, guarded
from asepsis.engines.harmonise.kept import KeptRun, write_reading
from asepsis.engines.harmonise.land import Landed, create_landed
from asepsis.engines.harmonise.owner_tables import owner_tables
from asepsis.engines.harmonise.result import HarmonisedRun, file_digest, read_result, write_result
from asepsis.engines.harmonise.run import Resources, choose_files, make_partial, publish, seal_of
from asepsis.engines.harmonise.split import (
    clinical,
    copy_all,
    create_code_tables,
    create_files,
    emitted,
    identify,
    list_noted,
    order_of,
    periods,
    settle,
)
from asepsis.engines.harmonise.standing import Standing, standing_of
from asepsis.engines.harmonise.texts import treat_texts
from asepsis.errors.harmonise import KeptRunDamaged, RerunNeedsBackup
from asepsis.harmonise.entries import FileEntry
from asepsis.harmonise.expressions import quote_name, quote_text
from asepsis.harmonise.extraction import landed_fields, landed_table, take
from asepsis.harmonise.mapping import Mapping
from asepsis.harmonise.omop import PERIOD, TARGETS
from asepsis.harmonise.partners import all_partners, kept_partners
from asepsis.harmonise.said import said_of
from asepsis.harmonise.several_rows import ROW
from asepsis.harmonise.staging import EntryPlan, final_table

_KEPT: Final = ("quarantine", "excluded", "merged", "provenance", "quarantined_records", "persons")
_ORIGIN: Final = f"rec_no, byte_off, {ROW}, grade"
_TWINS: Final = "twins"


def rerun(
    mapping: Mapping,
    earlier: KeptRun,
    *,
    workdir: Path,
    run: str,
    person_key: bytes,
    resources: Resources | None = None,
) -> HarmonisedRun:
    """Judge the quarantined records of an earlier run under a mapping, into ``workdir/run``.

    A record that repeats one which was accepted earlier is merged into it, and so is a person who is known already set
    apart, wherever the records stand in their files: rows of the earlier run never change.

    Raises:
        RerunNeedsBackup: the mapping reads the files otherwise than the run did.
        KeptRunDamaged: what is kept of the run is not whole.
        BooksDoNotBalance: a record would be lost; nothing of the rerun is kept.
        HarmoniseFailed: the engine failed; its text is dropped.
    """
    earlier.check(mapping, person_key=person_key)
    final, partial = workdir / run, workdir / f"{run}.partial"
    seal = seal_of(mapping, run=run, person_key=person_key, inputs=_inputs(mapping, earlier))
    finished = read_result(final, seal=seal) if final.is_dir() else None
    if finished is not None:
        return finished
    make_partial(final, partial)
    work = _Rerun(mapping=mapping, earlier=earlier, run=run, folder=partial, resources=resources or Resources())
    work.make(person_key)
    write_reading(partial, mapping, person_key=person_key)
    write_result(partial, seal=seal, books=work.books, row_counts=work.row_counts)
    return publish(partial, final, seal=seal)


def _inputs(mapping: Mapping, earlier: KeptRun) -> list[list[str]]:
    """Everything that the outcome depends on, with digests; what is not there is named.

    Raises:
        KeptRunDamaged: something is missing.
    """
    names = (*_KEPT, "partners") if mapping.joined else _KEPT
    paths = [earlier.folder / f"{name}.parquet" for name in names] + [earlier.folder / "books.json"]
    try:
        return [[path.name, "", file_digest(path)] for path in (*paths, *earlier.tables.values())]
    except OSError:
        raise KeptRunDamaged(run=earlier.folder.name, what="a file of it is missing") from None


@dataclass(slots=True, kw_only=True)
class _Rerun:
    mapping: Mapping
    earlier: KeptRun
    run: str
    folder: Path
    resources: Resources
    books: Books = field(init=False)
    row_counts: dict[str, int] = field(default_factory=dict)
    _connection: duckdb.DuckDBPyConnection = field(init=False)

    def make(self, person_key: bytes) -> None:
        """Everything between what is kept and the Parquet files of the rerun."""
        scratch = self.folder / "scratch"
        limits = self.resources
        self._connection = connect(IN_MEMORY, scratch=scratch, memory=limits.memory, threads=limits.threads)
        try:
            self._fill(person_key)
        finally:
            self._connection.close()
        shutil.rmtree(scratch, ignore_errors=True)

    def _fill(self, person_key: bytes) -> None:
        before = self.earlier.books()
        landed = _landed(self.mapping, before)
        create_code_tables(self._connection, self.mapping)
        with guarded("land"):
            create_files(self._connection, landed)
            self._connection.execute(f"INSERT INTO persons SELECT person_key, person_id FROM {self._kept('persons')}")
        for entry in self.mapping.entries:
            create_landed(self._connection, entry)
            with guarded("land"):
                self._connection.execute(self._land(entry))
        for entry in self.mapping.entries:
            self.resources.report("stage", entry.name)
            self._settle(entry, person_key)
        self.resources.report("split", self.mapping.dataset)
        standing = standing_of(self._connection, self.mapping)
        with guarded("split"):
            self.row_counts = self._write(standing)
        self.books = accounts.close_again(
            self._connection, self.mapping, landed, standing=standing, run=RunId(self.run), earlier=before
        )
        self.books.balance()
        accounts.check_written(self.folder, self.books, self.row_counts)

    @property
    def _partners(self) -> dict[str, str]:
        return kept_partners(self.mapping, self._kept("partners"))

    def _kept(self, name: str) -> str:
        return f"read_parquet({quote_text(str(self.earlier.folder / f'{name}.parquet'))})"

    def _land(self, entry: FileEntry) -> str:
        """The kept records of an entry, as they were landed."""
        fields = "".join(f", fields[{quote_text(name)}] AS {quote_name(f'f.{name}')}" for name in landed_fields(entry))
        text = ", text" if entry.is_text else ""
        kept = (
            f"SELECT f.file_id, rec_no, byte_off, byte_len, 'data' AS kind, defects, raw{text}{fields} "
            f"FROM {self._kept('quarantined_records')} JOIN files f USING (file) "
            f"WHERE entry = {quote_text(entry.name)} ORDER BY f.file_id, rec_no"
        )
        return f"INSERT INTO {landed_table(entry.name)} BY NAME {take(entry, kept)}"

    def _settle(self, entry: FileEntry, person_key: bytes) -> None:
        plan = EntryPlan(self.mapping, entry, partners=self._partners)
        with guarded("stage"):
            self._connection.execute(
                f"CREATE OR REPLACE TEMP TABLE {_TWINS} AS SELECT f.file_id, q.rec_no, "
                "{'file_id': o.file_id, 'rec_no': q.into_rec_no} AS first "
                f"FROM {self._kept('quarantined_records')} q JOIN files f USING (file) "
                f"JOIN files o ON o.file = q.into_file WHERE entry = {quote_text(entry.name)}"
            )
        settle(self._connection, plan, twins=_TWINS)
        if plan.defines_persons:
            identify(self._connection, plan, person_key=person_key)

    def _write(self, standing: Standing) -> dict[str, int]:
        tables = sorted({spec.table for spec in self.mapping.tables} | (set(self.earlier.tables) - {PERIOD}))
        for table in tables:
            for statement in self._together(table, standing):
                self._connection.execute(statement)
        treat_texts(self._connection, self.mapping, rows=f"run = {quote_text(self.run)}")
        outputs = {table: clinical(table, self._shown(table)) for table in tables}
        if self.mapping.spans:
            self._connection.execute(periods(self.mapping))
            outputs[PERIOD] = clinical(PERIOD, tuple(TARGETS[PERIOD].columns))
        self._connection.execute(list_noted(tables))
        outputs |= self._owner_tables(standing) | {"provenance": _provenance(tables)}
        return copy_all(self._connection, outputs, self.folder)

    def _shown(self, table: str) -> tuple[str, ...]:
        """The columns that are written; free text of the earlier run only where the contract still asks for it."""
        without = {text.column for text in self.earlier.books().texts if not text.kept}
        hidden = self.mapping.withheld - without
        return tuple(name for name in _columns(table) if f"{table}.{name}" not in hidden)

    def _together(self, table: str, standing: Standing) -> tuple[str, ...]:
        """Earlier rows and new ones in their final order, numbered."""
        columns = _columns(table)
        listed = ", ".join(("person_id", *columns, "file_id", "rec_no", "byte_off", ROW, "grade", "said"))
        run, mapping = quote_text(self.run), quote_text(str(self.mapping.digest))
        new = emitted(self.mapping, table, columns, standing)
        parts = [f"SELECT {listed}, {run} AS run, {mapping} AS mapping, tie FROM ({new})"] if new else []
        begin = []
        if table in self.earlier.tables:
            begin.append(self._earlier(table))
            parts.append(f"SELECT {listed}, run, mapping, tie FROM earlier_{table}")
        ordered = f"SELECT * FROM ({' UNION ALL '.join(parts)}) ORDER BY {order_of(table)}"
        number = f"CREATE OR REPLACE TABLE {final_table(table)} AS SELECT row_number() OVER () AS n, * FROM ({ordered})"
        return (*begin, number)

    def _earlier(self, table: str) -> str:
        """Earlier rows, each with its origin: rows and origins stand in the same order, that of the earlier files."""
        target = TARGETS[table]
        order = "file_row_number" if target.counted else "person_id, file_row_number"
        written = f"read_parquet({quote_text(str(self.earlier.tables[table]))}, file_row_number = true)"
        rows = f"SELECT *, row_number() OVER (ORDER BY {order}) AS tie FROM {written}"
        place = "target_id, file_row_number" if not target.counted else "target_id"
        source = quote_text(str(self.earlier.folder / "provenance.parquet"))
        noted = said_of(flagged="flags", repaired="repairs")
        origins = (
            f"SELECT f.file_id, {_ORIGIN}, {noted} AS said, run, mapping, row_number() OVER (ORDER BY {place}) AS tie "
            f"FROM read_parquet({source}, file_row_number = true) JOIN files f USING (file) "
            f"WHERE target_table = {quote_text(table)}"
        )
        return f"CREATE OR REPLACE TABLE earlier_{table} AS SELECT * FROM ({rows}) JOIN ({origins}) USING (tie)"

    def _owner_tables(self, standing: Standing) -> dict[str, str]:
        """The new ones, with what the earlier run had said for good."""
        outputs = owner_tables(self.mapping, self.run, standing)
        outputs["partners"] = all_partners(self.mapping, self._partners)
        for name, condition, order in (
            ("quarantine", "stage <> 'stage'", "stage, field, reasons"),
            ("excluded", "TRUE", "run"),
            ("merged", "TRUE", "run"),
        ):
            both = f"SELECT * FROM ({outputs[name]}) UNION ALL SELECT * FROM {self._kept(name)} WHERE {condition}"
            outputs[name] = (
                f"SELECT q.* FROM ({both}) q JOIN files f ON f.file = q.file ORDER BY f.file_id, q.rec_no, {order}"
            )
        return outputs


def _columns(table: str) -> tuple[str, ...]:
    """Every column of a target table that is not made by the engine."""
    target = TARGETS[table]
    return tuple(name for name in target.columns if name not in {target.key, "person_id"})


def _provenance(tables: Sequence[str]) -> str:
    parts = " UNION ALL ".join(
        f"SELECT {quote_text(table)} AS target_table, {'n' if TARGETS[table].counted else 'person_id'} AS target_id, "
        f"file_id, {_ORIGIN}, said, run, mapping FROM {final_table(table)}"
        for table in tables
    )
    return (
        f"SELECT target_table, target_id::BIGINT AS target_id, run, f.file, rec_no, byte_off, {ROW}, grade, flags, "
        f"repairs, mapping FROM ({parts}) JOIN files f USING (file_id) LEFT JOIN noted USING (said)"
    )


def _landed(mapping: Mapping, books: Books) -> list[Landed]:
    """The files of the earlier run, numbered as a whole run under this mapping numbers them.

    Raises:
        RerunNeedsBackup: the entries do not read the files that the earlier run read.
    """
    known = {file.path: file for file in books.files}
    chosen = choose_files(mapping, dict.fromkeys(known, _closed))
    if {path for _, path in chosen} != set(known):
        raise RerunNeedsBackup(what="its entries match other files")
    return [
        Landed(
            file_id=number,
            path=path,
            entry=entry.name,
            digest=known[path].digest,
            size=known[path].size,
            landed_bytes=known[path].landed_bytes,
            declared=known[path].declared,
            counted=known[path].counted,
        )
        for number, (entry, path) in enumerate(chosen)
    ]


def _closed() -> BinaryIO:
    raise RerunNeedsBackup(what="it reads files")
