"""Holds at a desk: while an incident of the owner is frozen and not closed, the desk destroys no key.

The desk believes nobody's word about it: it replays the signed acts itself, under the owner's own key. A hold that
ended stays ended, so that showing an old part of the acts again changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from asepsis.domain.ledger import Act
from asepsis.errors.incident import KeysHeld
from asepsis.sealing.incident import SignedAct, SignedAppointment, replay, verify_roster
from asepsis.services.keydesk.office import Office
from asepsis.services.keydesk.ports import DeskRecords


def heed_incident(
    office: Office, acts: Sequence[SignedAct], *, appointments: Sequence[SignedAppointment], room: str
) -> None:
    """Hold, or let go, as the acts of an incident say; doing it again changes nothing.

    Raises:
        AppointmentRefused, IncidentTampered, AsepsisError: the acts do not replay under this owner's key.
    """
    key = office.keys.public().signing
    incident = replay(acts, verify_roster(appointments, party=office.owner, room=room, key=key))
    with office.acting() as records:
        if incident.holds and records.add_hold(incident.id):
            office.write(records, Act.HOLD_SET, subject=incident.id, digest=incident.head)
        if incident.closed is not None and records.lift_hold(incident.id):
            office.write(records, Act.HOLD_LIFTED, subject=incident.id, digest=incident.head)


def require_nothing_held(office: Office, records: DeskRecords) -> None:
    """Raise KeysHeld while an incident holds."""
    held = records.holds()
    if held:
        raise KeysHeld(owner=office.owner, incident=held[0])
