"""Erasable secrets: one random file for each data key that a desk keeps, and the only thing that has to be destroyed.

A data key is kept masked by its secret, and wrapped under the owner's key on top. So a copy of the desk's database
and of the owner's key - a backup, a vault, recovery shares - opens nothing once the secret is gone. The secrets lie in
files of their own, which must not be copied to where they would outlive their deletion (docs/adr/0023).
"""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asepsis.errors.keys import KeyDestroyed, KeysMissing, KeysUnwritable
from asepsis.keys.reading import read_key

LENGTH: Final = 32
FOLDER: Final = "erasable"


@dataclass(frozen=True, slots=True)
class ErasableSecrets:
    """The secrets of one owner in one folder, each under the hash of what its data key is bound to."""

    folder: Path

    def get(self, binding: bytes) -> bytes:
        """The secret of a data key. Raises KeyDestroyed, or KeysUnsafe where others could read it."""
        try:
            return read_key(self._path(binding), length=LENGTH)
        except KeysMissing:
            raise KeyDestroyed from None

    def make(self, binding: bytes) -> bytes:
        """The secret of a data key; drawn and put on disk where there is none. Raises KeysUnwritable."""
        path = self._path(binding)
        if not path.exists():
            self._draw(path)
        return self.get(binding)

    def destroy(self, binding: bytes) -> None:
        """Overwrite and remove a secret, durably; one that is gone already stays gone. Raises KeysUnwritable."""
        path = self._path(binding)
        try:
            with path.open("r+b") as file:
                file.write(secrets.token_bytes(LENGTH))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
            _flush(self.folder)
        except FileNotFoundError:
            return
        except OSError:
            raise KeysUnwritable(path=str(self.folder)) from None

    def _draw(self, path: Path) -> None:
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(secrets.token_bytes(LENGTH))
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(draft, path)  # another process may have drawn it meanwhile: the first one counts
            draft.unlink()
            _flush(self.folder)
            _flush(self.folder.parent)
        except OSError:
            raise KeysUnwritable(path=str(self.folder)) from None

    def _path(self, binding: bytes) -> Path:
        return self.folder / hashlib.sha256(binding).hexdigest()


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
