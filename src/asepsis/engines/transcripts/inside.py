"""The process that reads a binary table: it limits and confines itself, then writes the transcript to its output.

Its input is the file. The libraries are C and Rust and the file may be hostile: a crash ends this process only. Once
they are loaded no file can be written or opened outside of the installation, no program started, no socket opened.
Nothing is told about a failure but one exit code: the libraries' words quote data.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, Final

from asepsis.engines.confinement import kernel
from asepsis.engines.transcripts.order import Kind, Order, Refusal, TableAbsentError, TooLargeError

_INSTALLATION: Final = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/null", "/dev/urandom", "/proc/self")
_DESCRIPTORS: Final = 64
_CATALOGUE: Final = "sas7bcat"
_GRACE: Final = 5
"""Seconds between the signal that names the limit and the one that cannot be told from others."""

Transcript = Callable[[BinaryIO, Order], Iterator[bytes]]


def main(arguments: Sequence[str]) -> int:
    """Write the transcript of standard input to standard output; returns the exit code (see ``Refusal``)."""
    order = Order.from_text(arguments[0])
    _limit(order)
    try:
        transcript = _loaded(order)
    except ImportError:
        return Refusal.LIBRARY_MISSING
    _confine(order.kind)
    try:
        for piece in transcript(sys.stdin.buffer, order):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    except BaseException as problem:  # noqa: BLE001 - a panic of Rust is no Exception; only its class is looked at
        return _refusal(problem)
    return 0


def _refusal(problem: BaseException) -> Refusal:
    if isinstance(problem, TableAbsentError):
        return Refusal.TABLE_MISSING
    return Refusal.LIMIT if isinstance(problem, TooLargeError | MemoryError) else Refusal.DAMAGED


def _loaded(order: Order) -> Transcript:
    """The code for one kind of file; only here are its libraries imported."""
    if order.form == _CATALOGUE:
        from asepsis.engines.transcripts.catalogue import transcript  # noqa: PLC0415
    elif order.kind is Kind.STATISTICS:
        from asepsis.engines.transcripts.statistics import transcript  # noqa: PLC0415
    elif order.kind is Kind.EXCEL:
        from asepsis.engines.transcripts.excel import transcript  # noqa: PLC0415
    else:
        from asepsis.engines.transcripts.access import transcript  # noqa: PLC0415
    return transcript


def _limit(order: Order) -> None:
    limits = {
        resource.RLIMIT_AS: (order.memory, order.memory),
        resource.RLIMIT_CPU: (order.seconds, order.seconds + _GRACE),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_NOFILE: (_DESCRIPTORS, _DESCRIPTORS),
    }
    for limit, values in limits.items():
        _, highest = resource.getrlimit(limit)
        soft, hard = (value if highest == resource.RLIM_INFINITY else min(value, highest) for value in values)
        resource.setrlimit(limit, (soft, hard))


def _confine(kind: Kind) -> None:
    """Close what this machine lets an ordinary process close; the programs of mdbtools must still be started."""
    _attempt(lambda: kernel.unshare(kernel.NEW_USER | kernel.NEW_NETWORK))
    _attempt(kernel.drop_capabilities)
    _attempt(kernel.forbid_new_privileges)
    if kind is not Kind.ACCESS:
        _attempt(kernel.forbid_dumps)
        _attempt(lambda: kernel.restrict_files(read=[*_INSTALLATION, *filter(os.path.isabs, sys.path)], write=()))
        _attempt(kernel.filter_calls)


def _attempt(step: Callable[[], object]) -> None:
    try:
        step()
    except OSError:
        return  # not every machine has it; the other limits hold


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
