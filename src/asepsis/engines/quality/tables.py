"""OMOP tables as they lie in Parquet files: their shapes, and views with the names and types of OMOP.

Invariant: whatever a file holds, a view has every field of the table with the type of OMOP, and looking never fails.
"""

# ruff: noqa: S608 - the SQL is written here; paths are quoted literals

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import duckdb

from asepsis.engines.harmonise.guard import guarded
from asepsis.harmonise.quality.conditions import Shape
from asepsis.harmonise.quality.scan import deaths_sql, is_stored_right, people_sql, view_sql, visits_sql
from asepsis.harmonise.quality.spec import TABLES

ERA: Final = "condition_era"
BESIDE: Final = {
    "provider": "provider_id",
    "care_site": "care_site_id",
    "location": "location_id",
    "visit_detail": "visit_detail_id",
}
"""Tables without checks of their own that fields point to, with their keys."""
_FACTS: Final = {"person": "people", "visit_occurrence": "visits"}


class OmopTables:
    """The tables of one run on a connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Path]) -> None:
        self._connection = connection
        self._tables = tables
        self.shapes: dict[str, Shape] = {}
        self.ids: dict[str, str] = {}
        with guarded("quality"):
            self._open()

    @property
    def has_eras(self) -> bool:
        """Whether there are condition eras."""
        return ERA in self._tables and "person_id" in self._columns(ERA)

    @property
    def unchecked(self) -> tuple[str, ...]:
        """Tables that no check knows."""
        known = {*TABLES, *BESIDE, ERA}
        return tuple(sorted(name for name in self._tables if name not in known))

    def followed(self, shape: Shape) -> dict[str, str]:
        """The table of ids behind each filled field with a key, where there is one."""
        fields = shape.spec.fields.values()
        keys = {field.name: field.refers_to for field in fields if field.refers_to is not None}
        return {name: self.ids[table] for name, table in keys.items() if table in self.ids and shape.has(name)}

    def _open(self) -> None:
        for name in TABLES:
            columns = self._columns(name) if name in self._tables else {}
            self._view(name, columns)
        if self.has_eras:
            key = self._columns(ERA)["person_id"][0].replace('"', '""')
            self._connection.execute(
                f'CREATE VIEW omop_{ERA} AS SELECT TRY_CAST("{key}"::VARCHAR AS BIGINT) AS person_id '
                f"FROM {self._source(ERA)}"
            )
        # Without its table the facts are empty, so that every query has what it joins.
        for sql in (people_sql(), deaths_sql(), visits_sql()):
            self._connection.execute(sql)
        self.ids |= {table: ids for table, ids in _FACTS.items() if table in self.shapes}
        for table, key in BESIDE.items():
            self._beside(table, key)

    def _view(self, name: str, columns: Mapping[str, tuple[str, str]]) -> None:
        fields = TABLES[name].fields
        stored = {field: columns[field][1] for field in fields if field in columns}
        raw = frozenset(field for field, kind in stored.items() if not is_stored_right(name, field, kind))
        empty = self._empty(name, {field: columns[field][0] for field in stored}) if stored else frozenset()
        shape = Shape(name=name, stored=stored, empty=empty, raw=raw)
        source = self._source(name) if name in self._tables else "(SELECT 1 WHERE false)"
        self._connection.execute(view_sql(shape, {field: columns[field][0] for field in stored}, source))
        if name in self._tables:
            self.shapes[name] = shape

    def _beside(self, table: str, key: str) -> None:
        columns = self._columns(table) if table in self._tables else {}
        if key in columns:
            name = columns[key][0].replace('"', '""')
            self._connection.execute(
                f'CREATE TEMP TABLE ids_{table} AS SELECT DISTINCT TRY_CAST("{name}"::VARCHAR AS BIGINT) AS id '
                f'FROM {self._source(table)} WHERE "{name}" IS NOT NULL'
            )
            self.ids[table] = f"ids_{table}"

    def _columns(self, name: str) -> dict[str, tuple[str, str]]:
        """The stored name and type of each column, by its name in lower case."""
        rows = self._connection.execute(f"DESCRIBE SELECT * FROM {self._source(name)}").fetchall()
        return {row[0].lower(): (row[0], row[1]) for row in rows}

    def _empty(self, name: str, columns: Mapping[str, str]) -> frozenset[str]:
        """Columns without any value, as the statistics of the file tell without a scan."""
        known = dict(
            self._connection.execute(
                "SELECT path_in_schema, sum(num_values) = 0 OR (sum(num_values) = sum(stats_null_count) "
                "AND bool_and(stats_null_count IS NOT NULL)) "
                f"FROM parquet_metadata({_literal(self._tables[name])}) GROUP BY path_in_schema"
            ).fetchall()
        )
        # A file without row groups has no statistics and no rows.
        return frozenset(field for field, column in columns.items() if not known or known.get(column))

    def _source(self, name: str) -> str:
        return f"read_parquet({_literal(self._tables[name])})"


def _literal(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
