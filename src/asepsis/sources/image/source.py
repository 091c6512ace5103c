"""Disk images as a source: one image is one restore point, a folder of images is their history.

An image without a partition table shows its file system at ``/``, one with it shows ``/volume-001`` and so on. Deleted
names are not listed. The libraries below are native code that parses the image in this process.
"""

from __future__ import annotations

import io
import os
import weakref
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Final, cast

from asepsis.domain.source import Capability, Entry, EntryType
from asepsis.errors.source import (
    ArchiveDamagedError,
    LimitExceededError,
    NotARepositoryError,
    SourceUnavailableError,
)
from asepsis.sources.history import Container, HistorySource
from asepsis.sources.image.disks import FAILURES, library, opened
from asepsis.sources.listing import Listing
from asepsis.sources.paths import checked_name, from_bytes

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_SIGN: Final = 1 << 31
_BUFFER: Final = 1 << 20
_LONGEST_TARGET: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A file of one file system of the image."""

    volume: int
    inode: int


class DiskImage(Container[Node]):
    """One image file; its file systems stay open as long as its listing is used."""

    _systems: tuple[Any, ...] = ()
    _disk: Any = None
    _file: BinaryIO | None = None

    def _read(self) -> Listing[Node]:
        tsk = library("pytsk3")
        if self._file is not None:
            self._file.close()
        try:
            self._file = self.path.open("rb")  # open until the container ends
            weakref.finalize(self, self._file.close)
        except OSError:
            raise SourceUnavailableError(name=self.path.name) from None
        self._disk = opened(self._file, path=self.path)
        found = self._found(tsk)
        self._systems = tuple(system for _, system in found)
        listing: Listing[Node] = Listing(limits=self.limits)
        try:
            for volume, (prefix, system) in enumerate(found):
                if prefix:
                    listing.put(Entry(path=prefix, type=EntryType.DIRECTORY, size=0))
                for entry, inode in _Walk(tsk, system, self.limits.depth).entries(prefix):
                    listing.put(entry, place=Node(volume=volume, inode=inode))
        except FAILURES:
            raise ArchiveDamagedError(name=self.path.name) from None
        return listing

    def _found(self, tsk: Any) -> list[tuple[str, Any]]:
        try:
            found = list(_file_systems(tsk, self._disk, name=self.path.name))
        except RuntimeError:  # the container's library failed; an OSError only says that no file system is there
            raise ArchiveDamagedError(name=self.path.name) from None
        if not found:
            raise NotARepositoryError(uri=self.path.name, tool="disk image")
        return found

    def _open(self, entry: Entry, place: Node) -> BinaryIO:
        try:
            file = self._systems[place.volume].open_meta(inode=place.inode)
        except FAILURES:
            raise ArchiveDamagedError(name=self.path.name) from None
        raw = _Content(file, size=entry.size, name=self.path.name)
        return cast("BinaryIO", io.BufferedReader(raw, _BUFFER))


class ImageSource(HistorySource):
    """raw, qcow2, VMDK, VHD and VHDX with ext2/3/4, NTFS, FAT and what else The Sleuth Kit reads."""

    kind = "image"
    abilities: ClassVar = frozenset(
        {
            Capability.HISTORY,
            Capability.SEEK,
            Capability.OLD_TIMES,
            Capability.LINKS,
            Capability.HARD_LINKS,
            Capability.SPECIAL_FILES,
        }
    )
    tool: ClassVar = "disk image"
    suffixes: ClassVar = (".raw", ".img", ".dd", ".qcow2", ".vmdk", ".vhd", ".vhdx")
    container: ClassVar = DiskImage


class _Walk:
    """One file system from its root; a directory inside of itself is not entered again."""

    def __init__(self, tsk: Any, system: Any, depth: int) -> None:
        self._tsk = tsk
        self._system = system
        self._depth = depth

    def entries(self, prefix: str) -> Iterator[tuple[Entry, int]]:
        yield from self._folder(prefix, self._system.open_dir(inode=self._system.info.root_inum), ())

    def _folder(self, prefix: str, folder: Any, above: tuple[int, ...]) -> Iterator[tuple[Entry, int]]:
        if len(above) > self._depth:
            raise LimitExceededError(name="the image", limit=self._depth, unit="levels")
        for item in folder:
            name, meta = item.info.name.name, item.info.meta
            if name in {b".", b".."} or not self._is_there(item):
                continue
            path = f"{prefix}/{checked_name(from_bytes(name))}"
            entry = self._entry(path, item)
            yield entry, int(meta.addr)
            if entry.type is EntryType.DIRECTORY and meta.addr not in above:
                yield from self._folder(path, item.as_directory(), (*above, int(meta.addr)))

    def _is_there(self, item: Any) -> bool:
        """Whether the name is in use, and not one that The Sleuth Kit makes up."""
        tsk, meta = self._tsk, item.info.meta
        virtual = {tsk.TSK_FS_META_TYPE_VIRT, getattr(tsk, "TSK_FS_META_TYPE_VIRT_DIR", None)}
        is_used = int(item.info.name.flags) & int(tsk.TSK_FS_NAME_FLAG_ALLOC)
        return bool(is_used) and meta is not None and meta.type not in virtual

    def _entry(self, path: str, item: Any) -> Entry:
        tsk, meta = self._tsk, item.info.meta
        kinds = {
            tsk.TSK_FS_META_TYPE_REG: EntryType.FILE,
            tsk.TSK_FS_META_TYPE_DIR: EntryType.DIRECTORY,
            tsk.TSK_FS_META_TYPE_LNK: EntryType.LINK,
        }
        kind = kinds.get(meta.type, EntryType.OTHER)
        return Entry(
            path=path,
            type=kind,
            size=int(meta.size) if kind is EntryType.FILE else 0,
            modified_at=_moment(int(meta.mtime)),
            link_target=_target(item, meta) if kind is EntryType.LINK else None,
        )


class _Content(io.RawIOBase):
    """The bytes of a file, read where they are asked for."""

    def __init__(self, file: Any, *, size: int, name: str) -> None:
        super().__init__()
        self._file = file
        self._size = size
        self._name = name
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError(22, os.strerror(22))
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        target = memoryview(buffer).cast("B")[: max(self._size - self._position, 0)]
        if not target:
            return 0
        try:
            piece = self._file.read_random(self._position, len(target))
        except FAILURES:
            raise ArchiveDamagedError(name=self._name) from None
        if not piece:
            raise ArchiveDamagedError(name=self._name)
        target[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)


def _moment(seconds: int) -> datetime | None:
    """The Sleuth Kit hands on 32 bits without their sign; that of ext is signed, and 2038 is later than any backup."""
    return datetime.fromtimestamp(seconds - (1 << 32) if seconds >= _SIGN else seconds, tz=UTC) if seconds else None


def _target(item: Any, meta: Any) -> str:
    if meta.size > _LONGEST_TARGET:
        raise LimitExceededError(name="the target of a link", limit=_LONGEST_TARGET, unit="bytes")
    link = getattr(meta, "link", None)
    if isinstance(link, str):
        return link
    return from_bytes(bytes(link) if link else item.read_random(0, int(meta.size)))


def _file_systems(tsk: Any, disk: Any, *, name: str) -> Iterator[tuple[str, Any]]:
    """Each file system and the folder that it is shown in.

    Raises:
        ArchiveDamagedError: the disk ends before a partition begins.
    """
    with suppress(OSError):
        yield "", tsk.FS_Info(disk)
        return
    volumes: Any = ()
    with suppress(OSError):  # no file system at the beginning: perhaps a table of partitions
        volumes = tsk.Volume_Info(disk)
    number = 0
    for part in volumes:
        if int(part.flags) & int(tsk.TSK_VS_PART_FLAG_ALLOC):
            number += 1
            if part.start * volumes.info.block_size >= disk.get_size():
                raise ArchiveDamagedError(name=name)
            with suppress(OSError):  # swap space, a reserved partition, or a file system that is not known
                yield f"/volume-{number:03}", tsk.FS_Info(disk, offset=part.start * volumes.info.block_size)
