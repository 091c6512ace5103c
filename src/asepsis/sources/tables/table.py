"""A table of a restore point: its name, and a way to produce its file from the beginning."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from asepsis.domain.source import Entry, EntryType
from asepsis.sources.history import Container
from asepsis.sources.limits import Limits
from asepsis.sources.listing import Listing
from asepsis.sources.paths import from_bytes
from asepsis.sources.replay import Producer, hashed, replayed

_SUFFIX = ".tsv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """``name`` is the parts of a qualified name; size and hash are those of the file once it has been produced."""

    name: tuple[bytes, ...]
    producer: Producer
    size: int = 0
    sha256: str = ""


def measured(table: Table, pieces: Iterable[bytes]) -> Table:
    """The table with size and hash of these pieces of its file."""
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
    return replace(table, size=size, sha256=digest.hexdigest())


def path_of(name: tuple[bytes, ...]) -> str:
    """``/schema/table.tsv``; a slash inside a name is written ``%2F``, a zero byte ``%00``, a percent sign ``%25``."""
    *folders, last = [from_bytes(part) for part in name]
    parts = [*folders, last + _SUFFIX]
    return "/".join(part.replace("%", "%25").replace("/", "%2F").replace("\0", "%00") for part in parts)


def listed(tables: Iterable[Table], *, limits: Limits) -> Listing[Table]:
    """The listing of tables; content ids are hashes of their files."""
    listing: Listing[Table] = Listing(limits=limits)
    for table in tables:
        path = listing.path(path_of(table.name))
        entry = Entry(path=path, type=EntryType.FILE, size=table.size, content_id=table.sha256)
        listing.put(entry, place=table)
    return listing


Stretches = Iterator[tuple[tuple[bytes, ...], Iterable[bytes]]]


class TableContainer(Container[Table]):
    """A file of tables; opening one produces it again and compares it with the first time."""

    def stretches(self) -> Stretches:
        """Name and pieces of each table's file, the header a piece of its own before the first rows.

        A table may come several times, without header from the second time on. Pieces must be taken before the next
        stretch is asked for. Here from the listing, where other files may stand besides (the schema of a database);
        dumps that are read from front to back do without it.
        """
        for entry in self.listing.entries():
            if entry.type is EntryType.FILE and entry.path.endswith(_SUFFIX):
                _, table = self.listing.file(entry.path)
                yield table.name, table.producer()

    def encoding(self) -> str:
        """The character set of all text, as far as it has been read."""
        return "utf-8"

    def _open(self, _: Entry, place: Table) -> BinaryIO:
        def producer() -> Generator[bytes]:
            return hashed(place.producer(), sha256=place.sha256, name=self.path.name)

        return replayed(producer, size=place.size, name=self.path.name)
