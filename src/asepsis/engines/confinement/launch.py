"""Starts a confined process: chooses the outer ring, hands over what may be reached, and reads what holds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import IO, Final

from asepsis.engines.confinement import bubblewrap
from asepsis.engines.confinement.group import Group
from asepsis.engines.confinement.inside import UNPRIVILEGED
from asepsis.engines.confinement.report import Confinement, Ring, read_confinement
from asepsis.errors import AsepsisError
from asepsis.errors.confinement import ConfinementFailed

SCRATCH: Final = 4 << 30
"""Bytes of private scratch space in memory."""

INSIDE: Final = ("-I", "-m", "asepsis.engines.confinement.inside")

_LAYOUT: Final = "import json, sys; print(json.dumps([sys.prefix, sys.base_prefix, *sys.path]))"
_LONGEST_REPORT: Final = 1 << 16
_PATIENCE: Final = 60
_ENDING: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What one run may reach besides the program itself: folders to read from, folders to write to."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Confined:
    """A running process, its pipes, and what holds around it."""

    requests: IO[bytes]
    answers: IO[bytes]
    confinement: Confinement
    process: subprocess.Popen[bytes]

    def ended(self) -> str:
        """How the process ended, in words of ours: its signal or exit status, or that it still runs.

        A signal inside bubblewrap shows as exit status 128 and its number.
        """
        try:
            status = self.process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            return "its process still runs"
        return f"signal {-status}" if status < 0 else f"exit status {status}"


@contextmanager
def confined(python: str, reach: Reach, *, ring: Ring, arguments: Sequence[str] = INSIDE) -> Iterator[Confined]:
    """Start a confined process; it is ended, whatever happens, when the context ends.

    Raises:
        ConfinementFailed: it ended before it said how it is confined.
    """
    known = [path for path in (*layout(python), *reach.read) if Path(path).exists()]
    wanted: dict[str, object] = {"ring": ring.value, "read": known, "write": list(reach.write), "scratch": SCRATCH}
    group = Group.make()
    process = _start([python, *arguments], wanted, ring)
    try:
        if process.stdin is None or process.stdout is None:
            raise ConfinementFailed
        confinement = _report(process.stdin, process.stdout, wanted)
        limits = group.kind if group.hold(process.pid) else "none"
        yield Confined(
            requests=process.stdin,
            answers=process.stdout,
            confinement=replace(confinement, limits=limits),
            process=process,
        )
    finally:
        _end(process)
        group.remove()


def best_ring(python: str, reach: Reach) -> Ring:
    """bubblewrap, where it is installed and the user who may start it reaches everything; else our own namespaces."""
    if shutil.which("bwrap") is None or not _bubblewrap_works():
        return Ring.NAMESPACES
    paths = (*layout(python), *reach.read, *reach.write)
    if os.geteuid() == 0 and not all(_open_to_strangers(Path(path)) for path in paths if Path(path).exists()):
        return Ring.NAMESPACES
    return Ring.BUBBLEWRAP


@lru_cache
def layout(python: str) -> tuple[str, ...]:
    """The folders that an isolated interpreter reads its libraries from."""
    found = subprocess.run(  # noqa: S603 - our own interpreter and constant arguments
        [python, "-I", "-c", _LAYOUT], capture_output=True, env={}, cwd="/", timeout=_PATIENCE, check=False
    ).stdout
    try:
        paths = {str(Path(path)) for path in json.loads(found) if path}
    except ValueError:
        raise ConfinementFailed from None
    return tuple(sorted({*paths, str(Path(python).resolve().parent), str(Path(python).parent)}))


@lru_cache
def _bubblewrap_works() -> bool:
    """Whether this machine lets bubblewrap make its namespaces."""
    program = shutil.which("true") or "/bin/true"
    process = _start([program], {"read": [], "write": []}, Ring.BUBBLEWRAP)
    process.communicate(timeout=_PATIENCE)
    return process.returncode == 0


def _start(command: Sequence[str], wanted: dict[str, object], ring: Ring) -> subprocess.Popen[bytes]:
    if ring is not Ring.BUBBLEWRAP:
        return _popen(command, (), user=None)
    words = bubblewrap.arguments(read=_paths(wanted, "read"), write=_paths(wanted, "write"), scratch=SCRATCH)
    with _passed(words) as descriptor:
        program = shutil.which("bwrap") or "bwrap"
        return _popen([program, "--args", str(descriptor), *command], (descriptor,), user=_stranger())


def _popen(command: Sequence[str], passed: Sequence[int], *, user: int | None) -> subprocess.Popen[bytes]:
    """A process with an empty environment and three pipes; its complaints are dropped, because they may quote data."""
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        close_fds=True,
        pass_fds=passed,
        cwd="/",
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )


def _report(requests: IO[bytes], answers: IO[bytes], wanted: dict[str, object]) -> Confinement:
    try:
        requests.write(json.dumps(wanted).encode() + b"\n")
        requests.flush()
        return read_confinement(json.loads(answers.readline(_LONGEST_REPORT)))
    except (OSError, ValueError, AsepsisError):
        raise ConfinementFailed from None


def _stranger() -> int | None:
    """Whom root starts bubblewrap as; anybody else starts it as themselves."""
    return UNPRIVILEGED if os.geteuid() == 0 else None


def _paths(wanted: dict[str, object], name: str) -> list[str]:
    paths = wanted[name]
    return [str(path) for path in paths] if isinstance(paths, list) else []


def _open_to_strangers(path: Path) -> bool:
    return all(parent.stat().st_mode & 1 for parent in path.absolute().parents)


@contextmanager
def _passed(content: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("arguments")
    try:
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it at once: whatever it had to say was said, and what it wrote was written before that."""
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(BrokenPipeError):
                stream.close()
