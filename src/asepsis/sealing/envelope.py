"""Envelopes: bytes that only the holder of one private key can open, in one stated context.

HPKE base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM (RFC 9180). The sender is not
authenticated by the envelope: whoever needs to know the sender signs the plaintext or the envelope. All
context goes into ``info``; the library offers no associated data.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from asepsis.errors.sealing import EnvelopeRefused, KeyMalformed

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_DOMAIN: Final = b"asepsis/envelope/1\x00"


def seal_to(public_key: bytes, plaintext: bytes, *, info: bytes) -> bytes:
    """Seal bytes to an X25519 public key: 32-byte encapsulated key, then ciphertext and 16-byte tag.

    Raises:
        KeyMalformed: the public key has not 32 bytes or lies in a small subgroup.
    """
    try:
        return _SUITE.encrypt(plaintext, X25519PublicKey.from_public_bytes(public_key), _DOMAIN + info)
    except ValueError:
        raise KeyMalformed(role="public sealing") from None


def open_sealed(private_key: bytes, sealed: bytes, *, info: bytes) -> bytes:
    """Open an envelope.

    Raises:
        EnvelopeRefused: it was sealed to another key or in another context, or is damaged.
        KeyMalformed: the private key has not 32 bytes.
    """
    try:
        key = X25519PrivateKey.from_private_bytes(private_key)
    except ValueError:
        raise KeyMalformed(role="private sealing") from None
    try:
        return _SUITE.decrypt(sealed, key, _DOMAIN + info)
    except (InvalidTag, ValueError):
        raise EnvelopeRefused from None
