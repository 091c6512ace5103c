"""What a desk remembers of erasures: the list it intends, and whether it is done; wrapped keys go with the intent."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    insert,
    select,
    update,
)

from asepsis.domain.erasure import Erasure, KeyKind, read_erasure
from asepsis.domain.names import Digest
from asepsis.sealing.canonical import canonical, digest, parse_canonical

ERASURES: Final = "erasures"
_KEPT: Final = {KeyKind.SNAPSHOT: ("snapshots", "snapshot"), KeyKind.LINKS: ("links", "snapshot")}


def add_erasure_table(tables: MetaData) -> Table:
    """Add the table of erasures to a desk's tables."""
    return Table(
        ERASURES,
        tables,
        Column("number", Integer, primary_key=True),
        Column("erasure", String, nullable=False, unique=True),
        Column("lineage", String, nullable=False, index=True),
        Column("done", Boolean, nullable=False),
        Column("document", LargeBinary, nullable=False),
    )


class ErasureTables:
    """Erasures, seen and changed through one open transaction."""

    def __init__(self, connection: Connection, tables: MetaData) -> None:
        self._connection, self._tables = connection, tables.tables
        self._erasures = self._tables[ERASURES]

    def add(self, erasure: Erasure) -> None:
        """Remember an intent, and forget the wrapped keys that it names."""
        document = erasure.to_document()
        values = {"erasure": digest(document), "lineage": erasure.lineage, "done": False}
        self._connection.execute(insert(self._erasures).values(**values, document=canonical(document)))
        for kind, (name, column) in _KEPT.items():
            table = self._tables[name]
            for key in erasure.ids(kind):
                self._connection.execute(update(table).where(table.c[column] == key).values(wrapped=b""))
        if erasure.ids(KeyKind.MEMORY):
            memories = self._tables["memories"]
            self._connection.execute(update(memories).where(memories.c.lineage == erasure.lineage).values(wrapped=b""))

    def conclude(self, erasure: Erasure) -> bool:
        """Mark an erasure as done; says whether it was open until now."""
        wanted = (self._erasures.c.erasure == digest(erasure.to_document())) & ~self._erasures.c.done
        return self._connection.execute(update(self._erasures).where(wanted).values(done=True)).rowcount == 1

    def of(self, lineage: Digest, *, done: bool) -> list[Erasure]:
        """The erasures of a lineage that are done, or that are not, oldest first."""
        wanted = (self._erasures.c.lineage == lineage) & (self._erasures.c.done == done)
        rows = self._connection.execute(
            select(self._erasures.c.document).where(wanted).order_by(self._erasures.c.number)
        )
        return [read_erasure(parse_canonical(row.document)) for row in rows]
