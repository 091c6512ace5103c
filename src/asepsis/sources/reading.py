"""What every source has in common, whatever it is made of: what it says about itself, comparing, a file system."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, ClassVar

from asepsis.domain.integrity import ObjectFault
from asepsis.domain.names import RestorePointId
from asepsis.domain.source import Capability, Change, Entry, Remark, RestorePoint
from asepsis.ports import Reading
from asepsis.sources.comparing import compared


class ReadOnlySource(ABC):
    """Base of the adapters: they list, open and verify; the rest follows from that."""

    kind: str
    uri: str
    abilities: ClassVar[frozenset[Capability]] = frozenset()

    @abstractmethod
    def restore_points(self) -> list[RestorePoint]:
        """All restore points, oldest first."""

    @abstractmethod
    def walk(self, point: RestorePointId) -> Iterator[Entry]:
        """All entries of a restore point, sorted by path."""

    @abstractmethod
    def open(self, point: RestorePointId, path: str) -> BinaryIO:
        """A seekable, read-only stream of one file."""

    @abstractmethod
    def verify(self, point: RestorePointId, *, reading: Reading | None = None) -> Iterator[ObjectFault]:
        """Read everything and tell what is damaged."""

    def capabilities(self) -> frozenset[Capability]:
        """What this source can do, and what its format can hold."""
        return self.abilities

    def remarks(self) -> list[Remark]:
        """Nothing, for most."""
        return []

    def diff(self, older: RestorePointId, newer: RestorePointId) -> list[Change]:
        """How two restore points differ in content; files without content ids are read where that decides.

        Raises:
            SourceError: an entry that has to be compared cannot be read.
        """
        return compared(self, older, newer)

    def in_stored_order(self, _: RestorePointId, paths: Collection[str]) -> list[str]:
        """The paths in the order in which reading them costs least: a solid archive is unpacked once that way."""
        return sorted(paths)

    def fs(self, point: RestorePointId) -> Any:
        """A restore point as a read-only ``fsspec.AbstractFileSystem``."""
        from asepsis.sources.filesystem import RestorePointFileSystem  # noqa: PLC0415  fsspec, only where asked for

        return RestorePointFileSystem(self, point)
