"""Verification of a restore point: every pack it needs is read whole, every blob it needs is opened.

Restic's own ``check`` reads no data unless told to, and then finds no flipped bit; this always reads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

from asepsis.domain.integrity import ObjectFault
from asepsis.domain.source import EntryType
from asepsis.errors.source import LimitExceededError, ObjectMissingError, PackNotIndexedError, SourceError
from asepsis.sources.digests import Meter
from asepsis.sources.restic.index import Place
from asepsis.sources.restic.repository import Repository
from asepsis.sources.restic.tree import Node, Trees

_CHUNK: Final = 8 << 20


def faults(repository: Repository, trees: Trees, root: str, meter: Meter) -> Iterator[ObjectFault]:
    """What is missing or damaged among everything that the tree ``root`` needs, one entry per path and object.

    A fault of a whole pack comes once without a path; each file or directory that cannot be read because of
    a fault comes with its path.
    """
    for name, code in sorted(repository.index.faults.items()):
        yield ObjectFault(object=f"index {name}", code=code)
    needed = _Needed()
    yield from _read_trees(trees, root, needed, limit=repository.limits.entries)
    for blob in needed.blobs():
        repository.index_of(blob)
    for pack, code in sorted(repository.index.headless.items()):
        yield ObjectFault(object=f"pack {pack}", code=code)
    unreadable: dict[str, ObjectFault] = {}
    for pack, blobs in sorted(_by_pack(repository, needed.blobs()).items()):
        if pack in repository.index.unlisted:
            yield ObjectFault(object=f"pack {pack}", code=PackNotIndexedError.code)
        yield from _read_pack(_Reader(repository, meter), pack, blobs, unreadable)
    yield from needed.faults(repository, unreadable)


class _Needed:
    """Which paths need which blobs."""

    def __init__(self) -> None:
        self._files: list[tuple[str, tuple[str, ...]]] = []
        self._trees: set[str] = set()
        self.count = 0

    def file(self, path: str, content: tuple[str, ...]) -> None:
        self._files.append((path, content))
        self.count += 1

    def tree(self, blob: str) -> None:
        self._trees.add(blob)
        self.count += 1

    def blobs(self) -> Iterable[str]:
        yield from self._trees
        for _, content in self._files:
            yield from content

    def faults(self, repository: Repository, unreadable: dict[str, ObjectFault]) -> Iterator[ObjectFault]:
        for path, content in self._files:
            for blob in dict.fromkeys(content):
                fault = unreadable.get(blob) or _unknown(repository, blob)
                if fault is not None:
                    yield ObjectFault(object=fault.object, code=fault.code, path=path)


def _read_trees(trees: Trees, root: str, needed: _Needed, *, limit: int) -> Iterator[ObjectFault]:
    """Walk like ``Trees.walk``, but go on beside a directory that cannot be read."""
    pending = [("", root)]
    while pending:
        path, tree = pending.pop()
        needed.tree(tree)
        try:
            nodes = trees.nodes(tree)
        except SourceError as error:
            yield ObjectFault(object=f"tree {tree}", code=error.code, path=path or "/")
            continue
        pending.extend(_note(path, nodes, needed))
        if needed.count > limit:
            raise LimitExceededError(name="the restore point", limit=limit, unit="entries")


def _note(path: str, nodes: Iterable[Node], needed: _Needed) -> Iterator[tuple[str, str]]:
    for node in nodes:
        if node.subtree is not None:
            yield f"{path}/{node.name}", node.subtree
        elif node.type is EntryType.FILE:
            needed.file(f"{path}/{node.name}", node.content)


def _by_pack(repository: Repository, blobs: Iterable[str]) -> dict[str, dict[str, Place]]:
    packs: dict[str, dict[str, Place]] = {}
    for blob in blobs:
        for place in repository.index.places(blob):
            packs.setdefault(place.pack, {})[blob] = place
    return packs


def _read_pack(
    reader: _Reader, pack: str, blobs: dict[str, Place], unreadable: dict[str, ObjectFault]
) -> Iterator[ObjectFault]:
    try:
        intact = reader.digest(pack) == pack
    except SourceError as error:
        yield ObjectFault(object=f"pack {pack}", code=error.code)
    else:
        if not intact:
            yield ObjectFault(object=f"pack {pack}", code="source.object_damaged")
    for blob in blobs:
        try:
            reader.repository.blob(blob)
        except SourceError as error:
            unreadable[blob] = ObjectFault(object=f"blob {blob}", code=error.code)


class _Reader:
    """Reads whole packs and counts their bytes."""

    def __init__(self, repository: Repository, meter: Meter) -> None:
        self.repository = repository
        self._meter = meter

    def digest(self, pack: str) -> str:
        path, storage = self.repository.pack_path(pack), self.repository.storage
        digest = hashlib.sha256()
        position, size = 0, storage.size(path)
        while position < size:
            chunk = storage.read(path, start=position, end=min(position + _CHUNK, size))
            if not chunk:
                raise ObjectMissingError(name=path)
            digest.update(chunk)
            position += len(chunk)
            self._meter.add(len(chunk))
        return digest.hexdigest()


def _unknown(repository: Repository, blob: str) -> ObjectFault | None:
    try:
        repository.size(blob)
    except SourceError as error:
        return ObjectFault(object=f"blob {blob}", code=error.code)
    return None
