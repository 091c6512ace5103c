"""Tar archives as a source: one archive is one restore point, a folder of archives is their history."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from asepsis.domain.integrity import ObjectFault
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Entry, EntryType, RestorePoint
from asepsis.errors.source import (
    NotAFileError,
    NotARepositoryError,
    PathMissingError,
    RestorePointMissingError,
    SourceError,
    SourceMissingError,
    SourceUnavailableError,
)
from asepsis.sources.limits import DEFAULT, Limits
from asepsis.sources.paths import absolute, names_of
from asepsis.sources.tar.archive import Archive

SUFFIXES: Final = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst")
_DAY: Final = re.compile(r"(?<!\d)(\d{4})-(\d\d)-(\d\d)(?!\d)")


class TarSource:
    """Archives by file name; what lies beside them in the folder is not looked at."""

    kind: str = "tar"

    def __init__(self, uri: str, *, archives: dict[str, Path], limits: Limits = DEFAULT) -> None:
        self.uri = uri
        self._paths = archives
        self._limits = limits
        self._archives = {name: Archive(path, limits=limits) for name, path in archives.items()}

    @classmethod
    def at(cls, path: str, *, limits: Limits = DEFAULT) -> TarSource:
        """The archive at a path, or all archives directly in a folder.

        Raises:
            SourceMissingError: nothing lies there.
            NotARepositoryError: the folder holds no archive.
        """
        uri = f"tar:{path}"
        place = Path(absolute(path))
        try:
            archives = _archives_in(place)
        except FileNotFoundError:
            raise SourceMissingError(uri=uri) from None
        except OSError:
            raise SourceUnavailableError(name=uri) from None
        if not archives:
            raise NotARepositoryError(uri=uri, tool="tar")
        return cls(uri, archives=archives, limits=limits)

    def restore_points(self) -> list[RestorePoint]:
        """One per archive, oldest first, dated by the name of the archive.

        Without a date in its name a lone archive is dated by its newest file (which reads it), one of many by
        the time the archive was written.
        """
        points = [RestorePoint(id=RestorePointId(n), taken_at=self._taken_at(n), label=n) for n in self._archives]
        return sorted(points, key=lambda point: (point.taken_at, point.id))

    def walk(self, point: RestorePointId) -> Iterator[Entry]:
        """Every entry, ordered by path. The first walk reads the whole archive; see ``Archive.entries``."""
        for stored in self._archive(point).entries.values():
            yield stored.entry

    def open(self, point: RestorePointId, path: str) -> BinaryIO:
        """A file as a seekable stream.

        Raises:
            PathMissingError: the archive has no such entry.
            NotAFileError: it is a directory, link or device.
        """
        archive = self._archive(point)
        names = names_of(path)
        stored = archive.entries.get("/" + "/".join(names))
        if stored is None and names:
            raise PathMissingError(path=path)
        if stored is None or stored.entry.type is not EntryType.FILE:
            raise NotAFileError(path=path)
        return archive.open(stored)

    def verify(self, point: RestorePointId) -> Iterator[ObjectFault]:
        """Read the archive from end to end.

        Finds a cut, and what the checksums of headers and compression cover: a plain ``.tar`` protects its
        headers only, not the content of its files.
        """
        self._archive(point)
        try:
            list(Archive(self._paths[point], limits=self._limits).entries)
        except SourceError as error:
            yield ObjectFault(object=point, code=error.code)

    def _archive(self, point: RestorePointId) -> Archive:
        archive = self._archives.get(point)
        if archive is None:
            raise RestorePointMissingError(point=point)
        return archive

    def _taken_at(self, name: str) -> datetime:
        day = _day_in(name)
        if day is not None:
            return day
        newest = self._archives[name].newest() if len(self._archives) == 1 else None
        try:
            return newest or datetime.fromtimestamp(self._paths[name].stat().st_mtime, tz=UTC)
        except OSError:
            raise SourceUnavailableError(name=name) from None


def _archives_in(place: Path) -> dict[str, Path]:
    if not place.is_dir():
        place.stat()
        return {place.name: place}
    return {
        path.name: path
        for path in sorted(place.iterdir())
        if path.name.lower().endswith(SUFFIXES) and path.is_file() and not path.is_symlink()
    }


def _day_in(name: str) -> datetime | None:
    match = _DAY.search(name)
    if match is None:
        return None
    try:
        return datetime(*(int(group) for group in match.groups()), tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError:
        return None
