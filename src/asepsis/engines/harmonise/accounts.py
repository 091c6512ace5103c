"""Closing the books: counting what was landed against what was settled, from the tables themselves."""

# ruff: noqa: S608 - the SQL is written here from checked names and quoted literals; no data enters it

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq

from asepsis.domain.books import Books, FileBooks
from asepsis.domain.names import RunId
from asepsis.engines.harmonise.guard import guarded
from asepsis.engines.harmonise.land import Landed
from asepsis.engines.harmonise.standing import Settled, Standing
from asepsis.engines.harmonise.texts import count_texts
from asepsis.errors.harmonise import BooksDoNotBalance
from asepsis.harmonise.expressions import quote_name, quote_text
from asepsis.harmonise.mapping import Mapping, TableSpec
from asepsis.harmonise.omop import TARGETS
from asepsis.harmonise.said import Kind, reasons_in
from asepsis.harmonise.staging import EntryPlan, final_table, settled_table

_OWNER_TABLES: Final = {"quarantined_records": "quarantined", "excluded": "excluded", "merged": "merged"}
"""The tables that hold all records of a state."""


def close(
    connection: duckdb.DuckDBPyConnection,
    mapping: Mapping,
    landed: Sequence[Landed],
    *,
    standing: Standing,
    run: RunId,
    uncovered: Sequence[str],
) -> Books:
    """Count every file of the run; the books are not yet checked."""
    with guarded("books"):
        files = _Accounts(connection, mapping, standing).close(landed)
        texts = count_texts(connection, mapping)
    return Books(run=run, mapping=mapping.digest, files=files, uncovered=tuple(uncovered), texts=texts)


def close_again(
    connection: duckdb.DuckDBPyConnection,
    mapping: Mapping,
    landed: Sequence[Landed],
    *,
    standing: Standing,
    run: RunId,
    earlier: Books,
) -> Books:
    """The books of an earlier run with what became of its quarantined records now; they are not yet checked.

    Landed records, bytes and digests are those of the earlier run; what was accepted then stays accepted.
    """
    own = f"run = {quote_text(run)}"
    before = {file.path: file for file in earlier.files}
    with guarded("books"):
        found = _Accounts(connection, mapping, standing, rows=own).close(landed)
        texts = count_texts(connection, mapping, earlier=earlier.texts)
    files = tuple(_together(before[file.path], file) for file in found)
    return Books(run=run, mapping=mapping.digest, files=files, uncovered=earlier.uncovered, texts=texts)


def _together(before: FileBooks, now: FileBooks) -> FileBooks:
    return replace(
        before,
        accepted=before.accepted + now.accepted,
        merged=before.merged + now.merged,
        excluded=before.excluded + now.excluded,
        quarantined=now.quarantined,
        accepted_without_row=now.accepted_without_row,
        emitted=_sum(before.emitted, now.emitted),
        reasons=now.reasons,
        exclusions=_sum(before.exclusions, now.exclusions),
        flags=_sum(before.flags, now.flags),
        repairs=_sum(before.repairs, now.repairs),
    )


def _sum(before: MappingOf[str, int], now: MappingOf[str, int]) -> dict[str, int]:
    return {name: before.get(name, 0) + now.get(name, 0) for name in sorted({*before, *now})}


def check_written(folder: Path, books: Books, row_counts: MappingOf[str, int]) -> None:
    """Check that every emitted row is written and has an origin, and every other record its place with the owner.

    Raises:
        BooksDoNotBalance: a table has other rows than the files of the run emitted, or than provenance knows.
    """
    emitted: dict[str, int] = defaultdict(int)
    for file in books.files:
        for table, count in file.emitted.items():
            emitted[table] += count
    traced = _traced(folder / "provenance.parquet")
    for table, count in row_counts.items():
        if table in TARGETS and table != "observation_period" and not count == emitted[table] == traced.get(table, 0):
            raise BooksDoNotBalance(file=table, problem=f"{emitted[table]} rows emitted, {count} written")
    for table, state in _OWNER_TABLES.items():
        count = sum(getattr(file, state) for file in books.files)
        if row_counts[table] != count:
            raise BooksDoNotBalance(file=table, problem=f"{count} records are {state}, {row_counts[table]} written")


def _traced(provenance: Path) -> dict[str, int]:
    """How many rows of each table have an origin."""
    traced: Counter[str] = Counter()
    with pq.ParquetFile(provenance) as written:
        for batch in written.iter_batches(columns=["target_table"]):
            found = pc.value_counts(batch.column("target_table")).to_pylist()
            traced.update({item["values"]: item["counts"] for item in found})
    return traced


class _Accounts:
    """The accounts of files; ``rows`` says which rows of the final tables are of this run."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, mapping: Mapping, standing: Standing, *, rows: str = "TRUE"
    ) -> None:
        self._connection = connection
        self._mapping = mapping
        self._standing = standing
        self._rows = rows

    def close(self, landed: Sequence[Landed]) -> tuple[FileBooks, ...]:
        """Count every file."""
        return tuple(self._file(item) for item in landed)

    def _file(self, item: Landed) -> FileBooks:
        kinds = {one.kind: one.records for one in self._standing.landed if one.file_id == item.file_id}
        settled = [one for one in self._standing.settled if one.file_id == item.file_id]
        states: Counter[str] = Counter()
        for one in settled:
            states[one.state] += one.records
        tables = sorted({spec.table for spec in self._mapping.specs_of(item.entry)})
        return FileBooks(
            path=item.path,
            digest=item.digest,
            size=item.size,
            landed_bytes=item.landed_bytes,
            landed=sum(kinds.values()),
            accepted=states["accepted"],
            merged=states["merged"],
            quarantined=states["quarantined"],
            excluded=states["excluded"],
            header=kinds.get("header", 0),
            context=kinds.get("context", 0),
            residue=kinds.get("residue", 0),
            accepted_without_row=self._without_row.get(item.file_id, 0) + self._lost_rows(item.file_id, tables),
            declared=self._mapping.files[item.entry].records if item.declared is None else item.declared,
            counted=item.counted,
            emitted={table: self._emitted[table, item.file_id] for table in tables},
            reasons=_listed(settled, Kind.QUARANTINED, "quarantined"),
            exclusions=_listed(settled, Kind.EXCLUDED, "excluded"),
            flags=_listed(settled, Kind.FLAGGED, "accepted"),
            repairs=_listed(settled, Kind.REPAIRED, "accepted"),
        )

    @cached_property
    def _emitted(self) -> Counter[tuple[str, int]]:
        """Rows that came of each file, counted in the tables that were written."""
        counts = " UNION ALL ".join(
            f"SELECT {quote_text(table)}, file_id, count(*) FROM {final_table(table)} WHERE {self._rows} GROUP BY ALL"
            for table in sorted({spec.table for spec in self._mapping.tables})
        )
        return Counter({(table, file_id): count for table, file_id, count in self._all(counts)})

    def _lost_rows(self, file_id: int, tables: Sequence[str]) -> int:
        """Rows that are missing although their record was accepted."""
        return sum(abs(self._due[table, file_id] - self._emitted[table, file_id]) for table in tables)

    @cached_property
    def _due(self) -> Counter[tuple[str, int]]:
        """Rows that accepted records of each file should have become."""
        due: Counter[tuple[str, int]] = Counter()
        for entry in self._standing.in_state("accepted"):
            specs = self._mapping.specs_of(entry)
            counts = ", ".join(["file_id", *(f"count(*) FILTER ({_emit(spec)})" for spec in specs)])
            for file_id, *found in self._all(
                f"SELECT {counts} FROM ({self._plan(entry).accepted_rows()}) GROUP BY ALL"
            ):
                for spec, count in zip(specs, found, strict=True):
                    due[spec.table, file_id] += count
        return due

    @cached_property
    def _without_row(self) -> dict[int, int]:
        """Accepted records of each file that no table took."""
        found: dict[int, int] = {}
        for entry in self._standing.in_state("accepted"):
            lost = f"state = 'accepted' AND NOT ({self._plan(entry).emits()})"
            counts = f"SELECT file_id, count(*) FROM {settled_table(entry)} WHERE {lost} GROUP BY ALL"
            found |= dict(self._all(counts))
        return found

    def _plan(self, entry: str) -> EntryPlan:
        return EntryPlan(self._mapping, self._mapping.files[entry])

    def _all(self, sql: str) -> list[Any]:
        return self._connection.execute(sql).fetchall()


def _emit(spec: TableSpec) -> str:
    return quote_name(f"{spec.name}?emit")


def _listed(settled: Sequence[Settled], kind: Kind, state: str) -> dict[str, int]:
    """How many records in a state have each reason of a kind."""
    found: Counter[str] = Counter()
    for one in settled:
        if one.state == state:
            found.update(dict.fromkeys(reasons_in(one.said, kind), one.records))
    return dict(sorted(found.items()))
