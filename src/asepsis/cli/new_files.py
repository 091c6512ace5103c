"""New files that a command writes for its user alone; nothing is ever overwritten."""

from __future__ import annotations

import os
from pathlib import Path


def refuse_existing(*paths: Path | None) -> None:
    """Raise OutputExists if one of these places is in use: found out before the work, not after it."""
    from asepsis.errors.recovery import OutputExists

    for path in paths:
        if path is not None and path.exists():
            raise OutputExists(path=str(path))


def write_new(path: Path, content: bytes | str) -> None:
    """Write a file that is not there yet, for its owner alone. Raises OutputUnwritable."""
    from asepsis.errors.recovery import OutputUnwritable

    data = content.encode() if isinstance(content, str) else content
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(data)
    except OSError:
        raise OutputUnwritable(path=str(path)) from None
