"""The data of one run: every owner's clinical tables, unsealed into memory and loaded as one linked room."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from asepsis.domain.datasets import Holding
from asepsis.domain.linkage import LINK_COLUMNS
from asepsis.domain.names import PartyId
from asepsis.engines.query.loading import LinkMap
from asepsis.engines.query.room import QueryRoom
from asepsis.runtime.order import Order
from asepsis.runtime.vault import Vault
from asepsis.sealing.links import LINKS

_TMPFS: Final = Path("/dev/shm")  # noqa: S108 - memory, not a disk
MEMORY_LIMIT: Final = "2GB"
THREADS: Final = 2


@dataclass(frozen=True, slots=True)
class RoomData:
    """The engine with all tables of the catalogue, and the unsealed files behind it."""

    room: QueryRoom
    files: Mapping[PartyId, Mapping[str, Path]]
    links: LinkMap | None

    def tables_of(self, owner: PartyId) -> Mapping[str, Path]:
        """One owner's clinical tables."""
        return self.files[owner]


@contextmanager
def open_room(order: Order, vault: Vault) -> Iterator[RoomData]:
    """Unseal and load what the job may read; locked against everything but generated statements."""
    files = {snapshot.manifest.owner: vault.unseal(snapshot) for snapshot in order.held(Holding.CLINICAL)}
    links = _links(order, vault)
    with (
        TemporaryDirectory(prefix="asepsis-", dir=_memory()) as spill,
        QueryRoom(Path(spill), threads=THREADS, memory_limit=MEMORY_LIMIT) as room,
    ):
        for table in order.contract.catalogue.tables:
            present = {owner: tables[table.name] for owner, tables in files.items() if table.name in tables}
            room.load(table, files=present, links=links)
        room.lock()
        yield RoomData(room=room, files=files, links=links)


def _links(order: Order, vault: Vault) -> LinkMap | None:
    """Who is one person by links as sure as the analysis states, and by those that the contract asks for."""
    if order.links is None:
        return None
    terms, stated = order.contract.linkage, order.job.analysis.certainty
    return LinkMap(
        path=vault.unseal(order.links)[LINKS],
        person=LINK_COLUMNS[terms.least(stated)],
        whole=LINK_COLUMNS[terms.least()],
    )


def _memory() -> str | None:
    """A file system in memory for what the engine spills, where there is one."""
    return str(_TMPFS) if _TMPFS.is_dir() and os.access(_TMPFS, os.W_OK) else None
