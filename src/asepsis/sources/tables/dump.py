"""A dump in SQL text as a container: plain, or compressed by gzip, xz or zstd."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from asepsis.errors.source import ArchiveTruncatedError, NotARepositoryError, SourceUnavailableError
from asepsis.sources.listing import Listing
from asepsis.sources.tables.scanner import Dialect
from asepsis.sources.tables.table import Stretches, Table, TableContainer, listed
from asepsis.sources.tables.text import Dump, Found
from asepsis.sources.tables.tsv import line
from asepsis.sources.unpacking import UnpackedStream, decoder_for

_MAGIC: Final = 8
_BUFFER: Final = 1 << 20
_TAIL: Final = 1 << 10


@dataclass(slots=True)
class Measure:
    """Size and hash of a table's file while its stretches come by."""

    found: Found
    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def take(self, piece: bytes) -> None:
        """Count a piece."""
        self.size += len(piece)
        self.digest.update(piece)


class TextDumpContainer(TableContainer):
    """The first question reads the whole dump; opening a table reads its stretches again."""

    dialect: ClassVar[Dialect]
    tool: ClassVar[str]
    header: ClassVar[tuple[bytes, ...]]
    foreign: ClassVar[tuple[bytes, ...]]
    footer: ClassVar[bytes]
    _running: Dump | None = None

    def _read(self) -> Listing[Table]:
        dump = Dump(dialect=self.dialect, name=self.path.name, limits=self.limits)
        measures: dict[tuple[bytes, ...], Measure] = {}
        with self._stream() as stream:
            self._check_kind(stream.peek(_TAIL)[:_TAIL])
            watched = _Watched(stream)
            for found, pieces in dump.read(watched):
                measure = measures.setdefault(found.name, Measure(found))
                for piece in pieces:
                    measure.take(piece)
        self._check_whole(watched)
        return listed((self._table(dump, measure) for measure in measures.values()), limits=self.limits)

    def stretches(self) -> Stretches:
        """Once over the dump; whether it is whole shows at the end."""
        self._running = Dump(dialect=self.dialect, name=self.path.name, limits=self.limits)
        with self._stream() as stream:
            self._check_kind(stream.peek(_TAIL)[:_TAIL])
            watched = _Watched(stream)
            for found, pieces in self._running.read(watched):
                yield found.name, pieces
        self._check_whole(watched)

    def encoding(self) -> str:
        """The character set that the dump has set last."""
        return self._running.encoding if self._running is not None else super().encoding()

    def _table(self, dump: Dump, measure: Measure) -> Table:
        found = measure.found
        return Table(
            name=found.name,
            producer=lambda: self._produce(dump, found),
            size=measure.size,
            sha256=measure.digest.hexdigest(),
        )

    def _produce(self, dump: Dump, found: Found) -> Generator[bytes]:
        yield line(found.columns)
        position = 0
        with self._stream() as stream:
            for stretch in found.stretches:
                if stream.seekable():
                    stream.seek(stretch.start)
                else:
                    position += _skip(stream, stretch.start - position)
                part = _Part(stream, stretch.end - stretch.start)
                yield from dump.replay(part, stretch, found.columns)
                position += part.taken

    def _stream(self) -> io.BufferedReader:
        try:
            file = self.path.open("rb")
            beginning = file.read(_MAGIC)
            file.seek(0)
        except OSError:
            raise SourceUnavailableError(name=self.path.name) from None
        decoder = decoder_for(beginning)
        if decoder is None:
            return file
        raw = UnpackedStream(file, decoder, name=self.path.name, limits=self.limits)
        return io.BufferedReader(raw, _BUFFER)

    def _check_kind(self, beginning: bytes) -> None:
        """Nothing at all is no dump, and neither are another tool's dump and what is no text."""
        if not beginning:
            raise ArchiveTruncatedError(name=self.path.name)
        is_own = any(mark in beginning for mark in self.header)
        if not is_own and any(mark in beginning for mark in (*self.foreign, b"\0")):
            raise NotARepositoryError(uri=self.path.name, tool=self.tool)

    def _check_whole(self, watched: _Watched) -> None:
        """A dump that says that it begins must say that it ends: tools write both or neither."""
        begins = any(mark in watched.beginning for mark in self.header)
        if begins and self.footer not in watched.end:
            raise ArchiveTruncatedError(name=self.path.name)


class _Watched:
    """Keeps the first and the last bytes that were read."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self.beginning = b""
        self.end = b""

    def read(self, size: int, /) -> bytes:
        piece = self._stream.read(size)
        if len(self.beginning) < _TAIL:
            self.beginning = (self.beginning + piece)[:_TAIL]
        self.end = (self.end + piece)[-_TAIL:]
        return piece


class _Part:
    """So many bytes of a stream and no more."""

    def __init__(self, stream: io.BufferedReader, size: int) -> None:
        self._stream = stream
        self._left = size
        self.taken = 0

    def read(self, size: int, /) -> bytes:
        piece = self._stream.read(min(size, self._left))
        self._left -= len(piece)
        self.taken += len(piece)
        return piece


def _skip(stream: io.BufferedReader, count: int) -> int:
    """Read over so many bytes."""
    skipped = 0
    with suppress(StopIteration):
        while skipped < count and (piece := stream.read(min(_BUFFER, count - skipped))):
            skipped += len(piece)
    return skipped
