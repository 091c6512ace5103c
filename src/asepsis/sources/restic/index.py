"""Where each blob lies: the repository's index files merged, superseded ones left out, and headers of packs.

A blob may lie in several packs (an interrupted prune leaves such); all places are kept, so that one lost
pack does not lose what another still holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from asepsis.errors.source import ObjectDamagedError, UnsupportedFormatError
from asepsis.sources.restic import documents
from asepsis.sources.restic.crypto import OVERHEAD


class Place(NamedTuple):
    """A sealed blob inside a pack: ``length`` stored bytes at ``offset``, ``size`` bytes when unpacked."""

    pack: str
    offset: int
    length: int
    size: int
    compressed: bool


@dataclass(slots=True)
class Index:
    """Blob id to place. ``faults`` are index files that could not be read, with the code of the reason.

    ``packs`` are those that an index names, ``unlisted`` those of which only their own header tells, and
    ``headless`` those whose header could not be read, with the code of the reason.
    """

    faults: dict[str, str] = field(default_factory=dict)
    packs: set[str] = field(default_factory=set)
    unlisted: set[str] = field(default_factory=set)
    headless: dict[str, str] = field(default_factory=dict)
    has_headers: bool = False
    _first: dict[str, Place] = field(default_factory=dict)
    _further: dict[str, list[Place]] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many different blobs are known."""
        return len(self._first)

    def places(self, blob: str) -> Iterator[Place]:
        """All places of a blob; none when it is unknown."""
        first = self._first.get(blob)
        if first is not None:
            yield first
            yield from self._further.get(blob, ())

    def size(self, blob: str) -> int | None:
        """Unpacked length in bytes; ``None`` when the blob is unknown."""
        first = self._first.get(blob)
        return None if first is None else first.size

    def add(self, blob: str, place: Place) -> None:
        """Remember one more place of a blob."""
        known = self._first.setdefault(blob, place)
        if known is not place:
            self._further.setdefault(blob, []).append(place)


def merged(files: Mapping[str, dict[str, Any] | ObjectDamagedError | UnsupportedFormatError]) -> Index:
    """One index out of all index files; a file that another present one supersedes adds nothing.

    Raises:
        UnsupportedFormatError: an authentic index is of an unknown shape.
    """
    index = Index()
    readable = {}
    superseded: set[str] = set()
    for name, content in files.items():
        if isinstance(content, dict):
            readable[name] = content
            superseded.update(documents.object_ids(content, "supersedes", name=f"index/{name}"))
        else:
            index.faults[name] = content.code
    for name, content in readable.items():
        if name not in superseded:
            _add_all(index, content, name=f"index/{name}")
    return index


def _add_all(index: Index, content: dict[str, Any], *, name: str) -> None:
    for pack in documents.items(content, "packs", name=name):
        pack_id = documents.object_id(pack.get("id"), name=name)
        index.packs.add(pack_id)
        for blob in documents.items(pack, "blobs", name=name):
            index.add(documents.object_id(blob.get("id"), name=name), _place(pack_id, blob, name=name))


def _place(pack_id: str, blob: dict[str, Any], *, name: str) -> Place:
    length = documents.number(blob, "length", name=name)
    size = documents.number(blob, "uncompressed_length", name=name, default=0)
    if length < OVERHEAD:
        raise UnsupportedFormatError(name=name)
    return Place(
        pack=pack_id,
        offset=documents.number(blob, "offset", name=name),
        length=length,
        size=size or length - OVERHEAD,
        compressed=size > 0,
    )
