"""What one restore point holds: entries by path, in order, each with the place its content is read from.

A listing is whole or not made at all: a name that exists twice, or that lies below a file, is refused, because two
readers of it could see two different trees. A name below a link stays what it says: no link is ever followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from asepsis.domain.source import Entry, EntryType
from asepsis.errors.source import HostilePathError, LimitExceededError, NotAFileError, PathMissingError
from asepsis.sources.limits import Limits
from asepsis.sources.paths import checked_parts, names_of

_WITHOUT_CHILDREN: Final = frozenset({EntryType.FILE, EntryType.OTHER})
PlaceT = TypeVar("PlaceT")


class Listing(Generic[PlaceT]):
    """Filled once with ``put`` and closed by the first question."""

    def __init__(self, *, limits: Limits) -> None:
        self._limits = limits
        self._found: dict[str, tuple[Entry, PlaceT | None]] = {}
        self._closed = False

    def path(self, stored: str) -> str:
        """The path of a name as an archive stores it; ``/`` for the root itself.

        Raises:
            HostilePathError: it is absolute or leads upwards.
            LimitExceededError: it is nested too deeply, or a name is too long.
        """
        return "/" + "/".join(checked_parts(stored, limits=self._limits))

    def put(self, entry: Entry, *, place: PlaceT | None = None) -> None:
        """Take an entry; one without a place is listed and never opened.

        Raises:
            HostilePathError: its path is there already (a directory may be named again).
            LimitExceededError: there are more entries than the limit.
        """
        known = self._found.get(entry.path)
        if known is not None and not known[0].type is entry.type is EntryType.DIRECTORY:
            raise HostilePathError(reason="a name that exists twice")
        if len(self._found) >= self._limits.archive_entries:
            raise LimitExceededError(name="the archive", limit=self._limits.archive_entries, unit="entries")
        self._found[entry.path] = entry, place

    def entries(self) -> Iterator[Entry]:
        """Every entry, ordered by path."""
        self._close()
        for entry, _ in self._found.values():
            yield entry

    def file(self, path: str) -> tuple[Entry, PlaceT]:
        """A regular file and where its content lies.

        Raises:
            PathMissingError: there is no such entry.
            NotAFileError: it is a directory, link or device.
        """
        self._close()
        names = names_of(path)
        entry, place = self._found.get("/" + "/".join(names), (None, None))
        if entry is None and names:
            raise PathMissingError(path=path)
        if entry is None or entry.type is not EntryType.FILE or place is None:
            raise NotAFileError(path=path)
        return entry, place

    def _close(self) -> None:
        """Add the directories that are implied, check all of them, and sort."""
        if self._closed:
            return
        for path in list(self._found):
            self._add_parents(path)
        self._found = dict(sorted(self._found.items()))
        self._closed = True

    def _add_parents(self, path: str) -> None:
        parent = path.rsplit("/", 1)[0]
        while parent:
            known = self._found.get(parent)
            if known is None:
                self._found[parent] = Entry(path=parent, type=EntryType.DIRECTORY, size=0), None
            elif known[0].type in _WITHOUT_CHILDREN:
                raise HostilePathError(reason="a name below a file")
            parent = parent.rsplit("/", 1)[0]
