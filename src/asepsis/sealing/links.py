"""The link map's manifest: made by a linkage run, valid once every owner's desk has endorsed it.

The data key of the link map is the XOR of one random share per owner, so that it opens only when all of them
grant; each share travels sealed to its owner and is bound to run, snapshot and owner.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from asepsis.domain.contract import Contract
from asepsis.domain.names import PartyId, RunId, SnapshotId
from asepsis.domain.snapshot import Manifest
from asepsis.errors.sealing import KeyMalformed, LinksNotEndorsed, SignatureInvalid
from asepsis.sealing.canonical import canonical, parse_canonical
from asepsis.sealing.signing import Purpose, verify

LINKS: Final = "links"
"""The name of the dataset and of its one table."""

_KEY_LENGTH: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedLinks:
    """The canonical bytes of the manifest, and each owner's signature (``Purpose.MANIFEST``) over them."""

    document: bytes
    endorsements: Mapping[PartyId, bytes]


def share_info(run: RunId, *, snapshot: SnapshotId, owner: PartyId) -> bytes:
    """The HPKE info that binds a sealed share to its place."""
    return canonical({"format": "asepsis/link-share/1", "run": run, "snapshot": snapshot, "owner": owner})


def combine(shares: Iterable[bytes]) -> bytes:
    """The data key from all shares. Raises KeyMalformed unless each has 32 bytes."""
    key = 0
    count = 0
    for share in shares:
        if len(share) != _KEY_LENGTH:
            raise KeyMalformed(role="share")
        key ^= int.from_bytes(share, "big")
        count += 1
    if count == 0:
        raise KeyMalformed(role="share")
    return key.to_bytes(_KEY_LENGTH, "big")


def verify_links(signed: SignedLinks, contract: Contract) -> Manifest:
    """Check that every owner endorsed the link map. Raises LinksNotEndorsed or ManifestMalformed."""
    for owner in contract.owners:
        signature = signed.endorsements.get(owner.id, b"")
        try:
            verify(owner.signing_key, purpose=Purpose.MANIFEST, payload=signed.document, signature=signature)
        except SignatureInvalid:
            raise LinksNotEndorsed(owner=owner.id) from None
    return Manifest.from_document(parse_canonical(signed.document))
