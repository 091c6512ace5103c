# ruff: noqa: E501, S608 - quoted names
"""Merges and un-merges of persons as explained changes.

A merge: a person vanished, and rows of that person went to one other person, unchanged otherwise. An un-merge: a person
appeared, and rows went there from one other person. A swap between two persons who both were and stay is neither.
"""

from __future__ import annotations

from collections.abc import Sequence

from asepsis.integrity.records.evidence_sql import LedgerSql


def moves_sql(tables: Sequence[LedgerSql], persons: LedgerSql) -> str:
    """Make ``moved``: pairs of old and new person of all rows that changed nothing but their person, and why.

    ``why`` is ``merge`` or ``unmerge`` where the pair explains itself.
    """
    sides = " UNION ALL ".join(
        f"SELECT CAST(b{sql.index[_person(sql)]} AS VARCHAR) AS old, CAST(a{sql.index[_person(sql)]} AS VARCHAR) AS new "
        f"FROM {sql.ledger} WHERE {_only_person(sql)}"
        for sql in tables
    )
    number = persons.index[persons.layout.key[0]]
    gone = f"(SELECT CAST(b{number} AS VARCHAR) AS p FROM {persons.ledger} WHERE change = 'delete')"
    come = f"(SELECT CAST(a{number} AS VARCHAR) AS p FROM {persons.ledger} WHERE change = 'insert')"
    return (
        "CREATE OR REPLACE TABLE moved AS SELECT old, new, CASE "
        f"WHEN old IN {gone} AND count(*) OVER (PARTITION BY old) = 1 AND new NOT IN {gone} THEN 'merge' "
        f"WHEN new IN {come} AND count(*) OVER (PARTITION BY new) = 1 AND old NOT IN {come} THEN 'unmerge' END AS why "
        f"FROM (SELECT DISTINCT old, new FROM ({sides}))"
    )


def explain_moves_sql(sql: LedgerSql) -> str:
    """Mark the rows of a table that a merge or an un-merge moved; those that changed nothing else are explained."""
    number = sql.index[_person(sql)]
    explained = f"CASE WHEN {_only_person(sql)} THEN why END"
    return (
        f"UPDATE {sql.ledger} SET moved = TRUE, explained = {explained} FROM moved AS m WHERE why IS NOT NULL "
        f"AND c{number} AND CAST(b{number} AS VARCHAR) = old AND CAST(a{number} AS VARCHAR) = new"
    )


def explain_persons_sql(persons: LedgerSql) -> str:
    """Mark the vanished persons that merges explain."""
    number = persons.index[persons.layout.key[0]]
    return (
        f"UPDATE {persons.ledger} SET explained = 'merge' WHERE change = 'delete' "
        f"AND CAST(b{number} AS VARCHAR) IN (SELECT old FROM moved WHERE why = 'merge')"
    )


def gone_persons_sql(sql: LedgerSql, persons: LedgerSql) -> str:
    """Deleted rows of a table whose person was deleted, too."""
    number = persons.index[persons.layout.key[0]]
    own = sql.index[_person(sql)]
    return (
        f"SELECT count(*) FROM {sql.open} WHERE change = 'delete' AND CAST(b{own} AS VARCHAR) IN "
        f"(SELECT CAST(b{number} AS VARCHAR) FROM {persons.open} WHERE change = 'delete')"
    )


def _only_person(sql: LedgerSql) -> str:
    own = sql.index[_person(sql)]
    others = " AND ".join(f"NOT c{number}" for number in sql.index.values() if number != own)
    return f"c{own}" + (f" AND {others}" if others else "")


def _person(sql: LedgerSql) -> str:
    return sql.layout.person or ""
