"""The outer ring by bubblewrap: a tree of files of its own, and every namespace its own.

bubblewrap is always started by an unprivileged user: started by root, files of the host's root would look like the
process's own, and the host's settings under ``/proc/sys`` could be written. Its arguments go through a descriptor,
because the first process inside can be seen from there. Source: bwrap(1), https://github.com/containers/bubblewrap.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

_SYSTEM: Final = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime")
_CPUS: Final = "/sys/devices/system/cpu"


def arguments(*, read: Iterable[str], write: Iterable[str], scratch: int) -> bytes:
    """The arguments for ``bwrap --args``, each ended by a zero byte."""
    words = ["--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    words += ["--hostname", "runtime"]
    for path in (*_SYSTEM, _CPUS):
        words += _link(path) if Path(path).is_symlink() else ["--ro-bind-try", path, path]
    words += ["--dev", "/dev", "--size", str(scratch), "--tmpfs", "/dev/shm"]  # noqa: S108 - private to the runtime
    words += ["--size", str(scratch), "--tmpfs", "/tmp"]  # noqa: S108 - private to the runtime
    for path in _outermost(read):
        words += ["--ro-bind", path, path]
    for path in write:
        words += ["--bind", path, path]
    words += ["--proc", "/proc", "--remount-ro", "/proc", "--remount-ro", "/", "--chdir", "/"]
    return b"".join(word.encode() + b"\0" for word in words)


def _link(path: str) -> list[str]:
    return ["--symlink", str(Path(path).readlink()), path]


def _outermost(paths: Iterable[str]) -> Sequence[str]:
    """The paths that lie in none of the others, without repetition."""
    unique = sorted(set(paths))
    return [
        path
        for path in unique
        if not any(path != other and path.startswith(other.rstrip(os.sep) + os.sep) for other in (*unique, *_SYSTEM))
    ]
