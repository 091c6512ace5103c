"""Records of which a view makes several rows: each row is judged, the record has one state.

A record with a row that is set aside is set aside whole; it is left out if all of its rows are. Invariant: one settled
record per landed record, so that the books balance over records however many rows they make.
"""

# ruff: noqa: S608 - the SQL is written here from checked names; no data enters it

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from asepsis.harmonise.said import Kind, said_together

ROW: Final = "row_no"
"""The number of a row within its record, from 1."""
MOST_ROWS: Final = 10_000
"""A resource of which a view makes more rows is set aside whole."""
LEFT_OUT: Final = "row_left_out"
"""The flag of an accepted record of which a row was left out, beside the reason of that row."""


def one_by_one(found: str) -> str:
    """Select from records with a list ``v`` each of its rows as ``w`` with its number; a record without any stays."""
    rows = f"CASE WHEN len(v) BETWEEN 1 AND {MOST_ROWS} THEN v ELSE [NULL] END"
    numbered = f"SELECT *, {rows} AS vs FROM ({found})"
    return (
        f"SELECT * EXCLUDE (v, vs), unnest(vs) AS w, unnest(range(1, len(vs) + 1))::INTEGER AS {ROW} FROM ({numbered})"
    )


def records_of(rows: str, *, emits: Sequence[str], content: bool) -> str:
    """Select one record of its settled rows; ``emits`` tell which tables a row becomes a row of."""
    taken = "".join(f", bool_or({name} AND state = 'accepted') AS {name}" for name in emits)
    same = ", any_value(content) AS content" if content else ""
    grouped = (
        f"SELECT file_id, rec_no, any_value(byte_off) AS byte_off{same}, list(said) FILTER (said <> '') AS texts, "
        "CASE WHEN bool_or(state = 'quarantined') THEN 'quarantined' WHEN bool_or(state = 'accepted') THEN 'accepted' "
        f"ELSE 'excluded' END AS state, any_value(first) AS first{taken} FROM {rows} GROUP BY file_id, rec_no"
    )
    left_out = said_together("texts", become=(Kind.EXCLUDED, Kind.FLAGGED), besides=LEFT_OUT)
    together = f"CASE WHEN state = 'accepted' THEN {left_out} ELSE {said_together('texts')} END"
    return f"SELECT * EXCLUDE (texts), {together} AS said FROM ({grouped})"
