"""What a hospital keeps of its incidents, in one small SQLite file at home: signed appointments and signed acts.

Nothing else is kept: what an incident is, is worked out from its acts. Whoever changes this file changes signed texts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from sqlalchemy import Column, Integer, LargeBinary, MetaData, Select, String, Table, insert, select
from sqlalchemy.exc import IntegrityError

from asepsis.errors.incident import IncidentStepRefused
from asepsis.sealing.canonical import canonical, parse_canonical
from asepsis.sealing.incident import SignedAct, SignedAppointment, read_signed_act, read_signed_appointment
from asepsis.store.database import open_database, reading, writing

_TABLES: Final = MetaData()
_APPOINTMENTS: Final = Table(
    "appointments",
    _TABLES,
    Column("number", Integer, primary_key=True),
    Column("document", LargeBinary, nullable=False),
)
_ACTS: Final = Table(
    "acts",
    _TABLES,
    Column("incident", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("document", LargeBinary, nullable=False),
)


class SqlIncidentRecords:
    """Appointments and acts. Every method raises StoreUnavailable."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make an empty one. Raises StoreUnsafe or StoreUnavailable."""
        self._engine = open_database(path, tables=_TABLES)

    def close(self) -> None:
        """Give the file back."""
        self._engine.dispose()

    def add_appointment(self, signed: SignedAppointment) -> None:
        """Keep an appointment."""
        with writing(self._engine) as connection:
            connection.execute(insert(_APPOINTMENTS).values(document=canonical(signed.to_document())))

    def appointments(self) -> list[SignedAppointment]:
        """All appointments, oldest first."""
        return [read_signed_appointment(one) for one in self._all(select(_APPOINTMENTS).order_by("number"))]

    def add_act(self, incident: str, signed: SignedAct) -> None:
        """Keep an act. Raises IncidentStepRefused where somebody else kept one of that number meanwhile."""
        values = {"incident": incident, "number": signed.act.number, "document": canonical(signed.to_document())}
        try:
            with writing(self._engine) as connection:
                _insert(connection, values)
        except _Taken:
            raise IncidentStepRefused(step=signed.act.step.value, problem="somebody acted meanwhile") from None

    def acts(self, incident: str) -> list[SignedAct]:
        """The acts of an incident, in the order of their numbers."""
        wanted = select(_ACTS).where(_ACTS.c.incident == incident).order_by(_ACTS.c.number)
        return [read_signed_act(one) for one in self._all(wanted)]

    def incidents(self) -> list[str]:
        """The names of all incidents."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(_ACTS.c.incident).where(_ACTS.c.number == 0).order_by(_ACTS.c.incident))
            return [row.incident for row in rows]

    def _all(self, wanted: Select[Any]) -> list[Any]:
        with reading(self._engine) as connection:
            return [parse_canonical(row.document) for row in connection.execute(wanted)]


class _Taken(Exception):
    """The number of an act is taken."""


def _insert(connection: Any, values: dict[str, Any]) -> None:
    try:
        connection.execute(insert(_ACTS).values(values))
    except IntegrityError:
        raise _Taken from None
