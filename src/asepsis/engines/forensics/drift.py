# ruff: noqa: E501, S608 - quoted names
"""Whether new numbers differ from older ones of the same code, for some group of rows or persons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import duckdb

from asepsis.engines.query.guard import guarded
from asepsis.integrity.records.evidence import Drift
from asepsis.integrity.records.evidence_sql import LedgerSql
from asepsis.integrity.records.facts_sql import as_number
from asepsis.integrity.records.layout import Role
from asepsis.integrity.records.ledger_sql import quoted

_FEW_GROUPS: Final = 40
_SMALLEST: Final = 20
_WINSOR: Final = 4


def measure_drifts(
    connection: duckdb.DuckDBPyConnection, sql: LedgerSql, attributes: Sequence[tuple[str, str]]
) -> tuple[Drift, ...]:
    """For each column of numbers, the group whose new values moved most; ``attributes`` are (name, relation of p, g).

    Values are standardised by what their code had before; then persons are averaged, so that one patient with many values
    counts once.
    """
    found = []
    for column in sql.layout.of_role(Role.NUMBER):
        if column.name in sql.index and column.distinct > _FEW_GROUPS:
            found += _drifts_of(connection, sql, column.name, attributes)
    return tuple(found)


def _drifts_of(
    connection: duckdb.DuckDBPyConnection, sql: LedgerSql, name: str, attributes: Sequence[tuple[str, str]]
) -> list[Drift]:
    index, code, person = sql.index, sql.layout.code, sql.layout.person
    old_type = sql.comparison.columns[index[name]].before or "VARCHAR"
    of_code = quoted(code) if code in index and code is not None else "1"
    new_code = f"a{index[code]}" if code in index and code is not None else "1"
    new_person = f"CAST(a{index[person]} AS VARCHAR)" if person in index and person is not None else "rowid"
    usual = (
        f"(SELECT {of_code} AS code, avg(v) AS m, stddev(v) AS s FROM (SELECT *, {as_number(quoted(name), old_type)} AS v "
        f"FROM {sql.comparison.before}) WHERE isfinite(v) GROUP BY 1 HAVING count(v) >= {_SMALLEST} AND stddev(v) > 0)"
    )
    groups = [c.name for c in sql.layout.of_role(Role.CODE) if c.name in index and 1 < c.distinct <= _FEW_GROUPS]
    listed = ", ".join(f"CAST(a{index[group]} AS VARCHAR) AS g{number}" for number, group in enumerate(groups))
    text = (
        f"CREATE OR REPLACE TABLE drifting AS SELECT {new_person} AS p, "
        f"least(greatest((v - m) / s, -{_WINSOR}), {_WINSOR}) AS z{', ' + listed if listed else ''} "
        f"FROM (SELECT *, {sql.number('a', name)} AS v, {new_code} AS code_ FROM {sql.ledger} "
        f"WHERE explained IS NULL AND change = 'insert') JOIN {usual} AS usual ON code_ = usual.code WHERE isfinite(v)"
    )
    guarded(lambda: connection.execute(text))
    found = [_worst(connection, name, "", "SELECT 'all' AS g, p, z FROM drifting")]
    found += [
        _worst(connection, name, group, f"SELECT g{number} AS g, p, z FROM drifting")
        for number, group in enumerate(groups)
    ]
    if person in index:
        found += [
            _worst(connection, name, attribute, f"SELECT g, p, z FROM drifting JOIN {relation} AS own USING (p)")
            for attribute, relation in attributes
        ]
    return [drift for drift in found if drift is not None]


def _worst(connection: duckdb.DuckDBPyConnection, name: str, by: str, rows: str) -> Drift | None:
    text = (
        "SELECT m / (s / sqrt(n)) AS t, m, k, count(*) OVER () FROM (SELECT avg(z) AS m, count(*) AS n, sum(k) AS k, "
        "(SELECT stddev(z) FROM (SELECT avg(z) AS z FROM drifting GROUP BY p)) AS s FROM "
        f"(SELECT g, p, avg(z) AS z, count(*) AS k FROM ({rows}) GROUP BY 1, 2) GROUP BY g "
        f"HAVING count(*) >= {_SMALLEST}) WHERE s > 0 ORDER BY abs(t) DESC LIMIT 1"
    )
    row = guarded(lambda: connection.execute(text).fetchone())
    if row is None:
        return None
    deviations, shift, rows, groups = row
    return Drift(column=name, by=by, deviations=deviations, shift=shift, rows=int(rows), groups=groups)
