"""What is signed and sealed while owners agree on a link key, and how a snapshot of tokens says what it is for.

A commitment is signed, so that the room cannot put one of its own in the place of an owner's. A share is sealed to one
owner in the context of the epoch, of sender and receiver, and of all commitments: it opens in no other place.
"""

from __future__ import annotations

from typing import Final

from asepsis.domain.contract import Contract
from asepsis.domain.documents import encode_bytes
from asepsis.domain.epoch import Commitments, EpochName, commitments_document
from asepsis.domain.names import Digest, PartyId, RestorePointId, SnapshotId
from asepsis.domain.snapshot import Manifest, Origin
from asepsis.errors.linkage import LinkCommitmentRefused
from asepsis.errors.sealing import SignatureInvalid
from asepsis.sealing.canonical import canonical, digest
from asepsis.sealing.context import snapshot_binding
from asepsis.sealing.signing import Purpose, verify

SHARE: Final = "link-share"
"""The name under which a desk keeps its own share."""
TOKENS: Final = "tokens"
"""The kind of source that a snapshot of tokens names."""


def commitment_payload(epoch: EpochName, *, owner: PartyId, value: bytes) -> bytes:
    """What an owner's desk signs (``Purpose.LINK_COMMITMENT``)."""
    return canonical(
        {
            "format": "asepsis/link-commitment/1",
            "epoch": epoch.to_document(),
            "owner": owner,
            "value": encode_bytes(value),
        }
    )


def verify_commitments(commitments: Commitments, *, epoch: EpochName, contract: Contract) -> None:
    """Raise LinkCommitmentRefused unless every owner, and nobody else, committed under its own signature."""
    owners = {owner.id: owner for owner in contract.owners}
    for stranger in sorted(commitments.keys() ^ owners.keys()):
        raise LinkCommitmentRefused(owner=stranger)
    for name, commitment in sorted(commitments.items()):
        payload = commitment_payload(epoch, owner=name, value=commitment.value)
        try:
            verify(
                owners[name].signing_key,
                purpose=Purpose.LINK_COMMITMENT,
                payload=payload,
                signature=commitment.signature,
            )
        except SignatureInvalid:
            raise LinkCommitmentRefused(owner=name) from None


def shown_info(epoch: EpochName, *, sender: PartyId, receiver: PartyId, commitments: Commitments) -> bytes:
    """The HPKE info that binds a shown share to its place."""
    return canonical(
        {
            "format": "asepsis/link-share-shown/1",
            "epoch": epoch.to_document(),
            "sender": sender,
            "receiver": receiver,
            "commitments": digest(commitments_document(commitments)),
        }
    )


def epoch_share_id(epoch: EpochName) -> SnapshotId:
    """Under which name a desk keeps, and destroys, its share."""
    return SnapshotId(f"{SHARE}-{epoch.contract[:16]}-{epoch.number}")


def epoch_share_binding(owner: PartyId, *, epoch: EpochName) -> bytes:
    """What a wrapped share is bound to."""
    return snapshot_binding(owner, dataset=SHARE, snapshot=epoch_share_id(epoch))


def tokens_origin(epoch: EpochName, *, identities: Digest) -> Origin:
    """Where a snapshot of tokens is from: the epoch, and by its manifest's digest the owner's identity snapshot."""
    return Origin(
        source_kind=TOKENS,
        restore_point=RestorePointId(str(epoch.number)),
        mapping=epoch.contract,
        books=identities,
    )


def epoch_of(manifest: Manifest) -> EpochName | None:
    """The epoch that a snapshot of tokens is for; nothing, if it is no such snapshot."""
    origin = manifest.origin
    number = origin.restore_point
    if origin.source_kind != TOKENS or not (number.isascii() and number.isdecimal()):
        return None
    return EpochName(contract=origin.mapping, number=int(number))
