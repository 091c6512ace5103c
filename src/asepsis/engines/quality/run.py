"""Runs every check over the tables of a run: one scan per table, a few queries over keys and codes, bounded memory.

Invariant: every planned check gets exactly one result, and none that could not be asked is passed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb

from asepsis.domain.books import Books
from asepsis.engines.harmonise.guard import IN_MEMORY, connect, guarded
from asepsis.engines.quality.accounts import table_accounts
from asepsis.engines.quality.concepts import concept_results
from asepsis.engines.quality.tables import OmopTables
from asepsis.engines.quality.vocabulary import attach_vocabulary
from asepsis.harmonise.expressions import quote_text
from asepsis.harmonise.quality import scan
from asepsis.harmonise.quality.checks import NEEDS_VOCABULARY, STRUCTURE, Check, Kind, planned_checks
from asepsis.harmonise.quality.conditions import Shape, is_row_level
from asepsis.harmonise.quality.report import QualityReport
from asepsis.harmonise.quality.spec import TABLES
from asepsis.harmonise.quality.verdict import Result, judged, not_applicable, not_run

NO_VOCABULARY: Final = "it needs a vocabulary: contribute with --vocabulary"
_NO_TABLE: Final = "the table is not in this run"
_NO_FIELD: Final = "the field is not in this table"
_NO_VALUE: Final = "no row has a value in this field"
_OPTIMISERS: Final = frozenset(
    {
        "build_side_probe_side",
        "column_lifetime",
        "common_aggregate",
        "common_subexpressions",
        "expression_rewriter",
        "filter_pushdown",
        "statistics_propagation",
        "unused_columns",
    }
)
_ASKED_OF_EMPTY: Final = frozenset({Kind.REQUIRED, Kind.VALUES, Kind.DATATYPE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the checks may use: memory as DuckDB writes it, and threads."""

    memory: str = "1GB"
    threads: int = 2


def assess_quality(
    tables: Mapping[str, Path],
    *,
    run: str,
    as_of: date,
    vocabulary: Path | None = None,
    books: Books | None = None,
    limits: Limits | None = None,
) -> QualityReport:
    """Check OMOP tables (name to Parquet file) as of a day.

    Raises:
        VocabularyMissing: the vocabulary is not there.
        HarmoniseFailed: the engine failed; its text is dropped.
    """
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="asepsis-quality-") as scratch:
        connection = connect(IN_MEMORY, scratch=Path(scratch), memory=limits.memory, threads=limits.threads)
        try:
            _plan_quickly(connection)
            version = None if vocabulary is None else attach_vocabulary(connection, vocabulary)
            work = _Work(connection, OmopTables(connection, tables), as_of, has_vocabulary=version is not None)
            with guarded("quality"):
                results = work.results()
                accounts = tuple(table_accounts(connection, work.tables.shapes, results))
        finally:
            connection.close()
    return QualityReport(
        run=run,
        as_of=as_of,
        vocabulary=version,
        results=tuple(results),
        tables=accounts,
        unchecked=work.tables.unchecked,
        books=books,
    )


def _plan_quickly(connection: duckdb.DuckDBPyConnection) -> None:
    """Dozens of queries over small tables take longer to plan than to run: only what pays everywhere is optimised."""
    with guarded("quality"):
        known = {str(name) for (name,) in connection.execute("SELECT name FROM duckdb_optimizers()").fetchall()}
        connection.execute(f"SET disabled_optimizers = {quote_text(','.join(sorted(known - _OPTIMISERS)))}")
        connection.execute("SET parquet_metadata_cache = true")


class _Work:
    def __init__(
        self, connection: duckdb.DuckDBPyConnection, tables: OmopTables, as_of: date, *, has_vocabulary: bool
    ) -> None:
        self.connection = connection
        self.tables = tables
        self.as_of = as_of
        self.has_vocabulary = has_vocabulary
        self.counted: dict[str, tuple[int, int]] = {}
        self.concepts: dict[tuple[str, str], tuple[int, int]] = {}

    def results(self) -> list[Result]:
        """A result for each planned check, then those of single concepts."""
        checks = planned_checks()
        settled = {check.id: self._settled(check) for check in checks}
        open_checks = [check for check in checks if settled[check.id] is None]
        for shape in self.tables.shapes.values():
            self._scan(shape, [check for check in open_checks if check.table == shape.name and is_row_level(check)])
        if self.has_vocabulary:
            self._look_up(open_checks)
        found = [settled[check.id] or self._asked(check) for check in checks]
        found.append(not_applicable(Check(kind=Kind.CLASS, table="", threshold=0.0), "no field names a class"))
        found += concept_results(self.connection, self.tables.shapes, has_vocabulary=self.has_vocabulary)
        return found

    def _settled(self, check: Check) -> Result | None:
        """What the shapes of the tables tell; ``None`` where the rows must be looked at."""
        if check.kind is Kind.CONDITION_ERA:
            is_there = self.tables.has_eras and "condition_occurrence" in self.tables.shapes
            return None if is_there else not_applicable(check, _NO_TABLE)
        shape = self.tables.shapes.get(check.table)
        if shape is None:
            if check.kind is Kind.CDM_TABLE and TABLES[check.table].is_required:
                return judged(check, violated=1, rows=1)
            return not_applicable(check, _NO_TABLE)
        if check.kind in STRUCTURE:
            return _of_structure(check, shape)
        return self._of_content(check, shape)

    def _of_content(self, check: Check, shape: Shape) -> Result | None:
        if check.field and check.field not in shape.stored:
            return not_applicable(check, _NO_FIELD)
        if check.field in shape.empty and check.kind not in _ASKED_OF_EMPTY:
            return not_applicable(check, _NO_VALUE)
        spec = shape.spec.fields.get(check.field)
        is_lookup = check.kind is Kind.FOREIGN_KEY and spec is not None and spec.concept is not None
        if (check.kind in NEEDS_VOCABULARY or is_lookup) and not self.has_vocabulary:
            return not_run(check, NO_VOCABULARY)
        if check.kind is Kind.FOREIGN_KEY and not is_lookup and check.field not in self.tables.followed(shape):
            return not_run(check, f"the table {spec.refers_to if spec else ''} is not in this run")
        return self._of_others(check, shape)

    def _of_others(self, check: Check, shape: Shape) -> Result | None:
        """What a check needs besides its own field."""
        spec = shape.spec.fields.get(check.field)
        if spec is not None and check.kind is Kind.START_END and not shape.has(spec.ends or ""):
            return not_applicable(check, f"no row has a value in {spec.ends}")
        if check.kind is Kind.WITHIN_VISIT and "visit_occurrence_id" not in self.tables.followed(shape):
            return not_applicable(check, "no row names a visit")
        if check.kind is Kind.PERSONS and "person" not in self.tables.shapes:
            return not_applicable(check, "there are no persons")
        if check.kind in {Kind.BEFORE_DEATH, Kind.DURING_LIFE} and not shape.has("person_id"):
            return not_applicable(check, "no row names a person")
        is_of_birth = check.kind in {Kind.AFTER, Kind.AFTER_BIRTH}
        if is_of_birth and "person_id" not in self.tables.followed(shape):
            return not_run(check, "it needs the births of the persons")
        return None

    def _scan(self, shape: Shape, checks: list[Check]) -> None:
        one = scan.scan_of(shape, checks, as_of=self.as_of, followed=self.tables.followed(shape))
        counts = self._row(one.sql)
        self.counted |= {check: (counts[violated], counts[rows]) for check, (violated, rows) in one.answers.items()}

    def _look_up(self, checks: list[Check]) -> None:
        """What the vocabulary says of the concepts in use; it is scanned once for all tables."""
        shapes = self.tables.shapes
        for shape in shapes.values():
            self.connection.execute(scan.used_sql(shape))
        if shapes:
            self.connection.execute(scan.known_sql(list(shapes)))
        for table in shapes:
            rows = self.connection.execute(scan.concepts_sql(table)).fetchall()
            self.concepts |= {(table, field): (missing, wrong) for field, missing, wrong in rows}
        for check in checks:
            if check.kind is Kind.DOMAIN:
                concept = TABLES[check.table].fields[check.field].concept
                found = self._row(scan.domain_sql(check.table, check.field), [concept.domain if concept else None])
                self.counted[check.id] = (found[0], self._rows_of(check.table))

    def _asked(self, check: Check) -> Result:
        if check.id not in self.counted:
            self.counted[check.id] = self._ask(check)
        violated, rows = self.counted[check.id]
        return judged(check, violated=violated, rows=rows)

    def _ask(self, check: Check) -> tuple[int, int]:
        if check.kind is Kind.CODES:
            codes = TABLES[check.table].fields[check.field].codes
            sql = scan.codes_sql(self.tables.shapes[check.table], check.field, codes.concept if codes else "")
        elif check.kind is Kind.PERSONS:
            sql = scan.persons_sql(check.table)
        elif check.kind is Kind.PERIOD_OVERLAP:
            sql = scan.overlap_sql()
        elif check.kind is Kind.CONDITION_ERA:
            sql = scan.era_sql()
        elif check.kind is Kind.PRIMARY_KEY:
            return self._row(scan.key_sql(check.table, check.field))[0], self._rows_of(check.table)
        else:
            missing, wrong = self.concepts.get((check.table, check.field), (0, 0))
            return (missing if check.kind is Kind.FOREIGN_KEY else wrong), self._rows_of(check.table)
        found = self._row(sql)
        return found[0], found[1]

    def _rows_of(self, table: str) -> int:
        return self.counted[Check(kind=Kind.PLACEHOLDER, table=table, threshold=0.0).id][1]

    def _row(self, sql: str, values: list[Any] | None = None) -> tuple[int, ...]:
        row = self.connection.execute(sql, values or []).fetchone()
        return tuple(int(count or 0) for count in row or ())


def _of_structure(check: Check, shape: Shape) -> Result:
    if check.kind is Kind.CDM_TABLE:
        return judged(check, violated=0, rows=1)
    if check.kind is Kind.CDM_FIELD:
        return judged(check, violated=int(check.field not in shape.stored), rows=1)
    if check.field not in shape.stored:
        return not_applicable(check, _NO_FIELD)
    if check.field in shape.empty:
        return not_applicable(check, _NO_VALUE)
    return judged(check, violated=int(check.field in shape.raw), rows=1)
