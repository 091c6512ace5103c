"""What a desk remembers of review lists: which job of a contract's lineage draws them; no other one ever does."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, select

from asepsis.domain.names import Digest

LISTS: Final = "review_lists"


def add_list_table(tables: MetaData) -> Table:
    """Add the table of review lists to a desk's tables."""
    return Table(LISTS, tables, Column("lineage", String, primary_key=True), Column("job", String, nullable=False))


class ListTables:
    """Review lists, seen and changed through one open transaction."""

    def __init__(self, connection: Connection, tables: MetaData) -> None:
        self._connection, self._lists = connection, tables.tables[LISTS]

    def drawing(self, lineage: Digest, *, job: Digest) -> Digest:
        """The job that draws the lists of a lineage: the first that was named."""
        known = select(self._lists.c.job).where(self._lists.c.lineage == lineage)
        found = self._connection.execute(known).scalar_one_or_none()
        if found is None:
            self._connection.execute(insert(self._lists).values(lineage=lineage, job=job))
        return Digest(found or job)
