"""An owner's tokens, wired: identifiers from the owner's home, the key from the owner's desk, the room for the rest."""

from __future__ import annotations

import io
import secrets

from asepsis.bootstrap.publishing import publishing
from asepsis.bootstrap.room import Room
from asepsis.domain.names import PartyId
from asepsis.engines.linkage.identities import read_identities
from asepsis.engines.linkage.token_files import token_files
from asepsis.linkage.key import LinkKey
from asepsis.services.identities import HomeIdentities
from asepsis.services.tokenising import Tokenised, Tokenising


def tokenising(room: Room, owner: PartyId) -> Tokenising:
    """What makes one owner's tokens. Raises KeysMissing or OwnerKeyMissing."""
    return Tokenising(
        publishing=publishing(room, owner),
        identities=HomeIdentities(room.home(owner)),
        desk=room.desk(owner),
        contracts=room.contracts,
        epochs=room.epochs,
        tokenise=_tokenise,
    )


def _tokenise(identities: bytes, *, owner: PartyId, key: LinkKey, dummies: int) -> Tokenised:
    table = read_identities(owner, io.BytesIO(identities))
    count = len(table) * dummies // 100
    files, records = token_files(table, key=key, dummies=count, randomness=secrets.token_bytes)
    return Tokenised(files=files, records=records)
