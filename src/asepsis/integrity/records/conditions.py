"""Which rows of a table's ledger are behind a divergence."""

from __future__ import annotations

from asepsis.integrity.records.evidence_sql import LedgerSql, is_mixed, is_strange
from asepsis.integrity.records.values import Divergence, RowChange


def rows_behind(divergence: Divergence, sql: LedgerSql) -> str | None:
    """A condition on the ledger; ``None`` where no changed row is behind it (a column that is gone, an orphan)."""
    code = divergence.code
    if code == "dates.future":
        return sql.is_future()
    if code == "dates.reversed" and len(divergence.columns) > 1:
        first, second = divergence.columns[:2]
        return f"change <> 'delete' AND {sql.date('a', second)} < {sql.date('a', first)}"
    if divergence.change is RowChange.INSERT:
        return "change = 'insert'" + _of_insertion(divergence, sql)
    if divergence.change is RowChange.DELETE:
        return "change = 'delete'"
    if divergence.change is RowChange.UPDATE:
        return " OR ".join(f"({sql.changed(name)})" for name in divergence.columns) or "change = 'update'"
    return None


def _of_insertion(divergence: Divergence, sql: LedgerSql) -> str:
    if divergence.code == "rows.backdated":
        return f" AND {sql.is_sealed(after=True)}"
    if divergence.code == "rows.copied":
        return f" AND rowid IN ({sql.copies()})"
    tests = {"text.not_text": is_strange, "text.lookalikes": is_mixed}
    if divergence.code in tests:
        values = (f"CAST(a{sql.index[name]} AS VARCHAR)" for name in divergence.columns)
        return f" AND ({' OR '.join(tests[divergence.code](value) for value in values)})"
    return ""
