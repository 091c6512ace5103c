"""The signed records of sources, in one small SQLite file at the hospital's home."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table, insert, select

from asepsis.sealing.canonical import canonical, parse_canonical
from asepsis.sealing.estate_record import SignedRecord, read_signed_record
from asepsis.store.database import open_database, reading, writing

_TABLES: Final = MetaData()
_RECORDS: Final = Table(
    "estate_records",
    _TABLES,
    Column("source", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("document", LargeBinary, nullable=False),
)


class SqlEstateRecords:
    """Records by source, in the order of their numbers. Every method raises StoreUnavailable."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make an empty one. Raises StoreUnsafe or StoreUnavailable."""
        self._engine = open_database(path, tables=_TABLES)

    def close(self) -> None:
        """Give the file back."""
        self._engine.dispose()

    def records(self, source: str) -> list[SignedRecord]:
        """All records of a source, oldest first."""
        wanted = select(_RECORDS.c.document).where(_RECORDS.c.source == source).order_by(_RECORDS.c.number)
        with reading(self._engine) as connection:
            return [read_signed_record(parse_canonical(row.document)) for row in connection.execute(wanted)]

    def add(self, signed: SignedRecord) -> None:
        """Keep a record; it is on disk before this returns."""
        values = {
            "source": signed.record.source,
            "number": signed.record.number,
            "document": canonical(signed.to_document()),
        }
        with writing(self._engine) as connection:
            connection.execute(insert(_RECORDS).values(values))
