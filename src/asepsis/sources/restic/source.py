"""A restic repository as a source: restore points, entries and bytes, all read-only and authenticated."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, BinaryIO, ClassVar, Final, cast

from asepsis.domain.integrity import ObjectFault
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Capability, Change, Entry, EntryType, Remark, RestorePoint
from asepsis.errors.source import (
    NotAFileError,
    ObjectDamagedError,
    ObjectMissingError,
    PathMissingError,
    RestorePointMissingError,
    SourceError,
    UnsupportedFormatError,
)
from asepsis.integrity.differences import diff
from asepsis.ports import Reading
from asepsis.sources.digests import Meter
from asepsis.sources.limits import DEFAULT, Limits
from asepsis.sources.paths import names_of
from asepsis.sources.reading import ReadOnlySource
from asepsis.sources.restic import documents
from asepsis.sources.restic.files import BlobFile
from asepsis.sources.restic.repository import Repository
from asepsis.sources.restic.tree import Node, Trees, moment
from asepsis.sources.restic.verify import faults
from asepsis.sources.storage import Storage

_BUFFER: Final = 1 << 20
_SHORTEST_NAME: Final = 4


class ResticSource(ReadOnlySource):
    """Looks into one repository; ``uri`` never holds the password."""

    kind = "restic"
    abilities: ClassVar = frozenset(
        {
            Capability.HISTORY,
            Capability.CONTENT_IDS,
            Capability.SEEK,
            Capability.FAST_DIFF,
            Capability.CHECKSUMS,
            Capability.OLD_TIMES,
            Capability.LINKS,
            Capability.HARD_LINKS,
            Capability.SPECIAL_FILES,
        }
    )

    def __init__(self, uri: str, *, repository: Repository) -> None:
        self.uri = uri
        self._repository = repository
        self._trees = Trees(repository)

    @classmethod
    def unlock(cls, address: str, *, password: str, limits: Limits = DEFAULT) -> ResticSource:
        """Open the repository at a path or fsspec URL; see ``Repository.unlock`` for what it raises."""
        uri = f"restic:{address}"
        repository = Repository.unlock(Storage.at(address), uri=uri, password=password, limits=limits)
        return cls(uri, repository=repository)

    def restore_points(self) -> list[RestorePoint]:
        """All snapshots, oldest first; one whose record is damaged is listed with its ``fault``."""
        points = [self._restore_point(name) for name in self._repository.names("snapshots")]
        return sorted(points, key=lambda point: (point.taken_at, point.id))

    def walk(self, point: RestorePointId) -> Iterator[Entry]:
        """Every entry, ordered by path; see ``Trees.walk`` for what it raises."""
        for path, node in self._trees.walk(self._root(point)):
            yield node.entry(path)

    def open(self, point: RestorePointId, path: str) -> BinaryIO:
        """A file as a seekable stream.

        Raises:
            PathMissingError: the restore point has no such entry.
            NotAFileError: it is a directory, link or device.
            ObjectMissingError, ObjectDamagedError: what the stream needs is missing or damaged (on opening
                or on reading).
        """
        node = self._node(point, path)
        if node.type is not EntryType.FILE:
            raise NotAFileError(path=path)
        raw = BlobFile(self._repository, node.content)
        return cast("BinaryIO", io.BufferedReader(raw, _BUFFER))

    def remarks(self) -> list[Remark]:
        """Locks that lie in the repository: they are ignored, because nothing is written that they could protect."""
        return [self._lock(name) for name in self._repository.names("locks")]

    def diff(self, older: RestorePointId, newer: RestorePointId) -> list[Change]:
        """How two restore points differ in content; equal directories are not entered, no data is read.

        Raises:
            ObjectMissingError, ObjectDamagedError: a directory that differs cannot be read.
        """
        before, after = self._trees.differing(self._root(older), self._root(newer))
        return diff(before, after)

    def verify(self, point: RestorePointId, *, reading: Reading | None = None) -> Iterator[ObjectFault]:
        """Read every pack that the restore point needs, whole, and report what is missing or damaged."""
        snapshot = self._full_id(point)
        try:
            root = self._root(RestorePointId(snapshot))
        except (ObjectDamagedError, UnsupportedFormatError) as error:
            yield ObjectFault(object=f"snapshot {snapshot}", code=error.code)
            return
        yield from faults(self._repository, self._trees, root, Meter(reading))

    def _node(self, point: RestorePointId, path: str) -> Node:
        names = names_of(path)
        root = self._root(point)
        if not names:
            raise NotAFileError(path=path)
        node = self._trees.find(root, names)
        if node is None:
            raise PathMissingError(path=path)
        return node

    def _root(self, point: RestorePointId) -> str:
        name = f"snapshots/{self._full_id(point)}"
        return documents.object_id(self._repository.document(name).get("tree"), name=name)

    def _full_id(self, point: RestorePointId) -> str:
        if documents.is_object_id(point):
            return point
        found = [name for name in self._repository.names("snapshots") if name.startswith(point)]
        if len(point) < _SHORTEST_NAME or len(found) != 1:
            raise RestorePointMissingError(point=point)
        return found[0]

    def _restore_point(self, snapshot: str) -> RestorePoint:
        name = f"snapshots/{snapshot}"
        try:
            fields = self._repository.document(name)
            return RestorePoint(
                id=RestorePointId(snapshot),
                taken_at=_taken_at(fields, name=name),
                label=_label(fields),
                tree=documents.object_id(fields.get("tree"), name=name),
            )
        except (ObjectDamagedError, ObjectMissingError, UnsupportedFormatError) as fault:
            return self._damaged(snapshot, fault)

    def _lock(self, lock: str) -> Remark:
        name, at = f"locks/{lock}", None
        with suppress(SourceError):
            at = moment(self._repository.document(name).get("time"))
        return Remark(code="source.lock_ignored", object=name, at=at)

    def _damaged(self, snapshot: str, fault: SourceError) -> RestorePoint:
        written = self._repository.storage.modified_at(f"snapshots/{snapshot}")
        return RestorePoint(id=RestorePointId(snapshot), taken_at=written, fault=fault.code)


def _taken_at(fields: dict[str, Any], *, name: str) -> datetime:
    taken_at = moment(fields.get("time"))
    if taken_at is None:
        raise UnsupportedFormatError(name=name)
    return taken_at


def _label(fields: dict[str, Any]) -> str:
    tags = fields.get("tags") or []
    host = fields.get("hostname")
    words = [word for word in [host, *tags] if isinstance(word, str)] if isinstance(tags, list) else []
    return " ".join(words)
