"""The few system calls that Python does not offer, by ctypes; each raises OSError as Python's own would."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from typing import Final

from asepsis.engines.confinement.filter import program

NEW_MOUNTS: Final = 0x00020000
NEW_HOSTNAME: Final = 0x04000000
NEW_IPC: Final = 0x08000000
NEW_USER: Final = 0x10000000
NEW_NETWORK: Final = 0x40000000

MS_READ_ONLY: Final = 1
MS_NO_SUID: Final = 2
MS_NO_DEVICES: Final = 4
MS_REMOUNT: Final = 32
MS_BIND: Final = 4096
MS_RECURSIVE: Final = 16384
MS_PRIVATE: Final = 1 << 18

_DUMPABLE, _SECCOMP, _BOUNDING_DROP, _NO_NEW_PRIVS, _AMBIENT = 4, 22, 24, 38, 47
_CLEAR_AMBIENT: Final = 4
_FILTER: Final = 2
_CAPSET: Final = {"x86_64": 126, "aarch64": 91}
_CAPABILITY_VERSION: Final = 0x20080522
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION: Final = 1
_BENEATH: Final = 1

_C: Final = ctypes.CDLL(None, use_errno=True)

READ: Final = 1 << 2 | 1 << 3
"""Landlock rights: read files, list folders."""
WRITE: Final = READ | 1 << 1 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 14
"""Landlock rights: besides, write, truncate and remove files, make regular files and folders."""
_OF_FILES: Final = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15
_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15}
_ALL_RIGHTS: Final = 16
_NETWORK: Final = 3
_SCOPES: Final = 3


def unshare(flags: int) -> None:
    """Leave namespaces (unshare(2)). Raises OSError."""
    _checked(_C.unshare(ctypes.c_int(flags)))


def mount(source: str, target: str, *, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount (mount(2)). Raises OSError."""
    _checked(
        _C.mount(
            source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), options.encode() or None
        )
    )


def forbid_new_privileges() -> None:
    """No program can give this process a privilege any more. Raises OSError."""
    _prctl(_NO_NEW_PRIVS, 1)


def forbid_dumps() -> None:
    """No core dump, and no other process of the same user may look into this one. Raises OSError."""
    _prctl(_DUMPABLE, 0)


def drop_capabilities() -> None:
    """Give up every capability, for good. Raises OSError."""
    _C.prctl(_AMBIENT, _CLEAR_AMBIENT, 0, 0, 0)
    for capability in range(64):
        if _C.prctl(_BOUNDING_DROP, capability, 0, 0, 0) != 0:
            break  # none that high, or none may be dropped: without new privileges the bounding set gives nothing
    number = _CAPSET.get(os.uname().machine)
    if number is not None:
        header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
        _checked(_C.syscall(ctypes.c_long(number), header, bytes(24)))


def filter_calls() -> bool:
    """Load the seccomp filter for all threads; False where the machine's calls are not known. Raises OSError."""
    code = program(os.uname().machine)
    if code is None:
        return False
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    _prctl(_SECCOMP, _FILTER, ctypes.c_char_p(header))
    return True


def landlock_version() -> int:
    """The version of Landlock's interface; 0 without Landlock."""
    found: int = _C.syscall(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION))
    return max(0, found)


def restrict_files(*, read: Iterable[str], write: Iterable[str]) -> int:
    """Leave only these files and folders reachable (Landlock); returns the interface's version, 0 without it.

    Paths that are not there are passed over: nothing below them can be reached either. Raises OSError.
    Source: https://docs.kernel.org/userspace-api/landlock.html.
    """
    version = landlock_version()
    if version == 0:
        return 0
    handled = (1 << _RIGHTS.get(version, _ALL_RIGHTS)) - 1
    words = [handled]
    words += [_NETWORK] if version >= 4 else []  # noqa: PLR2004 - TCP came with version 4
    words += [_SCOPES] if version >= 6 else []  # noqa: PLR2004 - signals and abstract sockets came with version 6
    attributes = struct.pack(f"={len(words)}Q", *words)
    ruleset = _checked(
        _C.syscall(ctypes.c_long(_CREATE_RULESET), attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0))
    )
    try:
        for paths, rights in ((read, READ), (write, WRITE)):
            for path in paths:
                _allow(ruleset, path, rights & handled)
        _checked(_C.syscall(ctypes.c_long(_RESTRICT_SELF), ctypes.c_int(ruleset), ctypes.c_uint(0)))
    finally:
        os.close(ruleset)
    return version


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rights &= -1 if os.path.isdir(path) else _OF_FILES  # noqa: PTH112 - this module imports as little as it can
        rule = struct.pack("=Qi", rights, descriptor)
        _checked(
            _C.syscall(ctypes.c_long(_ADD_RULE), ctypes.c_int(ruleset), ctypes.c_int(_BENEATH), rule, ctypes.c_uint(0))
        )
    finally:
        os.close(descriptor)


def _prctl(option: int, value: int, third: ctypes.c_char_p | int = 0) -> None:
    third = third if isinstance(third, ctypes.c_char_p) else ctypes.c_ulong(third)  # type: ignore[assignment]
    _checked(_C.prctl(ctypes.c_int(option), ctypes.c_ulong(value), third, ctypes.c_ulong(0), ctypes.c_ulong(0)))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
