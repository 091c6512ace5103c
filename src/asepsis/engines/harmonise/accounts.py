"""Closing the books: counting what was landed against what was settled, from the tables themselves."""

# ruff: noqa: S608 - the SQL is written here from checked names and quoted literals; no data enters it

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq

from asepsis.domain.books import Books, FileBooks
from asepsis.domain.names import RunId
from asepsis.engines.harmonise.guard import guarded
from asepsis.engines.harmonise.land import Landed
from asepsis.engines.harmonise.texts import count_texts
from asepsis.errors.harmonise import BooksDoNotBalance
from asepsis.harmonise.expressions import quote_name, quote_text
from asepsis.harmonise.extraction import landed_table
from asepsis.harmonise.mapping import Mapping
from asepsis.harmonise.omop import TARGETS
from asepsis.harmonise.said import Kind, reasons_in
from asepsis.harmonise.staging import EntryPlan, final_table, settled_table


def close(
    connection: duckdb.DuckDBPyConnection,
    mapping: Mapping,
    landed: Sequence[Landed],
    *,
    run: RunId,
    uncovered: Sequence[str],
) -> Books:
    """Count every file of the run; the books are not yet checked."""
    with guarded("books"):
        files = tuple(_FileAccount(connection, mapping, item).close() for item in landed)
        texts = count_texts(connection, mapping)
    return Books(run=run, mapping=mapping.digest, files=files, uncovered=tuple(uncovered), texts=texts)


def close_again(
    connection: duckdb.DuckDBPyConnection, mapping: Mapping, landed: Sequence[Landed], *, run: RunId, earlier: Books
) -> Books:
    """The books of an earlier run with what became of its quarantined records now; they are not yet checked.

    Landed records, bytes and digests are those of the earlier run; what was accepted then stays accepted.
    """
    own = f"run = {quote_text(run)}"
    before = {file.path: file for file in earlier.files}
    with guarded("books"):
        found = [_FileAccount(connection, mapping, item, rows=own).close() for item in landed]
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


def check_provenance(folder: Path, books: Books, row_counts: MappingOf[str, int]) -> None:
    """Check that every emitted row is written and has an origin.

    Raises:
        BooksDoNotBalance: a table has other rows than the files of the run emitted, or than provenance knows.
    """
    emitted: dict[str, int] = defaultdict(int)
    for file in books.files:
        for table, count in file.emitted.items():
            emitted[table] += count
    known = pc.value_counts(pq.read_table(folder / "provenance.parquet", columns=["target_table"])["target_table"])
    traced = {item["values"]: item["counts"] for item in known.to_pylist()}
    for table, count in row_counts.items():
        if table in TARGETS and table != "observation_period" and not count == emitted[table] == traced.get(table, 0):
            raise BooksDoNotBalance(file=table, problem=f"{emitted[table]} rows emitted, {count} written")


class _FileAccount:
    def __init__(
        self, connection: duckdb.DuckDBPyConnection, mapping: Mapping, item: Landed, *, rows: str = "TRUE"
    ) -> None:
        self._connection = connection
        self._mapping = mapping
        self._item = item
        self._rows = rows

    def close(self) -> FileBooks:
        item, entry = self._item, self._mapping.files[self._item.entry]
        kinds = self._count(f"SELECT kind, count(*) FROM {landed_table(entry.name)} {self._mine} GROUP BY 1")
        settled = self._settled()
        states: Counter[str] = Counter()
        for state, _, count in settled:
            states[state] += count
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
            accepted_without_row=self._without_row(),
            declared=entry.records if item.declared is None else item.declared,
            counted=item.counted,
            emitted=self._emitted,
            reasons=_listed(settled, Kind.QUARANTINED, "quarantined"),
            exclusions=_listed(settled, Kind.EXCLUDED, "excluded"),
            flags=_listed(settled, Kind.FLAGGED, "accepted"),
            repairs=_listed(settled, Kind.REPAIRED, "accepted"),
        )

    @cached_property
    def _plan(self) -> EntryPlan:
        return EntryPlan(self._mapping, self._mapping.files[self._item.entry])

    @property
    def _mine(self) -> str:
        return f"WHERE file_id = {self._item.file_id}"

    def _count(self, sql: str) -> dict[str, int]:
        return {str(name): int(count) for name, count in self._connection.execute(sql).fetchall()}

    def _settled(self) -> list[tuple[str, str, int]]:
        """How many records have each state together with each text of what is said about them."""
        source = f"{settled_table(self._item.entry)} {self._mine}"
        rows = self._connection.execute(f"SELECT state, said, count(*) FROM {source} GROUP BY ALL").fetchall()
        return [(str(state), str(said), int(count)) for state, said, count in rows]

    @cached_property
    def _emitted(self) -> dict[str, int]:
        """Rows that came of this file, counted in the tables that were written."""
        emitted: dict[str, int] = {}
        for table in sorted({spec.table for spec in self._mapping.specs_of(self._item.entry)}):
            own = f"{final_table(table)} {self._mine} AND {self._rows}"
            row = self._connection.execute(f"SELECT count(*) FROM {own}").fetchone()
            emitted[table] = int(row[0]) if row is not None else 0
        return emitted

    def _without_row(self) -> int:
        """Accepted records that no table took, and rows that are missing although their record was accepted."""
        plan = self._plan
        accepted = f"{settled_table(self._item.entry)} {self._mine} AND state = 'accepted'"
        row = self._connection.execute(f"SELECT count(*) FROM {accepted} AND NOT ({plan.emits()})").fetchone()
        return (int(row[0]) if row is not None else 0) + self._lost_rows()

    def _lost_rows(self) -> int:
        lost, emitted = 0, self._emitted
        for table in emitted:
            specs = [spec for spec in self._mapping.specs_of(self._item.entry) if spec.table == table]
            counts = " + ".join(f"count(*) FILTER ({quote_name(f'{spec.name}?emit')})" for spec in specs)
            row = self._connection.execute(
                f"SELECT {counts} FROM ({self._plan.accepted_rows()}) {self._mine}"
            ).fetchone()
            lost += abs((int(row[0]) if row is not None else 0) - emitted[table])
        return lost


def _listed(settled: Sequence[tuple[str, str, int]], kind: Kind, state: str) -> dict[str, int]:
    """How many records in a state have each reason of a kind."""
    found: Counter[str] = Counter()
    for own, said, count in settled:
        if own == state:
            found.update(dict.fromkeys(reasons_in(said, kind), count))
    return dict(sorted(found.items()))
