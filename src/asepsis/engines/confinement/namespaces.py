"""The outer ring of our own, where there is no bubblewrap: other namespaces, and veils over what must not be seen.

A veil is an empty file system in memory over a folder; what the runtime needs below it is bound in again. Without
the right to make namespaces nothing of this happens, and the report says so.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from asepsis.engines.confinement import kernel

SCRATCH: Final = ("/dev/shm", "/tmp")  # noqa: S108 - they are made private here
_SPACES: Final = kernel.NEW_MOUNTS | kernel.NEW_NETWORK | kernel.NEW_IPC | kernel.NEW_HOSTNAME
_HIDDEN: Final = ("/root", "/home", "/run", "/var")


def enter(needed: Sequence[str], *, write: Sequence[str], scratch: int) -> bool:
    """Leave the host's network, and its files but the needed ones; returns whether it was possible.

    Args:
        needed: every path that must stay reachable, read-only.
        write: the folders that must stay writable.
        scratch: bytes of each of the two private folders for scratch files.
    """
    try:
        if os.geteuid() == 0:
            kernel.unshare(_SPACES)
        else:
            _as_nobody_else()
    except OSError:
        return False
    try:
        kernel.mount("none", "/", flags=kernel.MS_RECURSIVE | kernel.MS_PRIVATE)
        for place in _veiled([*needed, *write]):
            _veil(place, needed, write=write, size=scratch if place in SCRATCH else 1 << 20)
    except OSError:
        return False
    return True


def _as_nobody_else() -> None:
    """A user namespace in which this user is the only one there is."""
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(_SPACES | kernel.NEW_USER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123 - imports as little as it can
            file.write(text)


def _veiled(needed: Sequence[str]) -> list[str]:
    """The folders to veil: scratch and homes, and every closed folder above a path that the runtime needs."""
    places = {place for place in (*SCRATCH, *_HIDDEN) if os.path.isdir(place)}  # noqa: PTH112
    for path in needed:
        parts = path.strip("/").split("/")
        above = ["/" + "/".join(parts[: depth + 1]) for depth in range(len(parts) - 1)]
        closed = [folder for folder in above if os.path.isdir(folder) and not os.stat(folder).st_mode & 1]  # noqa: PTH112, PTH116
        places |= set(closed[:1])
    return sorted(place for place in places if not any(_below(place, other) for other in places))


def _veil(place: str, needed: Sequence[str], *, write: Sequence[str], size: int) -> None:
    wanted = [path for path in dict.fromkeys([*needed, *write]) if _below(path, place)]
    wanted = [path for path in wanted if not any(_below(path, other) for other in wanted)]
    held = {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path in wanted if os.path.lexists(path)}
    mode = "1777" if place in SCRATCH else "0755"
    kernel.mount(
        "none",
        place,
        kind="tmpfs",
        flags=kernel.MS_NO_SUID | kernel.MS_NO_DEVICES,
        options=f"mode={mode},size={size},nr_inodes=10000",
    )
    for path, descriptor in held.items():
        _bind(path, descriptor, writable=path in write)
        os.close(descriptor)


def _bind(path: str, descriptor: int, *, writable: bool) -> None:
    source = f"/proc/self/fd/{descriptor}"
    if os.path.isdir(source):  # noqa: PTH112
        os.makedirs(path, exist_ok=True)  # noqa: PTH103
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o644))
    kernel.mount(source, path, flags=kernel.MS_BIND | kernel.MS_RECURSIVE)
    if writable:
        return
    try:
        kernel.mount("none", path, flags=kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_READ_ONLY | kernel.MS_NO_SUID)
    except OSError:
        return  # flags locked by the host's own mount; Landlock and file modes keep it read-only


def _below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")
