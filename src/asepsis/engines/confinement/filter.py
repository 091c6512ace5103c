"""The seccomp filter: the runtime starts no program, forks no process and opens no socket; the rest is denied by name.

A classic BPF program (https://docs.kernel.org/userspace-api/seccomp_filter.html), built as bytes without any library.
Threads are allowed: a ``clone`` without ``CLONE_THREAD`` is not, and ``clone3`` is answered "unknown", so that the C
library falls back to ``clone``, whose flags a filter can see.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator, Mapping
from typing import Final

AUDIT: Final[Mapping[str, int]] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""The kernel's names of architectures (``linux/audit.h``)."""

_COMMON: Final = {
    "pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "pidfd_open": 434, "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442,
}  # fmt: skip
DENIED: Final[Mapping[str, Mapping[str, int]]] = {
    "x86_64": _COMMON | {
        "socket": 41, "connect": 42, "accept": 43, "bind": 49, "listen": 50, "socketpair": 53, "accept4": 288,
        "fork": 57, "vfork": 58, "execve": 59, "execveat": 322, "ptrace": 101, "process_vm_readv": 310,
        "process_vm_writev": 311, "kcmp": 312, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161,
        "setns": 308, "unshare": 272, "mknod": 133, "mknodat": 259, "name_to_handle_at": 303,
        "open_by_handle_at": 304, "kexec_load": 246, "kexec_file_load": 320, "init_module": 175,
        "finit_module": 313, "delete_module": 176, "add_key": 248, "request_key": 249, "keyctl": 250, "bpf": 321,
        "perf_event_open": 298, "userfaultfd": 323, "swapon": 167, "swapoff": 168, "reboot": 169, "acct": 163,
        "quotactl": 179, "personality": 135, "modify_ldt": 154, "vmsplice": 278, "migrate_pages": 256,
        "move_pages": 279, "clock_settime": 227, "clock_adjtime": 305, "settimeofday": 164, "adjtimex": 159,
        "syslog": 103, "vhangup": 153, "uselib": 134, "ioperm": 173, "iopl": 172, "sethostname": 170,
        "setdomainname": 171,
    },
    "aarch64": _COMMON | {
        "socket": 198, "socketpair": 199, "bind": 200, "listen": 201, "accept": 202, "connect": 203, "accept4": 242,
        "execve": 221, "execveat": 281, "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271,
        "kcmp": 272, "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51, "setns": 268, "unshare": 97,
        "mknodat": 33, "name_to_handle_at": 264, "open_by_handle_at": 265, "kexec_load": 104,
        "kexec_file_load": 294, "init_module": 105, "finit_module": 273, "delete_module": 106, "add_key": 217,
        "request_key": 218, "keyctl": 219, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "swapon": 224,
        "swapoff": 225, "reboot": 142, "acct": 89, "quotactl": 60, "personality": 92, "vmsplice": 75,
        "migrate_pages": 238, "move_pages": 239, "clock_settime": 112, "clock_adjtime": 266, "settimeofday": 170,
        "adjtimex": 171, "syslog": 116, "vhangup": 58, "sethostname": 161, "setdomainname": 162,
    },
}  # fmt: skip
"""What is refused with EPERM, by architecture."""

_CLONE: Final = {"x86_64": 56, "aarch64": 220}
_IOCTL: Final = {"x86_64": 16, "aarch64": 29}
_CLONE3: Final = 435
_CLONE_THREAD: Final = 0x10000
_TIOCSTI: Final = 0x5412
_X32: Final = 0x40000000
_HIGHEST: Final = 0xFFFFFFFF

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24  # offsets in ``struct seccomp_data``, low words

_Step = tuple[int, int, int, int]


def program(machine: str) -> bytes | None:
    """The filter for one machine, as ``struct sock_filter`` items; None for a machine whose calls are not known."""
    if machine not in AUDIT:
        return None
    return b"".join(struct.pack("=HBBI", *step) for step in _steps(machine))


def _steps(machine: str) -> Iterator[_Step]:
    refuse = (_RETURN, 0, 0, _ERROR | errno.EPERM)
    yield (_LOAD, 0, 0, _ARCHITECTURE)
    yield (_EQUAL, 1, 0, AUDIT[machine])
    yield (_RETURN, 0, 0, _KILL)
    yield (_LOAD, 0, 0, _NUMBER)
    yield (_AT_LEAST, 0, 1, _X32)
    yield refuse
    for number in sorted(DENIED[machine].values()):
        yield (_EQUAL, 0, 1, number)
        yield refuse
    yield (_EQUAL, 0, 1, _CLONE3)
    yield (_RETURN, 0, 0, _ERROR | errno.ENOSYS)
    yield (_EQUAL, 0, 3, _CLONE[machine])
    yield (_LOAD, 0, 0, _FIRST)
    yield (_ANY_BIT, 4, 0, _CLONE_THREAD)  # a thread: to the end
    yield refuse
    yield (_EQUAL, 0, 2, _IOCTL[machine])
    yield (_LOAD, 0, 0, _SECOND)
    yield (_EQUAL, 1, 0, _TIOCSTI)
    yield (_RETURN, 0, 0, _ALLOW)
    yield refuse
