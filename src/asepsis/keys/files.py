"""Keys in files: one folder per party, readable by its owner alone, made once and never overwritten.

The folder appears whole or not at all. A folder or file that others could read or replace is refused, because
keys that somebody may have read protect nothing. Private bytes never leave this object: not by a method, not
in a repr, not by pickling.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Final, NoReturn

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from asepsis.domain.keydesk import PublicKeys
from asepsis.domain.names import Digest
from asepsis.errors.keys import KeyDestroyed, KeysExist, KeysUnwritable, OwnerKeyMissing
from asepsis.keys.erasable import FOLDER, ErasableSecrets
from asepsis.keys.kek import HeldKek, OwnerKek
from asepsis.keys.reading import check_folder, read_key
from asepsis.ledger.checkpoint import Checkpoint, cosign, sign_checkpoint
from asepsis.sealing.envelope import open_sealed
from asepsis.sealing.erasable import erasable_binding, masked, secret_digest
from asepsis.sealing.signing import Purpose, generate_sealing_key, generate_signing_key, public_signing_key, sign

_SIGNING: Final = "signing.ed25519"
_SEALING: Final = "sealing.x25519"
_PERSON: Final = "person.key"
_OWNER: Final = "owner.kek"
_LENGTH: Final = 32


class FileKeys:
    """The keys of one party, held in memory and read once from its folder."""

    __slots__ = ("__person", "__sealing", "__signing", "_erasable", "_folder", "_kek", "_public")

    def __init__(self, folder: Path, *, kek: OwnerKek | None = None) -> None:
        """Read the keys; ``kek`` is the owner's key where it is kept elsewhere than in this folder.

        Raises:
            KeysMissing: the folder or one of its keys is not there.
            KeysUnsafe: another user of the machine could read or replace them.
            KeysMalformed: a key has not the right length.
        """
        check_folder(folder)
        self._folder = folder
        self._erasable = ErasableSecrets(folder / FOLDER)
        self.__signing = read_key(folder / _SIGNING)
        self.__sealing = read_key(folder / _SEALING)
        self.__person = read_key(folder / _PERSON)
        self._kek = kek or (HeldKek(read_key(folder / _OWNER)) if (folder / _OWNER).exists() else None)
        self._public = PublicKeys(
            signing=public_signing_key(self.__signing),
            sealing=X25519PrivateKey.from_private_bytes(self.__sealing).public_key().public_bytes_raw(),
        )

    @classmethod
    def create(cls, folder: Path, *, owner: bool) -> FileKeys:
        """Make a new set of keys; owners also get the key that wraps their data keys.

        Raises:
            KeysExist: something is at that place already.
            KeysUnwritable: the folder above it is not there, or cannot be written.
        """
        if folder.exists() or folder.is_symlink():
            raise KeysExist(path=str(folder))
        try:
            draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".keys-"))  # mode 0700
        except OSError:
            raise KeysUnwritable(path=str(folder)) from None
        try:
            _write_all(draft, owner=owner)
            draft.rename(folder)  # the system refuses it if a filled folder stands there meanwhile
            _flush(folder.parent)
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)
            raise KeysUnwritable(path=str(folder)) from None
        return cls(folder)

    def sign(self, purpose: Purpose, payload: bytes) -> bytes:
        """Sign a payload for one purpose (Ed25519); 64 bytes."""
        return sign(self.__signing, purpose=purpose, payload=payload)

    def cosign(self, checkpoint: Checkpoint, *, name: str, at: datetime) -> str:
        """The witness's signature line under a checkpoint (https://c2sp.org/tlog-cosignature)."""
        return cosign(checkpoint, name=name, private_key=self.__signing, at=at)

    def sign_checkpoint(self, checkpoint: Checkpoint) -> str:
        """The signed note of a checkpoint, where this party's ledger it is (https://c2sp.org/tlog-checkpoint)."""
        return sign_checkpoint(checkpoint, private_key=self.__signing)

    def open_sealed(self, sealed: bytes, *, info: bytes) -> bytes:
        """Open an envelope that was sealed to this party. Raises EnvelopeRefused."""
        return open_sealed(self.__sealing, sealed, info=info)

    def wrap(self, dek: bytes, *, binding: bytes) -> bytes:
        """Mask a data key with an erasable secret of its own, and wrap it under the owner's key.

        Raises OwnerKeyMissing, KeyMalformed or KeysUnwritable.
        """
        kek = self._owner_key()
        secret = self._erasable.make(binding)
        return kek.wrap(masked(dek, secret, binding=binding), binding=erasable_binding(binding, secret=secret))

    def unwrap(self, wrapped: bytes, *, binding: bytes) -> bytes:
        """Unwrap a data key. Raises OwnerKeyMissing, KeyUnwrapRefused, or KeyDestroyed if its secret is gone."""
        kek = self._owner_key()
        secret = self._erasable.get(binding)
        return masked(kek.unwrap(wrapped, binding=erasable_binding(binding, secret=secret)), secret, binding=binding)

    def erasable(self, *, binding: bytes) -> Digest | None:
        """By which digest a certificate names the secret of a data key; nothing, if there is none any more."""
        try:
            return secret_digest(self._erasable.get(binding))
        except KeyDestroyed:
            return None

    def destroy(self, *, binding: bytes) -> None:
        """Destroy the secret of a data key: no copy of the wrapped key opens any more. Raises KeysUnwritable."""
        self._erasable.destroy(binding)

    def public(self) -> PublicKeys:
        """The public halves, as the contract names them."""
        return self._public

    def require_owner(self) -> None:
        """Raise OwnerKeyMissing unless these are the keys of an owner, who can keep data keys."""
        self._owner_key()

    def person_key(self) -> bytes:
        """The secret under which the owner's pseudonyms of persons are made; 32 bytes, never leaves the owner."""
        return self.__person

    def __repr__(self) -> str:
        """Say where the keys are, and nothing else."""
        return f"FileKeys({str(self._folder)!r})"

    def __reduce__(self) -> NoReturn:
        """Refuse pickling and copying."""
        raise TypeError

    def _owner_key(self) -> OwnerKek:
        if self._kek is None:
            raise OwnerKeyMissing
        return self._kek


def _write_all(folder: Path, *, owner: bool) -> None:
    _write(folder / _SIGNING, generate_signing_key().private)
    _write(folder / _SEALING, generate_sealing_key().private)
    _write(folder / _PERSON, secrets.token_bytes(_LENGTH))
    if owner:
        _write(folder / _OWNER, secrets.token_bytes(_LENGTH))
    _flush(folder)


def _write(path: Path, key: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
