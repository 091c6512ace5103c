"""The record as it was last witnessed: looking at the ledger never writes to it.

Elsewhere a proof is made under a fresh checkpoint, which the desks cosign. A page or an answer of this server
uses the newest checkpoint that is kept, so that a reader causes no act.
"""

from __future__ import annotations

from dataclasses import dataclass

from asepsis.bootstrap.room import Room, now
from asepsis.errors.room import RecordMissing
from asepsis.ledger.checkpoint import open_checkpoint
from asepsis.services.audit import Audit, ledger_keys
from asepsis.services.evidence import Evidences
from asepsis.wire import v1


@dataclass(frozen=True, slots=True)
class KeptAudit(Audit):
    """An audit that makes no checkpoint."""

    def checkpoint(self) -> str:
        """The newest checkpoint that is kept. Raises RecordMissing."""
        note = self.state.checkpoint()
        if note is None:
            raise RecordMissing(subject="checkpoint", id="newest")
        return note


def kept_audit(room: Room) -> KeptAudit:
    """The room's audit, for reading; it knows no desk."""
    return KeptAudit(room.state, room.keys(room.host), {}, room.host, room.origin, now)


def kept_evidences(room: Room) -> Evidences:
    """Evidence bundles under the checkpoint that is kept."""
    return Evidences(room.state, room.contracts, kept_audit(room))


def kept_checkpoint(room: Room) -> v1.Checkpoint:
    """The newest checkpoint, verified with the contract's keys. Raises NoContract, RecordMissing, NoteRefused."""
    contract = room.contracts.contract()
    keys = ledger_keys(contract)
    note = kept_audit(room).checkpoint()
    witnessed = open_checkpoint(note, log_key=keys.log, witness_keys=keys.witnesses, quorum=0)
    cosigned = {item.witness for item in witnessed.cosignatures}
    return v1.Checkpoint(
        origin=witnessed.checkpoint.origin,
        size=witnessed.checkpoint.size,
        root=witnessed.checkpoint.root.hex(),
        cosignatures=[v1.Cosignature(witness=item.witness, at=item.at) for item in witnessed.cosignatures],
        missing=[owner.id for owner in contract.owners if owner.id not in cosigned],
        note=note,
    )
