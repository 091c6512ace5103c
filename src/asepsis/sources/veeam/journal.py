"""What this machine asked a backup server to mount, written down before it is asked.

A program that is killed takes nothing down any more; the next one reads here what may have been left behind. Each
program has a file of its own and holds it by a lock, which ends with the program however it ends: what a running one
has mounted is never touched. A file is removed when nothing in it is up any more.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final

from asepsis.errors.source import MountJournalUnwritableError

HOUR: Final = 3_600.0
"""After so many seconds a mount that was asked for, and never seen, does not come up any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One restore point that is about to be mounted. Mounts of ``before`` were there already."""

    point: str
    before: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a program that is no more had asked for, and for how many seconds it has not written any more."""

    asked: tuple[Asked, ...]
    age: float
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """The other programs of this machine: those that are no more, and the points of those that run."""

    ended: tuple[Ended, ...]
    running: frozenset[str]


class Journal:
    """The file of this program, among those of others that ask the same server as the same account."""

    def __init__(self, folder: Path, *, address: str, user: str) -> None:
        self._folder = folder / sha256(f"{address}\0{user}".encode()).hexdigest()[:32]
        self._path = self._folder / f"{uuid.uuid4().hex}.jsonl"
        self._file: IO[str] | None = None

    def note(self, asked: Asked) -> None:
        """Write down what is about to be asked; it is on disk before this returns.

        Raises:
            MountJournalUnwritableError: it cannot be written, and nothing must be asked then.
        """
        try:
            file = self._file or self._opened()
            file.write(json.dumps({"point": asked.point, "before": sorted(asked.before)}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            raise MountJournalUnwritableError(path=str(self._folder)) from None

    def close(self, *, is_settled: bool) -> None:
        """Let go of the file. Unless all was taken down, it stays, for the next program."""
        file, self._file = self._file, None
        if file is not None:
            if is_settled:
                self._path.unlink(missing_ok=True)
            file.close()

    @contextmanager
    def others(self) -> Iterator[Others]:
        """The other programs; nobody else looks at what ended ones left meanwhile."""
        ended: list[Ended] = []
        running: set[str] = set()
        with ExitStack() as held:
            for path in sorted(self._folder.glob("*.jsonl")):
                if path == self._path:
                    continue
                asked = tuple(_read(path))
                file = _held(path)
                if file is None:
                    running.update(one.point for one in asked)
                else:
                    held.enter_context(file)
                    age = self._now() - os.fstat(file.fileno()).st_mtime
                    ended.append(Ended(asked=asked, age=age, path=path))
            yield Others(ended=tuple(ended), running=frozenset(running))

    def _now(self) -> float:
        """As the file system of the journal tells the time."""
        with TemporaryFile(dir=self._folder) as file:
            return os.fstat(file.fileno()).st_mtime

    def _opened(self) -> IO[str]:
        """A new file is locked before it gets its name: nobody ever sees it free."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        hidden = self._path.with_suffix(".new")
        file = hidden.open("x", encoding="utf-8")
        fcntl.flock(file, fcntl.LOCK_EX)
        hidden.rename(self._path)
        self._file = file
        return file


def journal_folder(environment: Mapping[str, str]) -> Path:
    """``ASEPSIS_VEEAM_JOURNAL``, else a folder of the account's state (XDG Base Directory Specification 0.8)."""
    if named := environment.get("ASEPSIS_VEEAM_JOURNAL"):
        return Path(named)
    state = environment.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "asepsis" / "veeam"


def _held(path: Path) -> IO[str] | None:
    """The file, locked; ``None`` when a running program holds it, or it is gone by now."""
    try:
        file = path.open("r+", encoding="utf-8")
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _read(path: Path) -> Iterator[Asked]:
    """What stands in a file; a line that was cut was never followed by a request."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        for line in path.read_text("utf-8").splitlines():
            document = json.loads(line)
            yield Asked(point=str(document["point"]), before=frozenset(map(str, document["before"])))
