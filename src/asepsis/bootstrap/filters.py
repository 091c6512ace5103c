"""An owner's imported filters, wired: the keys of its records from its home, the data key to its desk."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

from asepsis.bootstrap.publishing import publishing
from asepsis.bootstrap.room import Room
from asepsis.domain.names import PartyId
from asepsis.engines.linkage.filter_files import filter_file, read_clks
from asepsis.services.filtering import Filtering


def filtering(room: Room, owner: PartyId) -> Filtering:
    """What gives one owner's filters. Raises KeysMissing or OwnerKeyMissing."""
    return Filtering(
        publishing=publishing(room, owner),
        home=room.home(owner),
        desk=room.desk(owner),
        contracts=room.contracts,
        filter_file=_filter_file,
    )


def _filter_file(owner: PartyId, document: bytes, keys: Sequence[str], persons: Path) -> tuple[bytes, int]:
    return filter_file(owner, read_clks(owner, document), keys, persons, randomness=secrets.token_bytes)
