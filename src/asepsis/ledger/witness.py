"""What a witness checks before it cosigns: that the ledger it knows has only grown.

A witness remembers one checkpoint per ledger. It must store the new one in the same transaction in which it
compared the old one, before it hands out its cosignature (https://c2sp.org/tlog-witness, add-checkpoint).
"""

from __future__ import annotations

from collections.abc import Sequence

from asepsis.errors.ledger import CheckpointRefused, RollbackDetected
from asepsis.ledger.checkpoint import Checkpoint
from asepsis.ledger.tree import EMPTY_ROOT, verify_consistency


def check_growth(last: Checkpoint | None, *, new: Checkpoint, proof: Sequence[bytes]) -> None:
    """Check that ``new`` extends the last checkpoint that was cosigned (``None``: there was none yet).

    The proof is the consistency proof from the last size to the new one; empty for the first checkpoint.

    Raises:
        CheckpointRefused: the checkpoints are of two ledgers.
        RollbackDetected: the ledger is smaller than before, or has another root at the same size.
        ConsistencyRefused: the ledger was rewritten before it grew, or the proof is malformed.
    """
    if last is not None and last.origin != new.origin:
        raise CheckpointRefused
    old_size, old_root = (0, EMPTY_ROOT) if last is None else (last.size, last.root)
    if new.size < old_size or (new.size == old_size and new.root != old_root):
        raise RollbackDetected(old_size=old_size, new_size=new.size)
    verify_consistency(proof, old_size=old_size, new_size=new.size, old_root=old_root, new_root=new.root)
