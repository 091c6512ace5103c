"""A folder as a source with one restore point: what lies in it now.

No link is ever followed below the root: every directory on the way is opened by descriptor with O_NOFOLLOW,
so that swapping a directory for a link while Asepsis reads leads nowhere.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BufferedReader, FileIO
from pathlib import Path
from typing import BinaryIO, ClassVar, Final

from asepsis.domain.integrity import ObjectFault
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Capability, Entry, EntryType, RestorePoint
from asepsis.errors.source import (
    LimitExceededError,
    NotAFileError,
    NotARepositoryError,
    PathMissingError,
    RestorePointMissingError,
    SourceError,
    SourceMissingError,
    SourceUnavailableError,
)
from asepsis.ports import Reading
from asepsis.sources.digests import Meter, digest_of
from asepsis.sources.limits import DEFAULT, Limits
from asepsis.sources.paths import absolute, names_of
from asepsis.sources.reading import ReadOnlySource

NOW: Final = RestorePointId("now")
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class DirectorySource(ReadOnlySource):
    """The files below one folder. Content ids are not known without reading: see ``content_id``."""

    kind = "dir"
    abilities: ClassVar = frozenset(
        {Capability.SEEK, Capability.OLD_TIMES, Capability.LINKS, Capability.HARD_LINKS, Capability.SPECIAL_FILES}
    )

    def __init__(self, uri: str, *, root: str, limits: Limits = DEFAULT) -> None:
        self.uri = uri
        self._root = root
        self._limits = limits

    @classmethod
    def at(cls, path: str, *, limits: Limits = DEFAULT) -> DirectorySource:
        """The folder at a path.

        Raises:
            SourceMissingError: nothing lies there.
            NotARepositoryError: it is not a folder.
        """
        uri = f"dir:{path}"
        place = Path(absolute(path))
        if not place.exists():
            raise SourceMissingError(uri=uri)
        if not place.is_dir():
            raise NotARepositoryError(uri=uri, tool="folder")
        return cls(uri, root=str(place), limits=limits)

    def restore_points(self) -> list[RestorePoint]:
        """The one there is, dated by the newest file in it (by the folder when it holds none)."""
        times = [entry.modified_at for entry in self.walk(NOW) if entry.type is EntryType.FILE]
        newest = max((time for time in times if time is not None), default=None)
        return [RestorePoint(id=NOW, taken_at=newest or _moment(Path(self._root).stat()), label=Path(self._root).name)]

    def walk(self, point: RestorePointId) -> Iterator[Entry]:
        """Every entry, ordered by path.

        Raises:
            SourceUnavailableError: a folder cannot be listed.
            LimitExceededError: nested too deeply, or more entries than the limit.
        """
        self._check(point)
        pending = [iter(self._steps([]))]
        count = 0
        while pending:
            step = next(pending[-1], None)
            if step is None:
                pending.pop()
                continue
            entry, descends = step
            if descends:
                if len(pending) > self._limits.depth:
                    raise LimitExceededError(name="the folder", limit=self._limits.depth, unit="levels")
                pending.append(iter(self._steps(names_of(entry.path))))
                continue
            count += 1
            if count > self._limits.entries:
                raise LimitExceededError(name="the folder", limit=self._limits.entries, unit="entries")
            yield entry

    def open(self, point: RestorePointId, path: str) -> BinaryIO:
        """A file as a seekable stream; opened without following links, and only when it is a regular file.

        Raises:
            PathMissingError: there is no such entry, or the way to it leads over a link.
            NotAFileError: it is a directory, link, socket, pipe or device.
        """
        self._check(point)
        names = names_of(path)
        if not names:
            raise NotAFileError(path=path)
        if ".." in names or "." in names:
            raise PathMissingError(path=path)
        with self._directory(names[:-1]) as folder:
            return _opened(names[-1], folder=folder, path=path)

    def content_id(self, point: RestorePointId, path: str) -> str:
        """SHA-256 of a file's bytes in hex; reads it."""
        return digest_of(self, point, path)

    def verify(self, point: RestorePointId, *, reading: Reading | None = None) -> Iterator[ObjectFault]:
        """Read every file; a folder keeps no checksums, so only what cannot be read is found."""
        meter = Meter(reading)
        for entry in self.walk(point):
            if entry.type is EntryType.FILE:
                try:
                    digest_of(self, point, entry.path, meter=meter)
                except SourceError as error:
                    yield ObjectFault(object=entry.path, code=error.code, path=entry.path)

    def _check(self, point: RestorePointId) -> None:
        if point != NOW:
            raise RestorePointMissingError(point=point)

    def _steps(self, names: list[str]) -> list[tuple[Entry, bool]]:
        """Entries and descents of one folder in string order: ``a``, ``a.txt``, then what lies below ``a/``."""
        prefix = "".join(f"/{name}" for name in names)
        steps = []
        with self._directory(names) as folder, os.scandir(folder) as found:
            for item in found:
                entry = _entry(f"{prefix}/{item.name}", item.stat(follow_symlinks=False), name=item.name, folder=folder)
                steps.append((item.name, entry, False))
                if entry.type is EntryType.DIRECTORY:
                    steps.append((f"{item.name}/", entry, True))
        return [(entry, descends) for _, entry, descends in sorted(steps, key=lambda step: step[0])]

    @contextmanager
    def _directory(self, names: list[str]) -> Iterator[int]:
        """A descriptor of a folder below the root, reached without following a link."""
        path = "/" + "/".join(names)
        descriptor = -1
        try:
            descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            for name in names:
                deeper = os.open(name, _DIRECTORY, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = deeper
            yield descriptor
        except (FileNotFoundError, NotADirectoryError):
            raise PathMissingError(path=path) from None
        except OSError as error:
            raise _mapped(error, path=path) from None
        finally:
            if descriptor >= 0:
                os.close(descriptor)


def _opened(name: str, *, folder: int, path: str) -> BinaryIO:
    """Look before opening: opening a device can already do something."""
    if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        raise NotAFileError(path=path)
    descriptor = os.open(name, _FILE, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotAFileError(path=path)
    return BufferedReader(FileIO(descriptor))


def _entry(path: str, status: os.stat_result, *, name: str, folder: int) -> Entry:
    kind = _kind(status.st_mode)
    return Entry(
        path=path,
        type=kind,
        size=status.st_size if kind is EntryType.FILE else 0,
        modified_at=_moment(status),
        link_target=os.readlink(name, dir_fd=folder) if kind is EntryType.LINK else None,
    )


def _kind(mode: int) -> EntryType:
    if stat.S_ISREG(mode):
        return EntryType.FILE
    if stat.S_ISDIR(mode):
        return EntryType.DIRECTORY
    return EntryType.LINK if stat.S_ISLNK(mode) else EntryType.OTHER


def _moment(status: os.stat_result) -> datetime:
    try:
        return datetime.fromtimestamp(status.st_mtime, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, tz=UTC)


def _mapped(error: OSError, *, path: str) -> SourceError:
    """ELOOP is how O_NOFOLLOW says that a name is a link."""
    is_link = error.errno == errno.ELOOP
    return PathMissingError(path=path) if is_link else SourceUnavailableError(name=path)
