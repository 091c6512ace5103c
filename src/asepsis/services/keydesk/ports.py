"""What a key desk needs from outside besides a clock and an appraiser: keys, and a durable memory."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from asepsis.domain.budget import Charge
from asepsis.domain.epoch import KeptEpoch
from asepsis.domain.erasure import Erasure
from asepsis.domain.keydesk import GrantedRun, Head, IssuedNonce, KeptLinks, KeptMemory, KeptSnapshot, PublicKeys
from asepsis.domain.ledger import LedgerEntry
from asepsis.domain.names import Digest, PartyId, RunId, SnapshotId
from asepsis.domain.privacy import Loss, Spending
from asepsis.domain.statements import Statement
from asepsis.ledger.checkpoint import Checkpoint
from asepsis.sealing.signing import Purpose


class KeyStore(Protocol):
    """A party's keys, wherever they are kept; the private halves never come out."""

    def sign(self, purpose: Purpose, payload: bytes) -> bytes:
        """Sign a payload for one purpose (Ed25519); 64 bytes."""
        ...

    def cosign(self, checkpoint: Checkpoint, *, name: str, at: datetime) -> str:
        """The witness's signature line under a checkpoint (https://c2sp.org/tlog-cosignature)."""
        ...

    def open_sealed(self, sealed: bytes, *, info: bytes) -> bytes:
        """Open an envelope that was sealed to this party. Raises EnvelopeRefused."""
        ...

    def wrap(self, dek: bytes, *, binding: bytes) -> bytes:
        """Wrap a data key, with an erasable secret of its own, under the owner's key.

        Raises OwnerKeyMissing, KeyMalformed or KeysUnwritable.
        """
        ...

    def unwrap(self, wrapped: bytes, *, binding: bytes) -> bytes:
        """Unwrap a data key. Raises OwnerKeyMissing, KeyUnwrapRefused or KeyDestroyed."""
        ...

    def erasable(self, *, binding: bytes) -> Digest | None:
        """The digest of a data key's erasable secret; nothing, if it is gone."""
        ...

    def destroy(self, *, binding: bytes) -> None:
        """Destroy the erasable secret of a data key, for ever. Raises KeysUnwritable."""
        ...

    def public(self) -> PublicKeys:
        """The public halves, as the contract names them."""
        ...

    def person_key(self) -> bytes:
        """The secret under which the owner's pseudonyms of persons are made; 32 bytes."""
        ...


class DeskRecords(Protocol):
    """The desk's memory and its own ledger, within one transaction."""

    def append(self, entries: Sequence[LedgerEntry]) -> range:
        """Add entries to the desk's own ledger."""
        ...

    def latest(self) -> datetime | None:
        """The time of the newest entry of the desk's own ledger."""
        ...

    def is_stopped(self) -> bool:
        """Whether the kill switch is on."""
        ...

    def switch(self, *, stopped: bool, at: datetime, reason: str) -> None:
        """Turn the kill switch."""
        ...

    def add_nonce(self, nonce: bytes, *, at: datetime) -> None:
        """Remember a nonce."""
        ...

    def use_nonce(self, nonce: bytes) -> IssuedNonce | None:
        """Use a nonce up and say what it was before; nothing, if this desk did not issue it."""
        ...

    def add_contract(self, contract: Digest, *, lineage: Digest, text: bytes) -> None:
        """Remember a contract's canonical text, which the owner signed here, as the newest version of its lineage."""
        ...

    def is_signed(self, contract: Digest) -> bool:
        """Whether the owner signed this contract text here."""
        ...

    def contract(self, contract: Digest) -> bytes | None:
        """The canonical text of a contract that the owner signed here."""
        ...

    def versions(self, lineage: Digest) -> list[Digest]:
        """All versions of a lineage that the owner signed here, oldest first."""
        ...

    def lineages(self) -> list[Digest]:
        """All lineages of which the owner signed a version here."""
        ...

    def newest_versions(self) -> list[Digest]:
        """The newest version of every lineage that the owner signed here."""
        ...

    def rewrap(self, wrapped: bytes, *, again: bytes) -> None:
        """Put another wrapping of one kept key in the place of the one there was."""
        ...

    def kept_links(self) -> list[KeptLinks]:
        """All endorsed link maps."""
        ...

    def add_statement(self, statement: Statement) -> bool:
        """Remember a verified statement; says whether it is new."""
        ...

    def statements(self, contract: Digest) -> list[Statement]:
        """All statements about a contract that this desk ever saw."""
        ...

    def add_approval(self, analysis: Digest, *, contract: Digest) -> bool:
        """Remember that the owner approved exactly this analysis; says whether it is new."""
        ...

    def is_approved(self, analysis: Digest, *, contract: Digest) -> bool:
        """Whether the owner approved exactly this analysis under this contract."""
        ...

    def add_snapshot(self, kept: KeptSnapshot) -> None:
        """Remember a snapshot and its wrapped key."""
        ...

    def snapshot(self, snapshot: SnapshotId) -> KeptSnapshot | None:
        """A registered snapshot."""
        ...

    def kept_snapshots(self) -> list[KeptSnapshot]:
        """All registered snapshots."""
        ...

    def add_links(self, kept: KeptLinks) -> None:
        """Remember an endorsed link map and the wrapped share of its key."""
        ...

    def links(self, snapshot: SnapshotId) -> KeptLinks | None:
        """An endorsed link map."""
        ...

    def add_erasure(self, erasure: Erasure) -> None:
        """Remember what is about to be destroyed, and forget the wrapped keys."""
        ...

    def conclude_erasure(self, erasure: Erasure) -> bool:
        """Mark an erasure as done; says whether it was open until now."""
        ...

    def erasures(self, lineage: Digest, *, done: bool) -> list[Erasure]:
        """The erasures under a lineage that are done, or that are not, oldest first."""
        ...

    def add_hold(self, incident: str) -> bool:
        """Hold all keys for an incident; says whether it is new."""
        ...

    def lift_hold(self, incident: str) -> bool:
        """End a hold, for ever; says whether there was one until now."""
        ...

    def holds(self) -> list[str]:
        """The incidents that hold all keys, oldest first."""
        ...

    def last_lease(self, contracts: Sequence[Digest]) -> datetime | None:
        """When the last lease under any of these contracts ends, or ended."""
        ...

    def memory(self, lineage: Digest) -> KeptMemory | None:
        """The newest memory of releases of a lineage that this desk knows."""
        ...

    def memories(self) -> list[KeptMemory]:
        """The newest memory of every lineage that this desk knows."""
        ...

    def put_memory(self, kept: KeptMemory) -> None:
        """Remember a version as the newest one."""
        ...

    def epochs(self) -> list[KeptEpoch]:
        """All epochs of linkage, by contract and number."""
        ...

    def put_epoch(self, kept: KeptEpoch) -> None:
        """Remember an epoch, in the place of what was remembered of it."""
        ...

    def drawing(self, lineage: Digest, *, job: Digest) -> Digest:
        """The job that draws the review lists of a lineage: the first that was named here, for ever."""
        ...

    def charged(self, lineage: Digest, *, owner: PartyId) -> int:
        """How many charges were counted under all versions of a contract."""
        ...

    def is_charged(self, charge: Charge) -> bool:
        """Whether exactly this charge was counted before."""
        ...

    def add_charge(self, charge: Charge) -> None:
        """Count a charge, for ever."""
        ...

    def spent(self, dataset: str) -> Loss:
        """What the persons of a dataset lost in all, under whatever contract."""
        ...

    def is_spent(self, spending: Spending) -> bool:
        """Whether this job of this run was counted for this dataset before."""
        ...

    def add_spending(self, spending: Spending) -> None:
        """Count a loss, for ever."""
        ...

    def add_grant(self, granted: GrantedRun) -> None:
        """Remember a grant."""
        ...

    def grants(self, run: RunId) -> list[GrantedRun]:
        """The grants that one run got."""
        ...

    def head(self) -> Head | None:
        """The last checkpoint that this desk cosigned."""
        ...

    def set_head(self, head: Head) -> None:
        """Remember a checkpoint as the last one cosigned."""
        ...


class DeskState(Protocol):
    """A durable memory. A transaction that ended without an exception survives a crash; any other left no trace."""

    def writing(self) -> AbstractContextManager[DeskRecords]:
        """One transaction that nobody else's writing can come between."""
        ...

    def reading(self) -> AbstractContextManager[DeskRecords]:
        """One consistent view."""
        ...
