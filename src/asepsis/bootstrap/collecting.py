"""A clinical team's package, opened in the team's home, with the names of its patients.

Where identifiers stay at home, a package brings keys of the referred persons instead of identifiers. The team opens the
hospital's register with them. So the owner does not learn who was referred, and the team learns nobody else's name.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from asepsis.bootstrap.room import Room
from asepsis.domain.datasets import NAME_KEYS, Holding
from asepsis.domain.names import Digest, PartyId, ReferralId
from asepsis.engines.referral.names import open_names
from asepsis.errors.room import FileUnreadable
from asepsis.services.identities import HomeIdentities


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The file in the team's home, how many patients it holds, and whether it names them.

    If it does not, ``register`` is what would name them, at the hospital.
    """

    path: Path
    patients: int
    named: bool
    register: Path | None


def collect_referral(room: Room, referral: ReferralId, *, team: PartyId, register: Path | None = None) -> Collected:
    """Open a package; the register is the hospital's, if its home is here, unless another file is named.

    Raises:
        PackageMissing, EnvelopeRefused: there is nothing for this team, or it is not for its key.
        FileUnreadable, RegisterUnreadable: the named register cannot be read, or is not the one of this referral.
    """
    document = json.loads(room.referrals.open_package(referral, team=team, keys=room.keys(team)))
    tables, owner = document["tables"], PartyId(document["hospital"])
    wanted = None
    if tables.get(NAME_KEYS):
        place = register or _register(room, referral, owner)
        if os.access(place, os.R_OK):
            keys = {row["person_id"]: row["name_key"] for row in tables.pop(NAME_KEYS)}
            tables[Holding.IDENTITY.value] = open_names(place, keys, owner=owner)
        elif register is not None:
            raise FileUnreadable(path=str(register))
        else:
            wanted = place
    path = room.home(team) / f"{referral}.json"
    _write(path, json.dumps(document, default=str).encode())
    persons = {row["person_id"] for rows in tables.values() for row in rows}
    return Collected(path=path, patients=len(persons), named=Holding.IDENTITY in tables, register=wanted)


def _register(room: Room, referral: ReferralId, owner: PartyId) -> Path:
    """Where the owner has the register of the contribution that was referred from."""
    run = room.state.referral(referral).run
    inputs = {item.snapshot for item in room.state.run(run).job.inputs} if run is not None else set()
    found = [
        item.contribution
        for item in room.state.snapshots()
        if item.manifest.snapshot in inputs
        and item.manifest.owner == owner
        and item.manifest.dataset.endswith(Holding.CLINICAL)
    ]
    return HomeIdentities(room.home(owner)).register(found[-1] if found else Digest(""))


def _write(path: Path, content: bytes) -> None:
    """Write a file that this account alone may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
