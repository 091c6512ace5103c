"""What seals an owner's files for a room and tells the room of them, wired."""

from __future__ import annotations

import secrets

from asepsis.bootstrap.room import Room, now
from asepsis.domain.names import PartyId
from asepsis.services.publishing import Publishing


def publishing(room: Room, owner: PartyId) -> Publishing:
    """What publishes one owner's files. Raises KeysMissing or OwnerKeyMissing."""
    keys = room.keys(owner)
    keys.require_owner()
    return Publishing(
        owner=owner,
        state=room.state,
        files=room.files,
        keys=keys,
        audit=room.audit,
        clock=now,
        randomness=secrets.token_bytes,
    )
