"""The owner's key that wraps data keys (KEK), behind one Protocol: file, passphrase, token or vault.

Whatever keeps it, wrapping is AES-256-GCM with the snapshot's binding as associated data, so that a wrapped key opens
at its place only. A token or a vault never gives its key away; the others hold it in memory and give it to nobody.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final, NoReturn, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from asepsis.errors.keys import KeysExist, KeysMalformed, KeysMissing, KeysUnwritable, PassphraseRefused
from asepsis.keys.shares import RecoveryShare, split
from asepsis.sealing.keys import KEY_LENGTH, unwrap, wrap

_MAGIC: Final = b"asepsis/kek/1\n"
_SALT: Final = 16
_NONCE: Final = 12
_COST, _BLOCK, _PARALLEL = 1 << 17, 8, 1
"""scrypt with 128 MiB (RFC 7914; OWASP's first recommendation for it)."""
_LENGTH: Final = len(_MAGIC) + _SALT + _NONCE + KEY_LENGTH + 16


class OwnerKek(Protocol):
    """The key that wraps an owner's data keys, wherever it is kept."""

    def wrap(self, dek: bytes, *, binding: bytes) -> bytes:
        """Wrap a data key of 32 bytes. Raises KeyMalformed or KekUnavailable."""
        ...

    def unwrap(self, wrapped: bytes, *, binding: bytes) -> bytes:
        """Unwrap a data key. Raises KeyUnwrapRefused or KekUnavailable."""
        ...


class HeldKek:
    """A key in the memory of this process."""

    __slots__ = ("__key",)

    def __init__(self, key: bytes) -> None:
        self.__key = key

    def wrap(self, dek: bytes, *, binding: bytes) -> bytes:
        """Wrap a data key of 32 bytes. Raises KeyMalformed."""
        return wrap(self.__key, dek, binding=binding)

    def unwrap(self, wrapped: bytes, *, binding: bytes) -> bytes:
        """Unwrap a data key. Raises KeyUnwrapRefused."""
        return unwrap(self.__key, wrapped, binding=binding)

    def split(self, *, shares: int, needed: int) -> tuple[RecoveryShare, ...]:
        """Recovery shares of the key, any ``needed`` of which make it whole. Raises SharesRefused."""
        return split(self.__key, shares=shares, needed=needed, randomness=secrets.token_bytes)

    def __reduce__(self) -> NoReturn:
        """Refuse pickling and copying."""
        raise TypeError


def create_protected(path: Path, *, passphrase: str, key: bytes | None = None) -> HeldKek:
    """Keep a key in a file under a passphrase: a new one where none is given. Raises KeysExist or KeysUnwritable."""
    key = key or secrets.token_bytes(KEY_LENGTH)
    salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(_NONCE)
    content = _MAGIC + salt + nonce + AESGCM(_derived(passphrase, salt)).encrypt(nonce, key, _MAGIC)
    write_kek(path, content)
    return HeldKek(key)


def write_kek(path: Path, content: bytes) -> None:
    """Write a key's file once, for its owner alone. Raises KeysExist or KeysUnwritable."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise KeysExist(path=str(path)) from None
    except OSError:
        raise KeysUnwritable(path=str(path)) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def open_protected(path: Path, *, passphrase: str) -> HeldKek:
    """Open a key that is kept under a passphrase.

    Raises:
        KeysMissing: there is no such file.
        KeysMalformed: it is none of ours.
        PassphraseRefused: the passphrase is wrong, or the file was changed.
    """
    try:
        content = path.read_bytes()
    except OSError:
        raise KeysMissing(path=str(path)) from None
    if len(content) != _LENGTH or not content.startswith(_MAGIC):
        raise KeysMalformed(path=str(path))
    salt, nonce = content[len(_MAGIC) :][:_SALT], content[len(_MAGIC) + _SALT :][:_NONCE]
    sealed = content[len(_MAGIC) + _SALT + _NONCE :]
    try:
        return HeldKek(AESGCM(_derived(passphrase, salt)).decrypt(nonce, sealed, _MAGIC))
    except InvalidTag:
        raise PassphraseRefused(path=str(path)) from None


def _derived(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=KEY_LENGTH, n=_COST, r=_BLOCK, p=_PARALLEL).derive(passphrase.encode())
