"""Keys in files: one folder per party, readable by its owner alone, made once and never overwritten.

The folder appears whole or not at all. A folder or file that others could read or replace is refused, because
keys that somebody may have read protect nothing. Private bytes never leave this object: not by a method, not
in a repr, not by pickling.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, NoReturn

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from asepsis.domain.keydesk import PublicKeys
from asepsis.errors.keys import KeysExist, KeysMalformed, KeysMissing, KeysUnsafe, KeysUnwritable, OwnerKeyMissing
from asepsis.keys.kek import HeldKek, OwnerKek
from asepsis.ledger.checkpoint import Checkpoint, cosign, sign_checkpoint
from asepsis.sealing.envelope import open_sealed
from asepsis.sealing.signing import Purpose, generate_sealing_key, generate_signing_key, public_signing_key, sign

_SIGNING: Final = "signing.ed25519"
_SEALING: Final = "sealing.x25519"
_PERSON: Final = "person.key"
_OWNER: Final = "owner.kek"
_LENGTH: Final = 32
_LONGEST: Final = 4096
_FOR_OTHERS: Final = 0o077


class FileKeys:
    """The keys of one party, held in memory and read once from its folder."""

    __slots__ = ("__person", "__sealing", "__signing", "_folder", "_kek", "_public")

    def __init__(self, folder: Path, *, kek: OwnerKek | None = None) -> None:
        """Read the keys; ``kek`` is the owner's key where it is kept elsewhere than in this folder.

        Raises:
            KeysMissing: the folder or one of its keys is not there.
            KeysUnsafe: another user of the machine could read or replace them.
            KeysMalformed: a key has not the right length.
        """
        _check_folder(folder)
        self._folder = folder
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
        """Wrap a data key under the owner's key. Raises OwnerKeyMissing or KeyMalformed."""
        return self._owner_key().wrap(dek, binding=binding)

    def unwrap(self, wrapped: bytes, *, binding: bytes) -> bytes:
        """Unwrap a data key. Raises OwnerKeyMissing or KeyUnwrapRefused."""
        return self._owner_key().unwrap(wrapped, binding=binding)

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


def read_key(path: Path, *, length: int | None = _LENGTH) -> bytes:
    """The content of a file that only its owner can read: a key, or any short secret where ``length`` is None.

    Raises:
        KeysMissing: there is no such file.
        KeysUnsafe: it is a link, or another user of the machine could read or replace it.
        KeysMalformed: it has not the right length.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise KeysMissing(path=str(path.parent)) from None
    except OSError:
        raise KeysUnsafe(path=str(path)) from None
    with os.fdopen(descriptor, "rb") as file:
        _check(os.fstat(file.fileno()), path, kind=stat.S_ISREG)
        key = file.read(_LONGEST)
    if length is not None and len(key) != length:
        raise KeysMalformed(path=str(path.parent))
    return key


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


def _check_folder(folder: Path) -> None:
    try:
        status = folder.lstat()
    except OSError:
        raise KeysMissing(path=str(folder)) from None
    _check(status, folder, kind=stat.S_ISDIR)


def _check(status: os.stat_result, path: Path, *, kind: Callable[[int], bool]) -> None:
    """Check what the open file is, not what its name said a moment ago."""
    if not kind(status.st_mode) or status.st_mode & _FOR_OTHERS or status.st_uid != os.geteuid():
        raise KeysUnsafe(path=str(path))
