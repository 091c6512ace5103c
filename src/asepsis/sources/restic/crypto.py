"""Restic's cryptography: AES-256-CTR with Poly1305-AES, and scrypt for passwords.

Sources: restic design document, "Keys, Encryption and MAC"; D. J. Bernstein, *The Poly1305-AES
message-authentication code*, 2005; RFC 7914 for scrypt.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

IV_BYTES: Final = 16
TAG_BYTES: Final = 16
OVERHEAD: Final = IV_BYTES + TAG_BYTES
KEY_BYTES: Final = 64


class NotAuthenticError(Exception):
    """The tag does not fit the bytes under this key; callers turn it into an error that names the object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An encryption key (32 bytes) with the two halves of its Poly1305-AES key (16 bytes each)."""

    encrypt: bytes = field(repr=False)
    mac_k: bytes = field(repr=False)
    mac_r: bytes = field(repr=False)

    @classmethod
    def from_bytes(cls, secret: bytes) -> Key:
        """Split 64 derived bytes as restic does: encryption key, then MAC k, then MAC r."""
        return cls(encrypt=secret[:32], mac_k=secret[32:48], mac_r=secret[48:64])

    def open(self, sealed: bytes) -> bytes:
        """Authenticate ``IV | ciphertext | tag``, then decrypt.

        Raises:
            NotAuthenticError: too short, or the tag does not fit; nothing was decrypted.
        """
        if len(sealed) < OVERHEAD:
            raise NotAuthenticError
        view = memoryview(sealed)
        iv, ciphertext, tag = view[:IV_BYTES], view[IV_BYTES:-TAG_BYTES], view[-TAG_BYTES:]
        authenticator = Poly1305(self._one_time_key(bytes(iv)))
        authenticator.update(ciphertext)
        try:
            authenticator.verify(bytes(tag))
        except InvalidSignature:
            raise NotAuthenticError from None
        decryptor = Cipher(algorithms.AES(self.encrypt), modes.CTR(iv)).decryptor()
        return decryptor.update(ciphertext) + decryptor.finalize()

    def _one_time_key(self, nonce: bytes) -> bytes:
        # One AES block is the definition of Poly1305-AES, not encryption of data in ECB mode.
        encryptor = Cipher(algorithms.AES(self.mac_k), modes.ECB()).encryptor()  # noqa: S305
        return self.mac_r + encryptor.update(nonce) + encryptor.finalize()


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """The public parameters that turn a password into the key of a key file."""

    salt: bytes
    n: int
    r: int
    p: int

    @property
    def memory(self) -> int:
        """Bytes that scrypt needs with these parameters (RFC 7914, section 2)."""
        return 128 * self.r * (self.n + self.p + 2)

    def key(self, password: str) -> Key:
        """Run scrypt. The caller has checked ``memory`` and ``p`` against its limits."""
        secret = hashlib.scrypt(
            password.encode(), salt=self.salt, n=self.n, r=self.r, p=self.p, dklen=KEY_BYTES, maxmem=self.memory + 1024
        )
        return Key.from_bytes(secret)
