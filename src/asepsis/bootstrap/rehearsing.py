"""An owner's rehearsal: local tables under a contract's rules, with the gate and the memory of the real thing."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from asepsis.disclosure.dp.noise import Bits
from asepsis.disclosure.memory import Memory
from asepsis.disclosure.profiles import profile_named
from asepsis.domain.contract import Contract
from asepsis.domain.names import PartyId
from asepsis.domain.privacy import NOTHING, Account, Privacy
from asepsis.domain.quotas import Quotas
from asepsis.engines.query.folder import local_tables
from asepsis.engines.query.room import QueryRoom
from asepsis.services.rehearsal import Noise, Rehearsal
from asepsis.sql.omop import omop_catalogue

REHEARSING: Final = PartyId("owner")


@contextmanager
def rehearsal(data: Path, *, contract: Contract | None, profile: str) -> Iterator[Rehearsal]:
    """Local tables under a contract's catalogue and profile, or under a profile with the built-in OMOP roles.

    Raises EngineFolderError, UnknownProfileError, or what the tables are refused with.
    """
    rules = profile_named(profile if contract is None else contract.profile)
    with TemporaryDirectory(prefix="asepsis-rehearsal-") as scratch:
        tables = local_tables(data, scratch=Path(scratch))
        built_in = omop_catalogue({name: table.columns for name, table in tables.items()})
        catalogue = built_in if contract is None else contract.catalogue
        with QueryRoom() as room:
            for table in catalogue.tables:
                found = {REHEARSING: tables[table.name].path} if table.name in tables else {}
                room.load(table, found)
            room.lock()
            memory = Memory(key=secrets.token_bytes(32))
            quotas = Quotas() if contract is None else contract.quotas
            noise = None if contract is None or contract.privacy is None else _noise(contract.privacy)
            yield Rehearsal(room=room, catalogue=catalogue, profile=rules, memory=memory, quotas=quotas, noise=noise)


def _noise(privacy: Privacy) -> Noise:
    """Fresh noise for a rehearsal, and an account from which nothing was spent."""
    account = Account(dataset="rehearsal", limit=privacy.budget, spent=NOTHING)
    return Noise(privacy=privacy, bits=Bits(secrets.token_bytes), account=account)
