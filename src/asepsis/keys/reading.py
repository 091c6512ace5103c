"""Reading key files: what is open to others, or is a link, is refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from asepsis.errors.keys import KeysMalformed, KeysMissing, KeysUnsafe

_LENGTH: Final = 32
_LONGEST: Final = 4096
_FOR_OTHERS: Final = 0o077


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


def check_folder(folder: Path) -> None:
    """Raise KeysMissing or KeysUnsafe unless it is a folder for its owner alone."""
    try:
        status = folder.lstat()
    except OSError:
        raise KeysMissing(path=str(folder)) from None
    _check(status, folder, kind=stat.S_ISDIR)


def _check(status: os.stat_result, path: Path, *, kind: Callable[[int], bool]) -> None:
    """Check what the open file is, not what its name said a moment ago."""
    if not kind(status.st_mode) or status.st_mode & _FOR_OTHERS or status.st_uid != os.geteuid():
        raise KeysUnsafe(path=str(path))
