"""Data keys that can be erased: masked by a secret of their own before they are wrapped under the owner's key.

The mask is HKDF-SHA-512 of a random secret of 32 bytes, so that the masked key tells nothing without it. The secret's
digest is part of what the wrapping is bound to: another secret in its place is refused and yields no other key.
Source: RFC 5869 (HKDF).
"""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from asepsis.domain.names import Digest
from asepsis.errors.sealing import KeyMalformed
from asepsis.sealing.keys import KEY_LENGTH

_MASK: Final = b"asepsis/erasable-mask/1\x00"
_DIGEST: Final = b"asepsis/erasable-secret/1\x00"


def masked(dek: bytes, secret: bytes, *, binding: bytes) -> bytes:
    """A data key under its mask, or back; 32 bytes each. Raises KeyMalformed."""
    for key, role in ((dek, "data"), (secret, "erasable")):
        if len(key) != KEY_LENGTH:
            raise KeyMalformed(role=role)
    mask = HKDF(SHA512(), KEY_LENGTH, None, _MASK + binding).derive(secret)
    return bytes(one ^ other for one, other in zip(dek, mask, strict=True))


def secret_digest(secret: bytes) -> Digest:
    """What a certificate says of a destroyed secret: SHA-256, which tells nothing of 32 random bytes."""
    return Digest(hashlib.sha256(_DIGEST + secret).hexdigest())


def erasable_binding(binding: bytes, *, secret: bytes) -> bytes:
    """What the wrapping is bound to: the place of the key, and the one secret that unmasks it."""
    return binding + b"\x00" + secret_digest(secret).encode("ascii")
