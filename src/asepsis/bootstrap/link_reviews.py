"""An owner's reviews of links, wired: the list and the keys from its desk, its own identifiers from the room."""

from __future__ import annotations

import io
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from asepsis.bootstrap.publishing import publishing
from asepsis.bootstrap.room import Room
from asepsis.domain.names import PartyId
from asepsis.engines.linkage.identities import read_identities
from asepsis.services.link_reviews import LinkReviews


def link_reviews(room: Room, owner: PartyId) -> LinkReviews:
    """What reviews one owner's records. Raises KeysMissing or OwnerKeyMissing."""
    return LinkReviews(
        publishing=publishing(room, owner),
        desk=room.desk(owner),
        contracts=room.contracts,
        read=partial(_read, owner),
        write=_write,
    )


def _read(owner: PartyId, content: bytes) -> pa.Table:
    return read_identities(owner, io.BytesIO(content))


def _write(identities: pa.Table) -> bytes:
    content = io.BytesIO()
    pq.write_table(identities, content, compression="zstd")
    return content.getvalue()
