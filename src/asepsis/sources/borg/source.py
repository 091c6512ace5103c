"""A Borg repository as a source: archives as restore points, listed and read through borg itself.

Only local repositories; one on another machine is copied or mounted first. Borg lists no content ids: knowing them
means reading the file (``content_id``).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, ClassVar, Final

from asepsis.domain.integrity import ObjectFault
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Capability, Change, Entry, EntryType, RestorePoint
from asepsis.errors.source import (
    NotARepositoryError,
    RemoteRepositoryError,
    RestorePointMissingError,
    SourceError,
    SourceMissingError,
    SourceUnavailableError,
    UnsupportedFormatError,
)
from asepsis.ports import Reading
from asepsis.sources.borg.command import Borg
from asepsis.sources.comparing import compared
from asepsis.sources.digests import Meter, digest_of
from asepsis.sources.limits import DEFAULT, Limits
from asepsis.sources.listing import Listing
from asepsis.sources.paths import absolute, names_of
from asepsis.sources.reading import ReadOnlySource
from asepsis.sources.replay import replayed

_KINDS: Final = {"-": EntryType.FILE, "h": EntryType.FILE, "d": EntryType.DIRECTORY, "l": EntryType.LINK}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """The name under which borg keeps a file's content."""

    path: str


class BorgSource(ReadOnlySource):
    """Looks into one repository; ``uri`` never holds the passphrase."""

    kind = "borg"
    abilities: ClassVar = frozenset(
        {
            Capability.HISTORY,
            Capability.FAST_DIFF,
            Capability.CHECKSUMS,
            Capability.LINKS,
            Capability.HARD_LINKS,
            Capability.SPECIAL_FILES,
        }
    )

    def __init__(self, uri: str, *, borg: Borg, limits: Limits = DEFAULT) -> None:
        self.uri = uri
        self._borg = borg
        self._limits = limits
        self._listings: dict[str, Listing[_Item]] = {}
        self._names: dict[str, str] = {}

    @classmethod
    def unlock(cls, path: str, *, passphrase: str, limits: Limits = DEFAULT, key_file: str | None = None) -> BorgSource:
        """The repository at a local path; ``key_file`` holds its key where the repository does not.

        Raises:
            RemoteRepositoryError: the path is an address of another machine.
            SourceMissingError: nothing lies there.
            NotARepositoryError: it is no Borg repository of the versions that are read (1.x).
            WrongPasswordError, KeyFileMissingError: passphrase or key do not open it.
            RepositoryUnreadableError: it is damaged.
            ToolMissingError: the borg command is not installed.
        """
        if "://" in path:
            raise RemoteRepositoryError(tool="borg")
        uri, place = f"borg:{path}", Path(absolute(path))
        if not place.exists():
            raise SourceMissingError(uri=uri)
        try:
            is_repository = "[repository]" in (place / "config").read_text("utf-8", "replace")
        except FileNotFoundError:
            is_repository = False
        except OSError:
            raise SourceUnavailableError(name=uri) from None
        if not is_repository:
            raise NotARepositoryError(uri=uri, tool="borg")
        borg = Borg(str(place), uri=uri, passphrase=passphrase, limits=limits, key_file=key_file)
        source = cls(uri, borg=borg, limits=limits)
        source.restore_points()
        return source

    def restore_points(self) -> list[RestorePoint]:
        """All archives, oldest first; the label is the archive's name."""
        points = [_point(archive) for archive in self._borg.archives()]
        self._names = {point.id: point.label for point in points}
        return sorted(points, key=lambda point: (point.taken_at, point.id))

    def walk(self, point: RestorePointId) -> Iterator[Entry]:
        """Every entry, ordered by path."""
        yield from self._listing(point).entries()

    def open(self, point: RestorePointId, path: str) -> BinaryIO:
        """A file as a seekable stream; going backwards extracts it again.

        Raises:
            PathMissingError: the archive has no such entry.
            NotAFileError: it is a directory, link or device.
        """
        entry, item = self._listing(point).file(path)
        archive = self._name(point)
        return replayed(lambda: self._content(archive, item.path), size=entry.size, name=archive)

    def content_id(self, point: RestorePointId, path: str) -> str:
        """SHA-256 of a file's bytes in hex; reads it."""
        return digest_of(self, point, path)

    def diff(self, older: RestorePointId, newer: RestorePointId) -> list[Change]:
        """How two archives differ in content: borg compares its chunks, what it cannot tell is read.

        Raises:
            ObjectDamagedError: borg cannot compare them, or a file that decides cannot be read.
        """
        differing = self._borg.differences(self._name(older), self._name(newer))
        paths = {"/" + "/".join(names_of(path)): certain for path, certain in differing.items()}
        return compared(self, older, newer, among=paths.keys(), known={path for path in paths if paths[path]})

    def verify(self, point: RestorePointId, *, reading: Reading | None = None) -> Iterator[ObjectFault]:
        """Read and authenticate all data of an archive; where that fails, tell of which files."""
        archive, meter = self._name(point), Meter(reading)
        if self._borg.check(archive):
            meter.add(sum(entry.size for entry in self.walk(point)))
            return
        try:
            entries = list(self.walk(point))
        except SourceError as error:
            yield ObjectFault(object=f"archive {archive}", code=error.code)
            return
        for entry in entries:
            if entry.type is EntryType.FILE:
                try:
                    digest_of(self, point, entry.path, meter=meter)
                except SourceError as error:
                    yield ObjectFault(object=f"archive {archive}", code=error.code, path=entry.path)

    def _content(self, archive: str, path: str) -> Generator[bytes]:
        return self._borg.content(archive, path)

    def _name(self, point: RestorePointId) -> str:
        name = self._names.get(point)
        if name is None:
            raise RestorePointMissingError(point=point)
        return name

    def _listing(self, point: RestorePointId) -> Listing[_Item]:
        """An archive never changes, so that it is listed once."""
        name = self._name(point)
        if point not in self._listings:
            self._listings[point] = self._listed(self._borg.entries(name))
        return self._listings[point]

    def _listed(self, found: list[list[str]]) -> Listing[_Item]:
        listing: Listing[_Item] = Listing(limits=self._limits)
        sizes = {path: int(size) for _, size, _, path, _ in found if size.isdigit()}
        for mode, _, taken, stored, source in found:
            path = listing.path(stored)
            if path == "/":
                continue
            kind = _KINDS.get(mode[:1], EntryType.OTHER)
            content = source if mode[:1] == "h" else stored
            entry = Entry(path=path, type=kind, size=0, modified_at=_moment(taken))
            if kind is EntryType.FILE:
                entry = replace(entry, size=sizes.get(content, 0))
            elif kind is EntryType.LINK:
                entry = replace(entry, link_target=source)
            listing.put(entry, place=_Item(path=content))
        return listing


def _point(archive: dict[str, object]) -> RestorePoint:
    taken, number = _moment(str(archive.get("time"))), archive.get("id")
    name = archive.get("barchive", archive.get("name"))
    if taken is None or not isinstance(number, str) or not isinstance(name, str):
        raise UnsupportedFormatError(name="the answer of borg")
    return RestorePoint(id=RestorePointId(number), taken_at=taken, label=name)


def _moment(text: str) -> datetime | None:
    """Borg writes local time without a zone; in the jail that is UTC."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None
