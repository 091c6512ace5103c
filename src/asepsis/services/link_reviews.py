"""Review of links by an owner: which of its persons to look at, and its identifiers with the answers in them.

Everything is read and decided at the owner. What comes back is nothing but the owner's identifiers as they are now,
sealed and signed like those of a contribution: a review gives no power over links that contributing does not give.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from asepsis.domain.contract import Contract
from asepsis.domain.datasets import Holding
from asepsis.domain.names import RunId
from asepsis.domain.review_list import draws_lists
from asepsis.domain.room import PublishedSnapshot
from asepsis.domain.run import Run
from asepsis.errors.linkage import ListMissing
from asepsis.errors.room import SnapshotsMissing
from asepsis.linkage.worksheet import Reviewed, read_worksheet, write_worksheet
from asepsis.ports import OwnDesk
from asepsis.sealing.container import unseal
from asepsis.sealing.context import manifest_context
from asepsis.sealing.keys import file_key
from asepsis.services.contracts import Contracts
from asepsis.services.identities import IDENTITY
from asepsis.services.publishing import Plain, Publishing


@dataclass(frozen=True, slots=True, kw_only=True)
class Worksheet:
    """What an owner fills in: the linkage that asks, how many persons and records there are, and the CSV."""

    run: RunId
    persons: int
    records: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkReviews:
    """One owner's reviews; ``read`` and ``write`` are for the Parquet file of its identifiers."""

    publishing: Publishing
    desk: OwnDesk
    contracts: Contracts
    read: Callable[[bytes], pa.Table]
    write: Callable[[pa.Table], bytes]

    def worksheet(self) -> Worksheet:
        """The persons on the owner's list, with what is held of them now.

        Raises:
            ContractNotSignedHere: the owner did not sign the contract in force at this desk.
            ListMissing: no linkage drew a list for the owner.
            LinkageUnknown, EnvelopeRefused: it is not what a linkage that the desk granted made for this owner.
            SnapshotsMissing: the owner's identifiers are not in the room.
        """
        run, reviewed, _ = self._reviewed()
        rows = reviewed.rows()
        return Worksheet(run=run.id, persons=len(reviewed.persons), records=len(rows), text=write_worksheet(reviewed))

    def answer(self, text: str) -> PublishedSnapshot:
        """Publish the identifiers with the answers of a worksheet in them; the next linkage reads them.

        Raises WorksheetRefused, and what :meth:`worksheet` raises.
        """
        run, reviewed, held = self._reviewed()
        content = self.write(read_worksheet(text, reviewed))
        published = {item.manifest.snapshot for item in self.publishing.state.snapshots()}
        self.publishing.files.forget(f"{held.manifest.dataset}-", keep=published)  # what a killed command left
        draft = self.publishing.draft(held.manifest.dataset, label=held.manifest.label, origin=held.manifest.origin)
        sealed = self.publishing.seal(
            draft,
            {IDENTITY: Plain(opens=partial(io.BytesIO, content), rows=len(reviewed.identities))},
            folder=self.publishing.files.incoming(draft.manifest.snapshot),
            keep=lambda signed, dek: self.desk.register(signed, dek=dek),
            contribution=held.contribution,
        )
        self.publishing.publish([sealed], facts={"linkage": run.id})
        return sealed

    def _reviewed(self) -> tuple[Run, Reviewed, PublishedSnapshot]:
        contract = self.desk.signed(self.contracts.in_force().digest)
        run = self._drawn()
        if run is None or run.proof is None:
            raise ListMissing(owner=self.publishing.owner)
        persons = self.desk.open_list(run.proof.statistic, signature=run.proof.signature)
        held = self._identifiers(contract)
        reviewed = Reviewed(identities=self.read(self._open(held)), manifest=held.digest, persons=persons)
        return run, reviewed, held

    def _drawn(self) -> Run | None:
        """The newest linkage that drew lists."""
        runs = reversed(self.publishing.state.runs())
        return next((run for run in runs if run.proof and draws_lists(run.job.analysis)), None)

    def _identifiers(self, contract: Contract) -> PublishedSnapshot:
        """The owner's newest identifiers in the room."""
        names = {one.name for one in contract.datasets_of(self.publishing.owner) if one.holds is Holding.IDENTITY}
        erased = self.publishing.state.erased()
        found = [
            item
            for item in self.publishing.state.snapshots()
            if item.manifest.dataset in names and item.manifest.snapshot not in erased
        ]
        if not found:
            raise SnapshotsMissing(dataset=Holding.IDENTITY.value)
        return found[-1]

    def _open(self, held: PublishedSnapshot) -> bytes:
        """The Parquet file, in memory alone."""
        (file,) = held.manifest.files
        plain = io.BytesIO()
        with (self.publishing.files.folder(held.manifest.snapshot) / file.id).open("rb") as sealed:
            key = file_key(self.desk.own_key(held.manifest), file.id)
            unseal(sealed, plain, key=key, context=manifest_context(held.manifest, file=file), root=file.root)
        return plain.getvalue()
