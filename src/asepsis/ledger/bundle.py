"""The exported ledger: everything an auditor needs to check the whole record offline, in one file.

JSON Lines, each line in canonical form: a header (name and public keys), every entry in order, and the
checkpoint with its signatures. The keys in the header help a reader; trust comes only from the keys that the
auditor brings along. Every entry is hashed again: what was edited, dropped, inserted or moved changes the
root, and the root is signed and cosigned.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import rfc8785

from asepsis.domain.ledger import Act, LedgerEntry
from asepsis.errors.ledger import (
    BundleRefused,
    EntryMalformed,
    HistorySplit,
    RollbackDetected,
    VerifierKeyMalformed,
)
from asepsis.ledger.checkpoint import Checkpoint, Cosignature, open_checkpoint
from asepsis.ledger.entry import entry_bytes, parse_entry
from asepsis.ledger.note import VerifierKey, parse_verifier_key
from asepsis.ledger.shape import acts_of
from asepsis.ledger.tree import Fold

FORMAT: Final = "asepsis/ledger-bundle/1"

_HEADER_KEYS: Final = frozenset({"format", "origin", "log_key", "witness_keys"})
_TAIL_KEYS: Final = frozenset({"checkpoint"})
_FEWEST_LINES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What a verified bundle shows; ``witnesses`` are the cosignatures of keys that the auditor trusts."""

    origin: str
    size: int
    root: bytes
    witnesses: tuple[Cosignature, ...]
    acts: Mapping[Act, int]
    lines: Sequence[bytes]

    @property
    def entries(self) -> tuple[LedgerEntry, ...]:
        """All entries, built from the lines that were verified."""
        return tuple(map(parse_entry, self.lines))


def write_bundle(
    entries: Iterable[LedgerEntry],
    *,
    checkpoint_note: str,
    log_key: VerifierKey,
    witness_keys: Sequence[VerifierKey],
) -> bytes:
    """Export a ledger; the same ledger and checkpoint always give the same bytes.

    ``entries`` are exactly those that the checkpoint covers, in order.
    """
    header = {
        "format": FORMAT,
        "origin": log_key.name,
        "log_key": log_key.text,
        "witness_keys": sorted(key.text for key in witness_keys),
    }
    lines = [rfc8785.dumps(header), *(entry_bytes(entry) for entry in entries)]
    lines.append(rfc8785.dumps({"checkpoint": checkpoint_note}))
    return b"".join(line + b"\n" for line in lines)


def verify_bundle(
    data: bytes,
    *,
    log_key: VerifierKey,
    witness_keys: Iterable[VerifierKey],
    quorum: int,
    earlier: Checkpoint | None = None,
) -> AuditReport:
    """Check an exported ledger with public keys only.

    Args:
        data: the bundle.
        log_key: the ledger's key, from a source the auditor trusts.
        witness_keys: the witnesses that the auditor trusts.
        quorum: how many of them must have cosigned.
        earlier: a checkpoint the auditor kept from before; the bundle must extend it.

    Raises:
        BundleRefused: the form is wrong, or the entries are not those of the checkpoint.
        NoteRefused, CheckpointRefused, QuorumMissing: the checkpoint does not verify.
        RollbackDetected: the bundle does not extend the earlier checkpoint.
    """
    head, body, note = _parts(data)
    declared = _header(head, log_key)
    trusted = list(witness_keys)
    witnessed = open_checkpoint(note, log_key=log_key, witness_keys=trusted, quorum=quorum)
    if open_checkpoint(note, log_key=log_key, witness_keys={*trusted, *declared}, quorum=quorum).unknown:
        raise BundleRefused(place="the signatures")  # a line that nobody can check has no place in an export
    checkpoint = witnessed.checkpoint
    acts, root = _fold(body, earlier)
    if (len(body), root) != (checkpoint.size, checkpoint.root):
        raise BundleRefused(place="the root")
    return AuditReport(
        origin=checkpoint.origin,
        size=checkpoint.size,
        root=checkpoint.root,
        witnesses=witnessed.cosignatures,
        acts=acts,
        lines=body,
    )


def check_seen(report: AuditReport, seen: Iterable[tuple[str, Checkpoint]]) -> None:
    """Check that a verified ledger continues every checkpoint that its witnesses say they saw.

    Two histories of one ledger, each shown to another witness, are both well signed; only side by side they are found.

    Args:
        report: the verified ledger.
        seen: who saw which checkpoint, whose signature was verified.

    Raises:
        HistorySplit: a witness saw a ledger of which this is no continuation.
    """
    fold = Fold()
    for witness, checkpoint in sorted(seen, key=lambda item: item[1].size):
        fold.extend(report.lines[fold.size : checkpoint.size])
        if (report.origin, fold.size, fold.root()) != (checkpoint.origin, checkpoint.size, checkpoint.root):
            raise HistorySplit(witness=witness, size=checkpoint.size)


def _parts(data: bytes) -> tuple[object, list[bytes], str]:
    lines = data.split(b"\n")
    if lines.pop() != b"" or len(lines) < _FEWEST_LINES:
        raise BundleRefused(place="the end")
    tail = _canonical(lines[-1], "the checkpoint")
    if not isinstance(tail, dict) or tail.keys() != _TAIL_KEYS or not isinstance(tail["checkpoint"], str):
        raise BundleRefused(place="the checkpoint")
    return _canonical(lines[0], "the header"), lines[1:-1], tail["checkpoint"]


def _canonical(line: bytes, place: str) -> object:
    try:
        document: object = json.loads(line)
        if rfc8785.dumps(document) == line:  # type: ignore[arg-type]
            return document
    except (ValueError, RecursionError, rfc8785.CanonicalizationError):
        raise BundleRefused(place=place) from None
    raise BundleRefused(place=place)


def _header(head: object, log_key: VerifierKey) -> set[VerifierKey]:
    """The declared witnesses, after the rest of the header was compared with what the auditor knows."""
    if not isinstance(head, dict) or head.keys() != _HEADER_KEYS:
        raise BundleRefused(place="the header")
    witness_keys = head["witness_keys"]
    if not isinstance(witness_keys, list) or not all(isinstance(text, str) for text in witness_keys):
        raise BundleRefused(place="the header")
    stated = (head["format"], head["origin"], head["log_key"], witness_keys)
    if stated != (FORMAT, log_key.name, log_key.text, sorted(witness_keys)):
        raise BundleRefused(place="the header")
    try:
        return {parse_verifier_key(text) for text in witness_keys}
    except VerifierKeyMalformed:
        raise BundleRefused(place="the header") from None


def _fold(lines: list[bytes], earlier: Checkpoint | None) -> tuple[dict[Act, int], bytes]:
    """How often each act occurs, and the root; the lines are compared with the earlier checkpoint on the way."""
    fold, acts = Fold(), _counted(lines)
    if earlier is None:
        fold.extend(lines)
        return acts, fold.root()
    fold.extend(lines[: earlier.size])
    if fold.size < earlier.size or fold.root() != earlier.root:
        raise RollbackDetected(old_size=earlier.size, new_size=fold.size)
    fold.extend(lines[earlier.size :])
    return acts, fold.root()


def _counted(lines: list[bytes]) -> dict[Act, int]:
    acts: Counter[Act] = Counter()
    try:
        acts.update(acts_of(lines))
    except EntryMalformed:
        raise BundleRefused(place=f"entry {acts.total()}") from None
    return dict(acts)
