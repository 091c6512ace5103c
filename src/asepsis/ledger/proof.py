"""A receipt for one entry: the proof, in one text file, that the ledger contains it.

Form: https://c2sp.org/tlog-proof, without extra data, which nothing would authenticate. It verifies offline
with the public keys of the ledger and its witnesses.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from asepsis.domain.ledger import LedgerEntry
from asepsis.errors.ledger import ProofMalformed
from asepsis.ledger.checkpoint import WitnessedCheckpoint, open_checkpoint
from asepsis.ledger.entry import entry_hash
from asepsis.ledger.note import VerifierKey
from asepsis.ledger.tree import HASH_LENGTH, verify_inclusion

SUFFIX: Final = ".tlog-proof"

_HEADER: Final = "c2sp.org/tlog-proof@v1"
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,17})")
_MOST_HASHES: Final = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedEntry:
    """Where an entry stands, and the checkpoint that covers it."""

    index: int
    witnessed: WitnessedCheckpoint


def write_entry_proof(note: str, *, index: int, hashes: Sequence[bytes]) -> str:
    """The text of a proof: index, inclusion proof (`tree.inclusion_proof`), and the note of the checkpoint."""
    lines = [_HEADER, f"index {index}", *(base64.b64encode(value).decode("ascii") for value in hashes)]
    return "\n".join(lines) + "\n\n" + note


def verify_entry_proof(
    text: str,
    *,
    entry: LedgerEntry,
    log_key: VerifierKey,
    witness_keys: Iterable[VerifierKey],
    quorum: int,
) -> VerifiedEntry:
    """Check that an entry is in the ledger.

    Raises:
        ProofMalformed: the text has another form.
        NoteRefused, CheckpointRefused, QuorumMissing: the checkpoint does not verify.
        InclusionRefused: the entry is not at that place of the ledger.
    """
    index, hashes, note = _parse(text)
    witnessed = open_checkpoint(note, log_key=log_key, witness_keys=witness_keys, quorum=quorum)
    checkpoint = witnessed.checkpoint
    verify_inclusion(entry_hash(entry), index=index, size=checkpoint.size, proof=hashes, root=checkpoint.root)
    return VerifiedEntry(index=index, witnessed=witnessed)


def _parse(text: str) -> tuple[int, list[bytes], str]:
    head, separator, note = text.partition("\n\n")
    header, *lines = head.split("\n")
    index = _INDEX.fullmatch(lines[0]) if lines else None
    if not separator or header != _HEADER or index is None or len(lines) > _MOST_HASHES + 1:
        raise ProofMalformed
    return int(index[1]), [_hash(line) for line in lines[1:]], note


def _hash(line: str) -> bytes:
    try:
        value = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raise ProofMalformed from None
    if len(value) != HASH_LENGTH or base64.b64encode(value).decode("ascii") != line:
        raise ProofMalformed
    return value
