"""Limits of memory and processes by a control group of its own, version 1 or 2, where this user may make one.

Source: https://docs.kernel.org/admin-guide/cgroup-v2.html and https://docs.kernel.org/admin-guide/cgroup-v1/.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

MEMORY: Final = 6 << 30
TASKS: Final = 256

_ATTEMPTS: Final = 50
_PAUSE_SECONDS: Final = 0.01
_ROOT: Final = Path("/sys/fs/cgroup")


class Group:
    """The folders of one run's control group; none where the machine gives none."""

    def __init__(self, kind: str, folders: tuple[Path, ...]) -> None:
        self.kind = kind
        self._folders = folders

    @classmethod
    def make(cls, root: Path = _ROOT, *, memory: int = MEMORY) -> Self:
        """A new group with limits; ``memory`` in bytes."""
        name = f"asepsis-{secrets.token_hex(6)}"
        if (root / "cgroup.controllers").exists():
            whole = {"memory.max": memory, "memory.swap.max": 0, "pids.max": TASKS}
            folders, kind = _made([(root / name, whole)]), "cgroup-v2"
        else:
            parts = {"memory": {"memory.limit_in_bytes": memory}, "pids": {"pids.max": TASKS}}
            folders, kind = _made([(root / part / name, limits) for part, limits in parts.items()]), "cgroup-v1"
        return cls(kind if folders else "none", folders)

    def hold(self, process: int) -> bool:
        """Put a process and its descendants into the group; they start no others from now on."""
        try:
            for folder in self._folders:
                for one in _family(process):
                    (folder / "cgroup.procs").write_text(str(one))
        except OSError:
            return False
        return bool(self._folders)

    def remove(self) -> None:
        """Remove the group, whose processes are ending."""
        for folder in self._folders:
            for _ in range(_ATTEMPTS):
                try:
                    folder.rmdir()
                except OSError:
                    time.sleep(_PAUSE_SECONDS)
                else:
                    break


def _made(wanted: Sequence[tuple[Path, dict[str, int]]]) -> tuple[Path, ...]:
    """All folders with their limits, or none."""
    made: list[Path] = []
    try:
        for folder, limits in wanted:
            folder.mkdir()
            made.append(folder)
            for name, value in limits.items():
                if (folder / name).exists():
                    (folder / name).write_text(str(value))
    except OSError:
        limited = False
    else:
        limited = all(any((folder / name).exists() for name in limits) for folder, limits in wanted)
    if limited:
        return tuple(made)
    for folder in made:
        with suppress(OSError):
            folder.rmdir()
    return ()


def _family(process: int) -> Iterator[int]:
    yield process
    for task in os.listdir(f"/proc/{process}/task"):  # noqa: PTH208
        for child in Path(f"/proc/{process}/task/{task}/children").read_text(encoding="ascii").split():
            yield from _family(int(child))
