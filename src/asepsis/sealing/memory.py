"""The sealed memory of releases: one file per version, under a key that only all owners together can give.

The data key is the XOR of one random share per owner, drawn by each owner's desk for the lineage of a contract, like
the key of a link map; every version of the contract goes on with it. The file is padded to a power of two, so that its
length does not tell how many persons a cell has.
"""

from __future__ import annotations

from typing import Final

from asepsis.domain.memory import MemoryStep
from asepsis.domain.names import Digest, PartyId, SnapshotId
from asepsis.sealing.canonical import canonical
from asepsis.sealing.context import snapshot_binding
from asepsis.sealing.keys import file_key

MEMORY: Final = "memory"
"""The name under which shares are kept."""

MEMORY_FILE: Final = "memory.sealed"


def memory_id(lineage: Digest) -> SnapshotId:
    """Under which name grants bring the shares of the memory of a contract's lineage."""
    return SnapshotId(f"{MEMORY}-{lineage}")


def share_binding(owner: PartyId, *, lineage: Digest) -> bytes:
    """What a wrapped share is bound to."""
    return snapshot_binding(owner, dataset=MEMORY, snapshot=memory_id(lineage))


def memory_context(lineage: Digest, *, number: int) -> bytes:
    """What the sealed file of a version is bound to."""
    return canonical({"format": "asepsis/memory-context/1", "contract": lineage, "number": number})


def memory_key(dek: bytes, *, number: int) -> bytes:
    """The key of the file of one version. Raises KeyMalformed."""
    return file_key(dek, f"{MEMORY}-{number}")


def blur_key(dek: bytes) -> bytes:
    """The key that blurs thresholds: the same for the whole life of a memory. Raises KeyMalformed."""
    return file_key(dek, f"{MEMORY}-blur")


def receipt_payload(step: MemoryStep) -> bytes:
    """What an owner's desk signs (``Purpose.RECEIPT``) once it knows a new version."""
    return canonical({"format": "asepsis/memory-receipt/1", "step": step.to_document()})
