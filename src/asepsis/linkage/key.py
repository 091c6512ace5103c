"""The link key: agreed among the owners, unknown to the room, new for every epoch.

Each owner draws a share, commits to it, and shows it to the other owners only after all commitments are known,
so that nobody can choose a share to fit the others'. The key is derived from all shares, the contract and the
epoch; tokens of two epochs, two contracts or two sets of owners have nothing in common.
Sources: RFC 5869 (HKDF), RFC 7693 (keyed BLAKE2b), commit and reveal with SHA-256 over a 256-bit random share.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from asepsis.domain.names import Digest, PartyId
from asepsis.errors.linkage import LinkShareMissing, LinkShareRefused

SHARE_LENGTH: Final = 32
_CHECK_LENGTH: Final = 16
_COMMIT: Final = b"asepsis/link-share-commitment/1\x00"
_INFO: Final = b"asepsis/link-key/1\x00"
_SUBKEY: Final = b"asepsis/link-subkey/1\x00"
_CHECK: Final = b"asepsis/link-key-check/1\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkKey:
    """The key of one epoch of one contract; its secret has no repr."""

    secret: bytes = field(repr=False)
    epoch: int

    def subkey(self, purpose: str) -> bytes:
        """The 32-byte key of one field and variant."""
        return HKDF(SHA256(), SHARE_LENGTH, None, _SUBKEY + purpose.encode()).derive(self.secret)

    def check_value(self) -> bytes:
        """16 bytes that show whether two owners hold the same key, and nothing else about it."""
        return hmac.new(self.secret, _CHECK + self.epoch.to_bytes(8, "big"), sha256).digest()[:_CHECK_LENGTH]


def commitment(share: bytes, *, owner: PartyId, contract: Digest, epoch: int) -> bytes:
    """The commitment of one owner to its share: SHA-256 over owner, contract, epoch and share; 32 bytes.

    Raises LinkShareRefused unless the share has 32 bytes that are not all alike.
    """
    if len(share) != SHARE_LENGTH or len(set(share)) == 1:
        raise LinkShareRefused(owner=owner)
    return sha256(_COMMIT + _context(contract, epoch) + _framed(owner.encode()) + share).digest()


def derive(
    shares: Mapping[PartyId, bytes], *, commitments: Mapping[PartyId, bytes], contract: Digest, epoch: int
) -> LinkKey:
    """The link key of all owners that committed; HKDF-SHA-256 over the shares in the order of their owners' names.

    Raises:
        LinkShareMissing: an owner that committed has not shown its share, or an owner never committed.
        LinkShareRefused: a share is not the one that its owner committed to, or two owners gave the same one.
    """
    for owner in sorted(shares.keys() ^ commitments.keys()):
        raise LinkShareMissing(owner=owner)
    for owner, share in sorted(shares.items()):
        expected = commitment(share, owner=owner, contract=contract, epoch=epoch)
        is_copy = any(share == other for name, other in shares.items() if name != owner)
        if is_copy or not hmac.compare_digest(expected, commitments[owner]):
            raise LinkShareRefused(owner=owner)
    material = b"".join(_framed(owner.encode()) + shares[owner] for owner in sorted(shares))
    if not material:
        raise LinkShareMissing(owner="any owner")
    secret = HKDF(SHA256(), SHARE_LENGTH, None, _INFO + _context(contract, epoch)).derive(material)
    return LinkKey(secret=secret, epoch=epoch)


def _context(contract: Digest, epoch: int) -> bytes:
    return _framed(contract.encode()) + epoch.to_bytes(8, "big")


def _framed(data: bytes) -> bytes:
    """Length first, so that no two lists of fields have the same bytes."""
    return len(data).to_bytes(4, "big") + data
