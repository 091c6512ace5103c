"""The memory of releases as the room keeps it: sealed versions, each durable before any desk or runtime hears of it.

The room cannot read them. Where it stopped between keeping a version and telling every desk, it tells them again;
a version that another run has kept meanwhile makes this run start anew from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from asepsis.domain.access import REMEMBERED
from asepsis.domain.documents import Document
from asepsis.domain.keydesk import MemoryDeposit
from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.domain.memory import EMPTY, MemoryVersion, read_memory_step
from asepsis.domain.names import PartyId
from asepsis.domain.room import RoomMemory
from asepsis.domain.run import Run
from asepsis.errors.runtime import RuntimeAnswerMalformed
from asepsis.ports import Clock, Desk, RoomState, SnapshotFiles
from asepsis.sealing.agreement import Agreement
from asepsis.sealing.canonical import digest
from asepsis.sealing.container import check_root

KEPT_BEFORE: Final = 2
"""Earlier versions that stay on disk, for runs that started from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The version that a run starts from, and the folder of its sealed file; none for the empty one."""

    version: MemoryVersion
    folder: str

    def to_document(self) -> Document:
        """The part of the order that names it."""
        return {"version": self.version.to_document(), "folder": self.folder}


@dataclass(frozen=True, slots=True)
class Memories:
    """Names the newest version to runs, keeps the one that they leave, and tells it to the desks."""

    state: RoomState
    files: SnapshotFiles
    desks: Mapping[PartyId, Desk]
    clock: Clock
    host: PartyId

    def start(self, run: Run, agreement: Agreement) -> Start | None:
        """What a run starts from now; none for kinds that have no memory."""
        if run.job.analysis.kind not in REMEMBERED:
            return None
        lineage = agreement.lineage
        kept = self.state.memory(lineage)
        if kept is None:
            return Start(version=EMPTY, folder="")
        folder = self.files.memory(kept.step.run, lineage=lineage, number=kept.version.number)
        return Start(version=kept.version, folder=str(folder))

    def keep(self, run: Run, document: Document, signature: bytes, *, agreement: Agreement) -> dict[PartyId, bytes]:
        """Make the version that a runtime shows durable, then tell every desk; returns their receipts.

        Raises:
            RuntimeAnswerMalformed, RootMismatch: the step is not this run's, or not of the file that it wrote.
            StateChanged: another run has kept a version meanwhile.
            MemoryRefused, MemoryRolledBack, MemoryBehind: a desk does not follow.
        """
        step = read_memory_step(document)
        bound = (run.id, run.contract, agreement.lineage, digest(run.job.to_document()))
        if (step.run, step.contract, step.lineage, step.job) != bound:
            raise RuntimeAnswerMalformed
        after = step.use.after
        path = self.files.keep_memory(run.id, lineage=step.lineage, number=after.number)
        with path.open("rb") as sealed:
            check_root(sealed, after.root, name=path.name)
        kept = RoomMemory(step=step, signature=signature)
        facts: dict[str, str | int] = {
            "contract": run.contract,
            "version": after.number,
            "digest": after.root,
            "size": after.size,
        }
        entry = LedgerEntry(at=self.clock(), actor=self.host, act=Act.MEMORY_KEPT, subject=run.id, facts=facts)
        with self.state.acting(entry) as tables:
            tables.put_memory(kept, was=step.use.before)
        receipts = self._tell(kept, agreement)
        self.files.forget_memories(step.lineage, before=after.number - KEPT_BEFORE)
        return receipts

    def tell_again(self, agreement: Agreement) -> None:
        """Tell every desk the newest version, which changes nothing at those that know it."""
        kept = self.state.memory(agreement.lineage)
        if kept is not None:
            self._tell(kept, agreement)

    def _tell(self, kept: RoomMemory, agreement: Agreement) -> dict[PartyId, bytes]:
        deposit = MemoryDeposit(step=kept.step.to_document(), signature=kept.signature)
        return {owner.id: self.desks[owner.id].remember(deposit) for owner in agreement.contract.owners}
