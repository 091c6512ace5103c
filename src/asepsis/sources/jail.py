"""A foreign program in a jail: read-only file system, no network, bounded time and memory, an empty environment.

With bubblewrap (``bwrap``) the kernel keeps the program from writing anywhere but into a folder of its own; where it
is not installed or not allowed, resource limits (``prlimit``) and the program's own read-only options remain.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import IO, Final

from asepsis.errors.source import ToolMissingError, ToolTimedOutError

_PIECE: Final = 1 << 20
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
_MEMORY: Final = 16 << 30


class Jail:
    """Runs one kind of program; ``scratch`` is the only folder it may write to, and it ends with the jail."""

    def __init__(self, program: str, *, seconds: float) -> None:
        self._program = program
        self._seconds = seconds
        self.scratch = Path(tempfile.mkdtemp(prefix="asepsis-"))
        weakref.finalize(self, shutil.rmtree, str(self.scratch), ignore_errors=True)

    @contextmanager
    def running(
        self, arguments: Sequence[str | bytes], *, environment: Mapping[str, str], complaints: Path | None = None
    ) -> Generator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
        """The program at work and what it writes; killed with the context.

        What it writes to standard error goes into the file ``complaints``, or nowhere.

        Raises:
            ToolMissingError: it is not installed.
            ToolTimedOutError: it did not end in time.
        """
        command = [*_wrapping(str(self.scratch)), _found(self._program), *arguments]
        variables = {
            "PATH": _PATH,
            "TZ": "UTC",
            "LC_ALL": "C.UTF-8",
            "TMPDIR": str(self.scratch),
            "HOME": str(self.scratch),
        }
        late = False
        with (complaints or Path(os.devnull)).open("wb") as errors:
            process = subprocess.Popen(  # noqa: S603  a program by its full path, arguments as a list
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**variables, **environment},
                cwd="/",
                start_new_session=True,
            )

        def stop() -> None:
            nonlocal late
            late = True
            process.kill()

        timer = Timer(self._seconds, stop)
        timer.start()
        try:
            with process:
                if process.stdout is None:
                    raise ToolMissingError(tool=self._program)
                yield process, process.stdout
                process.kill()
        finally:
            timer.cancel()
        if late:
            raise ToolTimedOutError(tool=self._program, seconds=int(self._seconds))


def _found(program: str) -> str:
    found = shutil.which(program, path=_PATH)
    if found is None:
        raise ToolMissingError(tool=program)
    return found


def _wrapping(scratch: str) -> list[str]:
    prlimit, bwrap = shutil.which("prlimit", path=_PATH), _bubblewrap()
    bounds = [prlimit, f"--as={_MEMORY}", "--core=0", "--"] if prlimit else []
    if bwrap is None:
        return bounds
    binds = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--bind", scratch, scratch]
    return [*bounds, bwrap, *binds, "--unshare-all", "--die-with-parent", "--new-session", "--"]


@functools.cache
def _bubblewrap() -> str | None:
    """Where bubblewrap is, if this machine lets it work."""
    bwrap = shutil.which("bwrap", path=_PATH)
    if bwrap is None:
        return None
    trial = [bwrap, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-all", "--", "/bin/true"]
    done = subprocess.run(trial, check=False, capture_output=True, env=dict(os.environ), timeout=10)  # noqa: S603  as above
    return bwrap if done.returncode == 0 else None
