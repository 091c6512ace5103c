"""Checkpoints: size and root of the ledger at one moment, signed by the ledger and cosigned by witnesses.

The text has exactly three lines: origin (the name of the ledger), size, root in base64. Extension lines,
which the format allows, are refused: nobody could audit them.
Source: https://c2sp.org/tlog-checkpoint, https://c2sp.org/tlog-cosignature.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from asepsis.errors.ledger import CheckpointRefused, NoteRefused, QuorumMissing
from asepsis.ledger.note import Algorithm, VerifiedNote, VerifierKey, cosignature_line, sign_note, verify_note
from asepsis.ledger.tree import HASH_LENGTH

_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,17}")
_LINES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Which ledger, how many entries, and the root of its tree."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode('ascii')}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosignature:
    """That a witness had seen this ledger only grow, at the time that it states."""

    witness: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessedCheckpoint:
    """A verified checkpoint, its cosignatures, and how many signature lines no known key made."""

    checkpoint: Checkpoint
    cosignatures: tuple[Cosignature, ...]
    unknown: int


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint; raises `CheckpointRefused`."""
    lines = text.split("\n")
    if len(lines) != _LINES + 1 or not lines[0] or _SIZE.fullmatch(lines[1]) is None:
        raise CheckpointRefused
    try:
        root = base64.b64decode(lines[2], validate=True)
    except (binascii.Error, ValueError):
        raise CheckpointRefused from None
    checkpoint = Checkpoint(origin=lines[0], size=int(lines[1]), root=root)
    if len(root) != HASH_LENGTH or checkpoint.text != text:
        raise CheckpointRefused
    return checkpoint


def sign_checkpoint(checkpoint: Checkpoint, *, private_key: bytes) -> str:
    """The note of a checkpoint, signed by the ledger under its origin as key name."""
    return sign_note(checkpoint.text, name=checkpoint.origin, private_key=private_key)


def cosign(checkpoint: Checkpoint, *, name: str, private_key: bytes, at: datetime) -> str:
    """The signature line of a witness, to be put under the note by `note.add_signature`.

    A witness calls this only after `witness.check_growth`.
    """
    return cosignature_line(checkpoint.text, name=name, private_key=private_key, at=at)


def verify_checkpoint(
    note: str, *, log_key: VerifierKey, witness_keys: Iterable[VerifierKey], quorum: int
) -> Checkpoint:
    """The checkpoint of a note, after `open_checkpoint` has checked it."""
    return open_checkpoint(note, log_key=log_key, witness_keys=witness_keys, quorum=quorum).checkpoint


def open_checkpoint(
    note: str,
    *,
    log_key: VerifierKey,
    witness_keys: Iterable[VerifierKey],
    quorum: int,
) -> WitnessedCheckpoint:
    """Check the ledger's signature and that at least ``quorum`` different witnesses cosigned.

    Witnesses are counted by their public keys, so that one witness under two names counts once, and the
    ledger's own key never counts as a witness.

    Raises:
        NoteRefused: the note is malformed or a known key's signature is wrong.
        CheckpointRefused: the text is no checkpoint of this ledger, or the ledger did not sign it.
        QuorumMissing: too few witnesses cosigned.
    """
    witnesses = list(witness_keys)
    if log_key.algorithm is not Algorithm.ED25519 or any(
        key.algorithm is not Algorithm.COSIGNATURE for key in witnesses
    ):
        raise NoteRefused
    verified = verify_note(note, keys=[log_key, *witnesses])
    checkpoint = parse_checkpoint(verified.text)
    signers = {signature.key for signature in verified.signatures}
    if log_key not in signers or checkpoint.origin != log_key.name:
        raise CheckpointRefused
    found = len({key.public_key for key in signers} - {log_key.public_key})
    if found < quorum:
        raise QuorumMissing(found=found, needed=quorum)
    return WitnessedCheckpoint(
        checkpoint=checkpoint,
        cosignatures=_cosignatures(verified),
        unknown=verified.unknown,
    )


def _cosignatures(verified: VerifiedNote) -> tuple[Cosignature, ...]:
    return tuple(
        Cosignature(witness=signature.key.name, at=signature.at)
        for signature in verified.signatures
        if signature.at is not None
    )
