"""``python -I -m asepsis.engines.confinement.inside``: closes the rings around itself, says so, becomes the runtime.

The first line of standard input says what may be reached; the first line of standard output says what holds, as it
was found afterwards. Nothing of the runtime is imported before that. This module imports as little as it can.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from asepsis.engines.confinement import kernel, namespaces

UNPRIVILEGED: Final = 65534
RUNTIME: Final = "asepsis.runtime"

_SYSTEM: Final = (
    "/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/zero", "/dev/urandom",
    "/etc/ssl/openssl.cnf", "/proc/meminfo", "/proc/cpuinfo", "/proc/self", "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu", "/sys/fs/cgroup",
)  # fmt: skip
"""What libraries read when they start: DuckDB ends its process if the limits of its control group cannot be read."""

_LIMITS: Final = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_NOFILE: 4096,
    resource.RLIMIT_FSIZE: 64 << 30,
    resource.RLIMIT_MEMLOCK: 1 << 20,
}


def confine(reach: Mapping[str, Any]) -> dict[str, object]:
    """Close every ring that this machine offers around this process; returns what holds.

    ``reach`` has the paths that stay readable (``read``), those that stay writable (``write``), the outer ring
    that is there already (``ring``), and the bytes of scratch space (``scratch``).
    """
    os.umask(0o022)
    read, write, ring = [*_SYSTEM, *reach["read"]], list(reach["write"]), str(reach["ring"])
    own_files = ring == "bubblewrap"
    os.open("/proc/self", os.O_PATH)  # stays open: the kernel must not forget the folder that Landlock's rule names
    status = os.open("/proc/thread-self/status", os.O_RDONLY | os.O_CLOEXEC)
    if ring == "namespaces":
        own_files = namespaces.enter(reach["read"], write=write, scratch=reach["scratch"])
        ring = "namespaces" if own_files else "nothing"
    for limit, value in _LIMITS.items():
        _, highest = resource.getrlimit(limit)
        value = value if highest == resource.RLIM_INFINITY else min(value, highest)  # noqa: PLW2901
        resource.setrlimit(limit, (value, value))
    _become_unprivileged([*read, *write])
    _attempt(kernel.drop_capabilities)
    _attempt(kernel.forbid_new_privileges)
    _attempt(kernel.forbid_dumps)
    scratch = namespaces.SCRATCH if own_files else namespaces.SCRATCH[:1]  # one in memory, even if it is not its own
    landlock = _landlock(read, [*write, *scratch])
    _attempt(kernel.filter_calls)
    found = _found(os.pread(status, 1 << 16, 0).decode("ascii"))
    os.close(status)
    return {"ring": ring, "own_files": own_files, "landlock": landlock, "limits": "none", **found}


def main() -> int:
    """Confine, report, run the runtime; returns its exit code."""
    reach = json.loads(sys.stdin.buffer.readline())
    report = confine(reach)
    sys.stdout.buffer.write(json.dumps(report).encode() + b"\n")
    sys.stdout.buffer.flush()
    import runpy  # noqa: PLC0415 - nothing of the runtime is loaded before the rings are closed

    from asepsis.engines.confinement import standing  # noqa: PLC0415

    standing.found = report
    runpy.run_module(RUNTIME, run_name="__main__", alter_sys=True)
    return 0


def _become_unprivileged(needed: Sequence[str]) -> None:
    """Leave root, if this is root and everything that is needed can still be reached afterwards."""
    if os.geteuid() != 0 or not all(_reachable(path) for path in needed if os.path.lexists(path)):
        return
    try:
        os.setgroups([])
        os.setresgid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED)
        os.setresuid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED)
    except OSError:
        return


def _reachable(path: str) -> bool:
    """Whether a stranger can search every folder above a path."""
    parts = path.strip("/").split("/")[:-1]
    return all(os.stat("/" + "/".join(parts[: depth + 1])).st_mode & 1 for depth in range(len(parts)))  # noqa: PTH116


def _attempt(step: Any) -> None:
    try:
        step()
    except OSError:
        return  # what does not hold is found below


def _landlock(read: Sequence[str], write: Sequence[str]) -> int:
    try:
        return kernel.restrict_files(read=read, write=write)
    except OSError:
        return 0


def _found(text: str) -> dict[str, bool]:
    """What holds for this thread, as the kernel tells it in its status."""
    status = {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
    return {
        "unprivileged": 0 not in (*os.getresuid(), *os.getresgid()),
        "no_capabilities": all(int(status.get(name, "1"), 16) == 0 for name in ("CapPrm", "CapEff", "CapAmb")),
        "no_new_privileges": status.get("NoNewPrivs") == "1",
        "filtered_calls": status.get("Seccomp") == "2",
        "no_network": not _opens_socket(),
    }


def _opens_socket() -> bool:
    import socket  # noqa: PLC0415

    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK):
        try:
            socket.socket(family, socket.SOCK_DGRAM).close()
        except OSError:
            continue
        return True
    return False


if __name__ == "__main__":
    sys.exit(main())
