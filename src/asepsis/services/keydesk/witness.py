"""The desk as a witness of the room's ledger: it cosigns growth, and remembers what it cosigned before it says so.

The first checkpoint pins the ledger's name and key; afterwards a smaller tree, another tree of the same size, a
tree that does not extend the old one, or another key is refused and recorded (https://c2sp.org/tlog-witness).
"""

from __future__ import annotations

from collections.abc import Sequence

from asepsis.domain.contract import Contract
from asepsis.domain.keydesk import Head
from asepsis.domain.ledger import Act
from asepsis.domain.parties import Role
from asepsis.errors import AsepsisError
from asepsis.errors.desk import CheckpointForked, CheckpointStale, NoCheckpoint, RoomKeyUnknown
from asepsis.ledger.checkpoint import Checkpoint, verify_checkpoint
from asepsis.ledger.note import Algorithm, VerifierKey, parse_verifier_key
from asepsis.ledger.witness import check_growth
from asepsis.services.keydesk.office import Office
from asepsis.services.keydesk.ports import DeskRecords


def cosign(office: Office, note: str, *, proof: Sequence[bytes], room_key: str | None) -> str:
    """Check that the ledger only grew, remember its new head, and return the cosignature line.

    Raises:
        RoomKeyUnknown: the first checkpoint came without the ledger's key, or a later one with another.
        NoteRefused, CheckpointRefused: the note is none of this ledger.
        RollbackDetected, ConsistencyRefused: the ledger was rolled back or rewritten.
    """
    with office.acting() as records:
        last = records.head()
        try:
            key = _pinned_key(office, last, room_key)
            checkpoint = open_note(note, key)
            check_growth(None if last is None else as_checkpoint(last), new=checkpoint, proof=proof)
        except AsepsisError as error:
            refusal = error
        else:
            _remember(office, records, checkpoint, key=key, last=last)
            return office.keys.cosign(checkpoint, name=office.owner, at=office.now())
        size = 0 if last is None else last.size
        office.write(records, Act.WITNESS_REFUSED, subject="checkpoint", code=refusal.code, size=size)
    raise refusal from None


def require_head(office: Office, records: DeskRecords, note: str, *, contract: Contract) -> Checkpoint:
    """The head, if the note shows exactly it, and it is of the ledger and host that the contract names.

    Raises:
        NoCheckpoint: this desk has not cosigned anything yet.
        RoomKeyUnknown: the contract names another ledger, or another host to sign it.
        NoteRefused, CheckpointRefused: the note is none of this ledger.
        CheckpointStale: it is not the last checkpoint that this desk cosigned.
        CheckpointForked: it shows another history of the same size.
    """
    head = records.head()
    if head is None:
        raise NoCheckpoint(owner=office.owner)
    key = parse_verifier_key(head.room_key)
    if key.name != contract.ledger_origin or key.public_key not in _host_keys(contract):
        raise RoomKeyUnknown(owner=office.owner)
    checkpoint = open_note(note, key)
    if checkpoint.size != head.size:
        raise CheckpointStale(owner=office.owner, size=checkpoint.size, head=head.size)
    if checkpoint.root != head.root:
        raise CheckpointForked(owner=office.owner, size=head.size)
    return as_checkpoint(head)


def seen_note(office: Office, records: DeskRecords) -> str:
    """The newest checkpoint that this desk cosigned, signed by the desk alone, for whoever compares histories.

    Raises NoCheckpoint.
    """
    head = records.head()
    if head is None:
        raise NoCheckpoint(owner=office.owner)
    checkpoint = as_checkpoint(head)
    return checkpoint.text + "\n" + office.keys.cosign(checkpoint, name=office.owner, at=office.now())


def as_checkpoint(head: Head) -> Checkpoint:
    """The checkpoint that the desk remembers."""
    return Checkpoint(origin=head.origin, size=head.size, root=head.root)


def open_note(note: str, key: VerifierKey) -> Checkpoint:
    """The checkpoint of a note that the ledger signed. Raises NoteRefused or CheckpointRefused."""
    return verify_checkpoint(note, log_key=key, witness_keys=(), quorum=0)


def _host_keys(contract: Contract) -> set[bytes]:
    return {host.signing_key for host in contract.with_role(Role.HOST)}


def _pinned_key(office: Office, last: Head | None, room_key: str | None) -> VerifierKey:
    pinned = room_key if last is None else last.room_key
    if pinned is None or room_key not in {None, pinned}:
        raise RoomKeyUnknown(owner=office.owner)
    key = parse_verifier_key(pinned)
    if key.algorithm is not Algorithm.ED25519:  # a witness's key cannot speak for the ledger
        raise RoomKeyUnknown(owner=office.owner)
    return key


def _remember(
    office: Office, records: DeskRecords, checkpoint: Checkpoint, *, key: VerifierKey, last: Head | None
) -> None:
    if last is not None and last.size == checkpoint.size:
        return
    head = Head(room_key=key.text, origin=checkpoint.origin, size=checkpoint.size, root=checkpoint.root)
    records.set_head(head)
    office.write(
        records, Act.WITNESS_COSIGNED, subject="checkpoint", size=checkpoint.size, digest=checkpoint.root.hex()
    )
