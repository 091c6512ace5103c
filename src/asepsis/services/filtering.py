"""Bloom filters of identifiers, made elsewhere: given by their owner for the linkages of a contract.

Whoever reads filters and has a register of persons can name many of them. So they are held like identifiers: sealed
under the owner's key, read by a linkage in the runtime and by nothing else.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from asepsis.domain.datasets import Holding
from asepsis.domain.linkage import LinkMode
from asepsis.domain.names import PartyId
from asepsis.domain.room import PublishedSnapshot
from asepsis.errors.linkage import FiltersNotAsked
from asepsis.errors.room import SnapshotsMissing
from asepsis.ports import OwnDesk
from asepsis.services.contracts import Contracts
from asepsis.services.publishing import Plain, Publishing

FILTERS: Final = "filters"
PERSONS: Final = "persons.parquet"


class FilterFile(Protocol):
    """Makes the table of filters by person."""

    def __call__(self, owner: PartyId, document: bytes, keys: Sequence[str], persons: Path) -> tuple[bytes, int]:
        """The table, and how many persons it has."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Filtering:
    """One owner's filters; ``home`` is the owner's folder, where the keys of its records are."""

    publishing: Publishing
    home: Path
    desk: OwnDesk
    contracts: Contracts
    filter_file: FilterFile

    def give(self, document: bytes, *, keys: Sequence[str]) -> PublishedSnapshot:
        """Seal and publish the filters of a clkhash file; ``keys`` are those of its records, in its order.

        Raises:
            ContractNotSignedHere: the owner did not sign the contract in force at this desk.
            FiltersNotAsked: it does not link by imported filters.
            SnapshotsMissing: the owner has not contributed yet.
            FilterRefused: the filters or keys are not what they should be.
        """
        agreement, owner = self.contracts.in_force(), self.publishing.owner
        contract = self.desk.signed(agreement.digest)
        dataset = next((one for one in contract.datasets_of(owner) if one.holds is Holding.IDENTITY), None)
        if contract.linkage.mode is not LinkMode.IMPORT_CLK or dataset is None:
            raise FiltersNotAsked(contract=contract.name)
        clinical = self._clinical(dataset.name.removesuffix(Holding.IDENTITY.value) + Holding.CLINICAL.value)
        persons = self.home / "contributions" / clinical.contribution[:16] / PERSONS
        content, rows = self.filter_file(owner, document, keys, persons)
        published = {item.manifest.snapshot for item in self.publishing.state.snapshots()}
        self.publishing.files.forget(f"{dataset.name}-", keep=published)  # what a killed command left
        origin = replace(clinical.manifest.origin, source_kind="clk", free_text=())
        draft = self.publishing.draft(dataset.name, label=clinical.manifest.label, origin=origin)
        sealed = self.publishing.seal(
            draft,
            {FILTERS: Plain(opens=partial(io.BytesIO, content), rows=rows)},
            folder=self.publishing.files.incoming(draft.manifest.snapshot),
            keep=lambda signed, dek: self.desk.register(signed, dek=dek),
            contribution=clinical.contribution,
        )
        self.publishing.publish([sealed])
        return sealed

    def _clinical(self, name: str) -> PublishedSnapshot:
        """The owner's newest clinical snapshot."""
        erased = self.publishing.state.erased()
        found = [
            item
            for item in self.publishing.state.snapshots()
            if item.manifest.dataset == name and item.manifest.snapshot not in erased
        ]
        if not found:
            raise SnapshotsMissing(dataset=name)
        return found[-1]
