"""Folders for what one run needs for a while: taken away at its end, and after ``kill -9`` by the next run.

A run holds a lock on its folder (``flock``, which ends with the process, however it ends). What nobody holds belongs to
a run that is dead; a folder that is held, or another user's, is left alone.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def scratch_folder(prefix: str, *, parent: Path | None = None) -> Iterator[Path]:
    """A new folder that only its owner reads; folders of dead runs with the same prefix are removed first."""
    within = parent or Path(tempfile.gettempdir())
    for left in within.glob(f"{prefix}*"):
        _remove_if_dead(left)
    folder, held = _made(prefix, within)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _made(prefix: str, within: Path) -> tuple[Path, int]:
    """A folder and the lock on it; one that another run took for dead, before it was held, is made anew."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=within))
        with suppress(FileNotFoundError, BlockingIOError):
            held = _hold(folder)
            if folder.is_dir():
                return folder, held
            os.close(held)


def _remove_if_dead(folder: Path) -> None:
    with suppress(OSError):
        if folder.lstat().st_uid != os.geteuid():
            return
        held = _hold(folder)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _hold(folder: Path) -> int:
    """Raises OSError where there is no such folder or another run holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
