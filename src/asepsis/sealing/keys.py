"""The hierarchy of keys at rest: owner key (KEK) - data key of a snapshot (DEK) - key of one file.

A data key leaves the owner only wrapped; the wrapping is bound to the snapshot, so that a wrapped key cannot
be presented for another one. Destroying the wrapped data key, or the owner key, shreds the snapshot.
Sources: RFC 5869 (HKDF), NIST SP 800-38D (AES-GCM, 96-bit random nonces).
"""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from asepsis.errors.sealing import KeyMalformed, KeyUnwrapRefused

KEY_LENGTH: Final = 32

_NONCE: Final = 12
_WRAPPED: Final = _NONCE + KEY_LENGTH + 16
_FILE_KEY: Final = b"asepsis/file-key/1\x00"
_WRAP: Final = b"asepsis/wrap/1\x00"


def file_key(dek: bytes, file_id: str) -> bytes:
    """The key of one file: HKDF-SHA-512 of the data key with the file id as info; 32 bytes.

    Raises:
        KeyMalformed: the data key has not 32 bytes.
    """
    _check(dek, "data")
    return HKDF(SHA512(), KEY_LENGTH, None, _FILE_KEY + file_id.encode()).derive(dek)


def wrap(kek: bytes, dek: bytes, *, binding: bytes) -> bytes:
    """Wrap a data key under an owner key: nonce, then AES-256-GCM with ``binding`` as associated data; 60 bytes.

    Raises:
        KeyMalformed: one of the keys has not 32 bytes.
    """
    _check(kek, "owner")
    _check(dek, "data")
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(kek).encrypt(nonce, dek, _WRAP + binding)


def unwrap(kek: bytes, wrapped: bytes, *, binding: bytes) -> bytes:
    """Unwrap a data key.

    Raises:
        KeyUnwrapRefused: it was wrapped by another owner key, with another binding, or is damaged.
        KeyMalformed: the owner key has not 32 bytes.
    """
    _check(kek, "owner")
    if len(wrapped) != _WRAPPED:
        raise KeyUnwrapRefused
    try:
        return AESGCM(kek).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], _WRAP + binding)
    except InvalidTag:
        raise KeyUnwrapRefused from None


def _check(key: bytes, role: str) -> None:
    if len(key) != KEY_LENGTH:
        raise KeyMalformed(role=role)
