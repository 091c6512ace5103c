"""What can go wrong with the ledger: entries, proofs, notes, checkpoints and exported bundles.

Each class is one statement about trust: after it, nothing of the object that was checked may be used.
"""

from __future__ import annotations

from asepsis.errors import AsepsisError, Kind


class EntryMalformed(AsepsisError):
    """An entry does not follow its closed schema; ``place`` is the name of the field of the schema."""

    kind = Kind.INVALID
    code = "ledger.entry_malformed"
    message = "The ledger entry is not well formed at {place}."
    hint = "Facts are identifiers, digests and counts from the list of the reference; personal fields are commitments."


class TreeRangeRefused(AsepsisError):
    """A root or proof was asked for a size or index that the ledger does not have."""

    kind = Kind.INVALID
    code = "ledger.range_refused"
    message = "The ledger has no entry {index} at size {size}."
    hint = "Ask for an index below the size, and for a size that the ledger has reached."


class InclusionRefused(AsepsisError):
    """A proof does not show that an entry is in the tree of a checkpoint."""

    kind = Kind.UNTRUSTED
    code = "ledger.inclusion_refused"
    message = "The proof does not show that the entry is in the ledger."
    hint = "The entry or the proof was changed, or belongs to another ledger; ask the room for a new proof."


class ConsistencyRefused(AsepsisError):
    """A proof does not show that a tree only grew: the ledger was rewritten or forked."""

    kind = Kind.UNTRUSTED
    code = "ledger.consistency_refused"
    message = "The ledger at size {new_size} does not extend the ledger at size {old_size}."
    hint = "Do not cosign; keep both checkpoints as evidence and tell the other owners."


class RollbackDetected(AsepsisError):
    """A checkpoint goes back behind one that was already seen, or shows another tree of the same size."""

    kind = Kind.UNTRUSTED
    code = "ledger.rollback_detected"
    message = "The ledger shows size {new_size} after size {old_size} was seen: it was rolled back or rewritten."
    hint = "Do not cosign; keep both checkpoints as evidence and tell the other owners."


class HistorySplit(AsepsisError):
    """A witness saw another history of the ledger than the one that is shown here."""

    kind = Kind.UNTRUSTED
    code = "ledger.history_split"
    message = "{witness} saw a ledger of {size} entries of which this one is no continuation."
    hint = "Two histories of one ledger were shown; keep both as evidence, stop the room, and tell all owners."


class NoteRefused(AsepsisError):
    """A signed note is malformed, carries a wrong signature of a known key, or none of a known key."""

    kind = Kind.UNTRUSTED
    code = "ledger.note_refused"
    message = "The signed note does not verify."
    hint = "It was changed after signing, or signed by other keys; check the verifier keys that you configured."


class VerifierKeyMalformed(AsepsisError):
    """A verifier key text is not `name+hash+key`."""

    kind = Kind.INVALID
    code = "ledger.verifier_key_malformed"
    message = "The verifier key is not of the form name+hash+key."
    hint = "Copy the whole line as its owner published it."


class CheckpointRefused(AsepsisError):
    """A checkpoint is malformed, of another ledger, or not signed by the ledger's key."""

    kind = Kind.UNTRUSTED
    code = "ledger.checkpoint_refused"
    message = "The checkpoint is not one of this ledger."
    hint = "Check the ledger's verifier key and fetch the checkpoint again."


class QuorumMissing(AsepsisError):
    """Too few witnesses cosigned a checkpoint."""

    kind = Kind.UNTRUSTED
    code = "ledger.quorum_missing"
    message = "The checkpoint carries {found} of {needed} needed cosignatures."
    hint = "Wait until the witnesses have cosigned, or check the witness keys that you configured."


class CommitmentRefused(AsepsisError):
    """A value and salt do not open a commitment of the ledger."""

    kind = Kind.UNTRUSTED
    code = "ledger.commitment_refused"
    message = "The value does not open the commitment."
    hint = "Check that value and salt belong to this entry; nothing about the true value can be said."


class BundleRefused(AsepsisError):
    """An exported bundle is malformed or its entries are not those of its checkpoint."""

    kind = Kind.UNTRUSTED
    code = "ledger.bundle_refused"
    message = "The exported ledger does not verify at {place}."
    hint = "An entry was edited, dropped, inserted or moved, or the file is damaged; export it again."


class ProofMalformed(AsepsisError):
    """A proof file does not have the form of a tlog-proof."""

    kind = Kind.UNTRUSTED
    code = "ledger.proof_malformed"
    message = "The proof file is not a well-formed tlog-proof."
    hint = "Fetch the proof again; it must be stored byte for byte."
