"""Where a row comes from: from a table and an id back to files, records and byte offsets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from asepsis.errors.harmonise import RowUnknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One source record of a row: its file, its number and its offset in bytes (of the decompressed file).

    ``row`` counts the rows that a view makes of one record, from 1.
    """

    run: str
    file: str
    record: int
    offset: int
    row: int


def where_from(provenance: Path, *, table: str, row: int) -> Origin:
    """The record that a row was made from.

    Raises:
        RowUnknown: there is no such row.
    """
    found = pq.read_table(
        provenance,
        columns=["run", "file", "rec_no", "byte_off", "row_no"],
        filters=[("target_table", "==", table), ("target_id", "==", row)],
    ).to_pylist()
    if not found:
        raise RowUnknown(table=table, row=row)
    first = found[0]
    return Origin(
        run=first["run"], file=first["file"], record=first["rec_no"], offset=first["byte_off"], row=first["row_no"]
    )
