"""What a desk remembers of holds: which incidents held its keys, and which of them are over; one never comes back."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, Column, Connection, Integer, MetaData, String, Table, insert, select, update

HOLDS: Final = "holds"


def add_hold_table(tables: MetaData) -> Table:
    """Add the table of holds to a desk's tables."""
    return Table(
        HOLDS,
        tables,
        Column("number", Integer, primary_key=True),
        Column("incident", String, nullable=False, unique=True),
        Column("lifted", Boolean, nullable=False),
    )


class HoldTables:
    """Holds, seen and changed through one open transaction."""

    def __init__(self, connection: Connection, tables: MetaData) -> None:
        self._connection, self._holds = connection, tables.tables[HOLDS]

    def add(self, incident: str) -> bool:
        """Hold for an incident; says whether it is new."""
        known = select(self._holds.c.number).where(self._holds.c.incident == incident)
        if self._connection.execute(known).one_or_none() is not None:
            return False
        self._connection.execute(insert(self._holds).values(incident=incident, lifted=False))
        return True

    def lift(self, incident: str) -> bool:
        """End a hold; says whether there was one until now."""
        wanted = (self._holds.c.incident == incident) & ~self._holds.c.lifted
        return self._connection.execute(update(self._holds).where(wanted).values(lifted=True)).rowcount == 1

    def current(self) -> list[str]:
        """The incidents that hold, oldest first."""
        wanted = select(self._holds.c.incident).where(~self._holds.c.lifted).order_by(self._holds.c.number)
        return [row.incident for row in self._connection.execute(wanted)]
