"""Sources that are files: one file is one restore point, a folder of such files is their history."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final, Generic, Self

from asepsis.domain.integrity import ObjectFault
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Entry, EntryType, RestorePoint
from asepsis.errors.source import (
    NotARepositoryError,
    RestorePointMissingError,
    SourceError,
    SourceMissingError,
    SourceUnavailableError,
)
from asepsis.ports import Reading
from asepsis.sources.digests import Meter
from asepsis.sources.limits import DEFAULT, Limits
from asepsis.sources.listing import Listing, PlaceT
from asepsis.sources.paths import absolute
from asepsis.sources.reading import ReadOnlySource

_DAY: Final = re.compile(r"(?<!\d)(\d{4})-(\d\d)-(\d\d)(?!\d)")
_PIECE: Final = 1 << 20


class Container(ABC, Generic[PlaceT]):
    """One file that holds a restore point; its listing is made by the first question that needs it."""

    def __init__(self, path: Path, *, limits: Limits) -> None:
        self.path = path
        self.limits = limits
        self._listing: Listing[PlaceT] | None = None
        self._read_when: tuple[int, int] | None = None

    @property
    def listing(self) -> Listing[PlaceT]:
        """What it holds; read again when the file has changed since.

        Raises:
            SourceError: it is cut, damaged, hostile or beyond the limits.
        """
        state = self._state()
        if self._listing is None or state != self._read_when:
            self._listing = self._read()
            self._read_when = state
        return self._listing

    def open(self, path: str) -> BinaryIO:
        """A file as a seekable stream; see ``Listing.file`` for what it raises."""
        entry, place = self.listing.file(path)
        return self._open(entry, place)

    def faults(self, meter: Meter) -> Iterator[ObjectFault]:
        """Read everything, afresh, and tell what is damaged."""
        self._listing = None
        try:
            entries = list(self.listing.entries())
        except SourceError as error:
            yield ObjectFault(object=self.path.name, code=error.code)
            return
        for path in self.in_stored_order([entry.path for entry in entries if entry.type is EntryType.FILE]):
            try:
                self._read_through(path, meter)
            except SourceError as error:
                yield ObjectFault(object=self.path.name, code=error.code, path=path)

    def in_stored_order(self, paths: Collection[str]) -> list[str]:
        """The paths in the order in which reading them costs least."""
        return sorted(paths)

    @abstractmethod
    def _read(self) -> Listing[PlaceT]:
        """Read the listing."""

    @abstractmethod
    def _open(self, entry: Entry, place: PlaceT) -> BinaryIO:
        """Open one file of the listing."""

    def _read_through(self, path: str, meter: Meter) -> None:
        with self.open(path) as file:
            while piece := file.read(_PIECE):
                meter.add(len(piece))

    def _state(self) -> tuple[int, int]:
        try:
            status = self.path.stat()
        except OSError:
            raise SourceUnavailableError(name=self.path.name) from None
        return status.st_size, status.st_mtime_ns


class HistorySource(ReadOnlySource):
    """Containers by file name; what lies beside them in the folder is not looked at."""

    tool: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    container: ClassVar[Callable[..., Container[Any]]]

    def __init__(self, uri: str, *, places: Mapping[str, Path], limits: Limits = DEFAULT) -> None:
        self.uri = uri
        self._containers = {name: type(self).container(path, limits=limits) for name, path in places.items()}

    @classmethod
    def at(cls, path: str, *, limits: Limits = DEFAULT) -> Self:
        """The file at a path, or all files of this kind directly in a folder.

        Raises:
            SourceMissingError: nothing lies there.
            NotARepositoryError: the folder holds nothing of this kind.
        """
        uri = f"{cls.kind}:{path}"
        try:
            places = cls.places(Path(absolute(path)))
        except FileNotFoundError:
            raise SourceMissingError(uri=uri) from None
        except OSError:
            raise SourceUnavailableError(name=uri) from None
        if not places:
            raise NotARepositoryError(uri=uri, tool=cls.tool)
        return cls(uri, places=places, limits=limits)

    @classmethod
    def places(cls, place: Path) -> dict[str, Path]:
        """The containers at a place by name: the place itself, or what a folder holds of this kind."""
        if not place.is_dir():
            place.stat()
            return {place.name: place}
        return {
            path.name: path
            for path in sorted(place.iterdir())
            if path.name.lower().endswith(cls.suffixes) and path.is_file() and not path.is_symlink()
        }

    def restore_points(self) -> list[RestorePoint]:
        """One per container, oldest first, dated by its name.

        Without a date in its name a lone container is dated by its newest file (which reads its listing), one of
        many by the time it was written.
        """
        points = [RestorePoint(id=RestorePointId(n), taken_at=self._taken_at(n), label=n) for n in self._containers]
        return sorted(points, key=lambda point: (point.taken_at, point.id))

    def walk(self, point: RestorePointId) -> Iterator[Entry]:
        """Every entry, ordered by path; see ``Container.listing`` for what it raises."""
        yield from self._container(point).listing.entries()

    def open(self, point: RestorePointId, path: str) -> BinaryIO:
        """A file as a seekable stream.

        Raises:
            PathMissingError: there is no such entry.
            NotAFileError: it is a directory, link or device.
        """
        return self._container(point).open(path)

    def verify(self, point: RestorePointId, *, reading: Reading | None = None) -> Iterator[ObjectFault]:
        """Read everything of a restore point and tell what is damaged."""
        yield from self._container(point).faults(Meter(reading))

    def in_stored_order(self, point: RestorePointId, paths: Collection[str]) -> list[str]:
        """The paths in the order in which reading them costs least."""
        return self._container(point).in_stored_order(paths)

    def _container(self, point: RestorePointId) -> Container[Any]:
        container = self._containers.get(point)
        if container is None:
            raise RestorePointMissingError(point=point)
        return container

    def _taken_at(self, name: str) -> datetime:
        container = self._containers[name]
        day = day_in(name)
        if day is not None:
            return day
        newest = _newest(container) if len(self._containers) == 1 else None
        try:
            return newest or datetime.fromtimestamp(container.path.stat().st_mtime, tz=UTC)
        except OSError:
            raise SourceUnavailableError(name=name) from None


def day_in(name: str) -> datetime | None:
    """The first ISO date in a file name."""
    match = _DAY.search(name)
    if match is None:
        return None
    try:
        return datetime(*(int(group) for group in match.groups()), tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError:
        return None


def _newest(container: Container[Any]) -> datetime | None:
    times = [entry.modified_at for entry in container.listing.entries() if entry.type is EntryType.FILE]
    return max((time for time in times if time is not None), default=None)
